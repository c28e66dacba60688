"""Define how a process keeps jobs."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class JobsOptions:
    """Configure the jobs of a process.

    folder: for the database of one machine, and for audio
    database_url: of Postgres; "" for SQLite in `folder`
    jobs_at_once: most jobs that this process transcribes at once; 0: it has no worker
    worker_id: name of the worker, which it has again after a restart; "" for a name of this machine
    retention_seconds: time after its end for which a job is kept
    max_unfinished: most unfinished jobs, of which one owner may have half
    max_audio_bytes: most bytes of audio of all jobs together
    audio_url: s3://bucket/prefix of the audio; "" for `folder`
    """

    folder: Path
    database_url: str = ""
    jobs_at_once: int = 2
    worker_id: str = ""
    retention_seconds: float = 3_600.0
    max_unfinished: int = 20_000
    max_audio_bytes: int = 50 << 30
    audio_url: str = ""

    @property
    def database_file(self) -> Path:
        """Return the path of the SQLite database."""
        return self.folder / "jobs.db"

    @property
    def is_in_use(self) -> bool:
        """Return whether jobs may wait in the database."""
        return bool(self.database_url) or self.database_file.exists()

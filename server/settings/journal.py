"""Define the settings of the journal that lets live sessions survive the server."""

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from journal.fsync import FsyncPolicy
from server.settings.folders import check_no_file


class JournalSettings(BaseSettings):
    """Configure where and how long sessions are kept on disk (docs/journal.md)."""

    journal_dir: str = Field(
        "",
        description="Folder in which resumable sessions are stored while they last, including their audio, "
        "so that they survive the server. Empty: nothing is stored.",
    )
    journal_fsync: FsyncPolicy = Field(
        FsyncPolicy.NEVER,
        description="When the journal is forced onto the disk, against loss of power: never (left to the "
        "system; the end of the process loses nothing), second, or always (before a client is answered).",
    )
    journal_session_mb: int = Field(
        32,
        ge=1,
        description="Maximum history of one session in its journal, in MiB. What the session needs to "
        "continue is always kept.",
    )
    journal_total_mb: int = Field(
        10_240, ge=1, description="Size of all journals, in MiB, above which new sessions are refused."
    )
    journal_seconds: float = Field(
        3_600.0,
        ge=0,
        description="Seconds after its last write for which a journal is kept for the next server.",
    )

    @field_validator("journal_dir")
    @classmethod
    def _journal_is_no_file(cls, path: str) -> str:
        return check_no_file(path)

"""Files of the database of jobs, and databases of earlier versions of the server."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from jobs.job import JobSource, JobState, NewJob, PartText
from jobs.options import JobsOptions
from jobs.service import JobDatabase
from jobs.tables import open_sqlite

UPLOAD = NewJob("ann", JobSource(name="talk.wav", audio="00-11", size=12))


def test_database_without_a_later_column_is_extended(options: JobsOptions) -> None:
    with closing(JobDatabase(options)) as before:
        job, _ = before.store.submit(UPLOAD)
        run = before.store.begin(job.id, JobState.TRANSCRIBING)
        assert run is not None
        before.store.complete_part(run, 0, 1_000, [], 0.5)
        with before.engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE stt_job_parts DROP COLUMN filtered"))
            connection.execute(sa.text("ALTER TABLE stt_jobs DROP COLUMN tracks"))
    with closing(JobDatabase(options)) as after:
        after.store.complete_part(run, 1, 2_000, [], 1.0)
        assert after.store.parts(job.id) == [PartText(()), PartText(())]
        assert after.store.get(job.id).tracks is None


def test_opening_a_database_again_keeps_the_locks_of_this_process(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    write = (
        "import sqlite3, sys; other = sqlite3.connect(sys.argv[1]); "
        "other.execute('INSERT INTO a VALUES (2)'); other.commit(); other.close()"
    )
    first = open_sqlite(path)
    with first.connect() as connection:
        connection.execute(sa.text("CREATE TABLE a (n)"))
        connection.commit()
        open_sqlite(path).dispose()
        subprocess.run([sys.executable, "-c", write, str(path)], check=True)
        assert path.with_name("jobs.db-wal").exists()  # which the last one to close the database deletes
        assert connection.execute(sa.text("SELECT n FROM a")).scalar() == 2
    first.dispose()


def test_only_the_user_of_the_server_can_read_the_database(tmp_path: Path) -> None:
    path = tmp_path / "data" / "jobs.db"
    engine = open_sqlite(path)
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE TABLE a (n)"))
        connection.commit()
        modes = {each.name: each.stat().st_mode & 0o777 for each in (path.parent, *path.parent.iterdir())}
    engine.dispose()
    assert modes == {"data": 0o700, "jobs.db": 0o600, "jobs.db-wal": 0o600, "jobs.db-shm": 0o600}

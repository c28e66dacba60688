"""Databases of earlier versions of the server."""

from contextlib import closing

import sqlalchemy as sa

from jobs.job import JobSource, JobState, NewJob, PartText
from jobs.options import JobsOptions
from jobs.service import JobDatabase

UPLOAD = NewJob("ann", JobSource(name="talk.wav", audio="00-11", size=12))


def test_database_without_a_later_column_is_extended(options: JobsOptions) -> None:
    with closing(JobDatabase(options)) as before:
        job, _ = before.store.submit(UPLOAD)
        run = before.store.begin(job.id, JobState.TRANSCRIBING)
        assert run is not None
        before.store.complete_part(run, 0, 1_000, [], 0.5)
        with before.engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE stt_job_parts DROP COLUMN filtered"))
    with closing(JobDatabase(options)) as after:
        after.store.complete_part(run, 1, 2_000, [], 1.0)
        assert after.store.parts(job.id) == [PartText(()), PartText(())]

"""Read and write the deliveries of callbacks. Each method is one transaction, blocks, and is thread-safe."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from jobs.job import CallbackState, Delivery, Job, PartText
from jobs.store import job_of, read_parts
from jobs.tables import deliveries, jobs
from jobs.work_queue import Work, WorkQueue


@dataclass(frozen=True, slots=True)
class DueCallback:
    """Hold a callback that is to be tried.

    is_stripped: the job has expired; only what the callback needs of it is left, and no text
    """

    job: Job
    url: str
    is_stripped: bool


class CallbackStore:
    """Store the tries to deliver callbacks, and their outcomes."""

    def __init__(self, engine: sa.Engine, queue: WorkQueue) -> None:
        self._engine = engine
        self._queue = queue

    def due(self, job_id: str, number: int) -> DueCallback | None:
        """Return the callback of a job; None if it has ended, or this try was made already."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).one_or_none()
            made = sa.select(sa.exists().where(deliveries.c.job == job_id, deliveries.c.number >= number))
            if row is None or row.callback != CallbackState.PENDING or connection.scalar(made):
                return None
        job = job_of(row)
        assert job.options.callback is not None
        return DueCallback(job, job.options.callback, row.stripped)

    def parts(self, job_id: str) -> list[PartText]:
        """Return the text of each part of a job."""
        with self._engine.connect() as connection:
            return read_parts(connection, job_id)

    def record(self, job_id: str, delivery: Delivery, state: CallbackState, delay: float) -> None:
        """Record a try, and queue the next one if the callback is still pending.

        delay: seconds until the next try
        """
        values = {
            "job": job_id,
            "number": delivery.number,
            "time": delivery.time,
            "seconds": delivery.seconds,
            "status": delivery.status,
            "error": delivery.error,
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(deliveries).values(values))
                if state is CallbackState.PENDING:
                    self._queue.add(
                        connection, job_id, Work.CALLBACK, number=delivery.number + 1, delay=delay
                    )
                else:
                    connection.execute(
                        sa.update(jobs)
                        .where(jobs.c.id == job_id)
                        .values(callback=state, revision=jobs.c.revision + 1)
                    )
        except IntegrityError:  # The job was deleted meanwhile, or another worker made the same try.
            return

    def deliveries(self, job_id: str) -> list[Delivery]:
        """Return the tries to deliver the callback of a job, in order."""
        query = sa.select(deliveries).where(deliveries.c.job == job_id).order_by(deliveries.c.number)
        with self._engine.connect() as connection:
            return [
                Delivery(row.number, row.time, row.seconds, row.status, row.error)
                for row in connection.execute(query)
            ]

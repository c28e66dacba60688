"""Queue the work of jobs durably with DBOS Transact, in the database of the jobs.

A unit of work is a DBOS workflow: it is claimed by one worker, and recovered when its worker comes back or is
taken for dead. Its only input is the job's id. Everything else stands in the jobs' own tables, so that
`JobStore` can change both in one transaction (docs/decisions/0024).
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Final

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, EnqueueOptions, error

APPLICATION: Final = "stt-server"
VERSION: Final = "1"  # of the workflows: workers of any release run what an earlier one queued
MAX_ROUND: Final = 1 << 20  # rounds of a priority; a job further back waits in the last one
DELETE_AT_ONCE: Final = 500  # ids in one statement


class Work(StrEnum):
    """Name the kinds of work. Each has a queue of its own, so that slow downloads block no transcription."""

    FETCH = "fetch"
    TRANSCRIBE = "transcribe"
    CALLBACK = "callback"


def work_id(job_id: str, work: Work, number: int = 0) -> str:
    """Return the id of a unit of work; number: of a callback, from 0 on."""
    return f"{job_id}.{work}.{number}"


class WorkQueue:
    """Add, remove and requeue units of work. The methods block; they are thread-safe."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use the database of `engine`; the tables of DBOS must exist (`create_queue_tables`)."""
        self._client = DBOSClient(system_database_engine=engine, application_name=APPLICATION, lazy=True)

    def add(
        self,
        connection: sa.Connection,
        job_id: str,
        work: Work,
        *,
        number: int = 0,
        priority: int = 1,
        delay: float = 0.0,
    ) -> None:
        """Add a unit of work in a transaction of the caller.

        priority: 1 and up; lower ones run first
        delay: seconds before it may run
        """
        options = EnqueueOptions(
            workflow_name=work.value,
            queue_name=work.value,
            workflow_id=work_id(job_id, work, number),
            app_version=VERSION,
            priority=priority,
        )
        if delay > 0:
            options["delay_seconds"] = delay
        self._client.enqueue_in_transaction(connection, options, job_id, number)

    def cancel(self, job_id: str) -> None:
        """Remove what waits of a job, but not its callback; what runs is told by the job's row."""
        callbacks = f"{job_id}.{Work.CALLBACK}."
        self._client.cancel_workflows([each for each in self._ids(job_id) if not each.startswith(callbacks)])

    def requeue(self, work_ids: Sequence[str], work: Work) -> None:
        """Let another worker run units that were claimed. A late result of the first claim is not stored."""
        for each in work_ids:
            with suppress(error.DBOSNonExistentWorkflowError):  # its job was deleted meanwhile
                self._client.resume_workflows([each], queue_name=work.value)

    def claimed_by(self, worker: str, work: Work) -> list[str]:
        """Return the ids of the units that a worker has claimed and not ended."""
        found = self._client.list_workflows(
            status="PENDING", executor_id=worker, name=work.value, load_input=False, load_output=False
        )
        return [each.workflow_id for each in found]

    def delete(self, job_ids: Iterable[str]) -> None:
        """Delete all units of jobs, ended ones included."""
        ids = [work for job_id in job_ids for work in self._ids(job_id)]
        for start in range(0, len(ids), DELETE_AT_ONCE):
            self._client.delete_workflows(ids[start : start + DELETE_AT_ONCE])

    def close(self) -> None:
        """Release the client; the engine stays open."""
        self._client.destroy()

    def _ids(self, job_id: str) -> list[str]:
        found = self._client.list_workflows(
            workflow_id_prefix=f"{job_id}.", load_input=False, load_output=False
        )
        return [each.workflow_id for each in found]


def create_queue_tables(engine: sa.Engine) -> None:
    """Create or update the tables of DBOS. Raises SQLAlchemyError."""
    DBOS.migrate(engine.url.render_as_string(hide_password=False))

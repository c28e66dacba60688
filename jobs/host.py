"""Keep the jobs of a server process: open the database when it is needed, and run the worker."""

import asyncio
import os
import re
import secrets
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from filelock import FileLock, Timeout

from jobs.errors import JobsUnavailable
from jobs.options import JobsOptions

if TYPE_CHECKING:
    from jobs.service import JobDatabase, Jobs
    from jobs.worker import CarryOut, JobWorker

RETRY_SECONDS: Final = 5.0  # between two tries to open the database
MAX_LOCAL_WORKERS: Final = 1_000
LOCAL_NAME: Final = re.compile("local-[0-9]+")


class JobsHost:
    """Open the database of jobs on first use, or at once if it exists already, and work on its jobs.

    Importing the database's packages takes a second and 45 MB, so a server whose clients submit no jobs does
    not pay for them.

    make_work: builds what carries out a unit of work, for a worker of this name
    on_problem: called with why the database cannot be opened, and with None once it is open
    """

    def __init__(
        self,
        options: JobsOptions,
        make_work: Callable[["JobDatabase", "WorkerLease"], "CarryOut"],
        on_problem: Callable[[str | None], None] = lambda why: None,
    ) -> None:
        self._options = options
        self._make_work = make_work
        self._on_problem = on_problem
        self._stack = AsyncExitStack()
        self._jobs: Jobs | None = None
        self._worker: JobWorker | None = None
        self._opening = asyncio.Lock()
        self._starting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        if self._options.is_in_use or await asyncio.to_thread(self._is_unusable):
            self._starting = asyncio.create_task(self._start(), name="open the jobs")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        async with self._opening:
            self._jobs = self._worker = None
            await self._stack.aclose()

    @property
    def is_stuck(self) -> bool:
        """Return whether the worker hangs (see `JobWorker.is_stuck`); false while there is none."""
        return self._worker is not None and self._worker.is_stuck

    async def jobs(self) -> "Jobs":
        """Return the jobs. Open the database on the first call. Raises JobsUnavailable."""
        if self._jobs is None:
            async with self._opening:
                if self._jobs is None:
                    await self._open()
        assert self._jobs is not None
        return self._jobs

    async def _start(self) -> None:
        """Open the database at the start, since jobs may wait in it. Try again until it can be used."""
        while True:
            try:
                await self.jobs()
            except JobsUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _open(self) -> None:
        # With DBOS and SQLAlchemy they take most of a second: not on the event loop.
        for module in ("jobs.service", "jobs.worker", "jobs.runner", "jobs.callbacks"):
            await asyncio.to_thread(import_module, module)
        from sqlalchemy.exc import SQLAlchemyError

        from jobs.service import JobDatabase, Jobs

        try:
            async with AsyncExitStack() as stack:
                database = await asyncio.to_thread(JobDatabase, self._options)
                stack.push_async_callback(asyncio.to_thread, database.close)
                jobs = Jobs(database)
                worker = None
                if self._options.jobs_at_once > 0:
                    worker = await self._start_worker(stack, database)
                cleaning = asyncio.create_task(jobs.keep_clean(), name="delete expired jobs")
                stack.push_async_callback(_cancel, cleaning)
                self._stack.push_async_callback(stack.pop_all().aclose)
        except (OSError, SQLAlchemyError) as error:
            why = f"The database of jobs cannot be opened: {error}"
            self._on_problem(why)
            raise JobsUnavailable(why) from error
        self._on_problem(None)
        self._jobs, self._worker = jobs, worker

    def _is_unusable(self) -> bool:
        """Return whether the folder of jobs cannot be written, which should be known before the first job."""
        folder = self._options.folder
        present = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        return not (present.is_dir() and os.access(present, os.W_OK | os.X_OK))

    async def _start_worker(self, stack: AsyncExitStack, database: "JobDatabase") -> "JobWorker":
        from jobs.worker import JobWorker

        lease = await asyncio.to_thread(WorkerLease.take, self._options)
        stack.callback(lease.release)
        worker = JobWorker(
            database.engine,
            database.queue,
            self._make_work(database, lease),
            worker_id=lease.worker_id,
            jobs=self._options.jobs_at_once,
        )
        return await stack.enter_async_context(worker)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class WorkerLease:
    """Hold the name of a worker, which no other process on this machine has meanwhile.

    A process that comes back takes the first free name, so it resumes what the one before it was running.

    process: names this process alone, not the ones before it; local ones write it beside their lock
    """

    worker_id: str
    lock: FileLock | None = None
    process: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        if self.lock is not None:
            _process_file(self.lock).write_text(self.process)

    @classmethod
    def take(cls, options: JobsOptions) -> Self:
        """Take the name of the options, that of this host in a fleet, or the first free local one."""
        if options.worker_id or options.database_url:
            return cls(options.worker_id or socket.gethostname())
        folder = options.folder / "workers"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(MAX_LOCAL_WORKERS):
            name = f"local-{number}"
            lock = FileLock(folder / f"{name}.lock")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            return cls(name, lock)
        raise JobsUnavailable(f"{MAX_LOCAL_WORKERS} workers run on this machine already")

    @property
    def owner(self) -> str:
        """Name of the worker, and of its process if others on this machine can ask for it; runs keep it."""
        return self.worker_id if self.lock is None else f"{self.worker_id}/{self.process}"

    def lives(self, owner: str) -> bool:
        """Return whether this process of a worker is known to live, because it holds the lock of its name.

        owner: as `owner` of its lease. Of workers on other machines nothing is known.
        """
        worker_id, _, process = owner.rpartition("/")
        if self.lock is None or not LOCAL_NAME.fullmatch(worker_id):
            return False
        lock = FileLock(Path(self.lock.lock_file).with_name(f"{worker_id}.lock"))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            file = _process_file(lock)
            return file.exists() and file.read_text() == process
        lock.release()
        return False

    def release(self) -> None:
        """Give the name back."""
        if self.lock is not None:
            self.lock.release()


def _process_file(lock: FileLock) -> Path:
    # Not the lock itself: each try to acquire it empties the file.
    return Path(lock.lock_file).with_suffix(".process")

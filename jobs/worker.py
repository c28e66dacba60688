"""Run the work of jobs that this process claims from the queue, and take over that of dead workers."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig

from jobs.tables import workers
from jobs.work_queue import APPLICATION, VERSION, Work, WorkQueue, work_id

log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 5.0
DEAD_SECONDS: Final = 30.0  # without a beat, after which another worker takes over
STUCK_SECONDS: Final = 120.0  # without an end of a beat, even of one that failed
POLL_SECONDS: Final = 0.5  # between two looks at a queue
IDLE_SECONDS: Final = 3_600.0  # between two looks at what this server does not use of DBOS
FETCHES: Final = 8  # downloads at once
CALLBACKS: Final = 8


class NotDone(BaseException):
    """A unit of work was not done, and has to be done again.

    DBOS stores an Exception as the outcome of a unit, and then never runs it again. It does not store this.
    """


CarryOut = Callable[[str, Work, int], Awaitable[None]]


class JobWorker:
    """Claim work while the context lasts. A process has at most one: DBOS is a singleton.

    worker_id: name that the process has again after a restart, so that it resumes at once what it was running
    jobs: most jobs that are transcribed at once
    carry_out: does a unit of work, given the job's id, the kind and the number. When it is cancelled, the
        unit is given back to the queue; when it raises, it is done again after `dead_seconds`

    The engine is the database; it stays open.
    """

    def __init__(
        self,
        engine: sa.Engine,
        queue: WorkQueue,
        carry_out: CarryOut,
        *,
        worker_id: str,
        jobs: int,
        poll_seconds: float = POLL_SECONDS,
        beat_seconds: float = BEAT_SECONDS,
        dead_seconds: float = DEAD_SECONDS,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._carry_out = carry_out
        self._id = worker_id
        self._concurrency = {Work.FETCH: FETCHES, Work.TRANSCRIBE: jobs, Work.CALLBACK: CALLBACKS}
        self._poll_seconds = poll_seconds
        self._beat_seconds = beat_seconds
        self._stuck_seconds = stuck_seconds
        self._others = StallWatch(dead_seconds)
        self._left = StallWatch(dead_seconds)
        self._running: dict[asyncio.Task[None], str] = {}  # ids of units
        self._stopping = False
        self._beaten = 0.0  # when the last beat ended, by the clock of the loop
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        _current.set(self)
        try:
            await asyncio.to_thread(self._beat)  # before it claims work, so that others would miss it
            await asyncio.to_thread(self._launch)
            self._beaten = self._loop.time()
        except BaseException:
            await self._stop()
            raise
        self._tasks.append(asyncio.create_task(self._beat_forever(), name="job worker heartbeat"))
        log.info("job_worker.started worker=%s", self._id)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()
        log.info("job_worker.stopped worker=%s", self._id)

    async def _stop(self) -> None:
        """Give back what is running, and end DBOS."""
        self._stopping = True
        for task in (*self._tasks, *self._running):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._running, return_exceptions=True)
        await asyncio.to_thread(DBOS.destroy)
        _current.clear(self)

    @property
    def is_stuck(self) -> bool:
        """Return whether the worker hangs, so that others take over its work and its process must restart."""
        return self._loop.time() - self._beaten > self._stuck_seconds

    def submit(self, work: Work, job_id: str, number: int) -> Future[None]:
        """Start a unit of work on the event loop, from a thread of DBOS."""
        return asyncio.run_coroutine_threadsafe(self._do(work, job_id, number), self._loop)

    async def _do(self, work: Work, job_id: str, number: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        unit = work_id(job_id, work, number)
        self._running[task] = unit
        try:
            if self._stopping:
                raise asyncio.CancelledError
            await self._carry_out(job_id, work, number)
        except asyncio.CancelledError:
            # If this fails, the unit stays claimed until this worker comes back or is taken for dead.
            await asyncio.shield(asyncio.to_thread(self._queue.requeue, [unit], work))
            raise
        finally:
            del self._running[task]

    def _launch(self) -> None:
        """Start DBOS, which also recovers what this worker was running when it ended."""
        config = DBOSConfig(
            name=APPLICATION,
            system_database_url=self._engine.url.render_as_string(hide_password=False),
            system_database_engine=self._engine,
            executor_id=self._id,
            application_version=VERSION,
            log_level="WARNING",
            notification_listener_polling_interval_sec=1.0,
            scheduler_polling_interval_sec=IDLE_SECONDS,
        )
        DBOS(config=config)
        DBOS.launch()
        for work, concurrency in self._concurrency.items():
            DBOS.register_queue(
                work.value,
                worker_concurrency=concurrency,
                polling_interval_sec=self._poll_seconds,
                on_conflict="always_update",
            )

    async def _beat_forever(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._beat)
            except sa.exc.SQLAlchemyError as error:  # The database may come back.
                log.warning("job_worker.beat_failed error=%s", error)
            self._beaten = self._loop.time()
            await asyncio.sleep(self._beat_seconds)

    def _beat(self) -> None:
        """Write a heartbeat, and take over the work of workers whose heartbeat has stopped."""
        with self._engine.begin() as connection:
            mine = workers.c.id == self._id
            if (
                connection.execute(sa.update(workers).where(mine).values(beat=workers.c.beat + 1)).rowcount
                == 0
            ):
                connection.execute(sa.insert(workers).values(id=self._id, beat=0))
            beats = {row.id: row.beat for row in connection.execute(sa.select(workers)) if row.id != self._id}
        for dead in self._others.stalled(beats, self._loop.time()):
            if not may_take_over(self._engine, dead, beats[dead]):
                continue
            for work in Work:
                claimed = self._queue.claimed_by(dead, work)
                self._queue.requeue(claimed, work)
                if claimed:
                    log.warning("job_worker.taken_over worker=%s work=%s units=%d", dead, work, len(claimed))
            with self._engine.begin() as connection:
                over = sa.and_(workers.c.id == dead, workers.c.beat == beats[dead] + 1)
                connection.execute(sa.delete(workers).where(over))
        self._requeue_left()

    def _requeue_left(self) -> None:
        """Requeue what this worker has claimed and does not run, because the database failed in between."""
        claimed = {unit: work for work in Work for unit in self._queue.claimed_by(self._id, work)}
        left = dict.fromkeys(claimed.keys() - set(self._running.values()), 0)
        for unit in self._left.stalled(left, self._loop.time()):
            log.warning("job_worker.requeued unit=%s", unit)
            self._queue.requeue([unit], claimed[unit])


def may_take_over(engine: sa.Engine, dead: str, beat: int) -> bool:
    """Return whether the caller may take over the work of a dead worker; of several callers only one may.

    A second one could give a unit of work back to the queue that another worker has claimed after the first
    one. If the caller dies, the worker is found dead again, because it has a new last beat.

    beat: the last one of the worker
    """
    mine = sa.update(workers).where(workers.c.id == dead, workers.c.beat == beat).values(beat=beat + 1)
    with engine.begin() as connection:
        return connection.execute(mine).rowcount == 1


@dataclass(slots=True)
class StallWatch:
    """Find what stands still: workers without a new beat, and units of work that are claimed and not run.

    It has no clock; the clocks of other machines do not matter. If it did not look for a long time, because
    the database could not be used, then no worker could write a beat either, and the time counts anew.

    seconds: without a change, after which something has stalled
    """

    seconds: float
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    _looked: float | None = None

    def stalled(self, values: dict[str, int], now: float) -> list[str]:
        """Return the names of those that have stalled, given the value of each at a time in seconds."""
        if self._looked is not None and now - self._looked > self.seconds / 2:
            self._seen.clear()
        self._looked = now
        for name, value in values.items():
            if name not in self._seen or self._seen[name][0] != value:
                self._seen[name] = value, now
        for name in self._seen.keys() - values.keys():
            del self._seen[name]
        return [name for name, (_, since) in self._seen.items() if now - since >= self.seconds]


class _Current:
    """Hold the worker of this process, for the workflows, which DBOS registers once for a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: JobWorker | None = None

    def set(self, worker: JobWorker) -> None:
        with self._lock:
            if self._worker is not None:
                raise RuntimeError("a process has one job worker at most")
            self._worker = worker

    def clear(self, worker: JobWorker) -> None:
        with self._lock:
            if self._worker is worker:
                self._worker = None

    def do(self, work: Work, job_id: str, number: int) -> None:
        """Do a unit of work, and wait for it, in a thread of DBOS. Raises NotDone."""
        worker = self._worker
        if worker is None:
            raise NotDone("the job worker has stopped")
        try:
            worker.submit(work, job_id, number).result()
        except Exception as error:  # also if the event loop has ended
            raise NotDone(f"{type(error).__name__}: {error}") from error


_current: Final = _Current()


@DBOS.workflow(name=Work.FETCH.value, max_recovery_attempts=None)
def _fetch(job_id: str, number: int) -> None:
    _current.do(Work.FETCH, job_id, number)


@DBOS.workflow(name=Work.TRANSCRIBE.value, max_recovery_attempts=None)
def _transcribe(job_id: str, number: int) -> None:
    _current.do(Work.TRANSCRIBE, job_id, number)


@DBOS.workflow(name=Work.CALLBACK.value, max_recovery_attempts=None)
def _callback(job_id: str, number: int) -> None:
    _current.do(Work.CALLBACK, job_id, number)

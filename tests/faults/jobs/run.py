"""Run many jobs while processes are killed and the database fails, and compare them with undisturbed ones."""

import asyncio
import io
import os
import resource
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random
from threading import Thread
from typing import Final

import psutil  # type: ignore[import-untyped]
import sqlalchemy as sa
from dbos import DBOSClient

from jobs.host import WorkerLease
from jobs.job import MAX_ATTEMPTS, CallbackState, Job, JobSource, JobState, NewJob
from jobs.service import JobDatabase
from jobs.tables import OUTAGES, jobs, open_postgres, open_sqlite
from jobs.work_queue import Work
from tests.faults.jobs.processes import Place, forking, runner_of, submit, work
from tests.faults.jobs.sounds import LONG, POISON, SHORT, DeadlyRecognizer, sounds
from tests.faults.jobs.web import Receiver, free_port, receiving, serve, submit_over_http
from tests.jobs.databases import Postgres
from tests.streaming.working_models import models

LONG_EVERY: Final = 20  # one in so many jobs has several parts
WEB_EVERY: Final = 10  # one in so many jobs is submitted over HTTP, and has a callback
LOOK_SECONDS: Final = 0.05
READ_SECONDS: Final = 0.0002  # between two looks at the database, for each job
FULL_BYTES: Final = 8_192  # to which a file may grow while the disk is full
PATIENCE_SECONDS: Final = 120.0  # without any job that ends
SHOWN: Final = 10

Text = list[tuple[object, ...]]


class Fault(StrEnum):
    """Name what goes wrong.

    KILL: a worker is killed, and comes back under its name
    RETIRE: a worker is killed, and another one comes
    LOCK: another process locks SQLite, or Postgres is stopped as by a power cut and started again
    FULL: no process may make a file larger
    SERVER: the HTTP server is killed, and started again on its port
    """

    KILL = "worker killed"
    RETIRE = "worker killed for good"
    LOCK = "database gone"
    FULL = "disk full"
    SERVER = "HTTP server killed"


@dataclass(frozen=True, slots=True)
class Plan:
    """Describe a run. poison: jobs that kill their worker"""

    jobs: int
    workers: int
    seed: int = 1
    faults: int = 14
    poison: int = 2

    def names(self) -> list[str]:
        """Return the name of the sound of each job."""
        chance = Random(self.seed)
        names = [chance.choice(LONG if number % LONG_EVERY == 7 else SHORT) for number in range(self.jobs)]
        for number in chance.sample(range(self.jobs), self.poison):
            names[number] = POISON
        return names

    @property
    def direct(self) -> int:
        """Return the number of jobs that are submitted without HTTP, which are the first ones."""
        return self.jobs - self.jobs // WEB_EVERY

    def script(self) -> list[tuple[int, Fault]]:
        """Return the faults, each with the number of ended jobs after which it happens."""
        chance = Random(self.seed + 1)
        kinds = [*Fault, *chance.choices(list(Fault), weights=(8, 1, 2, 2, 2), k=self.faults - len(Fault))]
        chance.shuffle(kinds)
        step = self.jobs / (len(kinds) + 2)
        return [(round(step * (number + chance.random())), kind) for number, kind in enumerate(kinds)]


@dataclass(slots=True)
class Result:
    """Hold the results of a run. wrong: sentences about what broke a guarantee"""

    seconds: float = 0.0
    met: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    log: str = ""

    def collect_log(self) -> Connection:
        """Return a pipe, whose text is collected."""
        reading, writing = Pipe(duplex=False)

        def collect() -> None:
            with os.fdopen(reading.fileno(), errors="replace", closefd=False) as stream:
                for line in stream:
                    self.log += line

        Thread(target=collect, daemon=True).start()
        return writing

    def report(self, plan: Plan) -> str:
        rows = {
            "jobs": plan.jobs,
            "workers": plan.workers,
            "seconds": round(self.seconds, 1),
            **{f"  {name}": count for name, count in sorted(self.met.items())},
            **{f"ended as {name}": count for name, count in sorted(self.states.items())},
            "broken guarantees": len(self.wrong),
        }
        return "\n".join([*(f"{name:40} {count}" for name, count in rows.items()), *self.wrong[:SHOWN]])


async def undisturbed(seed: int, folder: Path) -> dict[str, Text]:
    """Return the text of each sound without any fault, and without a worker."""
    place = Place(folder)
    database = JobDatabase(place.options)
    found: dict[str, Text] = {}
    async with models(DeadlyRecognizer()) as clients:
        runner = runner_of(database, clients, WorkerLease("undisturbed"))
        for name, data in sounds(seed).items():
            if name != POISON:
                audio = database.audio.save(io.BytesIO(data))
                job, _ = database.store.submit(NewJob("", JobSource(audio=audio.key, size=audio.size)))
                await runner.run(job.id, Work.TRANSCRIBE)
                assert database.store.get(job.id).state is JobState.SUCCEEDED
                found[name] = text_of(database, job.id)
    database.close()
    return found


def text_of(database: JobDatabase, job_id: str) -> Text:
    return [
        (segment.start, segment.end, segment.hypothesis.text, segment.hypothesis.language)
        for part in database.store.parts(job_id)
        for segment in part.segments
    ]


class Crew:
    """Run the workers and the submitting process; restart what ends."""

    def __init__(self, plan: Plan, place: Place, result: Result, callback: str) -> None:
        self._context = forking()
        self._place = place
        self._result = result
        self._chance = Random(plan.seed + 2)
        self._hired = 0
        self._workers: dict[str, ForkServerProcess] = {}
        self._back: dict[str, float] = {}  # when a killed worker starts again
        self.accepted: dict[int, str] = {}
        names = plan.names()
        self._reading, writing = Pipe(duplex=False)
        self._submitting = self._context.Process(
            target=submit, args=(place, plan.seed, names[: plan.direct], writing)
        )
        self._port = free_port()
        over_http = dict(list(enumerate(names))[plan.direct :])
        self._client = self._context.Process(
            target=submit_over_http,
            args=(self._port, plan.seed, over_http, callback, place.folder, writing),
        )
        self._start_server()
        for process in (self._submitting, self._client):
            process.start()
        writing.close()
        for _ in range(plan.workers):
            self._hire()

    @property
    def _processes(self) -> list[ForkServerProcess]:
        return [self._submitting, self._client, self._server, *self._workers.values()]

    def _hire(self) -> None:
        self._hired += 1
        self._start(f"local-{self._hired}")

    def _start(self, name: str) -> None:
        self._workers[name] = self._context.Process(target=work, args=(self._place, name))
        self._workers[name].start()

    def _start_server(self) -> None:
        self._server = self._context.Process(target=serve, args=(self._place, self._port))
        self._server.start()

    def kill_server(self) -> bool:
        """Kill the HTTP server; return whether it was running."""
        if not self._server.is_alive():
            return False
        self._server.kill()
        self._server.join()
        return True

    def look(self) -> None:
        """Start again what has ended, and read which jobs were accepted."""
        if not self._server.is_alive():
            self._start_server()
        for name, process in list(self._workers.items()):
            if name not in self._back and not process.is_alive():
                self._result.met["worker ended by itself"] += 1
                self._back[name] = time.monotonic()
        for name, due in list(self._back.items()):
            if time.monotonic() >= due:
                del self._back[name]
                self._start(name)
        while not self._reading.closed and self._reading.poll():
            try:
                number, job_id = self._reading.recv()
            except EOFError:
                self._reading.close()
                return
            if self.accepted.setdefault(number, job_id) != job_id:
                self._result.wrong.append(f"job {number} was accepted as two jobs")

    def kill(self, is_fair: Callable[[], bool], *, for_good: bool) -> bool:
        """Kill a worker unless that would be unfair; return whether it was done."""
        alive = [name for name, process in self._workers.items() if process.is_alive()]
        if not alive:
            return False
        name = self._chance.choice(alive)
        process = self._workers[name]
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)  # so that nothing changes between the look and the kill
        if not is_fair():
            os.kill(process.pid, signal.SIGCONT)
            return False
        process.kill()
        process.join()
        if for_good:
            del self._workers[name]
            self._hire()
        else:
            self._back[name] = time.monotonic() + self._chance.uniform(0.0, 1.0)
        return True

    def limit_files(self, size: int) -> None:
        """Set the size up to which all processes may write a file."""
        pids = [each.pid for each in self._processes if each.is_alive()]
        for pid in pids:
            try:
                family = [pid, *(child.pid for child in psutil.Process(pid).children())]
                for each in family:
                    resource.prlimit(each, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue  # it has ended

    def end(self) -> None:
        for process in self._processes:
            if process.pid is not None:
                for child in _children(process.pid):
                    child.kill()
            process.kill()
            process.join()


def _children(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children())
    except psutil.NoSuchProcess:
        return []


class Storm:
    """Make the faults of a plan happen, one after the other."""

    def __init__(
        self, plan: Plan, crew: Crew, place: Place, postgres: Postgres | None, watch: "Watch"
    ) -> None:
        self._script = plan.script()
        self._chance = Random(plan.seed + 3)
        self._crew = crew
        self._place = place
        self._postgres = postgres
        self._watch = watch
        self._end: tuple[float, Callable[[], None]] | None = None  # when a fault is over, and what ends it

    @property
    def is_over(self) -> bool:
        return not self._script and self._end is None

    def blow(self, ended: int, met: Counter[str]) -> None:
        """Begin the next fault if it is due, or end the present one."""
        if self._end is not None:
            due, finish = self._end
            if time.monotonic() >= due:
                finish()
                self._end = None
        elif self._script and ended >= self._script[0][0]:
            fault = self._script[0][1]
            if self._begin(fault):
                met[fault] += 1
                del self._script[0]

    def stop(self) -> None:
        if self._end is not None:
            self._end[1]()

    def _begin(self, fault: Fault) -> bool:
        match fault:
            case Fault.KILL | Fault.RETIRE:
                return self._crew.kill(self._watch.is_fair_to_kill, for_good=fault is Fault.RETIRE)
            case Fault.SERVER:
                return self._crew.kill_server()
            case Fault.LOCK if self._postgres is not None:
                self._postgres.stop("immediate")
                self._last(0.5, 2.0, self._postgres.start)
            case Fault.LOCK:
                connection = sqlite3.connect(self._place.options.database_file, isolation_level=None)
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:  # a writer is not done
                    connection.close()
                    return False
                self._last(0.5, 3.0, connection.close)
            case Fault.FULL:
                self._crew.limit_files(FULL_BYTES)
                self._last(0.3, 1.5, lambda: self._crew.limit_files(resource.RLIM_INFINITY))
        return True

    def _last(self, least: float, most: float, finish: Callable[[], None]) -> None:
        self._end = time.monotonic() + self._chance.uniform(least, most), finish


class Watch:
    """Read the states of all jobs, and check that what has ended stays as it is."""

    def __init__(self, place: Place, result: Result) -> None:
        options = place.options
        self.engine = (
            open_postgres(options.database_url)
            if options.database_url
            else open_sqlite(options.database_file)
        )
        self._result = result
        self.ended: dict[str, tuple[str, float]] = {}

    def look(self) -> int:
        """Return the number of jobs that have ended, as far as the database can be read."""
        query = sa.select(jobs.c.id, jobs.c.state, jobs.c.finished).where(jobs.c.finished.is_not(None))
        try:
            with self.engine.connect() as connection:
                rows = connection.execute(query).all()
        except OUTAGES:
            return len(self.ended)
        for job_id, state, finished in rows:
            if self.ended.setdefault(job_id, (state, finished)) != (state, finished):
                self._result.wrong.append(f"{job_id} ended twice")
        if len(rows) < len(self.ended):
            self._result.wrong.append("a job that had ended has vanished")
        return len(self.ended)

    def is_fair_to_kill(self) -> bool:
        """Return whether no job would lose its last attempt: it would fail, and rightly so."""
        tried = sa.and_(jobs.c.attempts >= MAX_ATTEMPTS, jobs.c.finished.is_(None))
        try:
            with self.engine.connect() as connection:
                return not connection.scalar(sa.select(sa.func.count()).where(tried))
        except OUTAGES:
            return False


@contextmanager
def storm(
    plan: Plan, place: Place, postgres: Postgres | None, result: Result, callback: str
) -> Iterator[tuple[Crew, Storm, Watch]]:
    watch = Watch(place, result)
    crew = Crew(plan, place, result, callback)
    weather = Storm(plan, crew, place, postgres, watch)
    try:
        yield crew, weather, watch
    finally:
        weather.stop()
        crew.end()
        watch.engine.dispose()


async def run(plan: Plan, folder: Path, postgres: Postgres | None = None) -> Result:
    """Run all jobs. postgres: holds the jobs; None for SQLite in the folder"""
    expected = await undisturbed(plan.seed, folder / "calm")
    url = "" if postgres is None else postgres.new_database()
    result = Result()
    place = Place(folder / "jobs", url, result.collect_log())
    database = JobDatabase(place.options)
    began = progress = time.monotonic()
    with (
        receiving(plan.seed) as receiver,
        storm(plan, place, postgres, result, receiver.url) as (crew, weather, watch),
    ):
        before = ended = 0
        looked = 0.0
        while not (weather.is_over and len(crew.accepted) == plan.jobs and before >= plan.jobs):
            crew.look()
            if time.monotonic() - looked > plan.jobs * READ_SECONDS:
                ended, looked = watch.look(), time.monotonic()
            weather.blow(ended, result.met)
            if ended > before:
                before, progress = ended, time.monotonic()
            if time.monotonic() - progress > PATIENCE_SECONDS:
                result.wrong.append(f"no job has ended for {PATIENCE_SECONDS:g} s")
                break
            await asyncio.sleep(LOOK_SECONDS)
        result.seconds = time.monotonic() - began
        settle(database, crew, result)
        watch.look()
    compare(plan, database, crew.accepted, expected, result)
    compare_reports(plan, database, crew.accepted, receiver, result)
    database.close()
    return result


def settle(database: JobDatabase, crew: Crew, result: Result) -> None:
    """Wait until nothing is claimed or waits for a claim any more."""
    client = DBOSClient(system_database_engine=database.engine, lazy=True)
    deadline = time.monotonic() + PATIENCE_SECONDS / 2
    while left := client.list_workflows(
        status=["PENDING", "ENQUEUED", "DELAYED"], load_input=False, load_output=False, limit=SHOWN
    ):
        if time.monotonic() > deadline:
            result.wrong.append(f"still in the queue: {[each.workflow_id for each in left]}")
            break
        crew.look()
        time.sleep(LOOK_SECONDS)
    client.destroy()


def compare(
    plan: Plan,
    database: JobDatabase,
    accepted: dict[int, str],
    expected: dict[str, Text],
    result: Result,
) -> None:
    """Check every job against the undisturbed run."""
    names = plan.names()
    with database.engine.connect() as connection:
        ids = set(connection.execute(sa.select(jobs.c.id)).scalars())
    if ids != set(accepted.values()):
        lost, more = set(accepted.values()) - ids, ids - set(accepted.values())
        result.wrong.append(f"{len(lost)} accepted jobs are lost, {len(more)} were never submitted")
    for number, job_id in accepted.items():
        if job_id in ids:
            job = database.store.get(job_id)
            result.states[job.state] += 1
            problem = problem_of(job, names[number], database, expected)
            if problem:
                result.wrong.append(f"job {number} {job_id} ({names[number]}): {problem}")
    told = Counter(
        line.split("job=")[1].split()[0] for line in result.log.splitlines() if "job.succeeded" in line
    )
    result.wrong += [f"{job_id} succeeded {count} times" for job_id, count in told.items() if count > 1]


def compare_reports(
    plan: Plan, database: JobDatabase, accepted: dict[int, str], receiver: Receiver, result: Result
) -> None:
    """Check that the end of each job with a callback was reported at least once, under one id."""
    expected: dict[str, set[tuple[str, str]]] = {}
    for number in range(plan.direct, plan.jobs):
        if number in accepted:
            job = database.store.get(accepted[number])
            expected[f"msg_{job.id}"] = {(f"job.{job.state}", job.id)}
            if job.callback is not CallbackState.DELIVERED:
                result.wrong.append(f"the callback of job {number} {job.id} is {job.callback}")
    if receiver.told != expected:
        wrong = [
            name for name in expected.keys() | receiver.told if receiver.told.get(name) != expected.get(name)
        ]
        result.wrong.append(f"{len(wrong)} reports are missing or differ: {wrong[:SHOWN]}")
    result.met["reports"] = len(receiver.told)
    result.met["reports that came again"] = sum(count > 1 for count in receiver.ids.values())


def problem_of(job: Job, name: str, database: JobDatabase, expected: dict[str, Text]) -> str | None:
    """Return what is wrong with a job that should have ended."""
    if name == POISON:
        code = job.problem and job.problem.code
        return None if code == "worker_died" else f"the poison ended as {job.state}, {code}"
    if job.state is not JobState.SUCCEEDED:
        return f"it is {job.state}: {job.problem}"
    if text_of(database, job.id) != expected[name]:
        return "its text differs from that of the undisturbed run"
    return None

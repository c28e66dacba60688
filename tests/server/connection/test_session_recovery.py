"""Test that each server continues the sessions of the one before, without lost or repeated messages."""

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.health import Health
from journal.recorder import JournalRecorder, RecordedStream
from journal.records import OutputRecord
from journal.replay import ReplayedSession
from journal.session_journal import SessionJournal
from journal.store import JournalStore
from server.connection.client_session import ClientSession
from server.connection.ended_session import EndedSession
from server.connection.session_recovery import MAX_FAILED_TAKEOVERS, ReplayFilter, SessionRecovery
from server.connection.websocket import BoundedWebSocket
from server.errors import model_unavailable
from server.observability.metrics import Metrics
from server.protocols.native.protocol import NativeEndedMessages, NativeProtocol
from server.protocols.native.session_config import SessionConfig
from streaming.driver import StreamDriver
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from tests.examples import examples
from tests.server.fakes import Line, running_models
from tests.server.journal_helpers import OPENED, chunks_of, files_in, kept, rest_of, seeds, sounding
from tests.server.live_server import Message, errors
from tests.streaming.fakes import FEW_GUARDS, sound
from tests.waiting import until

HOUR = 3600.0


async def ready() -> None:
    """Return at once, as if the models were loaded."""


async def leave_behind(folder: Path, *names: str) -> None:
    with JournalStore(folder, Health()) as disk:
        for number, name in enumerate(names):
            log = disk.open(name)
            log.append(OPENED)
            log.append(sounding(100, number))
            log.close()


async def test_ended_sessions_expire(
    tmp_path: Path,
) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        for name in ("old", "fresh"):
            log = disk.open(name)
            log.append(OPENED)
            log.append(OutputRecord("Closed"))
            log.close()
    os.utime(tmp_path / "old.1.journal", (time.time() - 100,) * 2)
    carrier = Carrier()
    carrier.over.set()
    with JournalStore(tmp_path, Health()) as disk:
        await SessionRecovery(disk, carrier, HOUR, lambda: None, ended_seconds=50).run(ready())
    assert (carrier.carried, carrier.held) == ({}, ["fresh"])
    assert files_in(tmp_path) == ["fresh.1.journal"]


class Carrier:
    """Goes on with sessions until they are over.

    carried: their names, and what was to be played once more; held: of those that were over
    """

    def __init__(self, failures: dict[str, Exception] | None = None) -> None:
        self.carried: dict[str, list[int]] = {}
        self.held: list[str] = []
        self.logs: dict[str, SessionJournal] = {}
        self.over = asyncio.Event()
        self._failures = failures or {}

    async def continue_session(self, name: str, recovered: ReplayedSession, log: SessionJournal) -> None:
        self.carried[name], self.logs[name] = seeds(recovered), log
        if name in self._failures:
            raise self._failures[name]
        await self.over.wait()

    def keep_ended(
        self, name: str, head: Mapping[str, Any], files: Sequence[Path], disk: JournalStore
    ) -> None:
        if name in self._failures:
            raise self._failures[name]
        self.held.append(name)


async def test_ended_sessions_are_kept_oldest_first(
    tmp_path: Path,
) -> None:
    await leave_behind(tmp_path, "live")
    with JournalStore(tmp_path, Health()) as disk:
        for name in ("a", "bad", "b"):
            log = disk.open(name)
            log.append(OPENED)
            log.append(OutputRecord("Closed"))
            log.close()
    for number, name in enumerate(("a", "bad", "b")):
        os.utime(tmp_path / f"{name}.1.journal", (time.time() - 10 + number,) * 2)
    carrier, held = Carrier({"bad": KeyError("owner")}), list[list[str]]()
    carrier.over.set()
    with JournalStore(tmp_path, Health()) as disk:
        await SessionRecovery(disk, carrier, HOUR, lambda: held.append(list(carrier.held))).run(ready())
    assert held == [["a", "b"]]  # before a client can be refused as unknown
    assert list(carrier.carried) == ["live"]
    assert len(files_in(tmp_path)) == 4


async def test_unfinished_sessions_are_continued(tmp_path: Path) -> None:
    await leave_behind(tmp_path, "a", "b")
    with (tmp_path / "b.1.journal").open("ab") as file:
        file.write(b"torn")
    carrier = Carrier()
    with JournalStore(tmp_path, Health()) as disk:
        found: list[set[str]] = []
        recoverer = SessionRecovery(disk, carrier, HOUR, lambda: found.append(set(carrier.carried)))
        running = asyncio.create_task(recoverer.run(ready()))
        await until(lambda: found)
        assert found == [{"a", "b"}]  # each had begun by then
        assert carrier.carried == {"a": [0], "b": [1]}
        carrier.logs["b"].append(sounding(100, 9))
        await carrier.logs["b"].flush()
        assert seeds(kept(tmp_path, "b")) == [1, 9]
        assert not running.done()
        carrier.over.set()
        await running


async def test_recovery_waits_for_the_models(tmp_path: Path) -> None:
    await leave_behind(tmp_path, "a")
    carrier, loaded, found = Carrier(), asyncio.Event(), list[bool]()

    async def ready() -> None:
        await loaded.wait()

    with JournalStore(tmp_path, Health()) as disk:
        recoverer = SessionRecovery(disk, carrier, HOUR, lambda: found.append(True))
        running = asyncio.create_task(recoverer.run(ready()))
        await asyncio.to_thread(lambda: None)
        assert (carrier.carried, found) == ({}, [])
        loaded.set()
        carrier.over.set()
        await running
    assert (list(carrier.carried), found) == (["a"], [True])


@pytest.mark.parametrize(
    "failure", [model_unavailable("gone"), KeyError("preferences"), ValueError("of another")]
)
async def test_failed_recovery_does_not_affect_other_sessions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    await leave_behind(tmp_path, "a", "b")
    carrier = Carrier({"a": failure})
    carrier.over.set()
    with JournalStore(tmp_path, Health()) as disk:
        await SessionRecovery(disk, carrier, HOUR, lambda: None).run(ready())
    assert set(carrier.carried) == {"a", "b"}
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    assert seeds(kept(tmp_path, "a")) == [0]


async def test_recovery_is_given_up_after_repeated_takeovers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await leave_behind(tmp_path, "a")
    carrier = Carrier()
    carrier.over.set()
    for servers in range(MAX_FAILED_TAKEOVERS):
        recovered = kept(tmp_path, "a")
        assert recovered is not None
        assert recovered.failed_takeovers == servers
        with JournalStore(tmp_path, Health()) as disk:
            await SessionRecovery(disk, carrier, HOUR, lambda: None).run(ready())
    carrier.carried.clear()
    with JournalStore(tmp_path, Health()) as disk:
        await SessionRecovery(disk, carrier, HOUR, lambda: None).run(ready())
    assert carrier.carried == {}
    assert "recovery.given_up session=a takeovers=10" in caplog.text
    assert seeds(kept(tmp_path, "a")) == [0]


async def test_unreadable_journal_is_logged_and_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await leave_behind(tmp_path, "good")
    (tmp_path / "bad.1.journal").write_bytes(b"nonsense")
    (tmp_path / "worse.1.journal").mkdir()
    carrier = Carrier()
    carrier.over.set()
    with JournalStore(tmp_path, Health()) as disk:
        await SessionRecovery(disk, carrier, HOUR, lambda: None).run(ready())
    assert list(carrier.carried) == ["good"]
    for name in ("bad", "worse"):
        assert f"journal.unreadable session={name} " in caplog.text
    assert "bad.1.journal" in files_in(tmp_path)


async def test_expired_session_is_not_continued(tmp_path: Path) -> None:
    await leave_behind(tmp_path, "a")
    carrier, found = Carrier(), list[bool]()
    with JournalStore(tmp_path, Health()) as disk:
        await SessionRecovery(disk, carrier, -1.0, lambda: found.append(True)).run(ready())
    assert (carrier.carried, found, files_in(tmp_path)) == ({}, [True], [])


# Whole sessions over several servers

OPTIONS = SessionOptions(partials=True, guards=FEW_GUARDS)
ALL = SessionConfig(OPTIONS).merged({"events": "all", "include_audio": False})
# Messages that depend on time, and refusals, which need not be sent again because they changed nothing.
TIMELY = {"session.resumed", "transcript.partial", "input_audio_buffer.acknowledged", "error"}
NAME = "5f1c"
Death = tuple[int, int, bool]  # after so many items and milliseconds; killed, or stopped in order


@dataclass
class Client:
    """Says its items one after the other, and after a cut what the server does not have.

    items: sound, whole chunks of it, and commands; heard: messages with numbers, over all lives
    """

    items: list[str | bytes]
    heard: list[Message] = field(default_factory=list)

    @property
    def seen(self) -> int:
        return max((message["seq"] for message in self.heard), default=0)

    async def talk(self, line: Line, count: int | None) -> None:
        """Send so many of the items, or all."""
        greeting = await line.hears("session.resumed" if self.heard else "session.created")
        for item in rest_of(self.items, greeting)[:count]:
            line.says(item)

    def cut_off(self, line: Line) -> None:
        self.heard += [message for message in line.heard if message["type"] != "session.resumed"]


class Life:
    """Begin or continue the only session of a server on this line."""

    def __init__(
        self, disk: JournalStore, models: ModelClients, client: Client, socket: BoundedWebSocket
    ) -> None:
        self.sessions: list[ClientSession] = []
        self._disk = disk
        self._models = models
        self._client = client
        self._socket = socket
        self._resuming: asyncio.Task[None] | None = None

    async def run(self) -> None:
        if self._client.heard:
            await SessionRecovery(self._disk, self, HOUR, lambda: None).run(ready())
            if self._resuming is not None:
                await self._resuming
        else:
            await self.begin(self._disk.open(NAME))

    async def begin(self, log: SessionJournal) -> None:
        with StreamDriver(self._models, OPTIONS, NAME) as driver:
            recorder = JournalRecorder(log)
            protocol = NativeProtocol(NAME, RecordedStream(driver, recorder), ALL, {}, token="secret")
            await self._session(driver, protocol, recorder).run(self._socket)

    async def continue_session(self, name: str, recovered: ReplayedSession, log: SessionJournal) -> None:
        with StreamDriver(self._models, OPTIONS, NAME, begun=recovered.begun) as driver:
            recorder = JournalRecorder(log, replaying=True)
            stream = RecordedStream(driver, recorder)
            protocol = NativeProtocol.restored(NAME, stream, recovered.head, recovered.refused)
            session = self._session(driver, protocol, recorder)
            resuming = asyncio.create_task(session.resume(self._socket, self._client.seen))
            try:
                await session.run_recovered(recovered)
                await resuming
            finally:
                resuming.cancel()

    def keep_ended(
        self, name: str, head: Mapping[str, Any], files: Sequence[Path], disk: JournalStore
    ) -> None:
        session = EndedSession(name, head["owner"], NativeEndedMessages(name), files, disk, 1 << 24)
        self._resuming = asyncio.create_task(session.resume(self._socket, self._client.seen))

    def _session(
        self, driver: StreamDriver, protocol: NativeProtocol, recorder: JournalRecorder
    ) -> ClientSession:
        session = ClientSession(
            NAME, driver, protocol, Metrics(), resume_seconds=HOUR, log_bytes=1 << 24, recorder=recorder
        )
        self.sessions.append(session)
        return session


@asynccontextmanager
async def life(
    folder: Path, models: ModelClients, client: Client, line: Line
) -> AsyncIterator[tuple["asyncio.Task[None]", list[ClientSession]]]:
    """Run a server's task and its sessions; cancel those that have not ended."""
    socket = BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 20, send_timeout=3600)
    with JournalStore(folder, Health()) as disk:
        living = Life(disk, models, client, socket)
        running = asyncio.create_task(living.run())
        try:
            yield running, living.sessions
        finally:
            running.cancel()
            await asyncio.wait([running])


async def heard_over(items: list[str | bytes], deaths: list[Death], folder: Path) -> list[Message]:
    """Return all messages that several servers send; the last server continues to the end."""
    client = Client(items)
    async with running_models() as models:
        for number, (count, ms, killed) in enumerate(deaths):
            line, here, there = Line(), folder / str(number), folder / str(number + 1)
            async with life(here, models, client, line) as (running, sessions):
                talking = asyncio.create_task(client.talk(line, count))
                if count or not client.heard:
                    await asyncio.wait((talking, running), return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(ms / 1000)
                talking.cancel()
                if killed:  # the next server has only what is on disk now
                    shutil.copytree(here, there)
                elif not running.done():
                    for session in sessions:
                        session.stop()
                        await asyncio.wait([running])
                client.cut_off(line)
            if not killed:
                shutil.copytree(here, there)
        line = Line()
        async with life(folder / str(len(deaths)), models, client, line) as (running, _):
            await client.talk(line, None)
            await running
            client.cut_off(line)
    assert line.close == (1000, "")
    return client.heard


def lasting(messages: list[Message]) -> dict[str, list[Message]]:
    """Return the messages that do not depend on time, by type."""
    told: dict[str, list[Message]] = {}
    for message in messages:
        if message["type"] not in TIMELY:
            plain = {key: value for key, value in message.items() if key not in ("seq", "event_id")}
            told.setdefault(message["type"], []).append(plain)
    return told


def command(type_: str, **fields: Any) -> str:
    return json.dumps({"type": type_, **fields})


speech = st.tuples(st.booleans(), st.integers(1, 12))  # loud, and how many chunks
commands = st.sampled_from(
    [
        command("input_audio_buffer.commit"),
        command("input_audio_buffer.clear"),
        command("marker", id="m"),
        command("session.update", session={"vad": {"silence_ms": 100}}),
        command("session.update", session={"vad": {"silence_ms": 600}}),
        command("session.update", session={"turn": {"mode": "adaptive"}}),
        command("nonsense"),
    ]
)
scripts = st.lists(speech | speech | commands, min_size=1, max_size=12)
deaths = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 15), st.booleans()), min_size=1, max_size=3)


def items_of(script: list[tuple[bool, int] | str]) -> list[str | bytes]:
    samples = sound(*((part[0], part[1] * 1600) for part in script if not isinstance(part, str)))
    pcm = (samples * 32767).astype("<i2").tobytes()
    chunks = iter(chunks_of(pcm))
    items: list[str | bytes] = []
    for part in script:
        items += [part] if isinstance(part, str) else [next(chunks) for _ in range(part[1])]
    return [*items, command("end_of_stream")]


async def _check(script: list[tuple[bool, int] | str], dies: list[Death]) -> None:
    items = items_of(script)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = await heard_over(items, [], Path(folder, "one"))
        heard = await heard_over(items, dies, Path(folder, "many"))
    assert [message["seq"] for message in heard] == list(range(1, len(heard) + 1))
    assert lasting(heard) == lasting(undisturbed)
    assert len(errors(heard)) <= len(errors(undisturbed))
    closed = heard[-1]
    assert closed["type"] == "session.closed"
    assert closed["received_ms"] == closed["speech_ms"] + closed["non_speech_ms"] + closed["dropped_ms"]


@examples(12)
@given(scripts, deaths)
def test_server_deaths_lose_and_repeat_no_message(
    script: list[tuple[bool, int] | str], dies: list[Death]
) -> None:
    asyncio.run(_check(script, dies))


@pytest.mark.slow
@examples(60)
@given(scripts, deaths)
def test_many_server_deaths_lose_and_repeat_no_message(
    script: list[tuple[bool, int] | str], dies: list[Death]
) -> None:
    asyncio.run(_check(script, dies))


def test_filter_consumes_sent_events_by_kind() -> None:
    recovered = ReplayFilter({"Final": 2, "SpeechStarted": 1})
    assert [recovered.consume("Final") for _ in range(4)] == [True, True, False, False]
    assert [recovered.consume("SpeechStarted") for _ in range(2)] == [True, False]


def test_empty_filter_consumes_nothing() -> None:
    assert not ReplayFilter().consume("Final")


def test_events_without_a_kind_are_not_consumed() -> None:
    recovered = ReplayFilter({"Final": 1})
    assert not recovered.consume("")
    assert recovered.consume("Final")


def test_filter_does_not_change_its_counts() -> None:
    told = {"Final": 1}
    ReplayFilter(told).consume("Final")
    assert told == {"Final": 1}


def test_filter_is_over_once_all_sent_events_have_come() -> None:
    recovered = ReplayFilter({"Final": 1, "reply": 1})
    over = [recovered.is_over]
    for kind in ("Final", "SpeechStarted", "reply"):
        recovered.consume(kind)
        over.append(recovered.is_over)
    assert over == [False, False, False, True]
    assert ReplayFilter().is_over

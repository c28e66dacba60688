"""Test sessions that continue after their server was killed or stopped and started again."""

import asyncio
import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_bare

import client
from engine.engine import Engine
from engine.health import Health
from journal.replay import ReplayedSession
from journal.session_journal import SessionJournal
from journal.store import JournalInUse, JournalStore
from server.admission.controller import AdmissionController
from server.auth.authenticator import Authenticator
from server.connection.journal_lifespan import JournalLifespan
from server.observability.metrics import Metrics
from server.protocols.native.endpoint import NativeEndpoint
from tests.server.fakes import Line
from tests.server.journal_helpers import OPENED, chunks_of, files_in, kept, rest_of
from tests.server.live_server import Client, Message, dones, errors, free_settings, serve, spoken
from tests.server.server_process import MAIN, PATIENCE, Program, free_port, kill, program
from tests.waiting import until, wait_until

TIMELY = {"transcript.partial", "input_audio_buffer.acknowledged", "server.lag"}
ALL_FOUND = "recovery.finished continued=1"
ASKED = "events=all&include_audio=false"


def command(type_: str, **fields: object) -> str:
    return json.dumps({"type": type_, **fields})


def items_with(every: int, *commands: str) -> list[str | bytes]:
    """Return three sentences with one of the commands after every so many chunks, and the end."""
    items: list[str | bytes] = []
    for number, chunk in enumerate(chunks_of(spoken())):
        items.append(chunk)
        if commands and number % every == every - 1:
            items.append(commands[number // every % len(commands)])
    return [*items, command("end_of_stream")]


PLAIN = items_with(1)
BUSY = items_with(
    3,
    command("marker", id="m"),
    command("session.update", session={"vad": {"silence_ms": 200}}),
    command("input_audio_buffer.commit"),
    command("session.update", session={"vad": {"silence_ms": 500}, "turn": {"mode": "adaptive"}}),
)


@dataclass
class Caller:
    """Send items over several connections. heard: the numbered messages of all of them"""

    items: Sequence[str | bytes]
    heard: list[Message] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The id of the session."""
        name: str = self.heard[0]["session_id"]
        return name

    @property
    def query(self) -> str:
        if not self.heard:
            return ASKED
        return f"resume={self.heard[0]['resume_token']}&ack={self.heard[-1]['seq']}"

    def speak(self, line: Client, until_type: str | None = None) -> None:
        """Send the remaining items; only half of them before waiting for a message."""
        greeting = line.hear()
        if greeting["type"] == "session.created":
            self.heard.append(greeting)
        rest = rest_of(self.items, greeting)
        for item in rest[: len(rest) // 2] if until_type else rest:
            line.socket.send(item)
        while until_type and self.heard[-1]["type"] != until_type:
            self.heard.append(line.hear())

    def listen(self, line: Client) -> None:
        self.heard += line.hear_until_closed()


def lasting(messages: Sequence[Message]) -> dict[str, list[Message]]:
    """Return the messages that do not depend on time, by type, without the name of the session."""
    told: dict[str, list[Message]] = {}
    name = messages[0]["session_id"]
    for message in messages[1:]:
        if message["type"] not in TIMELY:
            text = json.dumps({k: v for k, v in message.items() if k not in ("seq", "event_id")})
            told.setdefault(message["type"], []).append(json.loads(text.replace(name, "session")))
    return told


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, dict[str, list[Message]]]:
    """Return the messages of a session whose server keeps running."""
    told = {}
    with serve(free_settings(resume_seconds=60)) as server:
        for name, items in (("plain", PLAIN), ("busy", BUSY)):
            caller = Caller(items)
            with Client(f"{server.ws}?{ASKED}") as line:
                caller.speak(line)
                caller.listen(line)
            told[name] = lasting(caller.heard)
    return told


class Lives:
    """Run one server after another, on the same port and folder.

    Their dummy recognizer runs in a thread, because a process of its own would start with each of them.
    """

    def __init__(self, folder: Path, leaving: ExitStack, **environment: str) -> None:
        self.folder = folder
        self._leaving = leaving
        own = {"PORT": str(free_port()), "JOURNAL_DIR": str(folder), "ASR_WORKER": "thread"}
        self._environment = own | environment

    def begin(self) -> Program:
        life: AbstractContextManager[Program] = program(MAIN, **self._environment)
        return self._leaving.enter_context(life)

    def next(self, before: Program) -> Program:
        """Kill the server with SIGKILL and start the next one."""
        kill(before.process.pid)
        before.exit_status()
        return self.begin()

    def killed_in_speech(self, caller: Caller) -> Program:
        """Return the second server; the first one was killed during speech."""
        first = self.begin()
        first.ready()
        with Client(f"{first.ws}?{caller.query}") as line:
            caller.speak(line, until_type="input_audio_buffer.speech_started")
            return self.next(first)


@contextmanager
def lives(folder: Path, **environment: str) -> Iterator[Lives]:
    with ExitStack() as leaving:
        yield Lives(folder, leaving, **environment)


def is_whole(caller: Caller, expected: dict[str, list[Message]]) -> None:
    heard = caller.heard
    assert [message["seq"] for message in heard] == list(range(1, len(heard) + 1))
    assert lasting(heard) == expected
    closed = heard[-1]
    assert closed["type"] == "session.closed"
    assert closed["received_ms"] == closed["speech_ms"] + closed["non_speech_ms"] + closed["dropped_ms"]


def in_vain(folder: Path, name: str) -> int:
    """Return the number of servers that continued a session since its client was connected."""
    recovered = kept(folder, name)
    assert recovered is not None
    return recovered.failed_takeovers


def wait_for_takeovers(folder: Path, name: str, least: int) -> None:
    """Wait until so many servers have written that they continued the session."""
    wait_until(lambda: in_vain(folder, name) >= least, PATIENCE)


def is_over(folder: Path, name: str) -> bool:
    """Return whether the end of the session is written."""
    recovered = kept(folder, name)
    return recovered is not None and recovered.is_over


def says(server: Program, text: str) -> None:
    """Wait until the server's log contains the text."""
    server.ready()
    wait_until(lambda: text in server.log, PATIENCE)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "items", "again"), [("plain", PLAIN, False), ("busy", BUSY, True)])
def test_each_final_comes_once_after_a_kill(
    tmp_path: Path,
    undisturbed: dict[str, dict[str, list[Message]]],
    name: str,
    items: list[str | bytes],
    again: bool,
) -> None:
    """again: a second kill comes during the replay, or soon after it"""
    caller = Caller(items)
    with lives(tmp_path / "journals", RESUME_SECONDS="60", ASR_WORKER="process") as servers:
        first = servers.begin()
        first.ready()
        with Client(f"{first.ws}?{caller.query}") as line:
            caller.speak(line, until_type="input_audio_buffer.speech_started")
            second = servers.next(first)
            caller.listen(line)
        if again:
            says(second, "session.restored")
            second = servers.next(second)
        says(second, ALL_FOUND)
        with Client(f"{second.ws}?{caller.query}") as line:
            caller.speak(line)
            caller.listen(line)
            assert line.close_code == 1000
        is_whole(caller, undisturbed[name])
        assert "Traceback" not in second.log


@pytest.mark.slow
async def test_library_client_survives_a_restart(
    tmp_path: Path, undisturbed: dict[str, dict[str, list[Message]]]
) -> None:
    finals: list[str] = []
    cuts: list[tuple[int, str]] = []
    with lives(tmp_path / "journals") as servers:
        first = servers.begin()
        await asyncio.to_thread(first.ready)
        chunks = chunks_of(spoken())
        speaking = asyncio.Event()
        async with client.connect(first.ws, resume=client.ReconnectPolicy(give_up_seconds=60)) as stream:

            async def listen() -> client.SessionClosed | None:
                async for event in stream:
                    match event:
                        case client.SpeechStarted():
                            speaking.set()
                        case client.Final():
                            finals.append(event.text)
                        case client.ConnectionInterrupted(code, reason):
                            cuts.append((code, reason))
                        case client.SessionClosed():
                            return event
                return None

            listening = asyncio.create_task(listen())
            for chunk in chunks[:20]:
                await stream.send(chunk)
            await speaking.wait()
            assert await asyncio.to_thread(first.stop, signal.SIGTERM) == 0
            servers.begin()
            for chunk in chunks[20:]:
                await stream.send(chunk)
            await stream.end()
            closed = await listening
    assert cuts == [(1012, "session_kept")]
    told = undisturbed["plain"]
    assert finals == [final["transcript"] for final in told["response.audio_transcript.done"]]
    assert closed is not None
    assert closed.received_ms == told["session.closed"][0]["received_ms"]


@pytest.mark.slow
def test_ended_session_can_be_resumed_at_later_servers(
    tmp_path: Path, undisturbed: dict[str, dict[str, list[Message]]]
) -> None:
    caller = Caller(BUSY)
    with lives(tmp_path / "journals", RESUME_SECONDS="60") as servers:
        server = servers.begin()
        server.ready()
        with Client(f"{server.ws}?{caller.query}") as line:
            caller.speak(line)
            wait_until(lambda: is_over(servers.folder, caller.name))
        heard = list(caller.heard)
        for _ in range(2):
            server = servers.next(server)
            says(server, "recovery.finished continued=0 ended=1")
            caller.heard = list(heard)
            with Client(f"{server.ws}?{caller.query}") as line:
                caller.speak(line)
                caller.listen(line)
                assert line.close_code == 1000
            is_whole(caller, undisturbed["busy"])


@pytest.mark.slow
def test_session_of_a_lost_client_is_transcribed_and_deleted(tmp_path: Path) -> None:
    caller = Caller(PLAIN)
    folder = tmp_path / "journals"
    with lives(folder, RESUME_SECONDS="1") as servers:
        first = servers.begin()
        first.ready()
        with Client(f"{first.ws}?{caller.query}") as line:
            caller.speak(line, until_type="input_audio_buffer.speech_started")
            kill(first.process.pid)
        assert len(files_in(folder)) == 1
        second = servers.next(first)
        says(second, "resume.expired")
        says(second, "reason=disconnect")
        says(second, "session.closed")
        wait_until(lambda: files_in(folder) == [])


@pytest.mark.slow
def test_third_takeover_waits_less_for_the_client(
    tmp_path: Path,
) -> None:
    caller = Caller(PLAIN)
    with lives(tmp_path / "journals", RESUME_SECONDS="60") as servers:
        server = servers.killed_in_speech(caller)
        says(server, "client.disconnected waiting_seconds=60")
        for takeovers, seconds in enumerate((60, 10), start=1):
            wait_for_takeovers(servers.folder, caller.name, takeovers)  # a kill may lose what is not written
            server = servers.next(server)
            says(server, f"client.disconnected waiting_seconds={seconds}")


@pytest.mark.slow
def test_resume_restores_the_full_wait(
    tmp_path: Path, undisturbed: dict[str, dict[str, list[Message]]]
) -> None:
    caller = Caller(PLAIN)
    with lives(tmp_path / "journals", RESUME_SECONDS="60") as servers:
        server = servers.killed_in_speech(caller)
        says(server, "client.disconnected waiting_seconds=60")
        server = servers.next(server)
        says(server, "client.disconnected waiting_seconds=60")
        with Client(f"{server.ws}?{caller.query}") as line:
            assert line.hear()["type"] == "session.resumed"
            wait_until(lambda: in_vain(servers.folder, caller.name) == 0)
            server = servers.next(server)
        says(server, "client.disconnected waiting_seconds=60")
        with Client(f"{server.ws}?{caller.query}") as line:
            caller.speak(line)
            caller.listen(line)
        is_whole(caller, undisturbed["plain"])


@pytest.mark.slow
def test_recovered_session_belongs_to_its_key(tmp_path: Path) -> None:
    caller = Caller(PLAIN)
    keys = {name: f"key-of-{name}-0123456789" for name in ("alice", "bob")}
    shown = {name: {"Authorization": f"Bearer {key}"} for name, key in keys.items()}

    def asked(server: Program, who: str) -> list[Message]:
        """Return all messages that a resuming client gets."""
        heard: list[Message] = []
        with connect_bare(f"{server.ws}?{caller.query}", additional_headers=shown[who]) as line:
            try:
                while not heard or heard[-1]["type"] != "session.closed":
                    heard.append(json.loads(line.recv(timeout=20)))
                    if heard[-1]["type"] == "session.resumed":
                        line.send(command("end_of_stream"))
            except ConnectionClosed as closed:
                heard.append({"type": "close", "code": closed.rcvd and closed.rcvd.code})
        return heard

    with lives(tmp_path, API_KEYS=",".join(f"{name}:{key}" for name, key in keys.items())) as servers:
        first = servers.begin()
        first.ready()
        with connect_bare(f"{first.ws}?{ASKED}", additional_headers=shown["alice"]) as line:
            caller.heard.append(json.loads(line.recv(timeout=20)))
            for item in PLAIN[:20]:
                line.send(item)
            while caller.heard[-1]["type"] != "input_audio_buffer.speech_started":
                caller.heard.append(json.loads(line.recv(timeout=20)))
            second = servers.next(first)
        says(second, ALL_FOUND)
        refusal, close = asked(second, "bob")
        assert errors([refusal])[0]["error"]["code"] == "resume_unknown"
        assert close["code"] == 4000
        heard = asked(second, "alice")
        assert len(dones(heard)) == 1
        assert heard[-1]["type"] == "session.closed"


# Within one process


class Sessions:
    """Record the names of the sessions of the previous server."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def continue_session(self, name: str, recovered: ReplayedSession, log: SessionJournal) -> None:
        self.names.append(name)

    def keep_ended(
        self, name: str, head: Mapping[str, Any], files: Sequence[Path], disk: JournalStore
    ) -> None:
        raise AssertionError("no session was over")


async def at_once() -> None:
    """Return at once, as if the models were loaded."""


async def test_without_a_folder_no_journal_is_written(tmp_path: Path) -> None:
    journals = JournalLifespan(free_settings(), Health())
    async with journals.running(Sessions(), at_once):
        assert journals.store is None
        assert journals.recovered


async def test_a_server_whose_folder_is_in_use_does_not_start(tmp_path: Path) -> None:
    journals = JournalLifespan(free_settings(journal_dir=str(tmp_path)), Health())
    with JournalStore(tmp_path, Health()), pytest.raises(JournalInUse):
        async with journals.running(Sessions(), at_once):
            pass


async def test_sessions_are_recovered_once_models_are_ready(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        journal = disk.open("5f1c")
        journal.append(OPENED)
        journal.close()
    journals = JournalLifespan(free_settings(journal_dir=str(tmp_path)), Health())
    sessions, before = Sessions(), list[tuple[bool, list[str]]]()

    async def ready() -> None:
        before.append((journals.recovered, list(sessions.names)))

    async with journals.running(sessions, ready):
        assert journals.store is not None
        await until(lambda: journals.recovered)
    assert before == [(False, [])]
    assert sessions.names == ["5f1c"]


async def test_resume_is_retryable_until_sessions_are_recovered(tmp_path: Path) -> None:
    settings, line = free_settings(journal_dir=str(tmp_path)), Line()
    journals = JournalLifespan(settings, Health())
    engine, admission = Engine(settings.engine_options()), AdmissionController(1)
    door = NativeEndpoint(settings, engine, admission, Metrics(), auth=Authenticator(), journals=journals)
    await door.serve(line.asking("resume=token&ack=0"))
    assert line.heard[0]["error"]["code"] == "models_not_ready"
    async with journals.running(Sessions(), at_once):
        await until(lambda: journals.recovered)
        line = Line()
        await door.serve(line.asking("resume=token&ack=0"))
    assert line.heard[0]["error"]["code"] == "resume_unknown"


def test_ended_session_is_kept_for_the_resume_time(tmp_path: Path) -> None:
    with serve(free_settings(journal_dir=str(tmp_path), resume_seconds=0.05)) as server:
        with Client(server.ws) as line:  # it never receives its token
            line.talk(spoken()[:32_000])
            line.end()
        assert files_in(tmp_path) == []
        with Client(f"{server.ws}?{ASKED}") as line:
            assert line.hear()["type"] == "session.created"
            assert len(files_in(tmp_path)) == 1
            line.talk(spoken()[:32_000])
            assert line.end()[-1]["type"] == "session.closed"
        wait_until(lambda: files_in(tmp_path) == [])

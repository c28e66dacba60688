"""Test one session, from its greeting to its close, over WebSockets in memory."""

import asyncio
import base64
import json
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import HOP
from diarization.known_speakers import MAX_KNOWN
from engine.health import Health
from journal.recorder import JournalRecorder, RecordedStream
from journal.records import REPLY, AudioRecord, CommandRecord, EndRecord, NoAudioRecord
from journal.replay import ReplayedSession
from journal.session_journal import SessionJournal
from journal.store import JournalStore
from server.connection.client_session import ClientSession, SessionState
from server.connection.no_audio_timer import NoAudioTimer
from server.connection.websocket import BoundedWebSocket
from server.errors import ClientError
from server.observability.metrics import Metrics
from server.protocols.native.protocol import NativeProtocol
from server.protocols.native.session_config import SessionConfig
from server.protocols.native.session_state import restore_config
from streaming.driver import StreamDriver
from streaming.errors import EventsUnread, Overloaded, SpoolFull
from streaming.events import StreamClosed
from streaming.model_clients import ModelClients, Probabilities
from streaming.options import SessionOptions
from tests.diarization.voices import RuleClient
from tests.examples import examples
from tests.server.asgi_calls import wav
from tests.server.fakes import Line, Slots, running_models, silent_models
from tests.server.journal_helpers import files_in, full_disk, kept
from tests.server.live_server import ROOT, Message
from tests.streaming.fakes import detect, sound, transcribe
from tests.waiting import until
from vad.detector_input import DetectorInput
from vad.segmenter import Reason

SECOND = 16_000
ALL = SessionConfig(SessionOptions()).merged({"events": "all", "include_audio": False})
QUIET = SessionConfig(SessionOptions()).merged({"events": ["session.created"]})
GREETING = {"limits": {"max_message_bytes": 1}}


def pcm(*runs: tuple[bool, int]) -> bytes:
    return (sound(*runs) * 32767).astype("<i2").tobytes()


SENTENCE = pcm((False, SECOND), (True, SECOND), (False, SECOND))


def native(driver: StreamDriver, config: SessionConfig = ALL) -> NativeProtocol:
    return NativeProtocol("5f1c", driver, config, GREETING)


class Stalled(StreamDriver):
    """Never have capacity."""

    @property
    def has_capacity(self) -> bool:
        return False

    async def wait_for_capacity(self) -> None:
        raise Overloaded("no progress")


class Unheard(StreamDriver):
    """Report once that the client reads too slowly."""

    unread = True

    @property
    def has_capacity(self) -> bool:
        return not self.unread

    async def wait_for_capacity(self) -> None:
        self.unread = False
        raise EventsUnread("1009 events are unread")


class FullSpool(StreamDriver):
    """Have no room for more than two seconds of audio."""

    @property
    def has_capacity(self) -> bool:
        return self.received <= 2 * SECOND

    async def wait_for_capacity(self) -> None:
        if not self.has_capacity:
            raise SpoolFull("2 seconds wait")


@asynccontextmanager
async def running_session(
    line: Line,
    models: ModelClients,
    config: SessionConfig = ALL,
    *,
    kind: type[StreamDriver] = StreamDriver,
    send_timeout: float = 3600,
    no_audio: float = 0.0,
) -> AsyncIterator[ClientSession]:
    """Run a session, and wait for its end."""
    socket = BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 20, send_timeout=send_timeout)
    with kind(models, config.options) as driver:
        session = ClientSession("5f1c", driver, native(driver, config), Metrics(), no_audio_seconds=no_audio)
        running = asyncio.create_task(session.run(socket))
        try:
            yield session
            await running
        finally:
            running.cancel()
            await asyncio.wait([running])


def types(line: Line) -> list[str]:
    return [message["type"] for message in line.heard]


def finals(line: Line) -> list[Message]:
    return [m for m in line.heard if m["type"] == "response.audio_transcript.done"]


def say(line: Line, type_: str, **fields: object) -> None:
    line.says(json.dumps({"type": type_, **fields}))


async def test_session_has_greeting_final_sums_and_close() -> None:
    line = Line()
    async with running_models() as models, running_session(line, models):
        line.says(SENTENCE)
        say(line, "end_of_stream")
    assert types(line)[0] == "session.created"
    assert line.heard[0]["limits"] == GREETING["limits"]
    assert line.heard[0]["session"]["events"] == sorted(ALL.events)
    assert types(line)[-2:] == ["response.audio_transcript.done", "session.closed"]
    assert line.close == (1000, "")
    assert [message["seq"] for message in line.heard] == list(range(1, len(line.heard) + 1))
    assert [message["event_id"] for message in line.heard] == [
        f"event_5f1c_{message['seq']}" for message in line.heard
    ]


async def test_greeting_is_sent_only_if_subscribed() -> None:
    line = Line()
    async with running_session(line, silent_models(), SessionConfig(SessionOptions())):
        say(line, "end_of_stream")
    assert line.heard == []
    assert line.close == (1000, "")


async def test_stalled_driver_ends_the_session_as_overloaded() -> None:
    line = Line()
    async with running_session(line, silent_models(), kind=Stalled):
        line.says(bytes(100))
    (error,) = (message["error"] for message in line.heard if message["type"] == "error")
    assert (error["code"], error["retryable"]) == ("server_overloaded", True)
    assert line.close == (1013, "server_overloaded")


async def test_full_spool_ends_the_session_after_its_finals() -> None:
    line, gate = Line(), threading.Event()

    def held(recognizer: object, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        assert gate.wait(60)
        return transcribe(recognizer, requests)

    async with running_models(transcribe=held) as models, running_session(line, models, kind=FullSpool):
        line.says(SENTENCE)
        await line.hears("error")
        for _ in range(9):
            line.says(SENTENCE)
        await until(line.is_read)
        assert finals(line) == []
        gate.set()
    (error,) = (message["error"] for message in line.heard if message["type"] == "error")
    assert (error["code"], error["message"]) == ("server_overloaded", "2 seconds wait")
    assert len(finals(line)) == 1
    assert line.heard[-1]["type"] == "session.closed"
    assert line.heard[-1]["received_ms"] == 3000
    assert line.close == (1013, "server_overloaded")


async def test_failed_detector_ends_the_session_and_frees_its_slot() -> None:
    def fail(detector: object, work: list[DetectorInput]) -> list[Probabilities]:
        raise RuntimeError("out of memory")

    line = Line()
    async with running_models(fail) as models:
        async with running_session(line, models):
            line.says(SENTENCE)
        assert isinstance(models.slots, Slots)
        assert models.slots.lent == set()
    (error,) = (message["error"] for message in line.heard if message["type"] == "error")
    assert error["code"] == "internal_error"
    assert "out of memory" not in error["message"]
    assert line.close == (1011, "internal_error")
    assert line.heard[-1]["type"] == "session.closed"
    sums = [line.heard[-1][f"{name}_ms"] for name in ("received", "speech", "non_speech", "dropped")]
    assert sums == [3_000, 0, 0, 3_000]


async def test_hanging_detector_ends_the_session() -> None:
    gate = threading.Event()

    def hang(detector: object, work: list[DetectorInput]) -> list[Probabilities]:
        gate.wait()
        return detect(detector, work)

    first, second = Line(), Line()
    async with running_models(hang, vad_deadline=0.05) as models:
        for line in (first, second):
            async with running_session(line, models):
                line.says(SENTENCE)
            assert line.close == (1011, "internal_error")
        gate.set()


async def test_stopped_session_gets_its_final_and_1012() -> None:
    line = Line()
    async with running_models() as models, running_session(line, models) as session:
        line.says(pcm((False, SECOND), (True, SECOND)))
        await line.hears("input_audio_buffer.speech_started")
        session.stop()
        line.says(SENTENCE)  # too late
    (final,) = finals(line)
    assert final["reason"] == "end_of_stream"
    assert line.heard[-1]["received_ms"] == 2000
    assert line.close == (1012, "server_restarting")


async def test_stop_does_not_wait_for_a_silent_client() -> None:
    line = Line()
    async with running_session(line, silent_models()) as session:
        await line.hears("session.created")
        session.stop()
        session.stop()
    assert types(line) == ["session.created", "session.closed"]
    assert line.close == (1012, "server_restarting")


async def test_disconnect_before_the_greeting_is_no_error() -> None:
    line = Line()
    async with running_session(line, silent_models()):
        line.transport.abort()
        line.leaves()
    assert line.heard == []


async def test_speech_before_a_disconnect_is_transcribed() -> None:
    line = Line()
    async with running_models() as models:
        async with running_session(line, models):
            line.says(SENTENCE)
            line.leaves()
        assert models.asr.items > 0
    assert finals(line) == []


async def test_client_that_does_not_read_ends_only_its_session() -> None:
    deaf, good = Line(), Line()
    async with running_models() as models:
        async with running_session(deaf, models, send_timeout=0.01):
            deaf.reads.clear()
            deaf.says(SENTENCE)
        async with running_session(good, models):
            good.says(SENTENCE)
            say(good, "end_of_stream")
    assert deaf.transport.aborted.is_set()
    assert len(finals(good)) == 1


async def test_slow_reader_gets_every_message_in_order() -> None:
    line = Line()
    async with running_models() as models, running_session(line, models):
        await line.hears("session.created")
        line.reads.clear()
        for n in range(20):
            line.says(SENTENCE)
            say(line, "marker", id=str(n))
            say(line, "nonsense")
        say(line, "end_of_stream")
        await until(lambda: models.vad.items)
        line.reads.set()
    assert [message["seq"] for message in line.heard] == list(range(1, len(line.heard) + 1))
    assert [message["id"] for message in line.heard if message["type"] == "marker"] == [
        str(n) for n in range(20)
    ]
    assert len(finals(line)) == 20


async def test_waiting_reply_is_sent_before_the_close() -> None:
    line = Line()
    async with running_session(line, silent_models()) as session:
        await line.hears("session.created")
        line.reads.clear()
        line.says("nonsense")
        await until(lambda: line.waiting)
        session.stop()
        line.reads.set()
    assert types(line) == ["session.created", "error", "session.closed"]
    assert [message["seq"] for message in line.heard] == [1, 2, 3]


async def test_utterance_ends_if_the_client_sends_no_audio() -> None:
    line = Line()
    async with running_models() as models, running_session(line, models, no_audio=0.02):
        line.says(FIRST)
        first = await line.hears("response.audio_transcript.done")
        assert (first["reason"], first["end_ms"]) == ("no_audio", 2000)
        line.says(SECOND_HALF)  # the stream is still open
        say(line, "end_of_stream")
    assert [final["reason"] for final in finals(line)] == ["no_audio", "silence"]
    assert finals(line)[1]["start_ms"] == 2000
    assert types(line)[-1] == "session.closed"


async def test_audio_that_waits_for_the_server_is_no_gap() -> None:
    """The reader waits for the detector for many times the limit."""
    line, checked = Line(), asyncio.Event()
    slow = threading.Event()

    def detect_late(slots: object, work: list[DetectorInput]) -> list[Probabilities]:
        slow.wait(20)
        return detect(slots, work)

    async with (
        running_models(detect_late) as models,
        running_session(line, models, no_audio=0.05) as session,
    ):
        line.says(pcm((True, 12 * SECOND)))
        line.says(pcm((False, SECOND)))
        other = NoAudioTimer(0.5)  # gives the session ten times as many checks as a gap has
        other.start(lambda: (1, True), checked.set)
        await checked.wait()
        other.stop()
        slow.set()
        say(line, "end_of_stream")
        assert session.state is SessionState.ACTIVE
    assert [final["reason"] for final in finals(line)] == ["silence"]


async def test_oversized_message_ends_the_session_with_an_error() -> None:
    line = Line()
    async with running_session(line, silent_models()):
        line.says(bytes((1 << 20) + 1))
    assert [message["type"] for message in line.heard] == ["session.created", "error", "session.closed"][:2]
    assert line.close == (1009, "message_too_large")


async def test_each_invalid_message_gets_an_error() -> None:
    line = Line()
    async with running_session(line, silent_models(), SessionConfig(SessionOptions())):
        for n in range(100):
            line.says(json.dumps({"type": "nonsense", "event_id": str(n)}))
        say(line, "end_of_stream")
    assert [message["error"]["event_id"] for message in line.heard] == [str(n) for n in range(100)]
    assert line.close == (1000, "")


async def test_cancelled_session_frees_everything() -> None:
    line, closed = Line(), list[StreamClosed]()
    models = replace(silent_models(), on_stream_closed=closed.append)
    socket = BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 20, send_timeout=3600)
    with StreamDriver(models, ALL.options) as driver:
        running = asyncio.create_task(ClientSession("5f1c", driver, native(driver), Metrics()).run(socket))
        line.says(SENTENCE)
        await until(lambda: driver.session.received >= 3 * SECOND)
        running.cancel()
        await asyncio.wait([running])
    assert running.cancelled()
    assert closed == [StreamClosed(3 * SECOND, 0, 0, 3 * SECOND, 0)]
    assert isinstance(models.slots, Slots)
    assert models.slots.lent == set()


async def test_finals_failures_and_audio_are_counted() -> None:
    line, metrics = Line(), Metrics()
    async with running_models() as models:
        socket = BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 20, send_timeout=3600)
        line.says(SENTENCE)
        line.says("nonsense")
        say(line, "end_of_stream")
        with StreamDriver(replace(models, on_stream_closed=metrics.count_audio), ALL.options) as driver:
            await ClientSession("5f1c", driver, native(driver), metrics).run(socket)
    text = metrics.text().decode()
    assert 'stt_finals_total{reason="silence"} 1.0' in text
    assert 'stt_errors_total{code="invalid_json"} 1.0' in text
    seconds = [float(row.split()[-1]) for row in text.splitlines() if "audio_seconds_total{" in row]
    assert np.isclose(sum(seconds), 3.0)
    assert "stt_lost_samples_total 0.0" in text
    assert 'stt_final_latency_seconds_count{reason="silence"} 1.0' in text


# Sessions that outlive their socket

FIRST, SECOND_HALF = pcm((False, SECOND), (True, SECOND)), pcm((True, SECOND), (False, SECOND))


@asynccontextmanager
async def lasting(
    line: Line,
    models: ModelClients,
    *,
    seconds: float = 3600,
    journal: int = 1 << 20,
    kind: type[StreamDriver] = StreamDriver,
    no_audio: float = 0.0,
) -> AsyncIterator[tuple[ClientSession, asyncio.Task[None]]]:
    """Begin a session that can be resumed on this line."""
    socket = BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 20, send_timeout=3600)
    with kind(models, ALL.options) as driver:
        protocol = NativeProtocol("5f1c", driver, ALL, GREETING, token="secret")
        session = ClientSession(
            "5f1c",
            driver,
            protocol,
            Metrics(),
            resume_seconds=seconds,
            no_audio_seconds=no_audio,
            log_bytes=journal,
        )
        running = asyncio.create_task(session.run(socket))
        try:
            yield session, running
            await running
        finally:
            running.cancel()
            await asyncio.wait([running])


async def resumed(session: ClientSession, line: Line, seen: int) -> asyncio.Task[None]:
    socket = BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 20, send_timeout=3600)
    return asyncio.create_task(session.resume(socket, seen))


async def test_slow_reader_is_closed_with_4013_and_may_resume() -> None:
    before, after = Line(), Line()
    async with running_models() as models, lasting(before, models, kind=Unheard) as (session, _):
        before.says(SENTENCE)
        await until(lambda: before.close is not None)
        assert before.close == (4013, "slow_consumer")
        coming_back = await resumed(session, after, before.heard[-1]["seq"])
        await after.hears("response.audio_transcript.done")
        say(after, "end_of_stream")
        await coming_back
    assert not [message for message in before.heard if message["type"] == "error"]
    assert types(after)[0] == "session.resumed"
    assert types(after)[-1] == "session.closed"


async def test_resumed_client_gets_missed_messages() -> None:
    before, after = Line(), Line()
    async with running_models() as models, lasting(before, models) as (session, _):
        before.says(FIRST)
        await before.hears("input_audio_buffer.speech_started")
        before.leaves()
        seen = before.heard[-1]["seq"]
        back = await resumed(session, after, seen)
        told = await after.hears("session.resumed")
        assert told["received_ms"] == 2000
        after.says(SECOND_HALF)
        say(after, "end_of_stream")
        await back
    assert [final["reason"] for final in finals(after)] == ["silence"]
    assert finals(after)[0]["end_ms"] - finals(after)[0]["start_ms"] > 2000
    numbers = [message["seq"] for message in [*before.heard, *after.heard[1:]] if message["seq"] > 0]
    assert sorted(set(numbers)) == list(range(1, max(numbers) + 1))
    assert after.heard[-1]["received_ms"] == 4000
    assert after.close == (1000, "")


async def test_missed_message_is_replayed_once_and_in_order() -> None:
    before, after = Line(), Line()
    async with running_models() as models, lasting(before, models) as (session, _):
        await before.hears("session.created")
        before.leaves()
        before.says(b"")
        back = await resumed(session, after, 0)
        await after.hears("session.resumed")
        say(after, "end_of_stream")
        await back
    assert types(after) == ["session.resumed", "session.created", "session.closed"]
    assert (after.heard[0]["replayed"], after.heard[0]["seq"]) == (1, 0)


async def test_second_connection_takes_over_and_closes_4009() -> None:
    first, second = Line(), Line()
    async with running_models() as models, lasting(first, models) as (session, _):
        await first.hears("session.created")
        back = await resumed(session, second, 1)
        await second.hears("session.resumed")
        first.says(SENTENCE)  # it is not read any more
        say(second, "end_of_stream")
        await back
    assert first.close == (4009, "resumed")
    assert second.heard[-1]["received_ms"] == 0


async def test_disconnected_session_keeps_its_utterance_open_for_its_client() -> None:
    """A second session, which stays connected, shows that the time without audio has passed."""
    before, other, after = Line(), Line(), Line()
    async with running_models() as models, lasting(before, models, no_audio=0.5) as (session, _):
        before.says(FIRST)
        await before.hears("input_audio_buffer.speech_started")
        before.leaves()
        async with running_session(other, models, no_audio=0.5):
            other.says(FIRST)
            await other.hears("response.audio_transcript.done")
            say(other, "end_of_stream")
        back = await resumed(session, after, before.heard[-1]["seq"])
        after.says(SECOND_HALF)
        say(after, "end_of_stream")
        await back
    assert [final["reason"] for final in finals(other)] == ["no_audio"]
    assert [final["reason"] for final in finals(after)] == ["silence"]


async def test_utterance_ends_if_a_resumed_client_sends_no_audio() -> None:
    before, after = Line(), Line()
    async with running_models() as models, lasting(before, models, no_audio=0.5) as (session, _):
        before.says(FIRST)
        await before.hears("input_audio_buffer.speech_started")
        before.leaves()
        back = await resumed(session, after, before.heard[-1]["seq"])
        await after.hears("response.audio_transcript.done")
        say(after, "end_of_stream")
        await back
    assert [final["reason"] for final in finals(after)] == ["no_audio"]


async def test_session_ends_if_the_client_does_not_resume() -> None:
    line = Line()
    async with running_models() as models, lasting(line, models, seconds=0.01) as (_, running):
        line.says(FIRST)
        await line.hears("input_audio_buffer.speech_started")
        line.leaves()
        await running
        assert models.asr.items > 0


async def test_client_that_closed_cannot_resume() -> None:
    line = Line()
    async with running_models() as models, lasting(line, models) as (_, running):
        line.says(FIRST)
        await line.hears("input_audio_buffer.speech_started")
        line.leaves(1000)
        await running
        assert models.asr.items > 0


async def test_missed_last_messages_can_be_resumed() -> None:
    before, after, late = Line(), Line(), Line()
    async with running_models() as models, lasting(before, models) as (session, running):
        before.says(SENTENCE)
        await before.hears("session.created")
        before.transport.abort()
        say(before, "end_of_stream")
        await until(lambda: models.asr.items)
        back = await resumed(session, after, 1)
        await back
        await running
        await (await resumed(session, late, 1))
    for line in (after, late):
        assert [final["reason"] for final in finals(line)] == ["silence"]
        assert types(line)[-1] == "session.closed"
        assert line.close == (1000, "")


async def test_resume_beyond_the_buffer_is_refused() -> None:
    line, late = Line(), Line()
    async with running_models() as models, lasting(line, models, journal=100) as (session, _):
        await line.hears("session.created")
        refused = await resumed(session, late, 0)
        with pytest.raises(ClientError) as error:
            await refused
        assert (error.value.code, error.value.close) == ("resume_unknown", 4000)
        line.says(SENTENCE)
        say(line, "end_of_stream")
    assert len(finals(line)) == 1


async def test_stop_does_not_wait_for_a_disconnected_client() -> None:
    line = Line()
    async with running_models() as models, lasting(line, models) as (session, running):
        line.says(FIRST)
        await line.hears("input_audio_buffer.speech_started")
        line.leaves()
        await asyncio.sleep(0)
        session.stop()
        await running
        assert models.asr.items > 0


async def test_session_that_ended_with_an_error_cannot_resume() -> None:
    line = Line()
    async with running_models() as models, lasting(line, models) as (_, running):
        line.says(bytes((1 << 20) + 1))
        await running
    assert line.close == (1009, "message_too_large")


@pytest.mark.slow
@examples(15)
@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=5), st.integers(0, 3))
def test_repeated_disconnects_lose_no_message(cuts: list[tuple[int, bool]], unread: int) -> None:
    asyncio.run(_cut_again_and_again(cuts, unread))


async def _cut_again_and_again(cuts: list[tuple[int, bool]], unread: int) -> None:
    """Compare the messages of an interrupted and an uninterrupted client.

    cuts: chunks before each disconnect, and whether the server notices it before the client resumes
    unread: messages that arrived but were lost by the client
    """
    sound_of_it = SENTENCE * 2
    chunks = [sound_of_it[at : at + 19_200] for at in range(0, len(sound_of_it), 19_200)]  # 600 ms each
    async with running_models() as models:
        line, seen, at = Line(), 0, 0
        heard: list[Message] = []
        async with lasting(line, models) as (session, running):
            await line.hears("session.created")
            for count, leaves in cuts:
                for chunk in chunks[at : at + count]:
                    line.says(chunk)
                while not any(m.get("received_ms") == 600 * min(at + count, len(chunks)) for m in line.heard):
                    line.news.clear()
                    await line.news.wait()
                kept = [m for m in line.heard if m["type"] != "session.resumed"]
                kept = kept[: max(0, len(kept) - unread)]
                heard += kept
                seen = max([seen, *(m["seq"] for m in kept)])
                if leaves:
                    line.leaves()
                line = Line()
                await resumed(session, line, seen)
                at = (await line.hears("session.resumed"))["received_ms"] // 600
            for chunk in chunks[at:]:
                line.says(chunk)
            say(line, "end_of_stream")
            await running
            heard += [m for m in line.heard if m["type"] != "session.resumed"]
    assert [m["seq"] for m in heard] == list(range(1, len(heard) + 1))
    told = [m for m in heard if m["type"] == "response.audio_transcript.done"]
    assert len(told) == 2
    assert heard[-1]["received_ms"] == 6000
    assert [m["reason"] for m in told] == ["silence", "silence"]


# Sessions that outlive their server


@asynccontextmanager
async def kept_on(
    disk: JournalStore,
    models: ModelClients,
    line: Line,
    *,
    seconds: float = 3600,
    config: SessionConfig = ALL,
    no_audio: float = 0.0,
) -> AsyncIterator[tuple[ClientSession, asyncio.Task[None]]]:
    """Begin a session with a journal on this line."""
    socket = BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 24, send_timeout=3600)
    with StreamDriver(models, config.options) as driver:
        recording = JournalRecorder(disk.open("5f1c"))
        stream = RecordedStream(driver, recording)
        protocol = NativeProtocol("5f1c", stream, config, GREETING, token="secret")
        session = ClientSession(
            "5f1c",
            driver,
            protocol,
            Metrics(),
            resume_seconds=seconds,
            no_audio_seconds=no_audio,
            log_bytes=1 << 24,
            owner="alice",
            recorder=recording,
        )
        running = asyncio.create_task(session.run(socket))
        try:
            yield session, running
            await running
        finally:
            running.cancel()
            await asyncio.wait([running])


def found(disk: JournalStore) -> tuple[ReplayedSession, SessionJournal]:
    """Return the session that a server left, and its adopted journal."""
    past, log = kept(disk.folder, "5f1c"), disk.open("5f1c")
    assert past is not None
    log.adopt(disk.find_sessions(3600)["5f1c"], past.intact)
    return past, log


@asynccontextmanager
async def gone_on(
    disk: JournalStore, models: ModelClients, *, seconds: float = 3600
) -> AsyncIterator[tuple[ClientSession, asyncio.Task[None]]]:
    """Run the session that a server left."""
    past, log = found(disk)
    recording = JournalRecorder(log, replaying=True)
    config = restore_config(past.head["preferences"])
    with StreamDriver(models, config.options, begun=past.begun) as driver:
        protocol = NativeProtocol.restored("5f1c", RecordedStream(driver, recording), past.head, past.refused)
        session = ClientSession(
            "5f1c", driver, protocol, Metrics(), resume_seconds=seconds, log_bytes=1 << 24, recorder=recording
        )
        running = asyncio.create_task(session.run_recovered(past))
        try:
            yield session, running
            await running
        finally:
            running.cancel()
            await asyncio.wait([running])


async def finish_on_next_server(folder: Path, models: ModelClients, before: Line, after: Line) -> None:
    """Resume the session that a server left, say the second half of the sentence, and end the stream."""
    with JournalStore(folder, Health()) as disk:
        async with gone_on(disk, models) as (session, _):
            back = await resumed(session, after, before.heard[-1]["seq"])
            await after.hears("session.resumed")
            after.says(SECOND_HALF)
            say(after, "end_of_stream")
            await back


async def stopped(folder: Path, line: Line, said: bytes = FIRST) -> None:
    """Stop a server after it has sent that speech began."""
    async with running_models() as models:
        with JournalStore(folder, Health()) as disk:
            async with kept_on(disk, models, line) as (session, running):
                line.says(said)
                await line.hears("input_audio_buffer.speech_started")
                session.stop()
                await running
            assert session.state is SessionState.SUSPENDED


async def test_durable_session_is_suspended_by_a_stop(tmp_path: Path) -> None:
    line = Line()
    await stopped(tmp_path, line)
    assert line.close == (1012, "session_kept")
    assert not {"session.closed", "response.audio_transcript.done"} & set(types(line))
    past = kept(tmp_path, "5f1c")
    assert past is not None
    assert past.head["owner"] == "alice"
    assert past.number >= len(line.heard)  # the last one may be recorded but not sent
    assert past.begun.results == {}


async def test_journal_counts_only_replies_that_a_replay_gives_again(tmp_path: Path) -> None:
    line = Line()
    async with running_models() as models:
        with JournalStore(tmp_path, Health()) as disk:
            async with kept_on(disk, models, line) as (session, running):
                line.says(pcm((False, 2 * SECOND)))
                await line.hears("input_audio_buffer.acknowledged")
                say(line, "session.update", session={"words": True})
                await line.hears("session.updated")
                session.stop()
                await running
    past = kept(tmp_path, "5f1c")
    assert past is not None
    assert past.sent == {REPLY: 1}


async def test_end_of_a_session_is_recorded_without_a_client(tmp_path: Path) -> None:
    line = Line()
    async with running_models() as models:
        with JournalStore(tmp_path, Health()) as disk:
            async with kept_on(disk, models, line, config=QUIET) as (_, running):
                line.says(SENTENCE)
                say(line, "end_of_stream")
                await running
    past = kept(tmp_path, "5f1c")
    assert "session.closed" not in types(line)
    assert past is not None
    assert past.is_over


async def test_disconnected_session_is_suspended_by_a_stop(tmp_path: Path) -> None:
    line = Line()
    async with running_models() as models:
        with JournalStore(tmp_path, Health()) as disk:
            async with kept_on(disk, models, line) as (session, running):
                line.says(FIRST)
                await line.hears("input_audio_buffer.speech_started")
                line.leaves()
                await asyncio.sleep(0)
                session.stop()
                await running
    assert files_in(tmp_path) == ["5f1c.1.journal"]


async def test_next_server_continues_the_same_utterance(tmp_path: Path) -> None:
    before, after = Line(), Line()
    await stopped(tmp_path, before)
    async with running_models() as models:
        with JournalStore(tmp_path, Health()) as disk:
            async with gone_on(disk, models) as (session, _):
                back = await resumed(session, after, before.heard[-1]["seq"])
                told = await after.hears("session.resumed")
                assert told["received_ms"] == 2000
                after.says(SECOND_HALF)
                say(after, "end_of_stream")
                await back
            session.forget()
    (final,) = finals(after)
    assert final["end_ms"] - final["start_ms"] > 2000
    assert (after.heard[-1]["type"], after.heard[-1]["received_ms"]) == ("session.closed", 4000)
    numbers = [message["seq"] for message in [*before.heard, *after.heard[1:]]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert types(after).count("input_audio_buffer.speech_started") == 0  # it was sent before
    assert after.close == (1000, "")
    assert files_in(tmp_path) == []


async def test_next_server_ends_the_utterance_where_no_audio_came(tmp_path: Path) -> None:
    """The second utterance begins at the gap, in the middle of what is speech to the detector."""
    before, after = Line(), Line()
    async with running_models() as models:
        with JournalStore(tmp_path, Health()) as disk:
            async with kept_on(disk, models, before, no_audio=0.2) as (session, running):
                before.says(FIRST)
                await before.hears("response.audio_transcript.done")
                before.says(pcm((True, SECOND)))
                await until(lambda: types(before).count("input_audio_buffer.speech_started") == 2)
                session.stop()
                await running
        past = kept(tmp_path, "5f1c")
        assert past is not None
        assert NoAudioRecord() in past.tail
        await finish_on_next_server(tmp_path, models, before, after)
    told = [*finals(before), *finals(after)]
    assert [(final["start_ms"], final["end_ms"]) for final in told] == [(692, 2000), (2000, 4096)]
    assert [final["reason"] for final in told] == ["no_audio", "silence"]


CHOSEN = ALL.merged({"words": True, "include_audio": True})
CHANGED = {"words": False, "include_audio": False}


def output_of(line: Line) -> list[tuple[bool, bool]]:
    """Return whether each final has words and audio."""
    return [("words" in final, "audio" in final) for final in finals(line)]


async def test_input_is_recorded_in_order(tmp_path: Path) -> None:
    line = Line()
    marker, end = json.dumps({"type": "marker", "id": "m"}), json.dumps({"type": "end_of_stream"})
    async with running_models() as models:
        with JournalStore(tmp_path, Health()) as disk:
            async with kept_on(disk, models, line) as (_, running):
                line.says(bytes(320))
                for message in (
                    marker,
                    json.dumps({"type": "marker"}),
                    "nonsense",
                    json.dumps({"type": "x"}),
                ):
                    line.says(message)
                line.says(bytes(640))
                line.says(end)
                await running
    past = kept(tmp_path, "5f1c")
    assert past is not None
    first, *between, second, last, said = past.tail
    assert isinstance(first, AudioRecord)
    assert isinstance(second, AudioRecord)
    assert (len(first.samples), len(second.samples)) == (160, 320)
    assert between == [CommandRecord(marker)]
    assert (last, said) == (EndRecord(Reason.END_OF_STREAM), CommandRecord(end))
    assert past.refused == 3


async def test_audio_is_read_while_a_message_waits_to_be_sent() -> None:
    line, config = Line(), ALL.merged({"events": ["input_audio_buffer.speech_started"]})
    async with running_models() as models:
        socket = BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 20, send_timeout=3600)
        with StreamDriver(models, config.options) as driver:
            running = asyncio.create_task(
                ClientSession("5f1c", driver, native(driver, config), Metrics()).run(socket)
            )
            line.reads.clear()
            line.says(FIRST)
            await until(lambda: line.waiting)  # the sender's lock is held
            line.says(SECOND_HALF)
            await until(lambda: driver.received >= 4 * SECOND)
            line.reads.set()
            say(line, "end_of_stream")
            await running


async def test_a_chunk_without_a_reply_takes_no_lock_and_touches_no_journal() -> None:
    calls: list[tuple[str, str]] = []

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            calls.append((frame.f_code.co_filename, frame.f_code.co_qualname))

    line, chunk = Line(), json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA" * 800})
    socket = BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 20, send_timeout=3600)
    with StreamDriver(silent_models(), QUIET.options) as driver:
        running = asyncio.create_task(
            ClientSession("5f1c", driver, native(driver, QUIET), Metrics()).run(socket)
        )
        await line.hears("session.created")
        for received in (1200, 2400):  # only the second one is measured: the first one includes one-time work
            calls.clear()
            line.says(chunk)
            sys.setprofile(profile)
            try:
                async with asyncio.timeout(20):
                    while driver.received < received:  # noqa: ASYNC110 - the calls of a helper would be counted
                        await asyncio.sleep(0)
                    await asyncio.sleep(0)
            finally:
                sys.setprofile(None)
        say(line, "end_of_stream")
        running.cancel()
        await asyncio.wait([running])
    names = [name for _, name in calls]
    files = {
        Path(file).relative_to(ROOT).parts[0] for file, _ in calls if file.startswith(str(ROOT / "journal"))
    }
    assert "ClientSession._handle_message" in names
    assert not {"Lock.acquire", "MessageSender.send"} & set(names)
    assert files == set()
    own = [file for file, _ in calls if file.startswith(str(ROOT / "server"))]
    assert len(own) <= 16
    assert len(set(own)) <= 6


async def test_final_keeps_options_of_its_utterance() -> None:
    line = Line()
    async with running_models() as models, running_session(line, models, CHOSEN):
        line.says(FIRST)
        await line.hears("input_audio_buffer.speech_started")
        say(line, "session.update", session=CHANGED)
        line.says(SECOND_HALF + SENTENCE)
        say(line, "end_of_stream")
    assert output_of(line) == [(True, True), (False, False)]


async def test_final_keeps_options_of_its_utterance_over_a_restart(tmp_path: Path) -> None:
    before, after = Line(), Line()
    async with running_models() as models:
        with JournalStore(tmp_path, Health()) as disk:
            async with kept_on(disk, models, before, config=CHOSEN) as (session, running):
                before.says(FIRST)
                await before.hears("input_audio_buffer.speech_started")
                say(before, "session.update", session=CHANGED)
                await before.hears("session.updated")
                session.stop()
                await running
        with JournalStore(tmp_path, Health()) as disk:
            async with gone_on(disk, models) as (session, _):
                back = await resumed(session, after, before.heard[-1]["seq"])
                await after.hears("session.resumed")
                after.says(SECOND_HALF + SENTENCE)
                say(after, "end_of_stream")
                await back
    assert output_of(after) == [(True, True), (False, False)]


async def test_resume_waits_for_the_replay(
    tmp_path: Path,
) -> None:
    before, after, sound = Line(), Line(), FIRST + SENTENCE * 5
    await stopped(tmp_path, before, sound)  # in the middle of a long message
    async with running_models() as models:
        with JournalStore(tmp_path, Health()) as disk:
            async with gone_on(disk, models) as (session, _):
                back = await resumed(session, after, before.heard[-1]["seq"])
                received = (await after.hears("session.resumed"))["received_ms"]
                assert 2_000 < received < 17_000
                after.says(sound[32 * received :])
                say(after, "end_of_stream")
                await back
    assert len(finals(before)) + len(finals(after)) == 6


async def test_audio_acknowledged_on_resume_is_recorded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before, after = Line(), Line()
    async with running_models() as models:
        with JournalStore(tmp_path, Health()) as disk:
            async with kept_on(disk, models, before) as (session, _):
                before.says(pcm((False, 8_000)))  # too little for an acknowledgement
                before.leaves()
                await until(lambda: "client.disconnected" in caplog.text)
                back = await resumed(session, after, 1)
                assert (await after.hears("session.resumed"))["received_ms"] == 500
                past = kept(tmp_path, "5f1c")
                assert past is not None
                assert (
                    sum(len(entry.samples) for entry in past.tail if isinstance(entry, AudioRecord)) == 8_000
                )
                say(after, "end_of_stream")
                await back


async def test_recovered_session_without_a_client_is_transcribed(tmp_path: Path) -> None:
    late = Line()
    await stopped(tmp_path, Line())
    async with running_models() as models:
        with JournalStore(tmp_path, Health()) as disk:
            async with gone_on(disk, models, seconds=0.01) as (session, running):
                await running
            await (await resumed(session, late, 1))
    assert [final["reason"] for final in finals(late)] == ["disconnect"]
    assert types(late)[-1] == "session.closed"


async def test_stop_during_a_replay_suspends_the_session(
    tmp_path: Path,
) -> None:
    before, after = Line(), Line()
    await stopped(tmp_path, before)
    async with running_models() as models:
        with JournalStore(tmp_path, Health()) as disk:
            async with gone_on(disk, models) as (session, _):
                await asyncio.sleep(0)
                session.stop()
        await finish_on_next_server(tmp_path, models, before, after)
    assert len(finals(after)) == 1
    assert after.heard[-1]["received_ms"] == 4000


@pytest.mark.parametrize("played", [True, False])
async def test_resume_at_a_stopping_server_is_retryable(tmp_path: Path, played: bool) -> None:
    before, between, after = Line(), Line(), Line()
    await stopped(tmp_path, before)
    seen = before.heard[-1]["seq"]
    async with running_models() as models:
        with JournalStore(tmp_path, Health()) as disk:
            async with gone_on(disk, models) as (session, running):
                if played:
                    back = await resumed(session, between, seen)
                    await between.hears("session.resumed")
                    session.stop()
                    late = await resumed(session, after, seen)
                else:  # it waits for the replay
                    back = late = await resumed(session, after, seen)
                    await asyncio.sleep(0)
                    session.stop()
                after.says(SECOND_HALF)
                await running
                await asyncio.gather(back, late)
    assert after.heard == []
    assert after.close == (1012, "session_kept")
    past = kept(tmp_path, "5f1c")
    assert past is not None
    assert past.begun.results == {}


async def test_stop_finishes_a_session_with_a_lost_journal(tmp_path: Path) -> None:
    line = Line()
    async with running_models() as models:
        with full_disk(20_000), JournalStore(tmp_path, Health()) as disk:
            async with kept_on(disk, models, line) as (session, running):
                line.says(FIRST)
                await line.hears("input_audio_buffer.speech_started")
                session.stop()
                await running
    assert line.close == (1012, "server_restarting")
    assert len(finals(line)) == 1
    assert files_in(tmp_path) == []


async def test_long_session_rotates_its_journal_files(tmp_path: Path) -> None:
    line, after = Line(), Line()
    silence = pcm((False, 40 * SECOND))
    async with running_models() as models:
        with JournalStore(tmp_path, Health()) as disk:
            async with kept_on(disk, models, line) as (session, running):
                for _ in range(3):  # 1.2 MB each
                    line.says(SENTENCE + silence)

                def begins_a_file() -> bool:
                    line.says(pcm((False, 1600)))
                    return "5f1c.2.journal" in files_in(tmp_path)

                await until(begins_a_file)
                line.says(FIRST)
                await until(lambda: types(line).count("input_audio_buffer.speech_started") >= 4)
                session.stop()
                await running
        past = kept(tmp_path, "5f1c")
        assert past is not None
        assert past.begun.snapshot.state.received > SECOND * 43
        await finish_on_next_server(tmp_path, models, line, after)
    assert [final["item_id"] for final in finals(line) + finals(after)] == [
        f"item_5f1c_{number}" for number in range(1, 5)
    ]
    closed = after.heard[-1]
    assert closed["received_ms"] == closed["speech_ms"] + closed["non_speech_ms"] + closed["dropped_ms"]
    assert closed["segments"] == 4


# speakers

SPEAKING = replace(ALL, diarize=True)


def spoken(level: int) -> bytes:
    """Return three seconds of the voice above or below zero, and a pause that ends the utterance."""
    samples = level * np.concatenate([sound((True, 3 * 16_000)), sound((False, 16_000))])
    return (samples * 32767).astype("<i2").tobytes()


def labels(line: Line) -> list[str | None]:
    return [message["speaker"] for message in finals(line)]


@pytest.mark.parametrize(("broken", "expected"), [(False, ["A", "B", "A"]), (True, [None] * 3)])
async def test_finals_say_who_speaks_on_request(broken: bool, expected: list[str | None]) -> None:
    line = Line()
    async with running_models() as models:
        speaking = replace(models, speakers=RuleClient(broken))
        async with running_session(line, speaking, SPEAKING) as session:
            for level in (1, -1, 1):
                line.says(spoken(level))
            say(line, "end_of_stream")
            await session._finished.wait()
    assert labels(line) == expected


async def test_partials_say_who_probably_speaks() -> None:
    line = Line()

    def partials() -> list[Message]:
        return [message for message in line.heard if message["type"] == "transcript.partial"]

    async with running_models() as models:
        speaking = replace(models, speakers=RuleClient())
        async with running_session(line, speaking, SPEAKING) as session:
            for level in (1, -1):
                line.says(spoken(level))
            await until(lambda: len(finals(line)) == 2)
            first = len(partials())
            assert {message["speaker"] for message in partials()} <= {None}
            (driver,) = session._driver.channels
            for _ in range(25):  # a second each, less than the longest utterance
                line.says(spoken(1)[: 2 * SECOND])
                await until(line.is_read)
                await until(lambda: driver.session.unjudged < HOP and not driver._running)
            say(line, "end_of_stream")
            await session._finished.wait()
    assert (partials()[first]["speaker"], partials()[-1]["speaker"]) == (None, "A")


async def test_finals_have_no_speakers_without_request() -> None:
    line, client = Line(), RuleClient()
    async with running_models() as models, running_session(line, replace(models, speakers=client)) as session:
        line.says(spoken(1))
        say(line, "end_of_stream")
        await session._finished.wait()
    assert "speaker" not in finals(line)[0]
    assert client.chunks == 0


@asynccontextmanager
async def on_the_next_server(
    folder: Path, models: ModelClients, before: Line, after: Line
) -> AsyncIterator[None]:
    """Resume the session of `before` as `after` on a server that reads its journal; end the stream last."""
    with JournalStore(folder, Health()) as disk:
        async with gone_on(disk, models) as (continued, _):
            back = await resumed(continued, after, before.heard[-1]["seq"])
            await after.hears("session.resumed")
            yield
            say(after, "end_of_stream")
            await back


async def test_speakers_keep_their_labels_on_the_next_server(tmp_path: Path) -> None:
    before, after = Line(), Line()
    async with running_models() as models:
        speaking = replace(models, speakers=RuleClient())
        with JournalStore(tmp_path, Health()) as disk:
            async with kept_on(disk, speaking, before, config=SPEAKING) as (session, running):
                for level in (1, -1):
                    before.says(spoken(level))
                await until(lambda: len(finals(before)) == 2)
                session.stop()
                await running
        async with on_the_next_server(tmp_path, speaking, before, after):
            after.says(spoken(-1))
    assert labels(before) == ["A", "B"]
    assert labels(after) == ["B"]


def clip_of(level: float, seconds: float = 2) -> str:
    """Return a clip of the voice above or below zero, as clients send it."""
    return base64.b64encode(wav(np.full(round(seconds * SECOND), level, np.float32))).decode()


def name_speakers(line: Line, *kept: str, **clips: str) -> None:
    known = [{"name": name} for name in kept]
    known += [{"name": name, "audio": audio} for name, audio in clips.items()]
    say(line, "session.update", event_id="names", session={"known_speakers": known})


async def test_speakers_of_clips_are_called_by_their_names() -> None:
    line = Line()
    async with running_models() as models:
        speaking = replace(models, speakers=RuleClient())
        async with running_session(line, speaking, SPEAKING) as session:
            name_speakers(line, Ann=clip_of(-0.5))
            for level in (1, -1):
                line.says(spoken(level))
            say(line, "end_of_stream")
            await session._finished.wait()
    assert labels(line) == ["A", "Ann"]
    assert (await line.hears("session.updated"))["session"]["known_speakers"] == [{"name": "Ann"}]


@pytest.mark.parametrize(
    ("clip", "client", "code"),
    [
        (clip_of(-0.5, 0.5), RuleClient(), "invalid_known_speaker"),
        (clip_of(0.0), RuleClient(), "invalid_known_speaker"),
        (clip_of(-0.5), RuleClient(broken=True), "speakers_unavailable"),
        (clip_of(-0.5), None, "speakers_unavailable"),
    ],
)
async def test_unusable_clip_is_an_error_and_the_session_continues(
    clip: str, client: RuleClient | None, code: str
) -> None:
    line = Line()
    async with (
        running_models() as models,
        running_session(line, replace(models, speakers=client), SPEAKING) as session,
    ):
        name_speakers(line, Ann=clip)
        line.says(spoken(1))
        say(line, "end_of_stream")
        await session._finished.wait()
    (error,) = [message["error"] for message in line.heard if message["type"] == "error"]
    assert (error["code"], error["param"], error["event_id"]) == (code, "session.known_speakers", "names")
    assert len(finals(line)) == 1


async def test_speaker_who_is_left_out_has_no_name_any_more() -> None:
    line = Line()
    async with running_models() as models:
        speaking = replace(models, speakers=RuleClient())
        async with running_session(line, speaking, SPEAKING) as session:
            name_speakers(line, Ann=clip_of(0.5), Bob=clip_of(-0.5))
            line.says(spoken(1))
            say(line, "session.update", session={"known_speakers": [{"name": "Bob"}]})
            for level in (1, -1):
                line.says(spoken(level))
            name_speakers(line, Eve=clip_of(0.5))
            for level in (-1, 1):
                line.says(spoken(level))
            say(line, "end_of_stream")
            await session._finished.wait()
    # Both have spoken, so both are still told apart once they have no name.
    assert labels(line) == ["Ann", "A", "Bob", "B", "Eve"]


async def test_unusable_clip_takes_no_place_of_the_next_list() -> None:
    line = Line()
    async with running_models() as models:
        speaking = replace(models, speakers=RuleClient())
        async with running_session(line, speaking, SPEAKING) as session:
            name_speakers(line, **{str(n): "AAAA" for n in range(MAX_KNOWN)})
            await until(lambda: types(line).count("error") == MAX_KNOWN)
            name_speakers(line, Ann=clip_of(-0.5), **{str(n): "AAAA" for n in range(1, MAX_KNOWN)})
            line.says(spoken(-1))
            say(line, "end_of_stream")
            await session._finished.wait()
    assert labels(line) == ["Ann"]


async def test_named_speakers_are_known_on_the_next_server(tmp_path: Path) -> None:
    before, after = Line(), Line()
    async with running_models() as models:
        speaking = replace(models, speakers=RuleClient())
        with JournalStore(tmp_path, Health()) as disk:
            async with kept_on(disk, speaking, before, config=SPEAKING) as (session, running):
                name_speakers(before, Ann=clip_of(-0.5), Bob="AAAA")
                before.says(spoken(1))
                await until(lambda: len(finals(before)) == 1)
                session.stop()
                await running
        async with on_the_next_server(tmp_path, speaking, before, after):
            after.says(spoken(-1))
    assert [m["error"]["code"] for m in before.heard if m["type"] == "error"] == ["invalid_known_speaker"]
    assert "error" not in types(after)  # The next server read the clips again and did not repeat it.
    assert labels(before) + labels(after) == ["A", "Ann"]


def revisions(line: Line) -> list[Message]:
    return [message for message in line.heard if message["type"] == "speakers.revised"]


async def test_finals_before_a_name_are_revised_on_request() -> None:
    line = Line()
    async with running_models() as models:
        speaking = replace(models, speakers=RuleClient())
        async with running_session(line, speaking, SPEAKING) as session:
            line.says(spoken(-1))
            await until(lambda: len(finals(line)) == 1)
            name_speakers(line, Ann=clip_of(-0.5))
            line.says(spoken(-1))
            say(line, "end_of_stream")
            await session._finished.wait()
    first, second = finals(line)
    assert (first["speaker"], second["speaker"]) == ("A", "Ann")
    (revised,) = revisions(line)
    assert revised["items"] == [{"item_id": first["item_id"], "speaker": "Ann"}]


async def test_revision_is_sent_once_and_on_the_next_server_too(tmp_path: Path) -> None:
    before, after = Line(), Line()
    async with running_models() as models:
        speaking = replace(models, speakers=RuleClient())
        with JournalStore(tmp_path, Health()) as disk:
            async with kept_on(disk, speaking, before, config=SPEAKING) as (session, running):
                for level in (1, -1):
                    before.says(spoken(level))
                await until(lambda: len(finals(before)) == 2)
                name_speakers(before, Ann=clip_of(0.5))
                await until(lambda: len(revisions(before)) == 1)
                session.stop()
                await running
        async with on_the_next_server(tmp_path, speaking, before, after):
            name_speakers(after, "Ann", Bob=clip_of(-0.5))
    named = [
        item["speaker"] for line in (before, after) for each in revisions(line) for item in each["items"]
    ]
    assert named == ["Ann", "Bob"]

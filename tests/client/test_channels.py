"""Test streams whose channels are kept apart, against a real server."""

import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import Cleared, Created, Event, Final, Marker, Partial, SessionClosed, SpeechStarted, connect
from tests.client.proxy import proxy
from tests.client.test_connection import SOON
from tests.client.test_main import run
from tests.server.live_server import Server, free_settings, serve
from tests.server.server_process import Program, scripted
from tests.server.stereo import FIRST_MS, SECOND_MS, interleaved, part, silence

CALL = interleaved([part(FIRST_MS) + silence(1500), part(SECOND_MS)])
TEXTS = ("good morning and welcome to the program", "she opened the window and looked out over the city")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(free_settings(resume_seconds=60)) as running:
        yield running


@pytest.mark.parametrize("binary", [True, False])
async def test_events_name_their_channel(server: Server, binary: bool) -> None:
    async with connect(server.ws, channels=2, binary=binary) as stream:
        await stream.send(CALL)
        await stream.mark("all")
        await stream.end()
        events: list[Event] = [event async for event in stream]
    about_speech = [event for event in events if isinstance(event, Final | Partial | SpeechStarted)]
    assert {event.channel for event in about_speech} == {0, 1}
    finals = [event for event in events if isinstance(event, Final)]
    assert all(event.speaker == "AB"[event.channel or 0] for event in finals)
    assert max(event.end_ms for event in finals) <= len(CALL) // 64
    assert [event.id for event in events if isinstance(event, Marker)] == ["all"]
    created, closed = events[0], events[-1]
    assert isinstance(created, Created)
    assert not created.journaled
    assert isinstance(closed, SessionClosed)
    assert closed.received_ms == 2 * len(CALL) // 64


async def test_a_broken_line_loses_and_repeats_nothing(server: Server) -> None:
    def said(events: list[Event]) -> list[tuple[object, ...]]:
        finals = [event for event in events if isinstance(event, Final)]
        return sorted((event.channel or 0, event.start_ms, event.end_ms, event.text) for event in finals)

    heard: list[list[Event]] = []
    for cuts in ([], [100_000, 150_000]):
        async with proxy(server.ws, cuts) as line, connect(line.url, channels=2, resume=SOON) as stream:
            await stream.send(CALL)
            await stream.end()
            heard.append([event async for event in stream])
            assert line.cuts == len(cuts)
    whole, broken = heard
    assert said(whole) == said(broken) != []
    assert whole[-1] == broken[-1]


async def test_each_channel_answers_a_clear(server: Server) -> None:
    async with connect(server.ws, channels=2) as stream:
        await stream.send(interleaved([part((0, 1500)), part((0, 1500))]))
        await stream.clear()
        await stream.end()
        events = [event async for event in stream]
    assert sorted(event.channel or 0 for event in events if isinstance(event, Cleared)) == [0, 1]


@pytest.fixture(scope="module")
def speech() -> Iterator[Program]:
    """A server that knows the words of test.wav."""
    with scripted() as running:
        assert running.ready()["ready"], running.log
        yield running


@pytest.mark.parametrize("program", [("-m", "client"), ("test.py",)])
async def test_a_file_is_transcribed_channel_by_channel(
    speech: Program, tmp_path: Path, program: tuple[str, ...]
) -> None:
    path, expected = tmp_path / "call.wav", tmp_path / "call.txt"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(CALL)
    expected.write_text(" ".join(TEXTS))
    options = ["--expect", str(expected)] if program == ("test.py",) else []
    code, out, err = await run(*program, str(path), "--url", speech.ws, "--fast", "--multichannel", *options)
    assert (code, err) == (0, "")
    for channel, text in enumerate(TEXTS):
        said = [
            line.partition(f"s  [{channel}] ")[2] for line in out.splitlines() if f"s  [{channel}] " in line
        ]
        assert " ".join(each.partition("  [")[0] for each in said) == text


async def test_a_microphone_has_no_channels_to_keep_apart() -> None:
    code, _, err = await run("-m", "client", "--mic", "--multichannel")
    assert code == 2
    assert "the microphone has one channel" in err

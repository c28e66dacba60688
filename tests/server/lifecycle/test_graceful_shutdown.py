"""Drain: the first signal finishes what is open, the second does not wait."""

import asyncio
import json
import signal
import threading
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from server.lifecycle.graceful_shutdown import SIGNALS, drained_on_signal
from tests.server.live_server import Client, dones, errors, first_sentence
from tests.server.server_process import MAIN, UVICORN, Program, program

both = pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)


class Passed:
    """The handler that the signals were meant for: what came to it."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.came = asyncio.Event()

    def __call__(self, number: int, frame: object) -> None:
        self.signals.append(number)
        self.came.set()


@pytest.fixture
def passed() -> Iterator[Passed]:
    handler = Passed()
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    yield handler
    for number, theirs in before.items():
        signal.signal(number, theirs)


class Drain:
    """Takes until it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self) -> None:
        self.begun.set()
        await self.let_go.wait()


@both
async def test_a_signal_is_passed_on_once_everything_is_finished(
    passed: Passed, number: signal.Signals
) -> None:
    drain = Drain()
    async with drained_on_signal(drain):
        signal.raise_signal(number)
        await drain.begun.wait()
        assert passed.signals == []
        drain.let_go.set()
        await passed.came.wait()
    assert passed.signals == [number]


@both
async def test_a_second_signal_stops_at_once_and_a_third_goes_straight_through(
    passed: Passed, number: signal.Signals
) -> None:
    drain = Drain()
    async with drained_on_signal(drain):
        signal.raise_signal(number)
        await drain.begun.wait()
        signal.raise_signal(number)
        await passed.came.wait()
        passed.came.clear()
        signal.raise_signal(signal.SIGINT)
        await passed.came.wait()
    assert passed.signals == [number, signal.SIGINT]


async def test_a_drain_that_fails_does_not_keep_the_server_alive(passed: Passed) -> None:
    async def fail() -> None:
        raise ValueError("oh")

    async with drained_on_signal(fail):
        signal.raise_signal(signal.SIGTERM)
        await passed.came.wait()
    assert passed.signals == [signal.SIGTERM]


async def test_the_handlers_are_as_they_were_afterwards(passed: Passed) -> None:
    async with drained_on_signal(Drain()):
        assert signal.getsignal(signal.SIGTERM) is not passed
    assert [signal.getsignal(number) for number in SIGNALS] == [passed, passed]


def test_in_a_thread_signals_are_left_alone(passed: Passed) -> None:
    seen: list[object] = []

    async def live() -> None:
        async with drained_on_signal(Drain()):
            seen.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert seen == [passed, passed]


# The whole server, as a process.


def speak(client: Client) -> None:
    """Says two seconds, and waits until the server has heard that they are speech."""
    client.talk(first_sentence()[: 32 * 2000])
    while client.hear()["type"] != "input_audio_buffer.speech_started":
        pass


def said_until_the_end(server: Program, number: signal.Signals) -> None:
    with Client(f"{server.ws}?events=all&include_audio=false") as client:
        speak(client)
        server.process.send_signal(number)
        messages = client.hear_until_closed()
    assert errors(messages) == []
    assert [final["end_ms"] for final in dones(messages)] == [2000]
    assert messages[-1]["type"] == "session.closed"
    assert client.close_code == 1012


@pytest.mark.slow
@both
def test_the_open_segment_is_finished_before_main_py_ends_with_0(number: signal.Signals) -> None:
    with program(MAIN) as server:
        assert server.ready()["ready"]
        said_until_the_end(server, number)
        assert server.exit_status() == 0
        assert "did not finish" not in server.log
        assert "Traceback" not in server.log


@pytest.mark.slow
@both
def test_it_is_the_same_under_uvicorn_which_ends_by_the_signal(number: signal.Signals) -> None:
    with program(UVICORN) as server:
        assert server.ready()["ready"]
        said_until_the_end(server, number)
        assert server.exit_status() == (0 if number is signal.SIGINT else -number)


@pytest.mark.slow
def test_while_it_drains_it_is_not_ready_and_admits_nobody() -> None:
    with program(MAIN, SHUTDOWN_TIMEOUT_SECONDS="3600") as server:
        assert server.ready()["ready"]
        server.recognizer().suspend()  # so that the final does not come
        with Client(f"{server.ws}?events=all") as client:
            speak(client)
            server.process.send_signal(signal.SIGTERM)
            while client.hear()["type"] != "input_audio_buffer.speech_stopped":
                pass
            answer = server.get("/ready")
            assert (answer.status_code, answer.json()["state"]) == (503, "draining")
            assert server.get("/health").status_code == 200
            with pytest.raises(InvalidStatus) as refused, Client(server.ws):
                pass
            assert refused.value.response.status_code == 503
            assert json.loads(refused.value.response.body)["error"]["code"] == "server_restarting"
            server.recognizer().resume()
            assert len(dones(client.hear_until_closed())) == 1
        assert server.exit_status() == 0


@pytest.mark.slow
@pytest.mark.parametrize("command", [MAIN, UVICORN], ids=["main", "uvicorn"])
def test_a_recognizer_that_hangs_does_not_hold_up_the_end(command: tuple[str, ...]) -> None:
    with program(command, SHUTDOWN_TIMEOUT_SECONDS="0.5") as server:
        assert server.ready()["ready"]
        server.recognizer().suspend()
        with Client(f"{server.ws}?events=all") as client:
            speak(client)
            server.process.send_signal(signal.SIGTERM)
            client.hear_until_closed()
            assert client.close_code == 1012
        assert server.exit_status() in (0, -signal.SIGTERM)
        assert "1 sessions did not finish" in server.log


@pytest.mark.slow
def test_a_second_signal_does_not_wait_for_a_recognizer_that_hangs() -> None:
    with program(MAIN, SHUTDOWN_TIMEOUT_SECONDS="3600") as server:
        assert server.ready()["ready"]
        server.recognizer().suspend()
        with Client(f"{server.ws}?events=all") as client:
            speak(client)
            server.process.send_signal(signal.SIGTERM)
            while client.hear()["type"] != "input_audio_buffer.speech_stopped":
                pass
            server.process.send_signal(signal.SIGTERM)
            client.hear_until_closed()
            assert client.close_code == 1012
        assert server.exit_status() == 0

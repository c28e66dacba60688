"""Test that the first signal finishes open segments and that the second does not wait."""

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
    """Record the signals that reach the previous handler."""

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
    """Drain until released."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.released = asyncio.Event()

    async def __call__(self) -> None:
        self.started.set()
        await self.released.wait()


@both
async def test_a_signal_is_passed_on_after_draining(passed: Passed, number: signal.Signals) -> None:
    drain = Drain()
    async with drained_on_signal(drain):
        signal.raise_signal(number)
        await drain.started.wait()
        assert passed.signals == []
        drain.released.set()
        await passed.came.wait()
    assert passed.signals == [number]


@both
async def test_a_second_signal_stops_at_once_and_a_third_is_passed_on(
    passed: Passed, number: signal.Signals
) -> None:
    drain = Drain()
    async with drained_on_signal(drain):
        signal.raise_signal(number)
        await drain.started.wait()
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


async def test_the_previous_handlers_are_restored(passed: Passed) -> None:
    async with drained_on_signal(Drain()):
        assert signal.getsignal(signal.SIGTERM) is not passed
    assert [signal.getsignal(number) for number in SIGNALS] == [passed, passed]


def test_no_handler_is_installed_in_another_thread(passed: Passed) -> None:
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


def send_speech(client: Client) -> None:
    """Send two seconds and wait until the server has detected speech in them."""
    client.talk(first_sentence()[: 32 * 2000])
    while client.hear()["type"] != "input_audio_buffer.speech_started":
        pass


def assert_final_after_signal(server: Program, number: signal.Signals) -> None:
    with Client(f"{server.ws}?events=all&include_audio=false") as client:
        send_speech(client)
        server.process.send_signal(number)
        messages = client.hear_until_closed()
    assert errors(messages) == []
    assert [final["end_ms"] for final in dones(messages)] == [2000]
    assert messages[-1]["type"] == "session.closed"
    assert client.close_code == 1012


@pytest.mark.slow
@both
def test_main_finishes_the_open_segment_and_exits_with_0(number: signal.Signals) -> None:
    with program(MAIN) as server:
        assert server.ready()["ready"]
        assert_final_after_signal(server, number)
        assert server.exit_status() == 0
        assert "admission.drain_timeout" not in server.log
        assert "Traceback" not in server.log


@pytest.mark.slow
@both
def test_uvicorn_finishes_the_open_segment(number: signal.Signals) -> None:
    with program(UVICORN) as server:
        assert server.ready()["ready"]
        assert_final_after_signal(server, number)
        assert server.exit_status() == (0 if number is signal.SIGINT else -number)


@pytest.mark.slow
def test_a_draining_server_is_not_ready_and_refuses_sessions() -> None:
    with program(MAIN, SHUTDOWN_TIMEOUT_SECONDS="3600") as server:
        assert server.ready()["ready"]
        server.recognizer().suspend()  # so that the final does not come
        with Client(f"{server.ws}?events=all") as client:
            send_speech(client)
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
def test_a_hanging_recognizer_does_not_delay_the_exit(command: tuple[str, ...]) -> None:
    with program(command, SHUTDOWN_TIMEOUT_SECONDS="0.5") as server:
        assert server.ready()["ready"]
        server.recognizer().suspend()
        with Client(f"{server.ws}?events=all") as client:
            send_speech(client)
            server.process.send_signal(signal.SIGTERM)
            client.hear_until_closed()
            assert client.close_code == 1012
        assert server.exit_status() in (0, -signal.SIGTERM)
        assert "admission.drain_timeout kind=sessions open=1" in server.log


@pytest.mark.slow
def test_a_second_signal_does_not_wait_for_a_hanging_recognizer() -> None:
    with program(MAIN, SHUTDOWN_TIMEOUT_SECONDS="3600") as server:
        assert server.ready()["ready"]
        server.recognizer().suspend()
        with Client(f"{server.ws}?events=all") as client:
            send_speech(client)
            server.process.send_signal(signal.SIGTERM)
            while client.hear()["type"] != "input_audio_buffer.speech_stopped":
                pass
            server.process.send_signal(signal.SIGTERM)
            client.hear_until_closed()
            assert client.close_code == 1012
        assert server.exit_status() == 0

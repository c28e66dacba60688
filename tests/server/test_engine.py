"""Engine: the models, from loading to the last batch."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asr.hypothesis import Request
from audio.clip import HOP, Clip
from batching.errors import Closed
from server.engine import Engine, State
from server.settings import Place
from tests.server.program import free_port, program
from tests.server.running import Client, dones, errors, first_sentence, free_settings
from vad.work import Work

SECOND = Clip(np.zeros(16_000, np.float32))


async def loaded(engine: Engine) -> None:
    while engine.state is State.LOADING:
        await asyncio.sleep(0.001)


async def test_entering_returns_before_anything_is_loaded() -> None:
    async with Engine(free_settings()) as engine:
        assert (engine.state, engine.models, engine.description) == (State.LOADING, None, None)
        await loaded(engine)
        assert engine.state is State.READY
        assert engine.description is not None
        assert (engine.description.model, engine.description.fallback) == ("free", None)


async def test_it_is_ready_only_after_a_batch_of_each_model() -> None:
    async with Engine(free_settings()) as engine:
        await loaded(engine)
        assert engine.models is not None
        assert engine.models.asr.batches == engine.models.vad.batches == 1


async def test_it_lends_a_detector_and_a_recognizer_that_work() -> None:
    async with Engine(free_settings()) as engine:
        await loaded(engine)
        assert engine.models is not None
        slot = engine.models.slots.open()
        probabilities = await engine.models.vad.submit(Work(slot, np.zeros((3, HOP), np.float32)))
        assert probabilities.shape == (3,)
        assert (await engine.models.asr.submit(Request(SECOND))).text == "w1 w2 w3"


async def test_afterwards_everything_has_stopped() -> None:
    async with Engine(free_settings()) as engine:
        await loaded(engine)
        assert engine.models is not None
    assert engine.state is State.STOPPED
    with pytest.raises(Closed):
        await engine.models.asr.submit(Request(SECOND))


async def test_a_model_that_cannot_be_had_is_a_failure_that_says_why(tmp_path: Path) -> None:
    failures: list[State] = []
    folder = str(tmp_path)

    def on_failure() -> None:
        failures.append(engine.state)

    engine = Engine(free_settings(asr_model=folder), on_failure)
    async with engine:
        await loaded(engine)
        assert engine.error is not None
        assert folder in engine.error
        assert "config.json" in engine.error
        assert engine.models is None
    assert failures == [State.FAILED]


async def test_a_device_that_does_not_exist_is_a_failure_too() -> None:
    async with Engine(free_settings(vad_device="abacus")) as engine:
        await loaded(engine)
        assert engine.state is State.FAILED
        assert engine.error


async def test_it_may_be_left_while_it_loads() -> None:
    async with Engine(free_settings()) as engine:
        pass
    assert engine.models is None
    assert engine.error is None


@pytest.mark.slow
async def test_a_recognizer_in_a_process_of_its_own_is_the_same() -> None:
    async with Engine(free_settings(asr_place=Place.PROCESS)) as engine:
        await loaded(engine)
        assert engine.models is not None
        assert (await engine.models.asr.submit(Request(SECOND))).text == "w1 w2 w3"


# The whole server, as a process.


@pytest.fixture
def silent_hub() -> Iterator[str]:
    """The address of a hub that takes every question and answers none."""
    with socket.socket() as hub:
        hub.bind(("127.0.0.1", 0))
        hub.listen()
        yield f"http://127.0.0.1:{hub.getsockname()[1]}"


@pytest.mark.slow
def test_while_models_load_the_port_answers_and_says_so(silent_hub: str, tmp_path: Path) -> None:
    with program(
        ASR_MODEL="someone/model",
        HUB_TIMEOUT_SECONDS="60",
        HF_ENDPOINT=silent_hub,
        HF_HOME=str(tmp_path),
        HF_HUB_OFFLINE="0",
    ) as server:
        assert server.get("/health").status_code == 200
        answer = server.get("/ready")
        assert answer.status_code == 503
        assert answer.json() == {"ready": False, "state": "loading", "error": None, "recognizer": None}
        with Client(server.ws) as client:
            (error,) = errors(client.hear_until_closed())
            assert error["message"] == "Server models not initialized."
            assert error["error"]["code"] == "models_not_ready"
            assert client.close_code == 1013
        assert server.stop() == 0
        assert "Traceback" not in server.log


@pytest.mark.slow
def test_a_fallback_is_said_in_the_log_in_ready_and_in_the_greeting(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with program(
        ASR_MODEL="auto", ASR_DEVICE="cpu", HF_ENDPOINT=nobody, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="0"
    ) as server:
        recognizer = server.ready()["recognizer"]
        assert (recognizer["model"], recognizer["requested"]) == ("pocketsphinx", "auto")
        assert nobody in recognizer["fallback"]
        assert f"RECOGNIZER FALLBACK: {recognizer['fallback']}" in server.log
        with Client(f"{server.ws}?events=all") as client:
            assert client.hear()["recognizer"] == recognizer


@pytest.mark.slow
def test_a_recognizer_that_is_killed_in_the_middle_is_started_again_and_no_final_is_lost() -> None:
    with program(ASR_PLACE="process") as server:
        assert server.ready()["ready"]
        first = server.recognizer()
        with Client(f"{server.ws}?events=all&include_audio=false") as client:
            client.talk(first_sentence()[: 32 * 2000])
            while client.hear()["type"] != "input_audio_buffer.speech_started":
                pass
            first.kill()
            client.talk(first_sentence()[32 * 2000 :])
            messages = client.end()
        assert errors(messages) == []
        assert len(dones(messages)) == 1
        assert server.recognizer().pid != first.pid

"""The engine loads models and provides them to streams."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import WebSocketException

from asr.errors import ModelUnavailable
from asr.model_registry import NOT_IN_REACH, POOR_WORDS
from asr.recognizer import RecognitionRequest
from audio.clip import HOP, Clip
from batching.errors import BatcherClosed, ModelBroken
from engine.engine import Engine, EngineState
from engine.model_pool import ModelNotReady
from engine.workers import MAX_FAILED_STEPS
from server.settings import WorkerKind
from tests.server.live_server import Client, dones, errors, first_sentence, free_settings
from tests.server.server_process import free_port, program
from tests.waiting import until, wait_until
from vad.detector_input import DetectorInput

SECOND = Clip(np.zeros(16_000, np.float32))


async def loaded(engine: Engine) -> None:
    await until(lambda: engine.state is not EngineState.LOADING)


async def said(engine: Engine, name: str | None = None) -> str:
    """Return a recognizer's text for one second of silence."""
    async with engine.acquire(name) as (models, _):
        return (await models.asr.submit(RecognitionRequest(SECOND))).text


async def test_entering_returns_before_anything_is_loaded() -> None:
    async with Engine(free_settings().engine_options()) as engine:
        assert (engine.state, engine.ready, engine.description) == (EngineState.LOADING, False, None)
        await loaded(engine)
        assert (engine.state, engine.ready) == (EngineState.READY, True)
        assert engine.description is not None
        assert (engine.description.model, engine.description.fallback) == ("free", None)


async def test_it_is_ready_only_after_a_step_of_the_detector() -> None:
    async with Engine(free_settings().engine_options()) as engine:
        await loaded(engine)
        assert engine.vad is not None
        assert engine.vad.batches == 1


async def test_engine_provides_a_detector_and_a_recognizer() -> None:
    async with Engine(free_settings().engine_options()) as engine:
        await loaded(engine)
        async with engine.acquire() as (models, description):
            slot = models.slots.open()
            probabilities = await models.vad.submit(DetectorInput(slot, np.zeros((3, HOP), np.float32)))
            assert probabilities.shape == (3,)
            assert description == engine.description
        assert await said(engine) == "w1 w2 w3"


@pytest.mark.slow
async def test_incremental_recognizer_is_marked_for_its_streams() -> None:
    async with Engine(free_settings(asr_models="sphinx=pocketsphinx").engine_options()) as engine:
        await loaded(engine)
        async with engine.acquire("sphinx") as (sphinx, description), engine.acquire("free") as (free, _):
            assert description.model == "pocketsphinx"
            assert (sphinx.incremental, free.incremental) == (True, False)
            assert sphinx.vad is free.vad


async def test_others_are_loaded_when_asked_for_or_beforehand() -> None:
    async with Engine(free_settings(asr_models="other=free").engine_options()) as engine:
        await loaded(engine)
        assert engine.recognizers.loaded == 1
        assert await said(engine, "other") == "w1 w2 w3"
    async with Engine(free_settings(asr_models="other=free", asr_preload=True).engine_options()) as engine:
        await until(lambda: engine.recognizers.loaded >= 2)


async def test_other_model_that_cannot_load_is_no_engine_failure(tmp_path: Path) -> None:
    settings = free_settings(asr_models=f"broken={tmp_path}", asr_preload=True)
    async with Engine(settings.engine_options(), on_failure=pytest.fail) as engine:
        await loaded(engine)
        with pytest.raises(ModelNotReady, match="no config"):
            await said(engine, "broken")
        assert engine.ready
        assert await said(engine) == "w1 w2 w3"


async def test_the_settings_bound_the_memory_and_the_idle_time(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(3 << 20))
    settings = free_settings(
        asr_models=f"large={tmp_path},other=free", asr_memory_mb=2, asr_idle_seconds=0.01
    )
    async with Engine(settings.engine_options()) as engine:
        await loaded(engine)
        with pytest.raises(ModelNotReady, match="large takes 3 MiB"):
            await said(engine, "large")


async def test_exit_stops_everything() -> None:
    async with Engine(free_settings().engine_options()) as engine:
        await loaded(engine)
        async with engine.acquire() as (models, _):
            pass
    assert engine.state is EngineState.STOPPED
    with pytest.raises(BatcherClosed):
        await models.asr.submit(RecognitionRequest(SECOND))
    with pytest.raises(ModelNotReady, match="stopping"):
        await said(engine, "free")


async def test_default_that_cannot_load_fails_with_a_reason(tmp_path: Path) -> None:
    failures: list[EngineState] = []
    folder = str(tmp_path)

    def on_failure() -> None:
        failures.append(engine.state)

    engine = Engine(free_settings(asr_model=folder).engine_options(), on_failure)
    async with engine:
        await loaded(engine)
        assert engine.error is not None
        assert folder in engine.error
        assert "config.json" in engine.error
        assert not engine.ready
    assert failures == [EngineState.FAILED]


async def test_detector_that_always_fails_is_an_engine_failure() -> None:
    failures: list[str | None] = []
    async with Engine(free_settings().engine_options(), lambda: failures.append(engine.error)) as engine:
        await loaded(engine)
        async with engine.acquire() as (models, _):
            slot = models.slots.open()
            for _ in range(MAX_FAILED_STEPS):
                assert engine.health.ok
                with pytest.raises(ValueError, match="broadcast"):
                    await models.vad.submit(DetectorInput(slot, np.zeros((1, 7), np.float32)))
            with pytest.raises(ModelBroken):
                await models.vad.submit(DetectorInput(slot, np.zeros((1, HOP), np.float32)))
        assert (engine.state, engine.ready) == (EngineState.FAILED, False)
        assert failures == [engine.error]
        assert list(engine.health.problems) == ["detector"]


async def test_missing_device_is_an_engine_failure() -> None:
    options = replace(free_settings().engine_options(), detector_device="abacus")
    async with Engine(options) as engine:
        await loaded(engine)
        assert engine.state is EngineState.FAILED
        assert engine.error


async def test_exit_during_a_load_is_allowed() -> None:
    async with Engine(free_settings().engine_options()) as engine:
        pass
    assert engine.error is None
    assert not engine.ready


@pytest.mark.slow
async def test_a_recognizer_in_a_process_of_its_own_is_the_same() -> None:
    async with Engine(free_settings(asr_worker=WorkerKind.PROCESS).engine_options()) as engine:
        await loaded(engine)
        assert await said(engine) == "w1 w2 w3"


# The whole server, as a process.


@pytest.fixture
def silent_hub() -> Iterator[str]:
    """Return the address of a hub that never responds."""
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
        told = answer.json()
        assert (told["ready"], told["state"], told["error"]) == (False, "loading", None)
        assert [(model["name"], model["state"]) for model in told["models"]] == [("someone/model", "loading")]
        with Client(server.ws) as client:  # It is accepted, and waits for the models.
            assert server.stop() == 0
            (error,) = errors(client.hear_until_closed())
            assert error["error"]["code"] == "server_restarting"
            assert client.close_code == 1012
        assert "Traceback" not in server.log


@pytest.mark.slow
def test_fallback_is_logged_and_reported_to_clients(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with program(
        ASR_MODEL="auto",
        ASR_DEVICE="cpu",
        ASR_MODEL_CACHE=str(tmp_path / "models"),
        HF_ENDPOINT=nobody,
        HF_HOME=str(tmp_path),
        HF_HUB_OFFLINE="0",
        PIP_NO_INDEX="1",
        PIP_CONFIG_FILE=os.devnull,
    ) as server:
        recognizer = server.ready()["recognizer"]
        assert (recognizer["model"], recognizer["requested"]) == ("pocketsphinx", "auto")
        assert recognizer["fallback"] == POOR_WORDS.format(cause=NOT_IN_REACH)
        assert nobody in server.log
        assert f"model.fallback name=auto: {recognizer['fallback']}" in server.log
        with Client(f"{server.ws}?events=all") as client:
            assert client.hear()["recognizer"] == recognizer


@pytest.mark.slow
def test_killed_recognizer_loses_no_final() -> None:
    with program(ASR_WORKER="process") as server:
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


@pytest.mark.slow
def test_hanging_recognizer_loses_no_final() -> None:
    with program(ASR_WORKER="process", ASR_DEADLINE_SECONDS="0.5") as server:
        assert server.ready()["ready"]
        first = server.recognizer()
        first.suspend()
        with Client(f"{server.ws}?include_audio=false") as client:
            client.talk(first_sentence())
            client.say("end_of_stream")
            wait_until(lambda: bool(server.get("/ready").json()["troubles"]))
            answer = server.get("/ready")
            (trouble,) = answer.json()["troubles"]
            assert (answer.status_code, trouble["name"]) == (503, "recognizer free")
            assert trouble["why"].startswith("is being started again: no answer for")
            messages = client.hear_until_closed()
        assert errors(messages) == []
        assert len(dones(messages)) == 1
        assert server.recognizer().pid != first.pid
        answer = server.get("/ready")
        assert (answer.status_code, answer.json()["troubles"]) == (200, [])
        assert 'stt_model_restarts_total{model="free"} 1.0' in server.get("/metrics").text


@pytest.mark.slow
def test_hanging_detector_ends_the_server() -> None:
    with program(VAD_DEADLINE_SECONDS="0.000001") as server:

        def has_talked_or_ended() -> bool:
            """Return False while the port is not open yet. A connection may be cut at any time."""
            try:
                with Client(server.ws) as client:
                    client.talk(first_sentence())
                    client.end()
            except ConnectionRefusedError:
                return server.process.poll() is not None
            except (OSError, WebSocketException):
                pass
            return True

        # The step at the start may be answered before its deadline is looked at, but hardly 300 more of them.
        wait_until(has_talked_or_ended)
        assert server.exit_status() == 1
        assert "problem.reported name='detector': is broken: vad: no answer for" in server.log


class Judge:
    def probability(self, clip: Clip) -> float:
        return clip.seconds / 10


async def test_turn_model_is_offered_where_it_can_be_loaded() -> None:
    asked: list[bool] = []

    def load(download: bool) -> Judge:
        asked.append(download)
        return Judge()

    async with Engine(free_settings().engine_options(), load_turn_model=load) as engine:
        await loaded(engine)
        async with engine.acquire() as (models, _):
            assert models.turn_model is not None
            assert await models.turn_model.submit(SECOND) == 0.1
    assert asked == [False]  # nothing is downloaded that no setting asks for


async def test_engine_fails_without_the_turn_model_only_if_it_is_needed() -> None:
    def load(download: bool) -> Judge:
        raise ModelUnavailable("install it")

    async with Engine(free_settings().engine_options(), load_turn_model=load) as engine:
        await loaded(engine)
        async with engine.acquire() as (models, _):
            assert models.turn_model is None
    # Without the package, the settings refuse endpointing="model" before there is an engine.
    options = replace(free_settings().engine_options(), needs_turn_model=True)
    async with Engine(options, load_turn_model=load) as engine:
        await loaded(engine)
        assert (engine.state, engine.error) == (EngineState.FAILED, "ENDPOINTING=model: install it")

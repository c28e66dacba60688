"""Test clients of OpenAI's Realtime API against a real server with a recognizer of fixed words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.clients.environments import ON_REQUEST, OPENAI, node_environment, python_environment, run_script
from tests.server.live_server import ROOT
from tests.server.server_process import Program, scripted
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a client may have to be fetched

WAV = str(ROOT / "test.wav")
SENTENCES = (ROOT / "test.txt").read_text().splitlines()
WHOLE = " ".join(SENTENCES)
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
COMMITTED, CLEARED = "input_audio_buffer.committed", "input_audio_buffer.cleared"
DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"


@pytest.fixture(scope="module")
def server() -> Iterator[Program]:
    with scripted() as running:
        assert running.ready()["ready"], running.log
        yield running


# the openai SDK for Python


@pytest.fixture(scope="module")
def sdk(server: Program) -> Any:
    """Return the output of tests/clients/scripts/openai_realtime.py."""
    python = python_environment("openai", OPENAI)
    return run_script([python], "openai_realtime.py", f"{server.url}/v1", WAV)


@pytest.mark.parametrize("kind", ["server_vad", "semantic_vad", "beta"])
def test_each_sentence_is_an_item_and_its_deltas_add_up(sdk: Any, kind: str) -> None:
    assert sdk[kind]["texts"] == sdk[kind]["deltas"] == SENTENCES
    assert sdk[kind]["types"].count(STARTED) == sdk[kind]["types"].count(STOPPED) == 3
    assert sdk[kind]["usage"]["type"] == "duration"


def test_the_sdk_knows_every_event_by_its_type(sdk: Any) -> None:
    assert sdk["server_vad"]["kinds"] == [
        "ConversationItemAdded",
        "ConversationItemDone",
        "ConversationItemInputAudioTranscriptionCompletedEvent",
        "ConversationItemInputAudioTranscriptionDeltaEvent",
        "InputAudioBufferClearedEvent",
        "InputAudioBufferCommittedEvent",
        "InputAudioBufferSpeechStartedEvent",
        "InputAudioBufferSpeechStoppedEvent",
        "SessionCreatedEvent",
        "SessionUpdatedEvent",
    ]


@pytest.mark.parametrize("kind", ["by_hand", "secret"])
def test_by_hand_one_commit_is_one_item(sdk: Any, kind: str) -> None:
    assert sdk[kind]["texts"] == [WHOLE]
    assert STARTED not in sdk[kind]["types"]
    assert sdk[kind]["types"].index(COMMITTED) < sdk[kind]["types"].index(CLEARED)


def test_a_live_model_writes_before_the_commit(sdk: Any) -> None:
    types = sdk["live"]["types"]
    assert types.index(DELTA) < types.index(COMMITTED)
    assert sdk["live"]["texts"] == sdk["live"]["deltas"] == [WHOLE]


def test_the_beta_protocol_has_its_own_names(sdk: Any) -> None:
    assert sdk["beta"]["types"][:2] == ["transcription_session.created", "transcription_session.updated"]
    assert "conversation.item.created" in sdk["beta"]["types"]
    assert "conversation.item.added" not in sdk["beta"]["types"]


def test_a_secret_is_what_the_sdk_expects(sdk: Any) -> None:
    secret = sdk["secret"]["secret"]
    assert secret["value"].startswith("ek_")
    assert secret["session"]["audio"]["input"]["turn_detection"] is None


def test_a_secret_that_is_not_ours_is_refused_as_openai_does_it(sdk: Any) -> None:
    assert sdk["refused"]["code"] == "invalid_api_key"
    assert "3000" in sdk["refused"]["closed"]
    assert "invalid_request_error.invalid_api_key" in sdk["refused"]["closed"]


def test_errors_come_in_order_and_name_what_they_are_about(sdk: Any) -> None:
    assert sdk["wrong"] == [
        ["error", "input_audio_buffer_commit_empty", "too early"],
        ["error", "response_not_supported", "no model"],
        ["error", "invalid_value", None],
        [CLEARED, None, None],
    ]


# frameworks


@ON_REQUEST
def test_openai_agents_hears_all_turns_and_ends_by_itself(server: Program) -> None:
    python = python_environment("openai-agents", "openai-agents[voice]==0.24.0")
    heard = run_script([python], "openai_agents.py", f"{server.url}/v1", WAV)
    assert heard["semantic_vad"] == heard["server_vad"] == SENTENCES
    assert len(heard["cut"]) == 1
    assert heard["nothing"] == []


@ON_REQUEST
def test_livekit_hears_speech_interim_and_final_texts(server: Program) -> None:
    python = python_environment("livekit-openai", "livekit-plugins-openai==1.8.9")
    heard = run_script([python], "livekit_openai.py", f"{server.url}/v1", WAV)
    for events in heard.values():
        kinds = [kind for kind, _ in events]
        assert kinds.count("start_of_speech") == kinds.count("end_of_speech") == 3
        finals = [text for kind, text in events if kind == "final_transcript"]
        assert len(finals) == 3
    assert [text for kind, text in heard["server_vad"] if kind == "final_transcript"] == SENTENCES


@ON_REQUEST
def test_pipecat_hears_each_sentence_by_its_own_detector_and_by_ours(server: Program) -> None:
    python = python_environment("pipecat-openai", "pipecat-ai[openai]==1.14.0")
    heard = run_script([python], "pipecat_openai.py", f"{server.url}/v1/realtime".replace("http", "ws"), WAV)
    assert heard["server_vad"]["finals"] == SENTENCES
    assert len(heard["by_hand"]["finals"]) == 3
    for each in heard.values():
        assert "".join(each["interims"]) == "".join(each["finals"])
        assert each["errors"] == []


# Node


@pytest.fixture(scope="module")
def node() -> str:
    """Return NODE_PATH with the packages that the clients need."""
    packages = ("openai@7.57.0", "ws@8.23.0", "@openai/agents-realtime@0.20.0")
    return str(node_environment("openai-node", *packages))


@ON_REQUEST
def test_agents_for_node_keep_a_history_of_what_was_said(server: Program, node: str) -> None:
    url = f"{server.url}/v1/realtime?model=gpt-realtime".replace("http", "ws")
    heard = run_script(["node"], "openai_agents_realtime.cjs", url, WAV, NODE_PATH=node)
    assert heard["errors"] == []
    assert heard["history"] == [["user", [sentence]] for sentence in SENTENCES]
    assert "conversation.item.retrieved" in heard["types"]


@ON_REQUEST
def test_the_sdk_for_node_speaks_over_tls(tmp_path: Path, node: str) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certfile, keyfile = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    with scripted(SSL_CERTFILE=certfile, SSL_KEYFILE=keyfile) as server:
        wait_until(lambda: "engine.ready" in server.log, seconds=60)
        url = server.url.replace("http://127.0.0.1", "https://localhost")
        trust = {"NODE_PATH": node, "NODE_EXTRA_CA_CERTS": str(tmp_path / "ca.pem")}
        heard = run_script(["node"], "openai_realtime.cjs", f"{url}/v1", WAV, **trust)
    for each in (heard["plain"], heard["secret"]):
        assert each["texts"] == SENTENCES
        assert (each["secure"], each["errors"]) == ("wss:", [])
    assert heard["refused"]["closed"] == [3000, "invalid_request_error.invalid_api_key"]

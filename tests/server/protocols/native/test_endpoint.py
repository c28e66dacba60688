"""Test the native protocol over real sockets, as docs/protocol.md describes it, also with invalid input."""

import asyncio
import base64
import json
import re
import struct
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams
from websockets.exceptions import ConnectionClosed, InvalidStatus

from asr.recognizer import ModelInfo
from engine.engine import Engine, EngineState
from journal.records import AudioRecord, CommandRecord, EndRecord
from server.admission.controller import AdmissionController
from server.auth.authenticator import Authenticator
from server.errors import ClientError
from server.observability.metrics import Metrics
from server.protocols.native.endpoint import NativeEndpoint
from server.protocols.native.protocol import NativeProtocol
from server.protocols.native.session_config import OPTIONAL_EVENTS, SessionConfig, session_from_query
from streaming.driver import StreamDriver
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from tests.examples import examples
from tests.server.fakes import Line, running_models, silent_models
from tests.server.live_server import (
    Client,
    Message,
    Server,
    dones,
    errors,
    first_sentence,
    free_settings,
    serve,
    spoken,
)
from tests.server.raw_websocket import RawClient
from tests.waiting import until, wait_until
from vad.segmenter import Reason

LIMIT = 1 << 20
DEFAULT = SessionConfig(SessionOptions())


def test_version_1_client_gets_only_finals(quiet_client: Client) -> None:
    quiet_client.talk(spoken(), sample_rate=16000)
    messages = quiet_client.end()
    assert quiet_client.close_code == 1000
    assert {message["type"] for message in messages} == {"response.audio_transcript.done"}
    assert [message["seq"] for message in messages] == [1, 2, 3]


def test_final_has_times_previous_item_and_audio(quiet_client: Client) -> None:
    pcm = spoken()
    quiet_client.talk(pcm)
    first, second, _ = quiet_client.end()
    assert first["previous_item_id"] is None
    assert second["previous_item_id"] == first["item_id"]
    assert 0 <= first["start_ms"] < first["end_ms"] <= second["start_ms"]
    assert first["reason"] == "silence"
    assert first["sample_rate"] == 16000
    heard = np.frombuffer(base64.b64decode(first["audio"]), "<i2")
    said = np.frombuffer(pcm, "<i2")[first["start_ms"] * 16 :][: len(heard)]
    assert np.abs(heard.astype(int) - said).max() <= 1


def test_subscriber_gets_every_event_and_the_sums(client: Client) -> None:
    assert client.hear()["type"] == "session.created"
    client.talk(first_sentence())
    messages = client.end()
    types = [message["type"] for message in messages if "acknowledged" not in message["type"]]
    shown = [t for t in types if t != "transcript.partial"]
    assert shown == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "response.audio_transcript.done",
        "session.closed",
    ]
    closed = messages[-1]
    assert closed["received_ms"] == len(first_sentence()) / 32
    assert closed["received_ms"] == closed["speech_ms"] + closed["non_speech_ms"] + closed["dropped_ms"]
    assert [m["seq"] for m in messages] == list(range(2, len(messages) + 2))
    assert len({m["item_id"] for m in messages if "item_id" in m}) == 1


def test_session_created_has_settings_limits_recognizer(client: Client) -> None:
    created = client.hear()
    assert created["session"]["vad"]["silence_ms"] == 300
    assert created["limits"]["max_message_bytes"] == LIMIT
    assert created["recognizer"]["model"] == "free"


def test_a_binary_client_needs_no_json(server: Server) -> None:
    with Client(f"{server.ws}?format=float32&sample_rate=16000&include_audio=false") as client:
        samples = np.frombuffer(first_sentence(), "<i2").astype("<f4") / 32768
        for start in range(0, len(samples.tobytes()), 5003):  # cut anywhere
            client.socket.send(samples.tobytes()[start : start + 5003])
        (final,) = client.end()
        assert "audio" not in final
        assert final["transcript"].startswith("w1 ")


def test_words_without_audio_can_be_requested(quiet_client: Client) -> None:
    quiet_client.say("session.update", session={"include_audio": False, "words": True, "nonsense": 1})
    updated = quiet_client.hear()
    assert updated["type"] == "session.updated"
    assert "nonsense" not in updated["session"]
    quiet_client.talk(first_sentence())
    (final,) = quiet_client.end()
    assert final["words"] == []
    assert "audio" not in final


def test_redacted_text_is_in_no_message_and_no_log(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with Client(f"{server.ws}?events=all&redact=aggressive_numbers") as client:
        client.talk(spoken())
        messages = client.end()
    assert not [message for message in messages if message["type"] == "transcript.partial"]
    finals = dones(messages)
    assert len(finals) == 3
    assert all(final["transcript"].startswith("w[NUMBER] w[NUMBER]") for final in finals)
    assert not any(char.isdigit() for final in finals for char in final["transcript"])
    assert "w1 " not in caplog.text + json.dumps(messages)


def test_a_commit_ends_the_utterance_at_once(client: Client) -> None:
    client.hear()
    client.talk(first_sentence()[: 32 * 1500])
    client.say("input_audio_buffer.commit")
    client.say("marker", id="m1")
    messages: list[Message] = []
    while not messages or messages[-1]["type"] != "marker":
        messages.append(client.hear())
    (final,) = dones(messages)
    assert final["reason"] == "commit"
    assert final["end_ms"] == 1500


def test_clear_drops_the_open_utterance(client: Client) -> None:
    client.hear()
    client.talk(first_sentence()[: 32 * 1500])
    client.say("input_audio_buffer.clear")
    messages = client.end()
    assert dones(messages) == []
    (cleared,) = (m for m in messages if m["type"] == "input_audio_buffer.cleared")
    assert cleared["dropped_ms"] == messages[-1]["dropped_ms"] > 0


def test_longer_silence_setting_ends_utterances_later(client: Client) -> None:
    client.hear()
    client.say("session.update", session={"vad": {"silence_ms": 3000}})
    client.talk(spoken())
    assert len(dones(client.end())) == 1


APPEND = "input_audio_buffer.append"
BAD_MESSAGES: list[tuple[str, Any, str, str | None]] = [
    ("not JSON", "{", "invalid_json", None),
    ("not an object", "[1]", "invalid_json", None),
    ("no type", {}, "invalid_value", "type"),
    ("a type that is no string", {"type": {"a": 1}}, "invalid_value", "type"),
    ("an unknown type", {"type": "x" * 1000}, "invalid_value", "type"),
    ("no audio", {"type": APPEND}, "invalid_audio", "audio"),
    ("audio that is no string", {"type": APPEND, "audio": [1, 2]}, "invalid_audio", "audio"),
    ("bad base64", {"type": APPEND, "audio": "AAAAA"}, "invalid_audio", "audio"),
    ("base64 with a stray character", {"type": APPEND, "audio": "AA=A"}, "invalid_audio", "audio"),
    ("audio that is not ASCII", {"type": APPEND, "audio": "äöü="}, "invalid_audio", "audio"),
    *(
        (f"sample_rate {rate!r}", {"type": APPEND, "audio": "AAAA", "sample_rate": rate}, code, "sample_rate")
        for code, rates in {
            "unsupported_sample_rate": [0, -16000, 7999, 192001, 1_000_000_000, "16000", True, 16000.5, None]
        }.items()
        for rate in rates
    ),
    *(
        (f"channels {n}", {"type": APPEND, "audio": "AAAA", "channels": n}, "invalid_value", "channels")
        for n in (0, 300, -1, "1", True)
    ),
    ("format", {"type": APPEND, "audio": "AAAA", "format": "mp3"}, "invalid_value", "format"),
    ("no session", {"type": "session.update"}, "invalid_value", "session"),
    (
        "a bad knob",
        {"type": "session.update", "session": {"vad": {"threshold": 2}}},
        "invalid_value",
        "session.vad.threshold",
    ),
    (
        "a knob of a wrong type",
        {"type": "session.update", "session": {"vad": {"silence_ms": "300"}}},
        "invalid_value",
        "session.vad.silence_ms",
    ),
    ("a bad language", {"type": "session.update", "session": {"language": "x" * 99}}, "invalid_value", None),
    ("a marker without id", {"type": "marker"}, "invalid_value", "id"),
    ("a marker too long", {"type": "marker", "id": "m" * 257}, "invalid_value", "id"),
]


@pytest.mark.parametrize(
    ("message", "code", "param"), [bad[1:] for bad in BAD_MESSAGES], ids=[bad[0] for bad in BAD_MESSAGES]
)
def test_invalid_input_gets_an_error_and_the_session_continues(
    quiet_client: Client, message: Any, code: str, param: str | None
) -> None:
    if isinstance(message, dict):
        message["event_id"] = "mine"
    quiet_client.socket.send(message if isinstance(message, str) else json.dumps(message))
    error = quiet_client.hear()
    assert error["type"] == "error"
    assert error["error"]["code"] == code
    assert error["message"] == error["error"]["message"]
    assert len(error["message"]) < 300
    if param is not None:
        assert error["error"]["param"] == param
        assert error["error"]["event_id"] == "mine"
    quiet_client.talk(first_sentence())
    (final,) = quiet_client.end()
    assert final["transcript"].startswith("w1 ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_audio_is_refused_without_an_effect(client: Client, value: float) -> None:
    client.hear()
    client.append(struct.pack("<3f", 0.1, value, 0.2), format="float32")
    client.talk(first_sentence())
    messages = client.end()
    assert [m["error"]["code"] for m in errors(messages)] == ["invalid_audio"]
    assert messages[-1]["received_ms"] == len(first_sentence()) / 32


def test_odd_last_byte_is_an_error_and_loses_nothing_else(client: Client) -> None:
    client.hear()
    client.talk(first_sentence() + b"\x00")
    messages = client.end()
    assert "1 bytes" in errors(messages)[0]["message"]
    assert messages[-1]["received_ms"] == len(first_sentence()) / 32
    assert len(dones(messages)) == 1


def test_a_bad_setting_refuses_the_whole_update(quiet_client: Client) -> None:
    quiet_client.say("session.update", session={"words": True, "vad": {"silence_ms": 99_999}})
    assert quiet_client.hear()["error"]["param"] == "session.vad.silence_ms"
    quiet_client.say("session.update", session={})
    session = quiet_client.hear()["session"]
    assert session["words"] is False
    assert session["vad"]["silence_ms"] == 300


@pytest.mark.parametrize("kind", ["text", "binary"])
def test_a_message_above_the_limit_closes_1009_with_its_reason(quiet_client: Client, kind: str) -> None:
    big = "x" * (LIMIT + 1)
    quiet_client.socket.send(big if kind == "text" else big.encode())
    messages = quiet_client.hear_until_closed()
    assert [m["error"]["code"] for m in messages] == ["message_too_large"]
    assert quiet_client.close_code == 1009


@pytest.mark.slow
def test_ten_megabytes_of_zeros_are_silence(client: Client) -> None:
    client.hear()
    for _ in range(20):
        client.socket.send(bytes(500_000))
    messages = client.end()
    assert dones(messages) == []
    assert messages[-1]["received_ms"] == messages[-1]["non_speech_ms"] == 10_000_000 / 32


def test_long_message_is_received_completely(client: Client) -> None:
    client.hear()
    client.socket.send(bytes(960_000))
    assert client.end()[-1]["received_ms"] == 30_000


def test_thousands_of_text_frames_are_answered(client: Client) -> None:
    client.hear()
    for n in range(3_000):
        client.say("marker", id=str(n))
    assert [client.hear()["id"] for _ in range(3_000)] == [str(n) for n in range(3_000)]
    for _ in range(1_000):
        client.socket.send("nonsense")
    assert {client.hear()["error"]["code"] for _ in range(1_000)} == {"invalid_json"}


def test_invalid_url_parameter_closes_the_connection(server: Server) -> None:
    for query in (
        "sample_rate=fast",
        "sample_rate=" + "9" * 5_000,  # more digits than Python makes a number of
        "sample_rate=-1",
        "sample_rate=",
        "channels=0",
        "channels=1.5",
        "languages=en,klingon",
        "channels=%C2%B2",
        "format=mp3",
        "words=perhaps",
        "language=" + "x" * 50,
    ):
        with Client(f"{server.ws}?{query}") as client:
            messages = client.hear_until_closed()
            assert len(messages) == 1
            assert messages[0]["error"]["param"] == "session." + query.split("=")[0]
            assert client.close_code == 4000


def test_rate_and_format_may_change_during_a_session(client: Client) -> None:
    client.hear()
    pcm = first_sentence()
    client.talk(pcm[:32_000], sample_rate=16000)
    slow = np.frombuffer(pcm[32_000:], "<i2")[::2]
    client.talk(slow.tobytes(), sample_rate=8000)
    messages = client.end()
    assert errors(messages) == []
    assert len(dones(messages)) == 1
    assert abs(messages[-1]["received_ms"] - len(pcm) / 32) <= 1


def test_speech_before_an_abort_is_transcribed(server: Server) -> None:
    name = 'stt_finals_total{reason="disconnect"}'
    try:
        before = server.metric(name)
    except KeyError:
        before = 0
    with Client(server.ws) as client:
        client.talk(first_sentence()[: 32 * 2000])
        client.socket.socket.close()
    for _ in range(2_000):
        try:
            if server.metric(name) > before:
                break
        except KeyError:
            continue
    else:
        pytest.fail("the open segment was not transcribed")


def test_bad_streams_do_not_affect_others(server: Server) -> None:
    with Client(server.ws) as good, Client(server.ws) as bad:
        pcm = spoken()
        for start in range(0, len(pcm), 3200):
            good.append(pcm[start : start + 3200])
            bad.socket.send("nonsense")
            bad.append(b"\xff" * 37, sample_rate=8000 + start % 7, channels=3)
        bad.socket.socket.close()
        assert len(dones(good.end())) == 3


def test_items_are_named_after_their_session(server: Server) -> None:
    names = set()
    for _ in range(2):
        with Client(server.ws) as client:
            client.talk(first_sentence())
            names.add(client.end()[0]["item_id"])
    assert len(names) == 2
    assert all(re.fullmatch(r"item_[0-9a-f]{12}_1", name) for name in names)


def test_messages_after_the_end_are_ignored(quiet_client: Client) -> None:
    quiet_client.say("end_of_stream")
    with suppress(ConnectionClosed):
        quiet_client.append(bytes(3200))
    assert quiet_client.hear_until_closed() == []
    assert quiet_client.close_code == 1000


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("events=all", {"events": sorted(OPTIONAL_EVENTS)}),
        ("events=session.closed,unknown,", {"events": ["session.closed"]}),
        ("language=de&prompt=%C3%A4%20b", {"language": "de", "prompt": "ä b"}),
        ("language=auto", {"language": None}),
        ("format=pcma&sample_rate=8000&channels=2", {"format": "pcma", "sample_rate": 8000, "channels": 2}),
        ("sample_rate=016000", {"sample_rate": 16000}),
        ("sample_rate=22050.0&channels=1.0", {"sample_rate": 22050}),
        ("languages=en,%20German&words=True", {"languages": ["en", "de"], "words": True}),
        ("include_audio=0&words=true", {"include_audio": False, "words": True}),
        ("words=false&words=1", {"words": True}),
        ("nonsense=1&vad=2", {}),
    ],
)
def test_the_url_sets_what_an_update_can_set(query: str, expected: dict[str, Any]) -> None:
    session = session_from_query(dict(QueryParams(query)))
    told = json.loads(json.dumps(DEFAULT.merged(session).effective()))
    assert told == DEFAULT.effective() | expected


@examples(50)
@given(query=st.dictionaries(st.sampled_from(sorted(DEFAULT.effective())), st.text()))
def test_any_url_parameter_is_merged_or_refused(query: dict[str, str]) -> None:
    with suppress(ClientError):
        DEFAULT.merged(session_from_query(query))


@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(marker=st.text(max_size=256))
def test_marker_is_returned_unchanged(client: Client, marker: str) -> None:
    client.say("marker", id=marker)
    message = client.hear()
    while message["type"] == "session.created":
        message = client.hear()
    assert (message["type"], message["id"]) == ("marker", marker)


@pytest.mark.parametrize("marker", ["\ud800", "a\udfff", "\udc00\ud800"])
def test_marker_that_is_not_unicode_is_refused(quiet_client: Client, marker: str) -> None:
    quiet_client.say("marker", id=marker)
    assert quiet_client.hear()["error"]["code"] == "invalid_json"
    quiet_client.say("marker", id="\x00\x7f\u2028")
    assert quiet_client.hear()["id"] == "\x00\x7f\u2028"


def test_empty_frames_are_invalid_json_or_no_audio(quiet_client: Client) -> None:
    quiet_client.socket.send("")
    assert quiet_client.hear()["error"]["code"] == "invalid_json"
    quiet_client.socket.send(b"")
    assert quiet_client.end() == []


def test_a_message_in_fragments_is_one_message(quiet_client: Client) -> None:
    quiet_client.socket.send(iter(['{"type": "mar', "", 'ker", "id"', ': "m"}']))
    assert quiet_client.hear()["id"] == "m"


def test_invalid_utf8_closes_1007_and_speech_is_transcribed(server: Server) -> None:
    with Client(server.ws) as client:
        client.talk(first_sentence())
        client.socket.send(b"\xff", text=True)
        client.hear_until_closed()
        assert client.close_code == 1007
    wait_until(lambda: server.metric("stt_open_sessions") == 0)


def test_sessions_above_the_limit_are_refused() -> None:
    with serve(free_settings(max_sessions=2)) as server, Client(server.ws) as one, Client(server.ws) as two:
        for client in (one, two):
            client.say("marker", id="in")
            client.hear()
        for _ in range(3):
            with pytest.raises(InvalidStatus) as refused, Client(f"{server.ws}?events=all"):
                pass
            answer = refused.value.response
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert json.loads(answer.body)["error"]["code"] == "server_overloaded"
        for client in (one, two):
            client.talk(first_sentence())
            assert len(dones(client.end())) == 1
        wait_until(lambda: server.metric("stt_open_sessions") == 0)
        with Client(server.ws) as again:
            again.talk(first_sentence())
            assert len(dones(again.end())) == 1


def test_get_says_whether_a_session_may_begin() -> None:
    with serve(free_settings(max_sessions=1)) as server:
        answer = server.get("/ws/stt")
        assert (answer.status_code, answer.json()) == (200, {"lag_ms": 0})
        with Client(server.ws) as client:
            client.talk(first_sentence())
            wait_until(lambda: server.metric("stt_open_sessions") == 1)
            refused = server.get("/ws/stt")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server_overloaded")
        assert refused.json()["lag_ms"] == 0
        assert int(refused.headers["retry-after"]) > 0


def test_disconnects_during_the_greeting_free_everything(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        with RawClient(f"{server.ws}?events=all") as client:
            client.hang_up()
    wait_until(lambda: server.metric("stt_open_sessions") == 0)
    wait_until(lambda: server.open_connections() <= 1)  # the connection of the request before
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_text_frames_of_many_clients_are_all_answered(server: Server) -> None:
    clients, frames = 8, 200

    def answers(number: int) -> set[str]:
        with Client(server.ws) as client:
            for n in range(frames):
                client.say("marker", id=f"{number}/{n}")
                client.socket.send("nonsense")
            client.talk(first_sentence())
            messages = client.end()
        assert len(errors(messages)) == frames
        assert len(dones(messages)) == 1
        assert [m["seq"] for m in messages] == list(range(1, len(messages) + 1))
        return {message["id"] for message in messages if message["type"] == "marker"}

    with ThreadPoolExecutor(clients) as pool:
        heard = list(pool.map(answers, range(clients)))
    assert heard == [{f"{number}/{n}" for n in range(frames)} for number in range(clients)]


# Recognizers by name.


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server with a second recognizer that loads and a third one that does not."""
    broken = tmp_path_factory.mktemp("broken")
    with serve(free_settings(asr_models=f"other=free,broken={broken}")) as running:
        yield running


def sessions(server: Server) -> dict[str, int]:
    return {model["name"]: model["sessions"] for model in server.get("/ready").json()["models"]}


def test_a_client_chooses_its_recognizer_in_the_url(library: Server) -> None:
    with Client(f"{library.ws}?model=other&events=all") as client:
        assert client.hear()["recognizer"]["model"] == "free"
        assert sessions(library) == {"free": 0, "other": 1, "broken": 0}
        with Client(library.ws) as another:
            another.talk(first_sentence())
            assert len(dones(another.end())) == 1
        client.talk(first_sentence())
        assert len(dones(client.end())) == 1
    wait_until(lambda: set(sessions(library).values()) == {0})
    assert library.metric("stt_models_loaded") == 2


def test_a_model_that_the_server_does_not_offer_is_not_loaded(library: Server) -> None:
    with Client(f"{library.ws}?model=org/name") as client:
        (error,) = errors(client.hear_until_closed())
        assert (error["error"]["code"], error["error"]["param"]) == ("invalid_value", "model")
        assert "'org/name'" in error["message"]
        assert "known: free, other, broken" in error["message"]
        assert client.close_code == 4000


def test_model_that_cannot_load_is_refused_for_now(library: Server) -> None:
    for _ in range(2):
        with Client(f"{library.ws}?model=broken") as client:
            (error,) = errors(client.hear_until_closed())
            assert (error["error"]["code"], error["error"]["retryable"]) == ("model_unavailable", True)
            assert client.close_code == 1013
    told = {model["name"]: model for model in library.get("/ready").json()["models"]}
    assert told["broken"]["state"] == "failed"
    assert "config.json" in told["broken"]["error"]
    assert library.get("/ready").status_code == 200


def test_the_model_does_not_change_within_a_session(quiet_client: Client) -> None:
    quiet_client.say("session.update", session={"model": "other"})
    error = quiet_client.hear()["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "session.model")
    quiet_client.talk(first_sentence())
    assert len(dones(quiet_client.end())) == 1


class SlowEngine(Engine):
    """Provide the recognizer when `gate` opens."""

    def __init__(self) -> None:
        super().__init__(free_settings().engine_options())
        self.state = EngineState.READY
        self.gate = asyncio.Event()

    @asynccontextmanager
    async def acquire(self, name: str | None = None) -> AsyncIterator[tuple[ModelClients, ModelInfo]]:
        await self.gate.wait()
        async with running_models() as models:
            yield models, ModelInfo("slow", "slow", "free", "cpu", "none")


def slow_door(engine: Engine, admission: AdmissionController, seconds: float = 60.0) -> NativeEndpoint:
    return NativeEndpoint(free_settings(), engine, admission, Metrics(), seconds, auth=Authenticator())


async def test_audio_sent_while_the_model_loads_is_transcribed() -> None:
    engine, line = SlowEngine(), Line()
    serving = asyncio.create_task(
        slow_door(engine, AdmissionController(1)).serve(line.asking("events=session.created"))
    )
    line.says(json.dumps({"type": "marker", "id": "early"}))
    line.says(json.dumps({"type": "end_of_stream"}))
    engine.gate.set()
    await serving
    assert [message["type"] for message in line.heard] == ["session.created", "marker"]
    assert line.heard[0]["recognizer"]["model"] == "slow"
    assert line.close == (1000, "")


async def test_wait_for_a_model_is_limited() -> None:
    line, admission = Line(), AdmissionController(1)
    await slow_door(SlowEngine(), admission, seconds=0.001).serve(line.asking())
    assert line.heard[0]["error"]["code"] == "models_not_ready"
    assert line.close == (1013, "models_not_ready")
    assert len(admission) == 0


async def test_client_that_waits_for_a_model_counts_as_a_stream() -> None:
    engine, admission = SlowEngine(), AdmissionController(1)
    door, first, second = slow_door(engine, admission), Line(), Line()
    waiting = asyncio.create_task(door.serve(first.asking()))
    await until(lambda: len(admission))
    await door.serve(second.asking())
    assert second.close == (1013, "server_overloaded")
    first.leaves()
    engine.gate.set()
    await waiting
    assert len(admission) == 0


async def test_stop_ends_the_wait_for_a_model() -> None:
    line, admission = Line(), AdmissionController(1)
    waiting = asyncio.create_task(slow_door(SlowEngine(), admission).serve(line.asking()))
    await until(lambda: len(admission))
    await admission.drain(60.0)
    await waiting
    assert line.heard[0]["error"]["code"] == "server_restarting"
    assert line.close == (1012, "server_restarting")


# Sessions of an earlier server.


def protocol_of(config: SessionConfig = DEFAULT) -> tuple[NativeProtocol, StreamDriver]:
    driver = StreamDriver(silent_models(), config.options)
    driver.__enter__()
    return NativeProtocol("5f1c", driver, config, {}, model="free", token="secret"), driver


def restored_from(before: NativeProtocol, refused: int = 0) -> tuple[NativeProtocol, StreamDriver]:
    saved = json.loads(json.dumps(before.saved()))
    driver = StreamDriver(silent_models(), SessionOptions())
    driver.__enter__()
    return NativeProtocol.restored("5f1c", driver, saved, refused), driver


def test_saved_protocol_is_restored() -> None:
    before, _ = protocol_of(DEFAULT.merged({"events": "all", "words": True}))
    before.receive(json.dumps({"type": "session.update", "session": {"vad": {"silence_ms": 700}}}))
    after, _ = restored_from(before, refused=2)
    assert after.resume_support is after
    assert after.key == before.key
    assert after.describe() == before.describe()
    assert after.describe()["vad"]["silence_ms"] == 700  # type: ignore[index]
    assert after.saved() == {**before.saved(), "commands": 3}


def test_token_is_not_saved() -> None:
    before, _ = protocol_of()
    assert "secret" not in json.dumps(before.saved())


def test_recorded_input_is_replayed() -> None:
    after, driver = restored_from(protocol_of()[0])
    assert after.replay(AudioRecord(np.zeros(1600, np.float32))) == ()
    update = json.dumps({"type": "session.update", "session": {"words": True}})
    (reply,) = after.replay(CommandRecord(update))
    assert reply["type"] == "session.updated"
    assert after.is_replayed([reply])
    assert (driver.received, driver.input_ended) == (1600, False)
    after.replay(EndRecord(Reason.DISCONNECT))
    assert driver.input_ended
    welcome = after.resumed_message(seen=5, replayed=2)
    told = (welcome["received_ms"], welcome["received_messages"], welcome["seq"])
    assert told == (100, 1, 5)


def test_replay_gives_replies_again_but_not_acknowledgements() -> None:
    protocol, _ = protocol_of(DEFAULT.merged({"events": "all"}))
    acknowledged = protocol.receive(bytes(2 * 2 * 16_000))
    assert [message["type"] for message in acknowledged] == ["input_audio_buffer.acknowledged"]
    assert not protocol.is_replayed(acknowledged)
    updated = protocol.receive(json.dumps({"type": "session.update", "session": {"words": True}}))
    assert protocol.is_replayed(updated)


def test_state_of_another_protocol_is_refused() -> None:
    with pytest.raises(KeyError):
        NativeProtocol.restored("5f1c", protocol_of()[1], {"model": "free"})


async def test_resume_at_a_stopping_server_is_retryable() -> None:
    """The session may be suspended already, so that this server no longer finds it."""
    line, admission = Line(), AdmissionController(1)
    await admission.drain(0.0)
    await slow_door(SlowEngine(), admission).serve(line.asking("resume=token&ack=0"))
    assert line.close == (1012, "server_restarting")

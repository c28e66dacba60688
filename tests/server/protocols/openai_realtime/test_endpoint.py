"""The Realtime door over real sockets: the handshake, big messages, and a conversation from end to end."""

import base64
import json
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests import plain_http
from tests.server.live_server import (
    Message,
    Server,
    cut_sentence,
    first_sentence,
    free_settings,
    serve,
    spoken,
)
from tests.server.realtime_reader import Reader

QUERY = "?intent=transcription"
RATE = {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}}


class Talker:
    """One connection, held to the order of its events. A context manager."""

    def __init__(
        self, server: Server, query: str = QUERY, path: str = "/v1/realtime", live: bool = False, **how: Any
    ) -> None:
        self._url = server.url.replace("http", "ws") + path + query
        self._how = how
        self._leaving = ExitStack()
        self._live = live
        self.reader = Reader(live=live)
        self.socket: ClientConnection
        self.created: Message
        self.closed: tuple[int, str] | None = None

    def __enter__(self) -> "Talker":
        self.socket = self._leaving.enter_context(
            connect(self._url, compression=None, max_size=None, **self._how)
        )
        self.created = json.loads(self.socket.recv(timeout=20))
        self.reader = Reader(live=self._live, beta=self.created["type"] != "session.created")
        if self.created["type"] != "error":
            self.reader.hear(self.created)
        return self

    def __exit__(self, *error: object) -> None:
        self._leaving.close()

    def say(self, type_: str, **fields: object) -> None:
        self.socket.send(json.dumps({"type": type_, **fields}))

    def append(self, pcm: bytes) -> None:
        self.say("input_audio_buffer.append", audio=base64.b64encode(pcm).decode())

    def talk(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), 3_200):
            self.append(pcm[start : start + 3_200])

    def hear(self) -> Message:
        message: Message = json.loads(self.socket.recv(timeout=20))
        self.reader.hear(message)
        return message

    def hear_until(self, type_: str) -> Message:
        while (message := self.hear())["type"] != type_:
            pass
        return message

    def rest(self) -> list[Message]:
        """All up to the close."""
        messages = []
        try:
            while True:
                messages.append(self.hear())
        except ConnectionClosed as closed:
            self.closed = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else None
        return messages

    def send_and_hear(self, message: str) -> None:
        self.socket.send(message)
        self.socket.recv(timeout=20)


def test_a_session_from_its_greeting_to_its_close(server: Server) -> None:
    with Talker(server) as talker:
        assert talker.created["session"]["type"] == "transcription"
        assert talker.created["session"]["audio"]["input"]["transcription"] is None
        assert talker.created["recognizer"]["model"] == "free"
        assert talker.created["event_id"].startswith("event_")
        talker.say("session.update", session={"type": "transcription", "nonsense": 1, **RATE})
        updated = talker.hear_until("session.updated")["session"]
        assert "nonsense" not in updated
        assert updated["id"] == talker.created["session"]["id"]
        talker.talk(spoken())
        talker.say("session.close")
        messages = talker.rest()
        assert messages[-1]["type"] == "session.closed"
        assert talker.closed == (1000, "")
        talker.reader.end()
        assert len(talker.reader.committed) == 3
        assert len({message["event_id"] for message in messages}) == len(messages)


def test_a_client_that_hangs_up_by_hand_gets_its_acknowledgements_in_order(server: Server) -> None:
    """As openai-agents ends."""
    with Talker(server) as talker:
        talker.say("session.update", session=RATE)
        talker.talk(first_sentence())
        talker.say("input_audio_buffer.commit", event_id="the last")
        talker.say("input_audio_buffer.clear")
        talker.hear_until("input_audio_buffer.cleared")
        while len(talker.reader.transcripts) < len(talker.reader.committed):
            talker.hear()
        assert len(talker.reader.committed) >= 1


def test_an_error_does_not_end_the_session(server: Server) -> None:
    with Talker(server) as talker:
        talker.say("response.create", event_id="mine")
        error = talker.hear()["error"]
        assert (error["code"], error["event_id"]) == ("response_not_supported", "mine")
        assert server.metric('stt_errors_total{code="response_not_supported"}') >= 1
        talker.socket.send("{")
        assert talker.hear()["error"]["code"] == "invalid_json"
        talker.say("input_audio_buffer.commit", event_id="empty")
        assert talker.hear()["error"]["code"] == "input_audio_buffer_commit_empty"
        talker.say("input_audio_buffer.clear")
        talker.hear_until("input_audio_buffer.cleared")


@pytest.mark.parametrize(
    ("query", "how", "code", "close"),
    [
        (QUERY, {"Authorization": "Bearer ek_unknown"}, "invalid_api_key", 3000),
        (QUERY, {"api-key": "ek_unknown"}, "invalid_api_key", 3000),
        ("", {"Authorization": "Bearer sk-1"}, "missing_model", 4000),
        ("?intent=chat", {}, "missing_model", 4000),
    ],
)
def test_a_refusal_is_an_error_and_then_a_close_that_says_the_same(
    server: Server, query: str, how: dict[str, str], code: str, close: int
) -> None:
    with Talker(server, query, additional_headers=how) as talker:
        assert talker.created["error"]["code"] == code
        assert talker.created["message"] == talker.created["error"]["message"]
        assert talker.rest() == []
        assert talker.closed == (close, f"invalid_request_error.{code}")


def test_a_browser_is_answered_its_subprotocol_and_brings_its_key_in_another(server: Server) -> None:
    offered = [Subprotocol(name) for name in ("realtime", "openai-insecure-api-key.sk-1")]
    with Talker(server, subprotocols=offered) as talker:
        assert talker.socket.subprotocol == "realtime"
        assert talker.created["type"] == "session.created"
    offered[1] = Subprotocol("openai-insecure-api-key.ek_1")
    with Talker(server, subprotocols=offered) as talker:
        assert talker.created["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("query", ["", QUERY, "?model=whisper-1"])
def test_a_client_secret_opens_sessions_with_its_settings(server: Server, query: str) -> None:
    asked = {"session": {"type": "transcription", **RATE}}
    secret = plain_http.post(f"{server.url}/v1/realtime/client_secrets", json=asked, timeout=60).json()[
        "value"
    ]
    for _ in range(2):
        with Talker(server, query, additional_headers={"Authorization": f"Bearer {secret}"}) as talker:
            assert talker.created["session"]["type"] == "transcription"
            assert talker.created["session"]["audio"]["input"]["format"]["rate"] == 16_000


@pytest.mark.parametrize(
    ("path", "query", "how"),
    [
        ("/v1/realtime", QUERY, {"additional_headers": {"OpenAI-Beta": "realtime=v1"}}),
        ("/v1/realtime", QUERY, {"subprotocols": ["realtime", "openai-beta.realtime-v1"]}),
        ("/openai/realtime", "?intent=transcription&api-version=1&deployment=whisper", {}),
    ],
)
def test_the_beta_protocol_is_flat(server: Server, path: str, query: str, how: dict[str, Any]) -> None:
    with Talker(server, query, path, **how) as talker:
        assert talker.created["type"] == "transcription_session.created"
        assert talker.created["session"]["input_audio_format"] == "pcm16"
        talker.say("transcription_session.update", session={"turn_detection": None})
        assert talker.hear()["type"] == "transcription_session.updated"
        talker.append(bytes(48_000))
        talker.say("input_audio_buffer.commit")
        assert talker.hear()["type"] == "input_audio_buffer.committed"
        assert talker.hear()["type"] == "conversation.item.created"


def test_a_session_that_names_only_a_model_is_no_transcription_by_name(server: Server) -> None:
    with Talker(server, "?model=gpt-realtime", "/openai/v1/realtime") as talker:
        session = talker.created["session"]
        assert (session["type"], session["model"]) == ("realtime", "gpt-realtime")


def test_the_model_that_is_named_does_the_work_if_it_is_here() -> None:
    with serve(free_settings(asr_models="second=free")) as server:
        for query, lent in {f"{QUERY}&model=second": ["second"], f"{QUERY}&model=whisper-1": []}.items():
            with Talker(server, query):
                models = server.get("/ready").json()["models"]
                assert [m["name"] for m in models if m["sessions"] and m["name"] == "second"] == lent


def test_a_live_session_hears_deltas_before_its_commit(server: Server) -> None:
    with Talker(server, f"{QUERY}&model=gpt-live-transcribe", live=True) as talker:
        assert talker.created["session"]["audio"]["input"]["turn_detection"] is None
        talker.say("session.update", session=RATE)
        talker.hear_until("session.updated")
        talker.talk(first_sentence())
        talker.hear_until("conversation.item.input_audio_transcription.delta")
        talker.say("input_audio_buffer.commit")
        completed = talker.hear_until("conversation.item.input_audio_transcription.completed")
        talker.say("conversation.item.retrieve", item_id=completed["item_id"])
        item = talker.hear_until("conversation.item.retrieved")["item"]
        (content,) = item["content"]
        assert content["transcript"] == completed["transcript"]
        assert len(base64.b64decode(content["audio"])) == len(first_sentence())


@pytest.mark.parametrize("mebibytes", [1, pytest.param(15, marks=pytest.mark.slow)])
def test_a_long_message_is_taken_in_and_others_go_on_meanwhile(server: Server, mebibytes: int) -> None:
    with Talker(server) as big, Talker(server) as small:
        big.append(bytes(mebibytes << 20))
        big.say("session.close")
        small.say("session.update", session=RATE)
        small.hear_until("session.updated")
        assert big.rest()[-1]["type"] == "session.closed"
        assert big.closed == (1000, "")


def test_a_message_above_the_limit_ends_its_connection_and_no_other(server: Server) -> None:
    """While the client may still be sending, so that it need not see the close."""
    with Talker(server) as beside:
        with pytest.raises(ConnectionClosed), Talker(server) as talker:
            talker.send_and_hear("x" * ((22 << 20) + 1))
        beside.say("input_audio_buffer.clear")
        assert beside.hear()["type"] == "input_audio_buffer.cleared"


def test_an_item_is_completed_if_the_client_sends_no_audio() -> None:
    with serve(free_settings(no_audio_seconds=0.2)) as server, Talker(server) as talker:
        talker.say("session.update", session={"type": "transcription", **RATE})
        talker.talk(cut_sentence())
        completed = talker.hear_until("conversation.item.input_audio_transcription.completed")
        assert talker.reader.committed == [completed["item_id"]]
        talker.talk(spoken())
        talker.say("session.close")
        talker.rest()
        assert len(talker.reader.committed) == 4


def test_a_client_without_turn_detection_ends_its_items_itself() -> None:
    silent = {"audio": {"input": {**RATE["audio"]["input"], "turn_detection": None}}}
    with serve(free_settings(no_audio_seconds=0.05)) as server, ExitStack() as clients:
        manual, other = (clients.enter_context(Talker(server)) for _ in range(2))
        manual.say("session.update", session={"type": "transcription", **silent})
        other.say("session.update", session={"type": "transcription", **RATE})
        manual.talk(cut_sentence())
        other.talk(cut_sentence())
        other.hear_until("conversation.item.input_audio_transcription.completed")
        manual.say("input_audio_buffer.commit")
        messages = [manual.hear(), manual.hear()]
    assert [message["type"] for message in messages] == ["session.updated", "input_audio_buffer.committed"]

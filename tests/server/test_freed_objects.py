"""Test that a finished session leaves no objects behind, not even reference cycles.

The garbage collector rarely examines objects that lived as long as a session.
"""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.server import ServerProtocol
from websockets.sync.client import connect

from server.connection.client_session import ClientSession
from server.connection.websocket import BoundedWebSocket
from server.http.multipart import MultipartForm
from server.protocols.deepgram.live_protocol import DeepgramProtocol
from server.protocols.native.input import NativeInput
from server.protocols.openai_realtime.input import RealtimeInput
from streaming.driver import StreamDriver
from streaming.session import Session
from tests import plain_http
from tests.server.live_server import ROOT, Client, Server, first_sentence, free_settings, serve
from tests.waiting import wait_until

KINDS = (
    ClientSession,
    MultipartForm,
    NativeInput,
    DeepgramProtocol,
    StreamDriver,
    RealtimeInput,
    ServerProtocol,
    Session,
    BoundedWebSocket,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("journals")
    with serve(free_settings(journal_dir=str(folder), resume_seconds=0.3)) as running:
        yield running


def talk(server: Server) -> None:
    with Client(f"{server.ws}?events=session.created,transcript.partial") as client:
        client.talk(first_sentence())
        client.end()


def talk_nonsense(server: Server) -> None:
    with Client(server.ws) as client:
        client.socket.send("{}")
        client.say("session.update", session={"vad": {"threshold": 7}})
        client.append(b"\x00" * 3, sample_rate=1)
        client.end()


def be_cut_off_and_come_back(server: Server) -> None:
    with Client(f"{server.ws}?events=session.created") as client:
        token = client.hear()["resume_token"]
        client.talk(first_sentence())
        client.socket.socket.close()
    with Client(f"{server.ws}?resume={token}") as client:
        client.end()


def leave_without_a_word(server: Server) -> None:
    with Client(f"{server.ws}?events=session.created") as client:
        client.talk(first_sentence())
        client.socket.socket.close()


def talk_as_to_openai(server: Server) -> None:
    with connect(server.ws.replace("/ws/stt", "/v1/realtime?intent=transcription")) as socket:
        socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA"}))
        socket.send(json.dumps({"type": "session.close"}))
        with suppress(ConnectionClosed):
            while True:
                socket.recv(timeout=20)


def talk_as_to_deepgram(server: Server) -> None:
    query = "/v1/listen?encoding=linear16&sample_rate=16000"
    with connect(server.ws.replace("/ws/stt", query)) as socket:
        socket.send(first_sentence())
        socket.send(json.dumps({"type": "CloseStream"}))
        with suppress(ConnectionClosed):
            while True:
                socket.recv(timeout=20)


def send_a_file(server: Server) -> None:
    files = {"file": ("test.wav", Path(ROOT / "test.wav").read_bytes())}
    answer = plain_http.post(
        f"{server.url}/v1/audio/transcriptions", files=files, data={"model": "whisper-1"}, timeout=60
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "visit",
    [
        talk,
        talk_nonsense,
        be_cut_off_and_come_back,
        leave_without_a_word,
        talk_as_to_openai,
        talk_as_to_deepgram,
        send_a_file,
    ],
)
def test_a_finished_session_leaves_no_objects(server: Server, visit: Callable[[Server], None]) -> None:
    gc.collect()
    gc.disable()
    try:
        visit(server)
        wait_until(lambda: not any(type(each) in KINDS for each in gc.get_objects()))
    finally:
        gc.enable()

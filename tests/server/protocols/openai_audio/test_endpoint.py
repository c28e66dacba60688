"""Test the HTTP endpoints of OpenAI's audio API."""

import asyncio
import base64
import io
import json
import socket
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import av
import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import Samples
from audio.codecs import Encoding, Format
from audio.wav_header import header
from server.admission.controller import AdmissionController
from server.http.upload import IN_MEMORY
from tests import plain_http
from tests.audio.test_files import two_tracks
from tests.diarization.voices import RuleClient
from tests.postprocessing.chat_server import Answer, ChatServer, chat_server, says
from tests.server.asgi_calls import NAME, Call, LittleEngine, asking, events_of, interleaved, rest_app, wav
from tests.server.live_server import ROOT, Server, first_sentence, free_settings, serve, spoken_apart
from tests.streaming.fakes import sound
from tests.streaming.working_models import BrokenDetector, HeldRecognizer, Recognizer, models
from tests.waiting import until, wait_until

SECOND = 16_000
SPOKEN = (ROOT / "test.wav").read_bytes()
# The silence between is long enough to end a segment of a file.
TALK = wav(sound((False, SECOND), (True, SECOND), (False, 4 * SECOND), (True, 2 * SECOND), (False, SECOND)))
FILE = ("file", ("speech.wav", SPOKEN))
APART = ("file", ("apart.wav", header(Encoding(Format.PCM16, 16_000)) + spoken_apart()))


def post(
    server: Server, path: str = "transcriptions", *, files: Any = (FILE,), **data: Any
) -> httpx.Response:
    return plain_http.post(
        f"{server.url}/v1/audio/{path}", data={"model": "whisper-1"} | data, files=files, timeout=60
    )


def error_of(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return answer.status_code, error["param"], error["code"]


@pytest.fixture(scope="module")
def narrow() -> Iterator[Server]:
    """Serve with low limits."""
    limits = {"max_upload_bytes": 600_000, "max_file_seconds": 20.0}
    with serve(free_settings(**limits)) as running:
        yield running


# answers


def test_word_document_is_a_zip_with_the_text(server: Server) -> None:
    answer = post(server, response_format="docx")
    assert answer.headers["content-type"].endswith("wordprocessingml.document")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert b"w1 w2" in archive.read("word/document.xml")


def test_part_of_a_file_has_the_times_of_the_file(server: Server) -> None:
    late = post(server, start="600")
    assert (late.status_code, late.json()["error"]["param"]) == (400, "start")
    answer = post(server, response_format="verbose_json", start="4", end="6").json()
    assert answer["duration"] == 2
    assert answer["segments"]
    assert all(4 <= segment["start"] < segment["end"] <= 6 for segment in answer["segments"])


@pytest.mark.parametrize("form", ["json", "verbose_json", "diarized_json", "srt", "vtt", "md"])
def test_redacted_text_is_in_no_format(server: Server, form: str) -> None:
    answer = post(server, response_format=form, redact="aggressive_numbers")
    assert answer.status_code == 200
    assert "w1" not in answer.text
    assert "NUMBER" in answer.text


def test_redacted_text_is_in_no_event(server: Server) -> None:
    answer = post(server, stream="true", redact="aggressive_numbers")
    assert "w[NUMBER]" in answer.text
    assert "w1" not in answer.text


@contextmanager
def summarizing(answer: Answer) -> Iterator[tuple[Server, ChatServer]]:
    """Run a server whose summaries come from an endpoint that always gives this answer."""
    with (
        chat_server(lambda request: answer) as served,
        serve(free_settings(summary_url=served.url, summary_model="small")) as server,
    ):
        yield server, served


def test_summary_is_in_json_documents_and_the_last_event() -> None:
    with summarizing(says("They count words.")) as (server, served):
        plain = post(server, summarize="true", response_format="verbose_json").json()
        streamed = events_of(post(server, summarize="true", stream="true").text)
        document = post(server, summarize="true", response_format="md").text
        post(server, summarize="true", response_format="srt")
    assert plain["summary"] == {"text": "They count words.", "method": "model", "model": "small"}
    assert streamed[-1]["summary"] == plain["summary"]
    assert "## Summary\n\nThey count words.\n" in document
    assert len(served.requests) == 3  # Subtitles have no place for a summary.


def test_chapters_are_in_json_with_times_and_in_documents() -> None:
    sentence = np.frombuffer(first_sentence(), "<i2") / np.float32(32_768)
    talk = wav(np.tile(np.concatenate([sentence, np.zeros(60 * 16_000, np.float32)]), 3))
    with summarizing(says("0:00:00 Begin\n0:02:07 *End*")) as (server, served):
        plain = post(server, files={"file": talk}, chapters="true", response_format="verbose_json").json()
        diarized = post(server, files={"file": talk}, chapters="true", response_format="diarized_json").json()
        document = post(server, files={"file": talk}, chapters="true", response_format="md").text
        assert "chapters" not in post(server, files={"file": talk}, chapters="true").json()
    assert plain["chapters"].get("model") == "small", plain
    assert [each["title"] for each in plain["chapters"]["items"]] == ["Begin", "*End*"]
    assert {each["start"] for each in plain["chapters"]["items"]} <= {
        each["start"] for each in plain["segments"]
    }
    assert diarized["chapters"] == plain["chapters"]
    assert "## Begin\n\n" in document
    assert "## \\*End\\*\n\n" in document
    assert len(served.requests) == 3


def test_chapters_without_a_model_are_none(server: Server) -> None:
    found = post(server, chapters="true", response_format="verbose_json").json()["chapters"]
    assert found == {"items": [], "reason": "the recording is shorter than two minutes"}


def test_summary_without_a_model_is_extractive(server: Server) -> None:
    summary = post(server, summarize="true").json()["summary"]
    assert summary.keys() == {"text", "method"}
    assert summary["method"] == "extractive"
    assert "w1 w2" in summary["text"]


def test_summary_of_a_failed_model_is_extractive_and_says_why() -> None:
    with summarizing((500, b"")) as (server, _):
        summary = post(server, summarize="true").json()["summary"]
    assert (summary["method"], summary["reason"]) == ("extractive", "the endpoint answered with status 500")


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("json", "application/json"),
        ("verbose_json", "application/json"),
        ("diarized_json", "application/json"),
        ("text", "text/plain; charset=utf-8"),
        ("srt", "text/plain; charset=utf-8"),
        ("vtt", "text/plain; charset=utf-8"),
        ("ass", "text/plain; charset=utf-8"),
        ("md", "text/markdown; charset=utf-8"),
    ],
)
def test_the_response_has_the_requested_format(server: Server, form: str, kind: str) -> None:
    answer = post(server, response_format=form)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert "w1 w2" in answer.text
    assert answer.headers["x-request-id"].startswith("req_")


def test_any_model_is_accepted_and_the_response_names_the_used_one(server: Server) -> None:
    answer = post(server, model="gpt-9-transcribe")
    assert (answer.headers["x-model"], answer.json()["model"]) == ("free", "free")


def test_file_is_segmented_at_long_silences(server: Server) -> None:
    segments = post(server, files=[APART], response_format="verbose_json").json()["segments"]
    assert len(segments) == 2
    assert all(one["end"] <= two["start"] for one, two in pairwise(segments))
    assert len(post(server, response_format="verbose_json").json()["segments"]) == 1


def test_strategy_of_the_client_ends_segments(server: Server) -> None:
    strategy = '{"type": "server_vad", "silence_duration_ms": 300}'
    asked = post(server, response_format="verbose_json", chunking_strategy=strategy)
    assert len(asked.json()["segments"]) == 3


def test_a_stream_is_server_sent_events(server: Server) -> None:
    answer = post(server, files=[APART], stream="true")
    assert answer.headers["content-type"].startswith("text/event-stream")
    *deltas, done = events_of(answer.text)
    assert (
        "".join(each["delta"] for each in deltas)
        == done["text"]
        == post(server, files=[APART]).json()["text"]
    )
    assert len(deltas) == 2


def test_audio_may_be_sent_in_json(server: Server) -> None:
    audio = {"data": base64.b64encode(SPOKEN).decode(), "format": "wav"}
    body = {"model": "whisper-1", "language": "en", "input_audio": audio}
    answer = plain_http.post(f"{server.url}/v1/audio/transcriptions", json=body, timeout=60)
    assert answer.json()["text"] == post(server).json()["text"]
    refused = plain_http.post(
        f"{server.url}/v1/audio/transcriptions", json=body | {"temperature": "0.5"}, timeout=60
    )
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "temperature")


def test_an_upload_that_is_spooled_to_disk_is_transcribed(server: Server) -> None:
    long = wav(np.tile(sound((True, SECOND), (False, SECOND)), 20))
    assert len(long) > IN_MEMORY
    told = post(server, files=[("file", ("a.wav", long))], response_format="verbose_json").json()
    assert told["duration"] == 40.0


def test_finals_of_files_are_counted(server: Server) -> None:
    post(server, files=[APART])  # A counter appears with its first final.
    before = server.metric('stt_finals_total{reason="silence"}')
    post(server, files=[APART])
    assert server.metric('stt_finals_total{reason="silence"}') > before
    path = 'path="/v1/audio/transcriptions"'
    assert server.metric(f'stt_http_requests_total{{{path},status="200"}}') > 0


# bad input


def flac(seconds: float, loudness: int = 0, rate: int = 16_000) -> bytes:
    """Return a flac file of noise, or of silence, which is very small."""
    chance = np.random.default_rng(3)
    stream = io.BytesIO()
    with av.open(stream, "w", format="flac") as container:
        track = container.add_stream("flac", rate=rate, layout="mono")
        for _ in range(round(seconds * rate) // 4_096):
            samples = (chance.uniform(-1, 1, (1, 4_096)) * loudness).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, layout="mono")
            frame.sample_rate = rate
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return stream.getvalue()


def test_eight_channels_are_mixed(server: Server) -> None:
    eight = wav(sound((True, SECOND)), channels=8)
    answer = post(server, files=[("file", ("a.wav", eight))], response_format="verbose_json")
    assert (answer.status_code, answer.json()["duration"]) == (200, 1.0)


def test_a_wav_with_a_wrong_length_is_read_to_its_end(server: Server) -> None:
    lying = SPOKEN[:40] + b"\xff\xff\xff\xff" + SPOKEN[44:]
    assert post(server, files=[("file", ("a.wav", lying))]).json() == post(server).json()


@pytest.mark.parametrize(
    "file",
    [b"not a sound at all" * 99, b"RIFF\x00\x00", b"#EXTM3U\nfile:///etc/passwd"],
    ids=["text", "half a header", "a playlist"],
)
def test_a_file_of_another_kind_is_refused(server: Server, file: bytes) -> None:
    answer = post(server, files=[("file", ("a.wav", file))])
    assert error_of(answer) == (400, "file", "invalid_audio")


@pytest.mark.parametrize("file", [b"", SPOKEN[:44]], ids=["nothing", "a header"])
@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_file_without_audio_has_one_error(server: Server, file: bytes, stream: str) -> None:
    answer = post(server, files=[("file", ("a.wav", file))], stream=stream)
    assert error_of(answer) == (400, "file", "audio_too_short")
    assert answer.json()["error"]["message"] == "The file contains no audio."


@pytest.mark.parametrize("form", ["json", "verbose_json", "diarized_json", "text", "srt"])
def test_a_truncated_file_is_transcribed_with_a_warning(server: Server, form: str) -> None:
    cut = flac(20.0, loudness=100)
    answer = post(server, files=[("file", ("a.flac", cut[: len(cut) // 2]))], response_format=form)
    (warning,) = json.loads(answer.headers["x-warnings"])
    assert warning.startswith("The file is incomplete: ")
    if form.endswith("json"):
        assert answer.json()["warnings"] == [warning]


def test_a_stream_ends_with_the_warnings(server: Server) -> None:
    cut = flac(20.0, loudness=100)
    answer = post(server, files=[("file", ("a.flac", cut[: len(cut) // 2]))], stream="true")
    assert events_of(answer.text)[-1]["warnings"][0].startswith("The file is incomplete: ")


def test_an_intact_file_has_no_warning(server: Server) -> None:
    answer = post(server)
    assert "warnings" not in answer.json()
    assert "x-warnings" not in answer.headers


@pytest.mark.parametrize(("asked", "track", "seconds"), [({}, 1, 2.0), ({"track": "0"}, 0, 1.0)])
def test_the_track_can_be_chosen(server: Server, asked: dict[str, str], track: int, seconds: float) -> None:
    files = [("file", ("a.mkv", two_tracks()))]
    told = post(server, files=files, response_format="verbose_json", **asked).json()
    assert (told["track"], told["duration"]) == (track, seconds)
    assert told["tracks"] == [
        {"index": 0, "language": "fra", "title": "Track 0", "default": False, "channels": 1},
        {"index": 1, "language": "eng", "title": "Track 1", "default": True, "channels": 1},
    ]


@pytest.mark.parametrize("track", ["2", "-1", "x"])
def test_an_unknown_track_is_refused(server: Server, track: str) -> None:
    answer = post(server, files=[("file", ("a.mkv", two_tracks()))], track=track)
    assert error_of(answer) == (400, "track", "invalid_value")


@pytest.mark.parametrize(
    ("files", "data", "error"),
    [
        ([("other", ("a.wav", SPOKEN))], {}, (400, "file", "missing_required_parameter")),
        ([FILE], {"model": ""}, (400, "model", "missing_required_parameter")),
        ([FILE], {"response_format": "pdf"}, (400, "response_format", "invalid_value")),
        ([FILE], {"redact": "names"}, (400, "redact", "invalid_value")),
        ([FILE], {"start": "3", "end": "2"}, (400, "end", "invalid_value")),
        ([FILE], {"start": "-1"}, (400, "start", "invalid_value")),
        ([FILE], {"language": "xx"}, (400, "language", "invalid_language_format")),
        ([FILE], {"temperature": "-1"}, (400, "temperature", "invalid_value")),
        ([FILE], {"temperature": "2"}, (400, "temperature", "invalid_value")),
        ([FILE, FILE], {}, (400, "file", "invalid_value")),
    ],
)
def test_a_bad_request_names_the_parameter(server: Server, files: Any, data: Any, error: Any) -> None:
    assert error_of(post(server, files=files, **data)) == error


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"model": "m"}', 400),
        (b'{"model": "m", "input_audio": "UklGRg=="}', 400),
        (b'{"model": "m", "input_audio": {"data": "!"}}', 400),
        (b'{"model": "m", "input_audio": {"data": "UklG"}}', 400),
    ],
)
def test_json_without_audio_is_refused(server: Server, body: bytes, status: int) -> None:
    headers = {"content-type": "application/json"}
    answer = plain_http.post(
        f"{server.url}/v1/audio/transcriptions", content=body, headers=headers, timeout=60
    )
    assert error_of(answer)[0] == status


def test_a_body_of_another_media_type_is_refused(server: Server) -> None:
    assert (
        error_of(plain_http.post(f"{server.url}/v1/audio/transcriptions", content=SPOKEN, timeout=60))[0]
        == 415
    )


def test_translation_by_another_model_is_refused(server: Server) -> None:
    assert error_of(post(server, "translations")) == (400, "model", "unsupported_value")


# limits


def test_an_upload_that_declares_too_many_bytes_is_refused(narrow: Server) -> None:
    with connection(narrow) as client:
        client.sendall(head(f"Content-Length: {1 << 40}\r\nExpect: 100-continue"))
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Maximum content size limit (600000) exceeded (1099511627776 bytes read)" in answer


def test_an_upload_of_unknown_length_is_refused_at_the_limit(narrow: Server) -> None:
    with connection(narrow) as client:
        client.sendall(head("Transfer-Encoding: chunked"))
        chunk = b"%x\r\n%b\r\n" % (1 << 20, bytes(1 << 20))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send_for_ever(client, chunk)
    wait_until(lambda: narrow.metric("stt_open_files") == 0)


def test_a_client_that_sends_everything_first_receives_the_refusal(narrow: Server) -> None:
    answer = post(narrow, files=[("file", ("a.wav", bytes(5 << 20)))])
    assert error_of(answer) == (413, None, None)
    assert answer.json()["error"]["type"] == "server_error"


def test_a_file_whose_header_is_too_long_is_refused(narrow: Server) -> None:
    answer = post(narrow, files=[("file", ("a.flac", flac(30.0)))])
    assert error_of(answer) == (413, "file", "audio_too_long")


def test_a_small_file_of_long_silence_is_refused_at_the_limit(narrow: Server) -> None:
    """Check a flac file of unknown length: its header says 0 samples."""
    bomb = bytearray(flac(1_200.0))
    assert len(bomb) < 300_000
    place = bomb.index(b"fLaC") + 4 + 4 + 13
    bomb[place] &= 0xF0
    bomb[place + 1 : place + 5] = bytes(4)
    answer = post(narrow, files=[("file", ("a.flac", bytes(bomb)))])
    assert error_of(answer) == (413, "file", "audio_too_long")


def test_an_interrupted_upload_leaves_no_file(server: Server) -> None:
    request = asking(file=SPOKEN)
    body = request.read()
    with connection(server) as client:
        kind = request.headers["content-type"]
        client.sendall(head(f"Content-Type: {kind}\r\nContent-Length: {len(body)}") + body[:100_000])
        wait_until(lambda: server.metric("stt_open_files") == 1)
    wait_until(lambda: server.metric("stt_open_files") == 0)
    assert post(server).status_code == 200


def connection(server: Server) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)))


def send_for_ever(client: socket.socket, data: bytes) -> None:
    while True:
        client.sendall(data)


def head(lines: str) -> bytes:
    kind = "" if "Content-Type" in lines else "Content-Type: multipart/form-data; boundary=b\r\n"
    return f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\n{kind}{lines}\r\n\r\n".encode()


def read_all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65_536):
        parts.append(part)
    return b"".join(parts)


# work: with models that answer when they are let


@dataclass
class Rig:
    app: FastAPI
    engine: LittleEngine
    files: AdmissionController
    recognizer: Recognizer

    def call(self, path: str = "transcriptions", file: bytes = TALK, **fields: Any) -> Call:
        return Call(self.app, asking(path, file=file, **fields))

    @property
    def slots(self) -> int:
        lent: int = self.engine._lent.slots.lent  # type: ignore[attr-defined]
        return lent


class GatedRecognizer(Recognizer):
    """Return the results of a batch each time it is released."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self.lets = asyncio.Semaphore(0)

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        asyncio.run_coroutine_threadsafe(self.lets.acquire(), self._loop).result()
        return super().transcribe(requests)


class BrokenRecognizer(Recognizer):
    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        raise RuntimeError("out of memory")


@asynccontextmanager
async def rig(
    recognizer: Recognizer | None = None, places: int = 2, load_seconds: float = 60.0, **engine: Any
) -> AsyncIterator[Rig]:
    recognizer = recognizer or Recognizer()
    detector = engine.pop("detector", None)
    async with models(recognizer, detector) as shared:
        little, files = LittleEngine(shared, **engine), AdmissionController(places, "files")
        yield Rig(rest_app(little, files, load_seconds=load_seconds), little, files, recognizer)


async def begun(held: Rig, call: Call) -> "asyncio.Task[Call]":
    """Return the call once the recognizer has a batch."""
    running = asyncio.create_task(call.run())
    await until(lambda: held.engine._lent.asr.items)
    return running


async def test_a_delta_is_sent_before_the_rest_is_transcribed() -> None:
    recognizer = GatedRecognizer()
    async with rig(recognizer) as little:
        call = little.call(stream="true")
        running = asyncio.create_task(call.run())
        recognizer.lets.release()
        await call.hears(b"transcript.text.delta")
        assert (call.status, len(call.events), running.done()) == (200, 1, False)
        recognizer.lets.release()
        await running
    assert [event["type"] for event in call.events] == [
        *["transcript.text.delta"] * 2,
        "transcript.text.done",
    ]


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_a_disconnect_stops_the_transcription(stream: str) -> None:
    held = HeldRecognizer()
    async with rig(held) as little:
        call = little.call(stream=stream)
        running = await begun(little, call)
        call.hangs_up()
        await running
        assert (len(little.files), little.slots, len(little.engine._lent.asr)) == (0, 0, 0)
        held.gate.set()
    assert call.status == (499 if stream == "false" else 200)


async def test_a_client_that_does_not_read_is_disconnected() -> None:
    async with rig() as little:
        door = rest_app(little.engine, little.files, free_settings(send_timeout_seconds=0.01))
        call = Call(door, asking(file=TALK, stream="true"))
        running = asyncio.create_task(call.run())
        await until(lambda: call.status is not None)
        call.reads.clear()
        await running
        assert (len(little.files), little.slots) == (0, 0)


async def test_a_full_server_answers_with_retry_after() -> None:
    held = HeldRecognizer()
    async with rig(held, places=1) as little:
        running = await begun(little, little.call())
        second = await little.call().run()
        assert (second.status, second.json["error"]["code"]) == (503, "server_overloaded")
        assert int(second.headers["retry-after"]) > 0
        held.gate.set()
        assert (await running).status == 200
        assert (await little.call().run()).status == 200


async def test_files_share_batches_with_each_other() -> None:
    held = HeldRecognizer()
    async with rig(held, places=4) as little:
        running = [asyncio.create_task(little.call().run()) for _ in range(4)]
        await until(lambda: little.engine._lent.asr.items + len(little.engine._lent.asr) >= 8)
        held.gate.set()
        assert {(await one).status for one in running} == {200}
    assert len(held.batches) < 8


async def test_running_requests_are_finished_at_shutdown() -> None:
    held = HeldRecognizer()
    async with rig(held) as little:
        running = await begun(little, little.call())
        draining = asyncio.create_task(little.files.drain(60.0))
        await asyncio.sleep(0)
        refused = await little.call().run()
        assert (refused.status, refused.json["error"]["code"]) == (503, "server_restarting")
        held.gate.set()
        assert (await running).status == 200
        await draining


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_unfinished_requests_are_answered_at_shutdown(stream: str) -> None:
    held = HeldRecognizer()
    async with rig(held) as little:
        running = await begun(little, little.call(stream=stream))
        await little.files.drain(0.0)
        call = await running
        held.gate.set()
    answer = call.json if stream == "false" else call.events[-1]
    assert answer["error"]["code"] == "server_restarting"
    assert call.status == (503 if stream == "false" else 200)


class EndlessRecognizer(Recognizer):
    """Write a loop for every clip."""

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return [Hypothesis("well " + "no " * 90) for _ in requests]


async def test_a_header_counts_the_filtered_texts() -> None:
    async with rig(EndlessRecognizer()) as little:
        call = await little.call(response_format="text").run()
        plain = await little.call(response_format="json").run()
    assert call.headers["x-filtered"] == "2"
    assert [each["guard"] for each in plain.json["filtered"]] == ["repetition"] * 2
    async with rig() as little:
        assert "x-filtered" not in (await little.call(response_format="text").run()).headers


async def test_a_failed_segment_fails_the_request() -> None:
    """Check that an incomplete text is not returned as the transcript."""
    async with rig(BrokenRecognizer()) as little:
        whole = await little.call().run()
        assert (whole.status, whole.json["error"]["code"]) == (500, "transcription_failed")
        stream = await little.call(stream="true").run()
        assert (stream.status, stream.events[-1]["error"]["code"]) == (200, "transcription_failed")


async def test_a_failed_detector_fails_the_request() -> None:
    async with rig(detector=BrokenDetector()) as little:
        call = await little.call().run()
        assert (call.status, call.json["error"]["code"]) == (500, "internal_error")


async def test_a_multilingual_model_translates() -> None:
    async with rig(translates=True) as little:
        call = await little.call("translations", response_format="verbose_json").run()
    assert (call.status, call.json["task"], call.json["language"]) == (200, "translate", "english")
    assert call.headers["x-model"] == NAME


async def test_an_english_model_translates_by_transcribing() -> None:
    async with rig(languages=("en",)) as little:
        call = await little.call("translations", response_format="verbose_json").run()
        transcribed = await little.call().run()
    assert (call.status, call.json["task"], call.json["language"]) == (200, "translate", "english")
    assert call.json["text"] == transcribed.json["text"]
    assert (call.json["model"], call.headers["x-model"]) == (NAME, NAME)


@pytest.mark.parametrize("languages", [(), ("de",), ("en", "de")])
async def test_another_model_does_not_translate(languages: tuple[str, ...]) -> None:
    async with rig(languages=languages) as little:
        call = await little.call("translations").run()
    assert (call.status, call.json["error"]["code"]) == (400, "unsupported_value")


async def test_the_wait_for_a_model_is_bounded() -> None:
    async with rig(load_seconds=0.001) as little:
        little.engine.gate.clear()
        call = await little.call().run()
    assert (call.status, call.json["error"]["code"]) == (503, "models_not_ready")
    assert "retry-after" in call.headers


async def test_the_body_is_read_before_a_refusal_up_to_the_limit() -> None:
    async with rig(places=0) as little:
        request = asking(file=TALK)
        whole = await Call(little.app, request, TALK, TALK).run()
        assert (whole.status, "connection" in whole.headers) == (503, False)


async def test_finals_of_files_wait_behind_those_of_live_streams() -> None:
    held = HeldRecognizer()
    async with rig(held) as little:
        running = await begun(little, little.call())
        asr = little.engine._lent.asr
        await until(lambda: len(asr))
        assert [len(queue) for queue in asr._queues[:3]] == [0, 0, 0]
        held.gate.set()
        await running


def test_the_error_of_invalid_json_has_a_position(server: Server) -> None:
    headers = {"content-type": "application/json"}
    answer = plain_http.post(
        f"{server.url}/v1/audio/transcriptions", content=b"{", headers=headers, timeout=60
    )
    assert "not JSON" in json.loads(answer.text)["error"]["message"]


# speakers

TWO_VOICES = wav(
    np.concatenate(
        [
            sound((False, SECOND), (True, 3 * SECOND), (False, 4 * SECOND)),
            -sound((True, 3 * SECOND), (False, SECOND)),
        ]
    )
)


def data_url(samples: Samples) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(wav(samples)).decode()}"


@asynccontextmanager
async def speakers_rig(client: RuleClient | None) -> AsyncIterator[Rig]:
    async with models(Recognizer()) as shared:
        little, files = LittleEngine(replace(shared, speakers=client)), AdmissionController(2, "files")
        yield Rig(rest_app(little, files), little, files, Recognizer())


async def answered(client: RuleClient | None, **fields: str) -> Call:
    async with speakers_rig(client) as rig:
        return await rig.call(file=TWO_VOICES, **fields).run()


async def test_diarized_json_names_the_speakers() -> None:
    call = await answered(RuleClient(), response_format="diarized_json")
    assert [each["speaker"] for each in call.json["segments"]] == ["A", "B"]


async def test_known_speakers_are_named() -> None:
    call = await answered(
        RuleClient(),
        response_format="diarized_json",
        known_speaker_names="Ann",
        known_speaker_references=data_url(-sound((True, 3 * SECOND))),
    )
    assert [each["speaker"] for each in call.json["segments"]] == ["A", "Ann"]


async def test_subtitles_name_the_speakers_on_request() -> None:
    assert b"<v B>" in (await answered(RuleClient(), response_format="vtt", diarize="true")).body
    assert b"<v" not in (await answered(RuleClient(), response_format="vtt")).body


async def test_stream_has_speakers_at_the_end() -> None:
    call = await answered(RuleClient(), response_format="diarized_json", stream="true")
    segments = [event for event in call.events if event["type"] == "transcript.text.segment"]
    assert [each["speaker"] for each in segments] == ["A", "B"]


async def test_server_without_speakers_refuses_only_who_insists() -> None:
    usual = await answered(None, response_format="diarized_json")
    assert {each["speaker"] for each in usual.json["segments"]} == {"A"}
    insisting = await answered(None, diarize="true")
    assert (insisting.status, insisting.json["error"]["param"]) == (400, "diarize")


async def test_channels_are_speakers_on_request() -> None:
    second = sound((False, 2 * SECOND), (True, SECOND), (False, SECOND))
    file = interleaved(sound((True, SECOND), (False, 3 * SECOND)), second)
    async with speakers_rig(None) as rig:
        call = await rig.call(file=file, response_format="diarized_json", multichannel="true").run()
        mixed = await rig.call(file=file, response_format="verbose_json").run()
    assert [each["speaker"] for each in call.json["segments"]] == ["A", "B"]
    assert "speaker" not in mixed.json["segments"][0]


async def test_too_many_channels_are_a_400() -> None:
    async with speakers_rig(None) as rig:
        file = wav(sound((True, SECOND)), channels=9)
        call = await rig.call(file=file, multichannel="true").run()
    assert (call.status, call.json["error"]["code"]) == (400, "too_many_channels")


async def test_unusable_model_of_speakers_is_a_503() -> None:
    call = await answered(RuleClient(broken=True), response_format="diarized_json")
    assert (call.status, call.json["error"]["code"]) == (503, "speakers_unavailable")
    assert "no weights" in call.json["error"]["message"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("Ann's voice", "no data URL"),
        ("data:audio/wav;base64,!!!!", "cannot be decoded"),
        ("data:audio/wav;base64,AAAA", "cannot be decoded"),
        (data_url(sound((True, SECOND // 2))), "shorter than a second"),
    ],
)
async def test_unusable_clip_of_a_speaker_is_refused(url: str, reason: str) -> None:
    call = await answered(RuleClient(), known_speaker_names="Ann", known_speaker_references=url)
    error = call.json["error"]
    assert (call.status, error["param"]) == (400, "known_speaker_references")
    assert reason in error["message"]

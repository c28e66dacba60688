"""Jobs over HTTP, with a real server, database and worker."""

import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.http.upload import IN_MEMORY
from tests import plain_http
from tests.audio.test_files import two_tracks
from tests.server.asgi_calls import wav
from tests.server.job_requests import ALICE, BOB, CALL, SPOKEN, ask, ended, error_of, events_of, submit
from tests.server.live_server import Message, Server, free_settings, serve, spoken
from tests.server.server_process import MAIN, program
from tests.streaming.fakes import sound
from tests.waiting import wait_until

OF_A_JOB = (
    ("GET", ""),
    ("DELETE", ""),
    ("GET", "/transcript"),
    ("GET", "/events"),
    ("GET", "/deliveries"),
)
STATES = ("queued", "fetching", "transcribing", "succeeded", "failed", "cancelled")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve two keys, with a worker."""
    folder = tmp_path_factory.mktemp("jobs")
    with serve(
        free_settings(data_dir=str(folder), api_keys=f"alice:{ALICE},bob:{BOB}", max_upload_bytes=4 << 20)
    ) as server:
        yield server


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve without keys and without a worker, so that jobs stay queued."""
    folder = tmp_path_factory.mktemp("idle")
    with serve(free_settings(data_dir=str(folder), jobs_at_once=0, max_jobs=40)) as server:
        yield server


# From the file to the text


def test_upload_becomes_text_in_every_format(jobs: Server) -> None:
    job = submit(jobs, metadata="mine", language="english", priority="low")
    assert (job["object"], job["source"]["name"], job["source"]["bytes"]) == ("job", "talk.wav", len(SPOKEN))
    done = ended(jobs, job)
    assert (done["status"], done["model"], done["metadata"]) == ("succeeded", "free", "mine")
    assert (done["priority"], done["error"], done["position"]) == ("low", None, None)
    assert done["progress"] == {
        "bytes_done": 0,
        "bytes_total": None,
        "seconds_done": 12.03,
        "seconds_total": 12.03,
        "step": None,
    }
    assert done["created_at"] <= done["started_at"] <= done["finished_at"] < done["expires_at"]
    path = f"/{job['id']}/transcript"
    text = ask(jobs, "GET", path).json()
    assert (text["object"], text["status"], text["duration"]) == ("job.transcript", "succeeded", 12.03)
    assert text["text"].startswith("w1 w2")
    assert text["segments"][0]["text"].startswith("w1 w2")
    plain, srt, vtt = (ask(jobs, "GET", path, params={"format": form}) for form in ("text", "srt", "vtt"))
    assert plain.text.startswith("w1 w2")
    assert plain.headers["x-job-status"] == "succeeded"
    assert srt.text.startswith("1\n00:00:0")
    assert vtt.text.startswith("WEBVTT")
    assert vtt.headers["content-type"].startswith("text/vtt")


def test_text_is_the_same_as_without_a_job(jobs: Server) -> None:
    job = submit(jobs)
    ended(jobs, job)
    direct = plain_http.post(
        f"{jobs.url}/v1/audio/transcriptions",
        headers={"authorization": f"Bearer {ALICE}"},
        data={"model": "free"},
        files={"file": SPOKEN},
        timeout=60,
    )
    assert ask(jobs, "GET", f"/{job['id']}/transcript").json()["text"] == direct.json()["text"]


def test_channels_apart_are_those_of_a_request(jobs: Server) -> None:
    job = submit(jobs, CALL, multichannel="true", diarize="true")
    ended(jobs, job)
    path = f"/{job['id']}/transcript"
    segments = ask(jobs, "GET", path).json()["segments"]
    assert [each["speaker"] for each in segments] == ["B", "A"]
    for form in ("text", "srt", "vtt"):
        direct = plain_http.post(
            f"{jobs.url}/v1/audio/transcriptions",
            headers={"authorization": f"Bearer {ALICE}"},
            data={"model": "free", "multichannel": "true", "response_format": form},
            files={"file": CALL},
            timeout=60,
        ).text
        found = ask(jobs, "GET", path, params={"format": form}).text
        if form == "text":  # one line here, a line with its speaker for each segment there
            assert [line[:2] for line in found.splitlines()] == ["B:", "A:"]
        else:
            assert found == direct


def test_trimmed_job_has_the_times_of_the_file(jobs: Server) -> None:
    job = submit(jobs, start="4", end="9.5")
    assert ended(jobs, job)["progress"]["seconds_total"] == 5.5
    segments = ask(jobs, "GET", f"/{job['id']}/transcript").json()["segments"]
    assert segments
    assert all(4 <= each["start"] < each["end"] <= 9.5 for each in segments)


def test_job_lists_the_tracks_of_its_file(jobs: Server) -> None:
    done = ended(jobs, submit(jobs, two_tracks()))
    assert done["track"] == 1
    assert done["tracks"] == [
        {"index": 0, "language": "fra", "title": "Track 0", "default": False, "channels": 1},
        {"index": 1, "language": "eng", "title": "Track 1", "default": True, "channels": 1},
    ]


def test_upload_that_is_spooled_to_disk_is_transcribed(jobs: Server) -> None:
    data = wav(sound((True, 16_000), (False, 600_000)))
    assert len(data) > IN_MEMORY
    assert ended(jobs, submit(jobs, data))["status"] == "succeeded"


def test_file_without_audio_fails_with_a_name(jobs: Server) -> None:
    done = ended(jobs, submit(jobs, b"no sound at all"))
    assert (done["status"], done["error"]["code"]) == ("failed", "invalid_audio")


@pytest.mark.slow
def test_accepted_job_survives_a_kill(tmp_path: Path) -> None:
    settings = {"DATA_DIR": str(tmp_path), "ASR_WORKER": "thread"}
    with program(MAIN, **settings) as server:
        assert server.ready()["ready"]
        sent = [
            plain_http.post(f"{server.url}/v1/jobs", files={"file": SPOKEN}, timeout=60).json()
            for _ in range(3)
        ]
        server.process.kill()
    with program(MAIN, **settings) as server:

        def read() -> list[Message]:
            return [server.get(f"/v1/jobs/{job['id']}").json() for job in sent]

        wait_until(lambda: all(job["status"] == "succeeded" for job in read()), 60)
        texts = {server.get(f"/v1/jobs/{job['id']}/transcript?format=text").text for job in sent}
    assert len(texts) == 1


# Summaries


def test_summary_is_part_of_the_transcript(jobs: Server) -> None:
    job = submit(jobs, summarize="true", language="en")
    events = events_of(ask(jobs, "GET", f"/{job['id']}/events").text)
    path = f"/{job['id']}/transcript"
    summary = ask(jobs, "GET", path).json()["summary"]
    assert (summary["method"], summary["model"], summary["reason"]) == ("extractive", None, None)
    assert "w1 w2" in summary["text"]
    assert f"## Summary\n\n{summary['text']}" in ask(jobs, "GET", path, params={"format": "md"}).text
    assert ask(jobs, "GET", path, params={"format": "text"}).text.count("w1 w2") == 1
    steps = {data["progress"]["step"] for kind, data in events if kind == "job"}
    assert steps <= {None, "summary"}
    assert events[-1][1]["progress"]["step"] is None


def test_job_without_the_option_has_no_summary(jobs: Server) -> None:
    job = submit(jobs)
    ended(jobs, job)
    assert ask(jobs, "GET", f"/{job['id']}/transcript").json()["summary"] is None


# Callbacks


def test_tries_to_reach_a_callback_are_listed(jobs: Server) -> None:
    job = submit(jobs, callback="http://127.0.0.1:9/")  # an address that a server refuses by default
    ended(jobs, job)
    wait_until(lambda: ask(jobs, "GET", f"/{job['id']}").json()["callback"] == "failed")
    listed = ask(jobs, "GET", f"/{job['id']}/deliveries").json()
    (tried,) = listed["data"]
    assert (listed["object"], tried["status_code"]) == ("list", None)
    assert "private network" in tried["error"]
    assert tried["started_at"] > job["created_at"]


def test_job_without_a_callback_has_no_deliveries(idle: Server) -> None:
    listed = ask(idle, "GET", f"/{submit(idle)['id']}/deliveries").json()
    assert listed == {"object": "list", "data": []}


# Events


def test_events_end_with_the_job_and_have_all_its_text(jobs: Server) -> None:
    job = submit(jobs)
    answer = ask(jobs, "GET", f"/{job['id']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer.text)
    segments = [data for kind, data in events if kind == "segment"]
    kind, last = events[-1]
    assert (kind, last["status"]) == ("job", "succeeded")
    assert segments == ask(jobs, "GET", f"/{job['id']}/transcript").json()["segments"]
    states = [STATES.index(data["status"]) for kind, data in events if kind == "job"]
    assert states == sorted(states)


def test_events_of_a_deleted_job_end_with_an_error(idle: Server) -> None:
    job = submit(idle)
    events: list[tuple[str, Message]] = []

    def listen() -> None:
        events.extend(events_of(ask(idle, "GET", f"/{job['id']}/events").text))

    listener = threading.Thread(target=listen)
    listener.start()
    wait_until(lambda: idle.open_connections() > 0)
    assert ask(idle, "DELETE", f"/{job['id']}").json()["status"] == "cancelled"
    ask(idle, "DELETE", f"/{job['id']}")
    listener.join(30)
    kind, last = events[-1]
    assert (kind, last.get("status"), last.get("code")) in (
        ("job", "cancelled", None),  # it was seen before the job was deleted
        ("error", None, "job_not_found"),
    )


@pytest.mark.slow
def test_events_end_when_the_server_stops(tmp_path: Path) -> None:
    with program(MAIN, DATA_DIR=str(tmp_path), JOBS_AT_ONCE="0", ASR_WORKER="thread") as server:
        assert server.ready()["ready"]
        sent = plain_http.post(f"{server.url}/v1/jobs", files={"file": SPOKEN}, timeout=60)
        text = ""
        path = f"{server.url}/v1/jobs/{sent.json()['id']}/events"
        with (
            httpx.Client(verify=False, timeout=60) as client,
            client.stream("GET", path) as answer,
        ):
            for piece in answer.iter_text():
                if not text:
                    server.process.send_signal(signal.SIGTERM)
                text += piece
        assert server.exit_status() == 0
        assert "ERROR" not in server.log
    (kind, job), (last, error) = events_of(text)
    assert (kind, job["status"], last, error["code"]) == ("job", "queued", "error", "server_restarting")


# Queue, cancellation, deletion


def test_queued_job_has_its_position_and_is_cancelled_then_deleted(idle: Server) -> None:
    first, second = submit(idle), submit(idle)
    positions = [ask(idle, "GET", f"/{job['id']}").json()["position"] for job in (first, second)]
    assert positions[1] == positions[0] + 1
    for job in (first, second):
        path = f"/{job['id']}"
        cancelled = ask(idle, "DELETE", path).json()
        assert (cancelled["object"], cancelled["status"]) == ("job", "cancelled")
        assert ask(idle, "GET", f"{path}/transcript", params={"format": "text"}).text == ""
        assert ask(idle, "DELETE", path).json() == {"id": job["id"], "object": "job", "deleted": True}
        assert error_of(ask(idle, "GET", path)) == (404, None, "job_not_found")


def test_job_that_has_ended_can_be_kept(jobs: Server) -> None:
    job = submit(jobs)
    done = ended(jobs, job)
    assert ask(jobs, "DELETE", f"/{job['id']}", params={"keep": "true"}).json() == done
    assert ask(jobs, "GET", f"/{job['id']}").json() == done


def test_deleted_job_leaves_no_file(tmp_path: Path) -> None:
    with serve(free_settings(data_dir=str(tmp_path), jobs_at_once=0)) as server:
        job = submit(server)
        assert len(list((tmp_path / "audio").glob("??/*"))) == 1
        for _ in range(2):
            ask(server, "DELETE", f"/{job['id']}")
        assert list((tmp_path / "audio").glob("??/*")) == []


def test_pages_list_the_newest_jobs_first(tmp_path: Path) -> None:
    with serve(free_settings(data_dir=str(tmp_path), jobs_at_once=0)) as server:
        ids = [submit(server)["id"] for _ in range(5)]
        ask(server, "DELETE", f"/{ids[1]}")
        first = ask(server, "GET", params={"limit": 3}).json()
        second = ask(server, "GET", params={"limit": 3, "after": first["last_id"]}).json()
        assert [job["id"] for job in (*first["data"], *second["data"])] == ids[::-1]
        assert (first["has_more"], second["has_more"]) == (True, False)
        cancelled = ask(server, "GET", params={"status": "cancelled, failed"}).json()
        assert [job["id"] for job in cancelled["data"]] == [ids[1]]


def test_jobs_above_the_bound_are_refused(tmp_path: Path) -> None:
    with serve(free_settings(data_dir=str(tmp_path), jobs_at_once=0, max_jobs=1)) as server:
        submit(server)
        refused = ask(server, "POST", files={"file": SPOKEN})
    assert error_of(refused) == (503, None, "too_many_jobs")
    assert int(refused.headers["retry-after"]) > 0


# Idempotency


def test_same_idempotency_key_gives_the_same_job(idle: Server) -> None:
    def send(data: bytes = SPOKEN, **fields: str) -> httpx.Response:
        headers = {"idempotency-key": "request-7"}
        return ask(idle, "POST", files={"file": data}, data=fields, headers=headers)

    first, again = send(), send()
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    assert error_of(send(language="en")) == (409, "Idempotency-Key", "idempotency_conflict")
    assert error_of(send(wav(sound((True, 1_000))))) == (409, "Idempotency-Key", "idempotency_conflict")
    too_long = ask(idle, "POST", files={"file": SPOKEN}, headers={"idempotency-key": "x" * 201})
    assert error_of(too_long) == (400, "Idempotency-Key", "invalid_value")


# Bad requests


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "", "state"),
        ("POST", "", "language"),
        ("GET", "/job_1", "limit"),
        ("DELETE", "/job_1", "force"),
        ("GET", "/job_1/transcript", "formats"),
        ("GET", "/job_1/events", "after"),
        ("GET", "/job_1/deliveries", "limit"),
    ],
)
def test_unknown_parameter_of_a_url_is_named(idle: Server, method: str, path: str, name: str) -> None:
    refused = ask(idle, method, path, params={name: "1"})
    assert error_of(refused) == (400, name, "unknown_parameter")


def test_known_parameters_of_a_url_are_listed(idle: Server) -> None:
    message = ask(idle, "GET", params={"limit": 1, "state": "queued"}).json()["error"]["message"]
    assert message == "Unknown parameter 'state' in the URL. Known ones: limit, after, status."
    assert ask(idle, "GET", params={"limit": 1, "token": "tk_1"}).status_code == 200


def test_field_of_a_form_that_comes_twice_is_named(idle: Server) -> None:
    refused = ask(idle, "POST", files={"file": SPOKEN}, data={"language": ["en", "de"]})
    assert error_of(refused) == (400, "language", "invalid_value")


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"language": "klingonese"}, "language", "invalid_language_format"),
        ({"start": "5", "end": "4"}, "end", "invalid_value"),
        ({"start": "-1"}, "start", "invalid_value"),
        ({"temperature": "7"}, "temperature", "invalid_value"),
        ({"words": "perhaps"}, "words", "invalid_value"),
        ({"summarize": "perhaps"}, "summarize", "invalid_value"),
        ({"hotwords": "x" * 101}, "hotwords", "invalid_value"),
        ({"redact": "names"}, "redact", "invalid_value"),
        ({"colour": "red"}, "colour", "unknown_parameter"),
        ({"url": "https://example.org/a.mp3"}, "url", "invalid_value"),
    ],
)
def test_bad_field_is_named(idle: Server, fields: dict[str, str], param: str, code: str) -> None:
    refused = ask(idle, "POST", files={"file": SPOKEN}, data=fields)
    assert error_of(refused) == (400, param, code)


@pytest.mark.parametrize(
    ("body", "kind", "error"),
    [
        (b"{}", "application/json", (400, "file", "missing_required_parameter")),
        (b"{", "application/json", (400, None, "invalid_body")),
        (b"[]", "application/json", (400, None, "invalid_body")),
        (b'{"url": 7}', "application/json", (400, "url", "invalid_value")),
        (b'{"start": true}', "application/json", (400, "start", "invalid_value")),
        (b'{"end": "5"}', "application/json", (400, "end", "invalid_value")),
        (b'{"end": 5, "track": 1.0}', "application/json", (400, "file", "missing_required_parameter")),
        (b'{"url": "https://example.org/a"}', "application/json", (400, "url", "remote_content_error")),
        (b"sound", "audio/wav", (415, None, None)),
    ],
)
def test_bad_body_is_refused(idle: Server, body: bytes, kind: str, error: tuple[Any, ...]) -> None:
    assert error_of(ask(idle, "POST", content=body, headers={"content-type": kind})) == error


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://here/a",
        "http://me:secret@here/a",
        "here",
        "http://",
        "http://a b",
        "http://ä/",
    ],
)
def test_address_of_another_kind_is_refused(tmp_path: Path, url: str) -> None:
    settings = free_settings(data_dir=str(tmp_path), jobs_at_once=0, fetch_urls=True)
    with serve(settings, wait_until_ready=False) as server:
        assert error_of(ask(server, "POST", json={"url": url})) == (400, "url", "invalid_url")


@pytest.mark.parametrize("enabled", [True, False])
def test_speakers_are_refused_where_they_are_off(tmp_path: Path, enabled: bool) -> None:
    settings = free_settings(data_dir=str(tmp_path), jobs_at_once=0, diarize=enabled)
    with serve(settings, wait_until_ready=False) as server:
        answer = ask(server, "POST", files={"file": SPOKEN}, data={"diarize": "true"})
    if enabled:
        assert answer.status_code == 202
    else:
        assert error_of(answer) == (400, "diarize", "unsupported_value")


def test_body_above_the_limit_is_refused(jobs: Server) -> None:
    refused = ask(jobs, "POST", files={"file": bytes(5 << 20)})
    assert refused.status_code == 413


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 101}, {"status": "lost"}],
)
def test_bad_query_of_the_list_is_refused(idle: Server, query: dict[str, Any]) -> None:
    (name,) = query
    assert error_of(ask(idle, "GET", params=query)) == (400, name, "invalid_value")


@pytest.mark.parametrize("job_id", ["x", "job_" + "0" * 32, "job_%00", "%ff", "..", "x" * 3_000])
def test_unknown_job_is_not_found(idle: Server, job_id: str) -> None:
    for method, path in OF_A_JOB:
        assert ask(idle, method, f"/{job_id}{path}").status_code == 404
    assert ask(idle, "GET", params={"after": job_id}).status_code in (400, 404)


# Keys


def test_job_of_another_key_is_not_found(jobs: Server) -> None:
    job = submit(jobs, key=BOB)
    ended(jobs, job, BOB)
    for method, path in OF_A_JOB:
        answer = ask(jobs, method, f"/{job['id']}{path}", key=ALICE)
        assert error_of(answer) == (404, None, "job_not_found")
    assert error_of(ask(jobs, "GET", params={"after": job["id"]}))[2] == "job_not_found"
    assert job["id"] not in ask(jobs, "GET", key=ALICE).text
    assert job["id"] in ask(jobs, "GET", key=BOB).text


def test_every_route_hides_a_job_from_another_key(jobs: Server) -> None:
    job = submit(jobs, key=BOB)
    ended(jobs, job, BOB)
    paths: dict[str, Message] = plain_http.get(f"{jobs.url}/openapi.json", timeout=60).json()["paths"]
    of_a_job = re.compile(r"\{(job_id|generation_id|key)\}")
    walked = [
        (method.upper(), of_a_job.sub(job["id"], path))
        for path, methods in paths.items()
        if of_a_job.search(path)
        for method in methods
    ]
    assert {path.partition("/job_")[0] for _, path in walked} == {"/v1/jobs", "/v1/stt", "/api/stt"}
    assert len(walked) == len(OF_A_JOB) + 2
    for method, path in walked:
        headers = {"authorization": f"Bearer {ALICE}"}
        answer = plain_http.request(method, jobs.url + path, headers=headers, timeout=60)
        assert answer.status_code == (403 if path.startswith("/api/stt/") else 404), (method, path)
        assert "w1" not in answer.text
    assert ask(jobs, "GET", f"/{job['id']}", key=BOB).json()["status"] == "succeeded"


# Without jobs


def test_server_without_a_folder_answers_with_a_named_error(server: Server) -> None:
    paths = [("POST", ""), ("GET", ""), *((m, "/job_" + "0" * 32) for m in ("GET", "DELETE"))]
    for method, path in paths:
        more: dict[str, Any] = {"files": {"file": spoken()}} if method == "POST" else {}
        assert error_of(ask(server, method, path, **more)) == (404, None, "jobs_disabled")

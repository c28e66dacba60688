"""Test that a log has one line per event, and no private data."""

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dbos import error
from websockets.exceptions import InvalidStatus

from server.observability.log_config import LogFormat, key_name, session_id, set_up
from tests import plain_http
from tests.server.live_server import ROOT, Client, dones, first_sentence, free_settings, serve
from tests.server.server_process import program, scripted
from tests.waiting import wait_until

log = logging.getLogger("tests.server")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Restore the loggers, which `set_up` changes for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def ours(text: str) -> list[dict[str, Any]]:
    """Return the lines of this test, without those of a server that runs at the same time."""
    return [line for line in lines(text) if line["logger"] == log.name]


def test_a_json_line_has_time_logger_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", LogFormat.JSON)
    log.warning("%d sessions", 3)
    (line,) = ours(capsys.readouterr().err)
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "logger": "tests.server", "message": "3 sessions"}


@pytest.mark.parametrize("text", ['two\nlines and "quotes"', "äöü €", "\x00\x1b[31m", "a file named \udcff"])
def test_any_text_is_one_line_of_json(capsys: pytest.CaptureFixture[str], text: str) -> None:
    set_up("info", LogFormat.JSON)
    log.info("%s", text)
    (line,) = ours(capsys.readouterr().err)
    assert line["message"] == text


def test_an_exception_is_part_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", LogFormat.JSON)
    try:
        raise ValueError("oh")
    except ValueError:
        log.exception("it failed")
    (line,) = ours(capsys.readouterr().err)
    assert line["exception"].endswith("ValueError: oh")


def test_a_line_outside_a_session_may_name_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up("info", LogFormat.JSON)
    log.info("it failed", extra={"session": "5f1c", "utterance": 7})
    token = key_name.set("ann")
    log.info("inside")
    key_name.reset(token)
    outside, inside = ours(capsys.readouterr().err)
    assert (outside["session"], outside["utterance"]) == ("5f1c", 7)
    assert (inside["key"], "session" in inside) == ("ann", False)


def test_a_python_warning_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        set_up("info", LogFormat.JSON)
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("it will go away", stacklevel=1)
    (line,) = (line for line in lines(capsys.readouterr().err) if line["logger"] == "py.warnings")
    assert "it will go away" in line["message"]


@pytest.mark.slow
def test_a_server_logs_only_lines_of_json() -> None:
    with program(LOG_FORMAT="json", ASR_WORKER="process") as server:
        assert server.ready()["ready"]
        with Client(f"{server.ws}?events=all") as client:
            name = client.hear()["session_id"]
            client.talk(first_sentence())
            client.end()
        with pytest.raises(InvalidStatus), Client(f"{server.ws.removesuffix('stt')}nothing"):
            pass
        server.recognizer().kill()
        wait_until(lambda: "problem.resolved" in server.log)
        assert server.stop() == 0
        told = lines(server.log)
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in told)
    assert {"uvicorn.error", "engine.engine", "server.observability.session_log", "engine.health"} <= {
        line["logger"] for line in told
    }
    finals = [line for line in told if line["message"].startswith("final.sent ")]
    assert [(line["session"], line["utterance"]) for line in finals] == [(name, 1)]


@pytest.mark.slow
def test_a_job_that_is_cancelled_while_it_runs_is_no_error_in_the_log(tmp_path: Path) -> None:
    with scripted(LOG_FORMAT="json", SCRIPTED_SECONDS="1", DATA_DIR=str(tmp_path)) as server:
        assert server.ready()["ready"]
        file = {"file": ("speech.wav", (ROOT / "test.wav").read_bytes(), "audio/wav")}

        def submit() -> str:
            path: str = plain_http.post(f"{server.url}/v1/jobs", files=file).headers["location"]
            return path

        def status(path: str) -> object:
            return server.get(path).json()["status"]

        cancelled = submit()
        wait_until(lambda: status(cancelled) == "transcribing")
        assert plain_http.request("DELETE", server.url + cancelled).is_success
        wait_until(lambda: "job.run_lost" in server.log)
        later = submit()
        wait_until(lambda: status(later) == "succeeded")  # DBOS has learned of the first one meanwhile
        assert server.stop() == 0
        told = lines(server.log)
    assert [line for line in told if line["level"] in ("warning", "error")] == []


def test_expected_lines_of_dbos_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", LogFormat.JSON)
    dbos = logging.getLogger("dbos")
    dbos.info("Applying migration 7")
    dbos.warning("Workflow x outcome was not recorded: the workflow is no longer owned by this execution.")
    for failure in (error.DBOSNonExistentWorkflowError("target", "x"), ValueError("a fault")):
        dbos.error("Exception encountered in background workflow:", exc_info=failure)
    (line,) = (line for line in lines(capsys.readouterr().err) if line["logger"] == "dbos")
    assert line["exception"].endswith("ValueError: a fault")


def test_records_below_the_level_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("warning", LogFormat.JSON)
    log.info("a detail")
    assert ours(capsys.readouterr().err) == []


def test_a_line_of_text_names_its_session(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", LogFormat.TEXT)
    token = session_id.set("5f1c")
    log.info("inside")
    session_id.reset(token)
    log.info("outside")
    inside, outside = (line for line in capsys.readouterr().err.splitlines() if log.name in line)
    assert inside.endswith("tests.server [5f1c] inside")
    assert outside.endswith("tests.server [-] outside")


def test_uvicorn_logs_in_the_same_format_once(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", LogFormat.JSON)
    logging.getLogger("uvicorn.error").info("here")
    (line,) = (line for line in lines(capsys.readouterr().err) if line["message"] == "here")
    assert line["logger"] == "uvicorn.error"


def test_a_session_is_logged_by_name_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(free_settings(log_format=LogFormat.JSON)) as server:
        capsys.readouterr()
        with Client(f"{server.ws}?events=all") as client:
            name = client.hear()["session_id"]
            client.socket.send("nonsense")
            client.talk(first_sentence())
            (final,) = dones(client.end())
    text = capsys.readouterr().err
    told = [
        line
        for line in lines(text)
        if line["logger"] in ("server.connection.client_session", "server.observability.session_log")
    ]
    assert {line.get("session") for line in told} == {name}
    assert [line["message"].split()[0] for line in told] == [
        "session.started",
        "error.sent",
        "final.sent",
        "session.closed",
    ]
    assert f" utterance=1 start_ms={final['start_ms']} " in told[2]["message"]
    assert [line.get("utterance") for line in told] == [None, None, 1, None]
    assert final["transcript"] not in text
    assert final["audio"][:40] not in text


def test_uvicorn_logs_no_url_query(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("debug", LogFormat.JSON)
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.info('%s - "WebSocket %s" [accepted]', "1.2.3.4:5", "/ws/stt?token=tk_1&resume=2")
    uvicorn.info('%s - "WebSocket %s" %d', "1.2.3.4:5", "/ws/stt", 401)
    told = [line["message"] for line in lines(capsys.readouterr().err) if "1.2.3.4" in line["message"]]
    assert told == ['1.2.3.4:5 - "WebSocket /ws/stt" [accepted]', '1.2.3.4:5 - "WebSocket /ws/stt" 401']


def test_headers_and_frames_are_not_logged_at_any_level() -> None:
    """Check that level debug is off for the logger of uvicorn, which websockets also uses."""
    set_up("error", LogFormat.JSON)
    assert not logging.getLogger("uvicorn.error").isEnabledFor(logging.WARNING)
    set_up("debug", LogFormat.JSON)
    assert not logging.getLogger("uvicorn.error").isEnabledFor(logging.DEBUG)
    assert logging.getLogger("uvicorn.error").isEnabledFor(logging.INFO)


def test_invalid_utf8_is_logged_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(free_settings(log_format=LogFormat.JSON)) as server, Client(server.ws) as client:
        client.socket.send(b"\xff", text=True)
        client.hear_until_closed()
        assert client.close_code == 1007
    (line,) = (each for each in lines(capsys.readouterr().err) if "Invalid UTF-8" in each["message"])
    assert line["level"] == "info"
    assert "exception" not in line


def test_request_of_a_download_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("debug", LogFormat.TEXT)
    logging.getLogger("httpx").info("HTTP Request: GET https://files.test/?signature=1")
    logging.getLogger("httpcore.http11").debug("send_request_headers.started target=/?signature=1")
    logging.getLogger("httpx").warning("timed out")
    logged = capsys.readouterr().err
    assert "timed out" in logged
    assert "signature" not in logged

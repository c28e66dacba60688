"""Logs: one line an event, and what does not stand in them."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from server.logs import session_id, set_up
from server.settings import LogFormat
from tests.server.running import Client, dones, first_sentence, free_settings, serve

log = logging.getLogger("tests.server")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The loggers as they were: `set_up` changes them for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def ours(text: str) -> list[dict[str, Any]]:
    """Without those of a server that runs beside this test."""
    return [line for line in lines(text) if line["logger"] == log.name]


def test_a_line_of_json_says_when_who_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", LogFormat.JSON)
    log.warning("%d sessions", 3)
    (line,) = ours(capsys.readouterr().err)
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "logger": "tests.server", "message": "3 sessions"}


@pytest.mark.parametrize("text", ['two\nlines and "quotes"', "äöü €", "\x00\x1b[31m", "a file named \udcff"])
def test_whatever_is_logged_stays_one_line_of_json(capsys: pytest.CaptureFixture[str], text: str) -> None:
    set_up("info", LogFormat.JSON)
    log.info("%s", text)
    (line,) = ours(capsys.readouterr().err)
    assert line["message"] == text


def test_an_exception_stands_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", LogFormat.JSON)
    try:
        raise ValueError("oh")
    except ValueError:
        log.exception("it failed")
    (line,) = ours(capsys.readouterr().err)
    assert line["exception"].endswith("ValueError: oh")


def test_below_its_level_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_uvicorn_speaks_in_the_same_form_and_only_once(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", LogFormat.JSON)
    logging.getLogger("uvicorn.error").info("here")
    (line,) = (line for line in lines(capsys.readouterr().err) if line["message"] == "here")
    assert line["logger"] == "uvicorn.error"


def test_a_session_is_told_under_its_name_and_without_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(free_settings(log_format=LogFormat.JSON)) as server:
        capsys.readouterr()
        with Client(f"{server.ws}?events=all") as client:
            name = client.hear()["session_id"]
            client.socket.send("nonsense")
            client.talk(first_sentence())
            (final,) = dones(client.end())
    text = capsys.readouterr().err
    told = [line for line in lines(text) if line["logger"] == "server.conversation"]
    assert {line.get("session") for line in told} == {name}
    assert [line["message"].split(",")[0].split(":")[0] for line in told] == [
        "session begins",
        "told the client",
        f"final 1, {final['start_ms']}".split(",")[0],
        "session ends",
    ]
    assert final["transcript"] not in text
    assert final["audio"][:40] not in text

"""Test that redacted text is in no journal, log, database or name of a file, whatever its encoding."""

import base64
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
import pytest

from asr.model_registry import EMBEDDED
from asr.recognizer import Hypothesis, RecognitionRequest, Word
from tests import plain_http
from tests.server.job_requests import SPOKEN, ask, ended, submit
from tests.server.live_server import Client, Server, dones, first_sentence, free_settings, serve
from tests.waiting import wait_until

NAME: Final = "telling"
KEPT: Final = "marmalade"
DIGITS: Final = "4111 1111 1111 1111"
SPELLED: Final = "four one one one " + "one one one one " * 3
TEXT: Final = (
    f"{KEPT} my card is {DIGITS} or {SPELLED}thanks, "
    "write to ann.lee@example.org or ann dot lee at example dot org"
)
# None of them is part of another text of a session: not of a time, an id or a name of a placeholder.
SECRETS: Final = (
    *("4111 1111", "41111111", "4111-1111", "1111 1111", "four one one", "one one one"),
    *("ann.lee", "annlee", "ann dot lee", "lee@example", "lee at example", "example.org", "example dot org"),
)
REDACT: Final = "pci,email_address"


class Telling:
    """Hear the same text, with a card number and e-mail addresses, in every clip."""

    family = "test"
    device = "cpu"
    dtype = "none"
    languages: tuple[str, ...] = ("en",)

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: RecognitionRequest) -> Hypothesis:
        said = TEXT.split()
        step = len(request.clip.samples) // len(said)
        starts = [request.clip.start + step * number for number in range(len(said))]
        words = tuple(Word(text, start, start + step) for text, start in zip(said, starts, strict=True))
        return Hypothesis(TEXT, words if request.options.words else (), language="en")


@pytest.fixture
def telling() -> Iterator[str]:
    """Register the recognizer, and return its name."""
    EMBEDDED[NAME] = Telling
    yield NAME
    del EMBEDDED[NAME]


def encodings_of(text: str) -> set[bytes]:
    """Return a text as it may stand in a file: plain, quoted, in UTF-16, hex and base64 at any offset."""
    plain = text.encode()
    found = {plain, quote(text).encode(), text.encode("utf-16-le"), plain.hex().encode()}
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + plain)
        # The first and the last characters depend on the bytes around the text, too.
        found.add(encoded[-(-before * 4 // 3) : (before + len(plain)) * 4 // 3])
    return found


def places_of(text: str, contents: Mapping[str, bytes]) -> list[str]:
    """Return the names of the contents that have a text in any encoding and case."""
    wanted = encodings_of(text)
    return [
        name
        for name, data in contents.items()
        if any(each in data or each in data.lower() for each in wanted)
    ]


def contents_of(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files below a folder, each with its path."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): str(path).encode() + b"\n" + path.read_bytes() for path in files}


def heard_live(server: Server, redact: str) -> str:
    """Return the texts of a session that is kept for a client which resumes."""
    query = f"events=all&words=true&include_audio=false{redact and f'&redact={redact}'}"
    with Client(f"{server.ws}?{query}") as line:
        line.talk(first_sentence())
        return " ".join(message["transcript"] for message in dones(line.end()))


def heard_by_request(server: Server, redact: str) -> str:
    fields = {"model": NAME, "response_format": "verbose_json", "timestamp_granularities[]": "word"}
    answer: httpx.Response = plain_http.post(
        f"{server.url}/v1/audio/transcriptions",
        data=fields | {"redact": redact},
        files={"file": SPOKEN},
        timeout=60,
    )
    return answer.text


def heard_by_job(server: Server, redact: str) -> str:
    job = submit(server, redact=redact)
    assert ended(server, job)["status"] == "succeeded"
    return ask(server, "GET", f"/{job['id']}/transcript").text


@pytest.mark.parametrize("redact", [REDACT, ""], ids=["redacted", "as heard"])
def test_redacted_text_is_stored_nowhere(
    redact: str, telling: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal, data = tmp_path / "journal", tmp_path / "data"
    settings = free_settings(
        asr_model=telling,
        journal_dir=str(journal),
        data_dir=str(data),
        resume_seconds=60,
        hallucination_filter="off",
        log_level="debug",
    )
    with serve(settings) as server:
        logging.getLogger().addHandler(caplog.handler)  # The server has set its own.
        texts = [hear(server, redact) for hear in (heard_live, heard_by_request, heard_by_job)]
        wait_until(lambda: places_of(KEPT, contents_of(journal)))
        contents = {f"journal/{name}": content for name, content in contents_of(journal).items()}
        contents |= {f"data/{name}": content for name, content in contents_of(data).items()}
    contents["log"] = caplog.text.encode()
    contents |= {f"after/{name}": content for name, content in contents_of(tmp_path).items()}
    assert all(KEPT in text for text in texts)
    # What is not redacted is found by the same search, so the search can find what is.
    kept = places_of(KEPT, contents)
    assert {name.partition("/")[0] for name in kept} >= {"journal", "data"}
    assert b"final.sent" in contents["log"]
    found = {secret: places for secret in SECRETS if (places := places_of(secret, contents))}
    if redact:
        assert all("[CREDIT_CARD]" in text and "[EMAIL_ADDRESS]" in text for text in texts)
        assert found == {}
    else:
        assert {"4111 1111", "four one one", "ann.lee", "ann dot lee"} <= found.keys()


@pytest.mark.parametrize("before", range(4))
def test_text_is_found_in_any_encoding(before: int) -> None:
    text = b"-" * before + DIGITS.encode() + b"-" * 5
    for data in (text, base64.b64encode(text), text.hex().encode(), text.decode().encode("utf-16-le")):
        assert places_of("4111 1111", {"file": data}) == ["file"]
        assert places_of("4112 1111", {"file": data}) == []

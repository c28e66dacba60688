"""Test with schemathesis that valid and invalid requests get no 500 and no undocumented response."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks

from server.app import create_app
from tests.server.asgi_calls import wav
from tests.server.live_server import Server, free_settings, serve
from tests.streaming.fakes import sound

pytestmark = pytest.mark.slow

SOUND = wav(sound((True, 16_000)))
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
EXAMPLES = 40  # per path and mode


def _understood(found: Any) -> Any:
    """Return an operation. Raises if schemathesis cannot use it."""
    return found.ok()


# Some files are valid audio, so that requests reach recognition.
schemathesis.openapi.format("binary", st.one_of(st.just(SOUND), st.binary()))
DOCUMENT = schemathesis.openapi.from_dict(create_app(free_settings()).openapi())
OPERATIONS = [
    operation
    for operation in map(_understood, DOCUMENT.get_all_operations())
    if operation.path.startswith(("/v1/audio", "/v1/models"))
]


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serve(free_settings()) as server:
        yield server


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: str(mode.value))
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: str(operation.label))
def test_every_answer_is_one_that_the_document_describes(
    running: Server, operation: Any, mode: GenerationMode
) -> None:
    if mode is GenerationMode.NEGATIVE and not operation.body:
        pytest.skip("nothing in it can be wrong")

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def call(case: Any) -> None:
        case.call_and_validate(base_url=running.url, checks=CHECKS)

    call()


def test_events_are_as_the_document_describes_them(running: Server) -> None:
    asked = {"model": "free", "stream": "true"}
    request = httpx.Request(
        "POST", f"{running.url}/v1/audio/transcriptions", data=asked, files={"file": SOUND}
    )
    request.read()  # failures show the request
    with httpx.Client() as client:
        answer = client.send(request)
    assert answer.headers["content-type"].startswith("text/event-stream")
    DOCUMENT["/v1/audio/transcriptions"]["POST"].validate_response(answer)

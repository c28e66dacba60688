"""Test with schemathesis that valid and invalid requests get no 500 and no undocumented response."""

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from server.app import create_app
from tests.examples import examples
from tests.server.asgi_calls import wav
from tests.server.live_server import Server, free_settings, serve
from tests.streaming.fakes import sound

# schemathesis is imported where it is used: that takes seconds, and every process collects this file.

pytestmark = pytest.mark.slow

SOUND = wav(sound((True, 16_000)))
EXAMPLES = 40  # per path and mode; the suite's profile tries half of them
OPERATIONS: Final = [
    "DELETE /v1/jobs/{job_id}",
    "GET /v1/jobs",
    "GET /v1/jobs/{job_id}",
    "GET /v1/jobs/{job_id}/deliveries",
    "GET /v1/jobs/{job_id}/events",
    "GET /v1/jobs/{job_id}/transcript",
    "GET /v1/models",
    "GET /v1/models/{model}",
    "POST /v1/audio/transcriptions",
    "POST /v1/audio/translations",
    "POST /v1/documents",
    "POST /v1/jobs",
    "POST /v1/subtitles",
    "POST /v1/summaries",
]
PATHS: Final = ("/v1/audio", "/v1/documents", "/v1/models", "/v1/jobs", "/v1/summaries", "/v1/subtitles")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve with jobs, but without a worker, so that no job ends while it is used."""
    with serve(free_settings(data_dir=str(tmp_path_factory.mktemp("jobs")), jobs_at_once=0)) as server:
        yield server


@pytest.fixture(scope="module")
def document() -> Any:
    """Return the API's description. Some files are valid audio, so that requests reach recognition."""
    import schemathesis

    schemathesis.openapi.format("binary", st.one_of(st.just(SOUND), st.binary()))
    return schemathesis.openapi.from_dict(create_app(free_settings()).openapi())


@pytest.fixture(scope="module")
def operations(document: Any) -> dict[str, Any]:
    """Return the operations by method and path. Raises if schemathesis cannot use one."""
    found = [each.ok() for each in document.get_all_operations()]
    return {each.label: each for each in found if each.path.startswith(PATHS)}


def test_operations_are_those_of_the_document(operations: dict[str, Any]) -> None:
    assert sorted(operations) == OPERATIONS


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_the_document_describes(
    running: Server, operations: dict[str, Any], label: str, mode: str
) -> None:
    from schemathesis import GenerationMode, checks

    operation = operations[label]
    if mode == "negative" and not operation.body:
        pytest.skip("nothing in it can be wrong")
    required = [
        checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
    ]

    @given(case=operation.as_strategy(generation_mode=GenerationMode(mode)))
    @examples(EXAMPLES, suppress_health_check=list(HealthCheck))
    def call(case: Any) -> None:
        case.call_and_validate(base_url=running.url, checks=required)

    call()


def test_events_are_as_the_document_describes_them(running: Server, document: Any) -> None:
    asked = {"model": "free", "stream": "true"}
    request = httpx.Request(
        "POST", f"{running.url}/v1/audio/transcriptions", data=asked, files={"file": SOUND}
    )
    request.read()  # failures show the request
    with httpx.Client(verify=False) as client:
        answer = client.send(request)
    assert answer.headers["content-type"].startswith("text/event-stream")
    document["/v1/audio/transcriptions"]["POST"].validate_response(answer)

"""Serve POST /api/stt and GET /api/stt/{key}: submit the URL of audio, and read the script."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from jobs.errors import JobNotFound
from jobs.job import JobOptions, JobState, JobTranscript
from server.errors import ApiError
from server.protocols.job_endpoint import JobEndpoint, checked_id, job_errors_as_http, owner_of
from server.protocols.openapi_schemas import STRING, TYPES, Schema, object_of

RESULT_PATHS: Final = ("/api/stt", "/api/stt/")  # whose errors have this API's format
NOT_PROVIDED: Final = "'audio_url' Not Provided"
NOT_FOUND: Final = "No matching STT task found"
NOT_OWNER: Final = "User is not the right owner of the stt task"
STATUSES: Final = {
    JobState.QUEUED: "pending",
    JobState.FETCHING: "pending",
    JobState.TRANSCRIBING: "pending",
    JobState.SUCCEEDED: "success",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "failed",
}

_TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
_RESULT: Final = object_of(
    stt_result_key=STRING,
    stt_result_status={"enum": ["pending", "success", "failed"]},
    stt_result_script=_TEXT_OR_NULL,
    stt_start_time=_TEXT_OR_NULL,
    stt_end_time=_TEXT_OR_NULL,
    audio_source_url=_TEXT_OR_NULL,
)
_ANSWER: Final[Schema] = {"description": "the job", "content": {TYPES["json"]: {"schema": _RESULT}}}
_BODY: Final[Schema] = {
    "required": True,
    "content": {
        TYPES["json"]: {
            "schema": object_of(audio_url=STRING),
            "examples": {"url": {"value": {"audio_url": "https://example.org/talk.mp3"}}},
        }
    },
}


class SttResultsEndpoint(JobEndpoint):
    """Serve the API of results."""

    protocol = "stt_results"

    def router(self) -> APIRouter:
        """Return the routes below /api/stt."""
        router = APIRouter(prefix="/api/stt", tags=["jobs"])

        @router.post(
            "",
            status_code=201,
            response_model=None,
            responses={201: _ANSWER},
            openapi_extra={"requestBody": _BODY},
        )
        async def create(request: Request) -> Response:
            """Accept the URL of audio as a job."""
            return await self._create(request)

        @router.get("/{key}", response_model=None, responses={200: _ANSWER})
        async def get(request: Request, key: str) -> Response:
            """Return the state of a job, and its script once it has succeeded."""
            return await self._get(request, key)

        return router

    async def _create(self, request: Request) -> Response:
        async with self._received(request) as upload:
            url = dict(upload.fields).get("audio_url")
            if not isinstance(url, str) or not url:
                raise ApiError(400, NOT_PROVIDED, param="audio_url")
            job, _ = await self._submit(request, upload, url=url, options=JobOptions())
        return JSONResponse(_result(JobTranscript(job, ())), 201)

    async def _get(self, request: Request, key: str) -> Response:
        """Return the result. Unlike all other interfaces, this one tells a job of another key from none."""
        jobs = await self._jobs()
        try:
            with job_errors_as_http():
                found = await jobs.transcript(checked_id(key))
        except ApiError as error:
            if isinstance(error.__context__, JobNotFound):
                raise ApiError(404, NOT_FOUND) from None
            raise
        if found.job.owner != owner_of(request):
            raise ApiError(403, NOT_OWNER)
        return JSONResponse(_result(found))


def _result(found: JobTranscript) -> dict[str, str | None]:
    job = found.job
    is_done = job.state is JobState.SUCCEEDED
    script = " ".join(segment.hypothesis.text for segment in found.segments)
    return {
        "stt_result_key": job.id,
        "stt_result_status": STATUSES[job.state],
        "stt_result_script": script if is_done else None,
        "stt_start_time": _time(job.started),
        "stt_end_time": _time(job.finished),
        "audio_source_url": job.source.url,
    }


def _time(seconds: float | None) -> str | None:
    """Return a time in ISO 8601."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def stt_results_error(error: ApiError, scope: Mapping[str, Any]) -> JSONResponse:
    """Return the response for an error, in the format of this API."""
    return JSONResponse({"error": error.message}, error.status, error.headers)

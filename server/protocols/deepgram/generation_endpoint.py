"""Serve POST /v1/stt/create and GET /v1/stt/{generation_id}: jobs with results in the shape of Deepgram.

Hosted speech APIs offer files in this way (docs/jobs.md). A generation is a job.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from asr.recognizer import MAX_PROMPT_CHARS
from jobs.job import Job, JobOptions, JobState, JobTranscript
from server.errors import ApiError, invalid
from server.http.request_id import REQUEST_ID
from server.http.upload import Upload
from server.protocols.deepgram.job_result import job_options, result_of
from server.protocols.deepgram.live_output import timestamp
from server.protocols.deepgram.options import parse_options
from server.protocols.job_endpoint import JobEndpoint, checked_id, job_errors_as_http, owner_of
from server.protocols.openapi_schemas import STRING, TYPES, Schema, object_of
from streaming.threads import run_in_thread_to_completion

GENERATION_PATHS: Final = "/v1/stt/"  # below it errors have the format of this API
STATUSES: Final = {
    JobState.QUEUED: "waiting",
    JobState.FETCHING: "active",
    JobState.TRANSCRIBING: "active",
    JobState.SUCCEEDED: "completed",
    JobState.FAILED: "error",
    JobState.CANCELLED: "error",
}
# Clients put a group before the name of a model: #g1_nova-2-general.
GROUP: Final = re.compile(r"#g[0-9]+_")
FILE_FIELD: Final = "audio"  # of a form
# Files have headers, and their samples need no description.
IGNORED: Final = frozenset({"url", "model", "prompt", "encoding", "sample_rate", "channels"})

_CREATED: Final = {
    "description": "the job was accepted, and is on the disk",
    "content": {TYPES["json"]: {"schema": object_of(generation_id=STRING)}},
}
_BODY: Final[Schema] = {
    "required": True,
    "content": {
        TYPES["json"]: {
            "schema": object_of(("model",), url=STRING, model=STRING),
            "examples": {
                "url": {"value": {"model": "#g1_nova-2-general", "url": "https://example.org/talk.mp3"}}
            },
        },
        "multipart/form-data": {
            "schema": object_of(("model",), audio={"type": "string", "format": "binary"}, model=STRING)
        },
    },
}
_GENERATION: Final = object_of(
    ("result", "error"),
    id=STRING,
    generation_id=STRING,
    status={"enum": ["waiting", "active", "completed", "error"]},
    result={"type": "object", "description": "Deepgram's response for a file"},
    error=object_of(name=STRING, message=STRING),
)


class GenerationEndpoint(JobEndpoint):
    """Serve the API of generations."""

    protocol = "generation"

    def router(self) -> APIRouter:
        """Return the routes below /v1/stt."""
        router = APIRouter(prefix="/v1/stt", tags=["jobs"])

        @router.post(
            "/create",
            status_code=201,
            response_model=None,
            responses={201: _CREATED},
            openapi_extra={"requestBody": _BODY},
        )
        async def create(request: Request) -> Response:
            """Accept a file or a URL as a job, with the options of Deepgram's API."""
            return await self._create(request)

        @router.get(
            "/{generation_id}",
            response_model=None,
            responses={200: {"description": "the job", "content": {TYPES["json"]: {"schema": _GENERATION}}}},
        )
        async def get(request: Request, generation_id: str) -> Response:
            """Return the state of a job, and its result once it is completed."""
            return await self._get(request, generation_id)

        return router

    async def _create(self, request: Request) -> Response:
        async with self._received(request, FILE_FIELD) as upload:
            url = dict(upload.fields).get("url") or None
            if (url is None) == (upload.file is None):
                raise invalid("Send either a file as 'audio', or a 'url'.", "url")
            if url is not None and not isinstance(url, str):
                raise invalid("'url' must be a string.", "url")
            job, _ = await self._submit(request, upload, url=url, options=self._options(upload))
        return JSONResponse({"id": job.id, "generation_id": job.id, "status": STATUSES[job.state]}, 201)

    def _options(self, upload: Upload) -> JobOptions:
        """Return the options of a request. Raises ApiError and ClientError."""
        fields = dict(upload.fields)
        query = list(_query_of(upload.fields))
        if not {"punctuate", "smart_format"} & {name for name, _ in query}:
            query.append(("punctuate", "true"))
        chosen = parse_options(query, self._settings.session_options())
        asr, prompt, model = chosen.session.asr, fields.get("prompt"), fields.get("model")
        if isinstance(prompt, str) and prompt:
            asr = replace(asr, prompt=prompt[-MAX_PROMPT_CHARS:])
        name = GROUP.sub("", model[:256], count=1) if isinstance(model, str) else ""
        options = job_options(chosen, query, diarizes=self._settings.diarize)
        return replace(options, model=name, asr=asr)

    async def _get(self, request: Request, generation_id: str) -> Response:
        jobs = await self._jobs()
        with job_errors_as_http():
            found = await jobs.transcript(checked_id(generation_id), owner_of(request))
        return await run_in_thread_to_completion(_generation, found)


def _query_of(fields: Iterable[tuple[str, object]]) -> Iterable[tuple[str, str]]:
    """Yield the fields of JSON or of a form as those of a query; objects are left out."""
    for name, value in fields:
        if name in IGNORED:
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, bool):
                yield name, "true" if each else "false"
            elif isinstance(each, str | int | float):
                yield name, str(each)


def _generation(found: JobTranscript) -> Response:
    job = found.job
    content: dict[str, Any] = {"id": job.id, "generation_id": job.id, "status": STATUSES[job.state]}
    if job.state is JobState.SUCCEEDED:
        content["result"] = result_of(found)
    elif job.state.is_final:
        content["error"] = _error(job)
    return Response(orjson.dumps(content), media_type=TYPES["json"])


def _error(job: Job) -> dict[str, str]:
    if job.problem is None:
        return {"name": "cancelled", "message": "The job was cancelled."}
    return {"name": job.problem.code, "message": job.problem.message}


def generation_error(error: ApiError, scope: Mapping[str, Any]) -> JSONResponse:
    """Return the response for an error, in the format of this API."""
    content = {
        "message": error.message,
        "path": scope["path"],
        "requestId": scope[REQUEST_ID],
        "statusCode": error.status,
        "timestamp": timestamp(datetime.now(UTC)),
        "code": error.code,
    }
    return JSONResponse(content, error.status, error.headers)

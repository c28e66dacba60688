"""Describe requests, responses and errors of /v1/jobs for the OpenAPI document."""

from typing import Any, Final

from server.protocols.job_fields import JobFields
from server.protocols.jobs.messages import JobObject, TranscriptObject
from server.protocols.openapi_schemas import STRING, TYPES, Schema, errors, inlined

_REASONS: Final = {
    400: "the request is invalid; the message says why",
    401: "the API key is missing or invalid",
    404: "the key has no job with this id (`job_not_found`), or the server keeps no jobs (`jobs_disabled`)",
    408: "the body did not arrive in time",
    409: "the idempotency key was used for another request (`idempotency_conflict`)",
    413: "the body is too large",
    415: "the body is neither a form nor JSON",
    429: "a limit of the key or of the address is reached; retry after `Retry-After` seconds",
    503: "the queue is full, the database cannot be used, or the server is stopping; retry after "
    "`Retry-After` seconds",
    507: "there is no space for the audio (`storage_full`)",
}

_URL_EXAMPLE: Final = {
    "url": "https://example.org/interview.mp3",
    "language": "en",
    "hotwords": ["Ada Lovelace"],
    "start": 60,
}
_CALL_EXAMPLE: Final = {"url": "https://example.org/call.wav", "multichannel": True}


def _example(status: str, **changes: Any) -> Schema:
    job: dict[str, Any] = {
        "id": "job_3f0c2a9e5b1d47c8a6e2f1b09d8c7e54",
        "object": "job",
        "status": status,
        "created_at": 1796000000.25,
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "source": {"url": None, "name": "interview.mp3", "bytes": 5_242_880},
        "progress": {
            "bytes_done": 0,
            "bytes_total": None,
            "seconds_done": 0.0,
            "seconds_total": None,
            "step": None,
        },
        "position": 0,
        "attempts": 0,
        "priority": "normal",
        "model": None,
        "language": None,
        "error": None,
        "warnings": [],
        "track": None,
        "tracks": [],
        "callback": None,
        "metadata": "",
    }
    return {"value": job | changes}


_JOBS: Final = {
    "queued": _example("queued"),
    "succeeded": _example(
        "succeeded",
        started_at=1796000001.5,
        finished_at=1796000031.75,
        expires_at=1796003631.75,
        progress={
            "bytes_done": 0,
            "bytes_total": None,
            "seconds_done": 312.4,
            "seconds_total": 312.4,
            "step": None,
        },
        position=None,
        model="whisper-base",
        language="en",
        track=0,
        tracks=[{"index": 0, "language": None, "title": None, "default": False, "channels": 2}],
    ),
    "failed": _example(
        "failed",
        started_at=1796000001.5,
        finished_at=1796000001.6,
        expires_at=1796003601.6,
        position=None,
        error={"code": "audio_too_short", "message": "The file contains no audio."},
    ),
}


def _job(description: str, *examples: str) -> Schema:
    shown = {name: _JOBS[name] for name in examples}
    return {
        "description": description,
        "model": JobObject,
        "content": {TYPES["json"]: {"examples": shown}},
    }


def _body() -> Schema:
    schema = JobFields.model_json_schema(ref_template="#/{model}")
    fields = inlined(schema, schema.pop("$defs", {}))["properties"]
    file = {"type": "string", "format": "binary", "description": "audio or video file"}
    form = {name: field for name, field in fields.items() if name != "url"}
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": fields,
                    "required": ["url"],
                    "additionalProperties": False,
                },
                "examples": {"url": {"value": _URL_EXAMPLE}, "call": {"value": _CALL_EXAMPLE}},
            },
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": file, **form}, "required": ["file"]}
            },
        },
    }


SUBMIT: Final[dict[str, Any]] = {
    "status_code": 202,
    "response_model": None,
    "responses": {
        202: _job("the job was accepted, and is on the disk", "queued"),
        200: _job("the job that the same Idempotency-Key submitted before", "queued", "succeeded"),
        **errors(_REASONS, 400, 401, 404, 408, 409, 413, 415, 429, 503, 507),
    },
    "openapi_extra": {
        "requestBody": _body(),
        "parameters": [
            {
                "in": "header",
                "name": "Idempotency-Key",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
                "description": "a second request with the same key and content returns the first job",
            }
        ],
    },
}
LIST: Final[dict[str, Any]] = {"responses": errors(_REASONS, 400, 401, 404, 503)}
GET: Final[dict[str, Any]] = {
    "responses": {
        200: _job("the job", "queued", "succeeded", "failed"),
        **errors(_REASONS, 401, 404, 503),
    }
}
DELETE: Final[dict[str, Any]] = {"responses": errors(_REASONS, 400, 401, 404, 503)}
_STATUS: Final = {
    "x-job-status": {"schema": STRING, "description": "state of the job: the text is complete if succeeded"},
    "x-filtered": {
        "schema": {"type": "integer"},
        "description": "number of texts that the filter removed or shortened; absent if there are none",
    },
}
TRANSCRIPT: Final[dict[str, Any]] = {
    "response_model": None,
    "responses": {
        200: {
            "description": "the text as far as it is known",
            "headers": _STATUS,
            "model": TranscriptObject,
            "content": {TYPES[kind]: {"schema": STRING} for kind in ("text", "vtt", "markdown")}
            | {TYPES["docx"]: {"schema": {"type": "string", "format": "binary"}}},
        },
        **errors(_REASONS, 400, 401, 404, 503),
    },
}
DELIVERIES: Final[dict[str, Any]] = {"responses": errors(_REASONS, 401, 404, 503)}
EVENTS: Final[dict[str, Any]] = {
    "response_model": None,
    "responses": {
        200: {
            "description": "`segment` for each piece of text, `job` for each change, and `error` if "
            "the job is deleted or the server stops; the last `job` has a final status",
            "content": {TYPES["events"]: {"schema": STRING}},
        },
        **errors(_REASONS, 401, 404, 429, 503),
    },
}

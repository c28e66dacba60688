"""Describe requests, responses and errors of transcripts that clients send for the OpenAPI document."""

from typing import Any, Final

from server.protocols.documents.request import DocumentFields
from server.protocols.openapi_schemas import (
    NUMBER,
    REQUEST_ID,
    STRING,
    TYPES,
    Schema,
    array_of,
    errors,
    inlined,
    object_of,
    response,
)

_REASONS: Final = {
    400: "the body is not JSON or no subtitles (`invalid_body`), or a field is invalid; the message names it",
    401: "the API key is missing or invalid",
    408: "the body did not arrive in time",
    413: "the body is too large",
    415: "the content-type of the body is another one",
    429: "a limit of the key or of the address is reached; retry after `Retry-After` seconds",
    503: "too many documents or summaries are being made, or the server is stopping; retry after "
    "`Retry-After` seconds",
}
_EXAMPLE: Final = {
    "title": "interview.mp3",
    "segments": [
        {
            "start": 0.5,
            "end": 1.9,
            "text": "Good morning.",
            "speaker": "Ann",
            "words": [
                {"word": "Good", "start": 0.5, "end": 1.0},
                {"word": "morning.", "start": 1.0, "end": 1.9},
            ],
        }
    ],
}

_EVENTS: Final = {
    "summary": {
        "value": 'data: {"type": "summary.delta", "delta": "Ann greets "}\n\n'
        'data: {"type": "summary.done", "summary": {"text": "Ann greets everyone.", "method": "model", '
        '"model": "qwen3:8b"}}\n\n'
    }
}


def _body() -> Schema:
    schema = DocumentFields.model_json_schema(ref_template="#/{model}")
    fields = inlined(schema, schema.pop("$defs", {}))
    return {
        "required": True,
        "content": {TYPES["json"]: {"schema": fields, "examples": {"interview": {"value": _EXAMPLE}}}},
    }


CREATE: Final[dict[str, Any]] = {
    "response_model": None,
    "responses": {
        200: {
            "description": "the document",
            "headers": REQUEST_ID,
            "content": {TYPES[kind]: {"schema": STRING} for kind in ("text", "vtt", "markdown")}
            | {TYPES["docx"]: {"schema": {"type": "string", "format": "binary"}}},
        },
        **errors(_REASONS, 400, 401, 408, 413, 415, 503),
    },
    "openapi_extra": {"requestBody": _body()},
}
SUMMARIZE: Final[dict[str, Any]] = {
    "response_model": None,
    "responses": {
        200: {
            "description": "`summary.delta` for each piece that a model writes, and at last `summary.done` "
            "with the `summary`, whose text replaces the pieces",
            "headers": REQUEST_ID,
            "content": {TYPES["events"]: {"schema": object_of(data=STRING), "examples": _EVENTS}},
        },
        **errors(_REASONS, 400, 401, 408, 413, 415, 429, 503),
    },
    "openapi_extra": {"requestBody": _body()},
}
_SUBTITLES: Final = "1\n00:00:00,500 --> 00:00:01,900\nAnn: Good morning.\n"
READ: Final[dict[str, Any]] = {
    "response_model": None,
    "responses": {
        200: response(
            "the segments, which `/v1/documents` takes",
            REQUEST_ID,
            json=object_of(
                segments=array_of(
                    object_of(start=NUMBER, end=NUMBER, text=STRING, speaker={"type": ["string", "null"]})
                )
            ),
        ),
        **errors(_REASONS, 400, 401, 408, 413, 415, 503),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                TYPES["text"]: {"schema": STRING, "examples": {"srt": {"value": _SUBTITLES}}},
                TYPES["vtt"]: {"schema": STRING},
                "application/x-subrip": {"schema": STRING},
            },
        }
    },
}

"""Describe requests, responses and errors of /v1/documents for the OpenAPI document."""

from typing import Any, Final

from server.protocols.documents.request import DocumentFields
from server.protocols.openapi_schemas import REQUEST_ID, STRING, TYPES, Schema, errors, inlined

_REASONS: Final = {
    400: "the body is not JSON (`invalid_body`), or a field is invalid; the message names it",
    401: "the API key is missing or invalid",
    408: "the body did not arrive in time",
    413: "the body is too large",
    415: "the body is not JSON by its content-type",
    503: "too many documents are being made, or the server is stopping; retry after `Retry-After` seconds",
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

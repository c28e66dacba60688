"""Describe requests, responses and errors of OpenAI's audio API for the OpenAPI document."""

from typing import Any, Final

from pydantic import BaseModel

from server.protocols.openai_audio.request import TranscriptionFields, TranslationFields

Schema = dict[str, Any]
Responses = dict[int | str, Schema]

_NUMBER: Final[Schema] = {"type": "number"}
_INTEGER: Final[Schema] = {"type": "integer"}
_STRING: Final[Schema] = {"type": "string"}
_BINARY: Final[Schema] = {"type": "string", "format": "binary"}
_TIMES: Final[Schema] = {"start": _NUMBER, "end": _NUMBER}


def _object(optional: tuple[str, ...] = (), **fields: Schema) -> Schema:
    return {
        "type": "object",
        "properties": fields,
        "required": [name for name in fields if name not in optional],
    }


def _array(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _constant(value: str) -> Schema:
    return {"type": "string", "const": value}


_ERROR: Final = _object(
    error=_object(
        message=_STRING,
        type={"enum": ["invalid_request_error", "server_error"]},
        param={"type": ["string", "null"]},
        code={"type": ["string", "null"]},
    )
)
_USAGE: Final = _object(type=_constant("duration"), seconds=_INTEGER)
_SUMMARY: Final = _object(
    ("model", "reason"),
    text=_STRING,
    method={"enum": ["model", "extractive"]},
    model=_STRING,
    reason=_STRING,
)
_PLAIN: Final[Schema] = {
    "text": _STRING,
    "usage": _USAGE,
    "model": _STRING,
    "ignored": _array(_STRING),
    "filtered": _array(_object(**_TIMES, guard=_STRING)),
    "warnings": _array(_STRING),
    "languages": _array(_object(code=_STRING)),
    "logprobs": _array(_object(token=_STRING, logprob=_NUMBER, bytes=_array(_INTEGER))),
    "summary": _SUMMARY,
}
_JSON: Final = _object(("ignored", "filtered", "warnings", "languages", "logprobs", "summary"), **_PLAIN)
_TRACK: Final = _object(
    index=_INTEGER,
    language={"type": ["string", "null"]},
    title={"type": ["string", "null"]},
    default={"type": "boolean"},
    channels=_INTEGER,
)
_SEGMENT: Final = _object(
    id=_INTEGER,
    seek=_INTEGER,
    **_TIMES,
    text=_STRING,
    tokens=_array(_INTEGER),
    temperature=_NUMBER,
    avg_logprob=_NUMBER,
    compression_ratio=_NUMBER,
    no_speech_prob=_NUMBER,
)
_VERBOSE: Final = _object(
    ("ignored", "filtered", "warnings", "segments", "words", "summary"),
    task={"enum": ["transcribe", "translate"]},
    language=_STRING,
    duration=_NUMBER,
    **{
        name: _PLAIN[name]
        for name in ("text", "usage", "model", "ignored", "filtered", "warnings", "summary")
    },
    track=_INTEGER,
    tracks=_array(_TRACK),
    segments=_array(_SEGMENT),
    words=_array(_object(word=_STRING, **_TIMES)),
)
_DIARIZED: Final = _object(
    ("ignored", "filtered", "warnings", "languages", "logprobs", "summary"),
    task=_constant("transcribe"),
    duration=_NUMBER,
    **_PLAIN,
    segments=_array(
        _object(
            ("words",),
            type=_constant("transcript.text.segment"),
            id=_STRING,
            **_TIMES,
            text=_STRING,
            speaker=_STRING,
            words=_array(_object(word=_STRING, **_TIMES, confidence={"type": ["number", "null"]})),
        )
    ),
)
_MODEL: Final = _object(
    id=_STRING,
    object=_constant("model"),
    created=_INTEGER,
    owned_by=_STRING,
    shutdown_date={"type": ["integer", "null"]},
    punctuates={"type": ["boolean", "null"]},
)

_ID: Final[Schema] = {
    "x-request-id": {"schema": _STRING, "description": "id of this request, which the log contains too"}
}
_DONE: Final[Schema] = _ID | {
    "x-model": {"schema": _STRING, "description": "name of the model that was used"},
    "x-filtered": {
        "schema": _INTEGER,
        "description": "segments whose text the filter removed or shortened; absent if there are none",
    },
    "x-warnings": {
        "schema": _STRING,
        "description": "JSON list of sentences about sound that may be missing, if there are any",
    },
}
_REASONS: Final = {
    400: "the request or its file is invalid; the message says why",
    401: "the API key is missing or invalid",
    404: "the model does not exist",
    408: "the body did not arrive in time",
    413: "the file has too many bytes or too many seconds of audio",
    415: "the body is neither a form nor JSON",
    500: "the server or a model failed",
    503: "models are loading, the server is full or stopping; retry after `Retry-After` seconds",
}


def _response(description: str, headers: Schema, **content: Schema) -> Schema:
    types = {
        "json": "application/json",
        "text": "text/plain",
        "markdown": "text/markdown",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "events": "text/event-stream",
    }
    return {
        "description": description,
        "headers": headers,
        "content": {types[kind]: {"schema": schema} for kind, schema in content.items()},
    }


def _errors(*statuses: int) -> Responses:
    return {status: _response(_REASONS[status], _ID, json=_ERROR) for status in statuses}


def _form(fields: type[BaseModel]) -> Schema:
    """Return the request body: a form with the file, or JSON with the audio in base64."""
    schema = fields.model_json_schema(ref_template="#/{model}")
    schema = _inlined(schema, schema.pop("$defs", {}))
    properties, required = schema["properties"], schema["required"]
    file = {"type": "string", "format": "binary"}
    audio = _object(("format",), data={"type": "string", "contentEncoding": "base64"}, format=_STRING)
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": file, **properties},
                    "required": ["file", *required],
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"input_audio": audio, **properties},
                    "required": ["input_audio", *required],
                }
            },
        },
    }


def _inlined(schema: Any, definitions: Schema) -> Any:
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return {name: _inlined(value, definitions) for name, value in schema.items()}
    return [_inlined(each, definitions) for each in schema] if isinstance(schema, list) else schema


_FILE_ERRORS: Final = _errors(400, 401, 408, 413, 415, 500, 503)


def _route(responses: Responses, **more: Any) -> Schema:
    """Return keyword arguments of a route; FastAPI does not check its responses, only tests do."""
    return {"response_model": None, "responses": responses, **more}


TRANSCRIPTION: Final = _route(
    {
        200: _response(
            "the transcript in the requested format",
            _DONE,
            json={"anyOf": [_JSON, _VERBOSE, _DIARIZED]},
            text=_STRING,
            markdown=_STRING,
            docx=_BINARY,
            events=_object(("event",), data=_STRING, event=_STRING),  # one event
        ),
        **_FILE_ERRORS,
    },
    openapi_extra={"requestBody": _form(TranscriptionFields)},
)
TRANSLATION: Final = _route(
    {
        200: _response(
            "the transcript in English",
            _DONE,
            json={"anyOf": [_JSON, _VERBOSE]},
            text=_STRING,
            markdown=_STRING,
            docx=_BINARY,
        ),
        **_FILE_ERRORS,
    },
    openapi_extra={"requestBody": _form(TranslationFields)},
)
MODELS: Final = _route(
    {
        200: _response("all models", _ID, json=_object(object=_constant("list"), data=_array(_MODEL))),
        **_errors(401),
    }
)
MODEL: Final = _route({200: _response("the model", _ID, json=_MODEL), **_errors(401, 404)})

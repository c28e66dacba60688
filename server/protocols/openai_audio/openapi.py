"""Describe requests, responses and errors of OpenAI's audio API for the OpenAPI document."""

from typing import Final

from pydantic import BaseModel

from server.protocols.openai_audio.request import TranscriptionFields, TranslationFields
from server.protocols.openapi_schemas import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    REQUEST_ID,
    STRING,
    Schema,
    array_of,
    constant,
    errors,
    inlined,
    object_of,
    response,
    route,
)

_BINARY: Final[Schema] = {"type": "string", "format": "binary"}
_TIMES: Final[Schema] = {"start": NUMBER, "end": NUMBER}
_USAGE: Final = object_of(type=constant("duration"), seconds=INTEGER)
_SUMMARY: Final = object_of(
    ("model", "reason"),
    text=STRING,
    method={"enum": ["model", "extractive"]},
    model=STRING,
    reason=STRING,
)
_CHAPTERS: Final = object_of(
    ("model", "reason"),
    items=array_of(object_of(start=NUMBER, title=STRING)),
    model=STRING,
    reason=STRING,
)
_PLAIN: Final[Schema] = {
    "text": STRING,
    "usage": _USAGE,
    "model": STRING,
    "ignored": array_of(STRING),
    "filtered": array_of(object_of(**_TIMES, guard=STRING)),
    "warnings": array_of(STRING),
    "languages": array_of(object_of(code=STRING)),
    "logprobs": array_of(object_of(token=STRING, logprob=NUMBER, bytes=array_of(INTEGER))),
    "summary": _SUMMARY,
}
_JSON: Final = object_of(("ignored", "filtered", "warnings", "languages", "logprobs", "summary"), **_PLAIN)
_TRACK: Final = object_of(
    index=INTEGER,
    language={"type": ["string", "null"]},
    title={"type": ["string", "null"]},
    default=BOOLEAN,
    channels=INTEGER,
)
_SEGMENT: Final = object_of(
    ("speaker", "overlap"),
    id=INTEGER,
    seek=INTEGER,
    **_TIMES,
    text=STRING,
    tokens=array_of(INTEGER),
    temperature=NUMBER,
    avg_logprob=NUMBER,
    compression_ratio=NUMBER,
    no_speech_prob=NUMBER,
    speaker=STRING,
    overlap=BOOLEAN,
)
_VERBOSE: Final = object_of(
    ("ignored", "filtered", "warnings", "segments", "words", "summary", "chapters"),
    task={"enum": ["transcribe", "translate"]},
    language=STRING,
    duration=NUMBER,
    **{
        name: _PLAIN[name]
        for name in ("text", "usage", "model", "ignored", "filtered", "warnings", "summary")
    },
    track=INTEGER,
    tracks=array_of(_TRACK),
    segments=array_of(_SEGMENT),
    words=array_of(object_of(("speaker", "overlap"), word=STRING, **_TIMES, speaker=STRING, overlap=BOOLEAN)),
    chapters=_CHAPTERS,
)
_DIARIZED: Final = object_of(
    ("ignored", "filtered", "warnings", "languages", "logprobs", "summary", "chapters"),
    chapters=_CHAPTERS,
    task=constant("transcribe"),
    duration=NUMBER,
    **_PLAIN,
    segments=array_of(
        object_of(
            ("words", "overlap"),
            type=constant("transcript.text.segment"),
            id=STRING,
            **_TIMES,
            text=STRING,
            speaker=STRING,
            overlap=BOOLEAN,
            words=array_of(
                object_of(
                    ("speaker", "overlap"),
                    word=STRING,
                    **_TIMES,
                    confidence={"type": ["number", "null"]},
                    speaker=STRING,
                    overlap=BOOLEAN,
                )
            ),
        )
    ),
)
_MODEL: Final = object_of(
    id=STRING,
    object=constant("model"),
    created=INTEGER,
    owned_by=STRING,
    shutdown_date={"type": ["integer", "null"]},
    punctuates={"type": ["boolean", "null"]},
    punctuation_model={"type": ["string", "null"]},
)

_DONE: Final[Schema] = REQUEST_ID | {
    "x-model": {"schema": STRING, "description": "name of the model that was used"},
    "x-filtered": {
        "schema": INTEGER,
        "description": "segments whose text the filter removed or shortened; absent if there are none",
    },
    "x-warnings": {
        "schema": STRING,
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


def _form(fields: type[BaseModel]) -> Schema:
    """Return the request body: a form with the file, or JSON with the audio in base64."""
    schema = fields.model_json_schema(ref_template="#/{model}")
    schema = inlined(schema, schema.pop("$defs", {}))
    properties, required = schema["properties"], schema["required"]
    file = {"type": "string", "format": "binary"}
    audio = object_of(("format",), data={"type": "string", "contentEncoding": "base64"}, format=STRING)
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


_FILE_ERRORS: Final = errors(_REASONS, 400, 401, 408, 413, 415, 500, 503)


TRANSCRIPTION: Final = route(
    {
        200: response(
            "the transcript in the requested format",
            _DONE,
            json={"anyOf": [_JSON, _VERBOSE, _DIARIZED]},
            text=STRING,
            markdown=STRING,
            docx=_BINARY,
            events=object_of(("event",), data=STRING, event=STRING),  # one event
        ),
        **_FILE_ERRORS,
    },
    openapi_extra={"requestBody": _form(TranscriptionFields)},
)
TRANSLATION: Final = route(
    {
        200: response(
            "the transcript in English",
            _DONE,
            json={"anyOf": [_JSON, _VERBOSE]},
            text=STRING,
            markdown=STRING,
            docx=_BINARY,
        ),
        **_FILE_ERRORS,
    },
    openapi_extra={"requestBody": _form(TranslationFields)},
)
MODELS: Final = route(
    {
        200: response(
            "all models", REQUEST_ID, json=object_of(object=constant("list"), data=array_of(_MODEL))
        ),
        **errors(_REASONS, 401),
    }
)
MODEL: Final = route({200: response("the model", REQUEST_ID, json=_MODEL), **errors(_REASONS, 401, 404)})

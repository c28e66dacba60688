"""Provide schemas and responses of OpenAPI documents that several protocols share."""

from typing import Any, Final

Schema = dict[str, Any]
Responses = dict[int | str, Schema]

NUMBER: Final[Schema] = {"type": "number"}
INTEGER: Final[Schema] = {"type": "integer"}
STRING: Final[Schema] = {"type": "string"}
BOOLEAN: Final[Schema] = {"type": "boolean"}
TYPES: Final = {
    "json": "application/json",
    "text": "text/plain",
    "markdown": "text/markdown",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "vtt": "text/vtt",
    "events": "text/event-stream",
}


def object_of(optional: tuple[str, ...] = (), **fields: Schema) -> Schema:
    """Return the schema of an object; all fields but the optional ones are required."""
    return {
        "type": "object",
        "properties": fields,
        "required": [name for name in fields if name not in optional],
    }


def array_of(schema: Schema) -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": schema}


def constant(value: str) -> Schema:
    """Return the schema of one string."""
    return {"type": "string", "const": value}


def inlined(schema: Any, definitions: Schema) -> Any:
    """Return a schema in which each reference is replaced by its definition."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return {name: inlined(value, definitions) for name, value in schema.items()}
    return [inlined(each, definitions) for each in schema] if isinstance(schema, list) else schema


ERROR: Final = object_of(
    error=object_of(
        message=STRING,
        type={"enum": ["invalid_request_error", "server_error"]},
        param={"type": ["string", "null"]},
        code={"type": ["string", "null"]},
    )
)
REQUEST_ID: Final[Schema] = {
    "x-request-id": {"schema": STRING, "description": "id of this request, which the log contains too"}
}


def response(description: str, headers: Schema, **content: Schema) -> Schema:
    """Return a response; content: schemas by the names of TYPES."""
    return {
        "description": description,
        "headers": headers,
        "content": {TYPES[kind]: {"schema": schema} for kind, schema in content.items()},
    }


def errors(reasons: dict[int, str], *statuses: int) -> Responses:
    """Return the error responses of these statuses; reasons: descriptions by status."""
    return {status: response(reasons[status], REQUEST_ID, json=ERROR) for status in statuses}


def route(responses: Responses, **more: Any) -> Schema:
    """Return keyword arguments of a route; FastAPI does not check its responses, only tests do."""
    return {"response_model": None, "responses": responses, **more}

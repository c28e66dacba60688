"""Parse JSON messages from a client, find their handlers and read the fields that protocols share."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import orjson
from pydantic import BeforeValidator

from audio.base64_text import decode_base64
from server.errors import ClientError

Message = dict[str, Any]
Handler = TypeVar("Handler")


def _lower_case(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}  # in a query, in lower case
# For fields with a list of accepted values: case and surrounding spaces do not matter.
ANY_CASE: Final = BeforeValidator(_lower_case)


def object_from_json(message: str) -> Message:
    """Parse a message that must be a JSON object. Raises ClientError."""
    try:
        event = orjson.loads(message)
    except orjson.JSONDecodeError as error:
        raise ClientError("invalid_json", f"The message is not JSON: {error}.") from None
    if not isinstance(event, dict):
        raise ClientError("invalid_json", "A message must be a JSON object.")
    return event


def handler_of(event: Mapping[str, object], handlers: Mapping[object, Handler]) -> Handler:
    """Return the handler of the message's `type`. Raises ClientError if `type` is missing or unknown."""
    kind = event.get("type")
    handler = handlers.get(kind) if isinstance(kind, str) else None
    if handler is None:
        problem = "A message needs a `type`." if kind is None else f"Unknown type: {str(kind)[:100]!r}."
        raise ClientError("invalid_value", problem, param="type")
    return handler


def audio_of(event: Mapping[str, object]) -> bytes:
    """Return the bytes of the base64 field `audio`. Raises ClientError."""
    audio = event.get("audio")
    if not isinstance(audio, str):
        problem = "`audio` is missing." if audio is None else "`audio` must be a base64 string."
        raise ClientError("invalid_audio", problem, param="audio")
    try:
        return decode_base64(audio)
    except ValueError as error:
        raise ClientError("invalid_audio", f"`audio` is not base64: {error}.", param="audio") from None


def event_id_of(event: Mapping[str, object]) -> str | None:
    """Return the id that the client gave the message, or None if there is none or it is not a string."""
    event_id = event.get("event_id")
    return event_id if isinstance(event_id, str) else None


def incomplete_sample_error(leftover: int) -> ClientError:
    """Return the error for `leftover` bytes that are not a whole sample; the samples before them are used."""
    return ClientError(
        "invalid_audio", f"{leftover} bytes were left over that make no sample.", param="audio"
    )

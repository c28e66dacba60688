"""Test that the OpenAPI document describes the audio API."""

import json
from typing import Any, get_args

import pytest

from server.app import create_app
from server.protocols.openai_audio.request import Format, TranscriptionFields
from tests.server.live_server import free_settings

DOCUMENT: dict[str, Any] = create_app(free_settings()).openapi()


def body(path: str, kind: str) -> Any:
    operation = DOCUMENT["paths"][f"/v1/audio/{path}"]["post"]
    return operation["requestBody"]["content"][kind]["schema"]


def test_the_form_has_every_field_of_the_request() -> None:
    fields = body("transcriptions", "multipart/form-data")
    assert fields["properties"].keys() == TranscriptionFields.model_fields.keys() | {"file"}
    assert fields["required"] == ["file", "model"]
    assert fields["properties"]["response_format"]["enum"] == list(get_args(Format))


def test_json_has_audio_in_place_of_the_file() -> None:
    fields = body("translations", "application/json")
    assert fields["required"] == ["input_audio", "model"]


def test_no_reference_is_unresolved() -> None:
    assert "$defs" not in json.dumps(DOCUMENT["paths"])


@pytest.mark.parametrize("path", ["transcriptions", "translations"])
def test_every_error_has_the_error_schema(path: str) -> None:
    responses = DOCUMENT["paths"][f"/v1/audio/{path}"]["post"]["responses"]
    assert responses.keys() == {"200", "400", "401", "408", "413", "415", "500", "503"}
    for status in responses.keys() - {"200"}:
        schema = responses[status]["content"]["application/json"]["schema"]
        assert schema["properties"]["error"]["required"] == ["message", "type", "param", "code"]

"""Test which paths the spellings of clients mean."""

import pytest

from server.http.paths import canonical_path


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/health/", "/health"),
        ("/v1/models/org/name/", "/v1/models/org/name"),
        ("/web/1/app.js", "/web/1/app.js"),
        ("/openai/v1/audio/transcriptions", "/v1/audio/transcriptions"),
        ("/openai/v1/models/whisper-1", "/v1/models/whisper-1"),
        ("/openai/models", "/v1/models"),
        ("/openai/v1/realtime", "/openai/v1/realtime"),
        ("/openai/realtime", "/openai/realtime"),
        ("/openai/v1/chat/completions", "/openai/v1/chat/completions"),
        ("/openai/modelsx", "/openai/modelsx"),
        ("/x/openai/models", "/x/openai/models"),
    ],
)
def test_spellings_of_a_path_mean_one_route(path: str, canonical: str) -> None:
    assert canonical_path(path) == (canonical, None)


def test_a_path_of_azure_names_the_model() -> None:
    path = "/openai/deployments/my-whisper/audio/translations/"
    assert canonical_path(path) == ("/v1/audio/translations", "my-whisper")

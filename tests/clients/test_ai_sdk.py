"""Test Vercel's AI SDK against a real server with a recognizer of fixed words."""

from typing import Any

import pytest

from tests.clients.environments import ON_REQUEST, node_environment, run_script
from tests.server.live_server import ROOT
from tests.server.server_process import scripted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), ON_REQUEST]  # the client is fetched

WORDS = (ROOT / "test.txt").read_text().split()


@pytest.fixture(scope="module")
def heard() -> Any:
    """Return the output of tests/clients/scripts/ai_sdk.cjs."""
    node = str(node_environment("ai-sdk", "ai@7.0.173", "@ai-sdk/openai@4.0.118"))
    with scripted() as server:
        assert server.ready()["ready"], server.log
        return run_script(["node"], "ai_sdk.cjs", f"{server.url}/v1", str(ROOT / "test.wav"), NODE_PATH=node)


@pytest.mark.parametrize("kind", ["words", "segments", "plain", "diarized"])
def test_every_model_name_gives_the_whole_text(heard: Any, kind: str) -> None:
    assert heard[kind]["text"].split() == WORDS
    assert heard[kind]["warnings"] == []


def test_words_and_segments_have_times(heard: Any) -> None:
    assert [each["text"] for each in heard["words"]["segments"]] == WORDS
    for kind in ("words", "segments", "diarized"):
        times = [(each["startSecond"], each["endSecond"]) for each in heard[kind]["segments"]]
        assert times == sorted(times)
        assert all(0 < start < end < 12.1 for start, end in times)

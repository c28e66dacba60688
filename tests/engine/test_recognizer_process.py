"""What a recognizer's process does, and which modules it has to load."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from asr.dummy import DummyRecognizer
from asr.model_registry import EMBEDDED
from asr.recognizer import Hypothesis, RecognitionRequest
from engine.recognizer_process import LoadOptions, build_recognizer

ROOT = Path(__file__).parents[2]
# The modules that unpickling the main function of the process imports, and those of the default model.
SCRIPT = """
import sys
import main
import batching.model_process
import server.observability.log_config
from engine.recognizer_process import LoadOptions, build_in_process, describe
describe(build_in_process(print, "free", LoadOptions(device="cpu"), {}))
import asr.ctranslate2_whisper
print(*sys.modules)
"""
HEAVY = {
    *("torch", "transformers", "huggingface_hub", "httpx", "http.client", "av", "rich"),
    *("fastapi", "starlette", "uvicorn", "pydantic", "prometheus_client"),
    *("streaming", "vad", "transcripts", "batching.batcher", "engine.workers", "server.app"),
}


def test_process_loads_only_recognition_code() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = set(done.stdout.split())
    assert "asr.model_registry" in modules
    assert modules & HEAVY == set()


class Counting(DummyRecognizer):
    """Count the requests."""

    def __init__(self) -> None:
        self.requests = 0

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        self.requests += len(requests)
        return super().transcribe(requests)


@pytest.mark.parametrize(("warm_up", "requests"), [(True, 1), (False, 0)])
def test_warm_up_can_be_left_out(warm_up: bool, requests: int, monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = Counting()
    monkeypatch.setitem(EMBEDDED, "counting", lambda: recognizer)
    build_recognizer("counting", LoadOptions(device="cpu", warm_up=warm_up))
    assert recognizer.requests == requests

"""Answer recognition requests without a model, to measure everything around recognition."""

from collections.abc import Sequence
from typing import Final

from asr.recognizer import Hypothesis, RecognitionRequest

NAME: Final = "free"


class DummyRecognizer:
    """Answer at once with one word for each started half second of audio: "w1 w2 w3"."""

    family = "free"
    device = "cpu"
    dtype = "none"
    languages: tuple[str, ...] = ()
    punctuates = False

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return [Hypothesis(_words(request.clip.seconds)) for request in requests]


def _words(seconds: float) -> str:
    return " ".join(f"w{n + 1}" for n in range(int(seconds * 2) + 1))

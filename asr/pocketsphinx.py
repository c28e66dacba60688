"""Recognize English with PocketSphinx, whose model is part of its wheel: no download and no torch.

It serves for a first run and for offline work; its accuracy is low. It holds the GIL while it decodes, so a
server runs it in a separate process.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import ClassVar, Final

from asr.pocketsphinx_decoder import LEAD_SAMPLES, SphinxDecoder
from asr.recognizer import Hypothesis, RecognitionRequest, Word

NAME: Final = "pocketsphinx"

MAX_FOLLOWED: Final = 4  # utterances that are decoded incrementally at once; each takes about 90 MB
ABANDONED_AFTER: Final = 64  # requests for other utterances after which an utterance counts as abandoned

_MIN_POSTERIOR: Final = 1e-6  # The logarithm of a posterior that is rounded to 0 is undefined.


@dataclass(slots=True)
class _Follower:
    """Hold a decoder that follows an utterance.

    last_request: number of the last request for the utterance
    finished: whether that request was not for a partial
    """

    decoder: SphinxDecoder
    utterance: str = ""
    last_request: int = 0
    finished: bool = True


class PocketSphinx:
    """Run CMU PocketSphinx 5 with its US English model (Huggins-Daines et al. 2006).

    The language of a request and its prompt are ignored. The confidence of a word is its posterior in the
    lattice; a partial has none.

    It is incremental: up to MAX_FOLLOWED utterances are followed from partial to partial. While all these
    decoders are in use, the partials of another utterance are empty and its final is decoded from the start.
    The result of a request that is not for a partial does not depend on earlier requests.
    """

    family: ClassVar[str] = "pocketsphinx"
    device: ClassVar[str] = "cpu"
    dtype: ClassVar[str] = "float32"
    languages: ClassVar[tuple[str, ...]] = ("en",)
    supported_options: ClassVar[frozenset[str]] = frozenset({"words"})
    incremental: ClassVar[bool] = True
    punctuates: ClassVar[bool] = False

    def __init__(self) -> None:
        self._spare = SphinxDecoder()
        self._followers = [_Follower(SphinxDecoder())]  # The others are built on demand, in 0.3 s each.
        self._requests = 0

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return [self._recognize(request) for request in requests]

    def _recognize(self, request: RecognitionRequest) -> Hypothesis:
        self._requests += 1
        follower = self._follower_of(request)
        if follower is not None:
            follower.last_request, follower.finished = self._requests, not request.partial
        if request.partial:
            hypothesis = self._hypothesis(request, follower.decoder.follow(request.clip) if follower else "")
            return replace(hypothesis, stable_chars=len(follower.decoder.stable_text) if follower else 0)
        words = (follower.decoder if follower else self._fresh_decoder()).finish(request.clip)
        return self._hypothesis(request, " ".join(word.text for word in words), words)

    def _follower_of(self, request: RecognitionRequest) -> _Follower | None:
        """Return the follower of the request's utterance, or None.

        A partial that is long enough gets a free follower if there is one.
        """
        known = (follower for follower in self._followers if follower.utterance == request.utterance != "")
        if (follower := next(known, None)) is not None:
            return follower
        if not request.utterance or not request.partial or len(request.clip.samples) < LEAD_SAMPLES:
            return None
        if (follower := self._free_follower()) is not None:
            follower.decoder.reset()
            follower.utterance = request.utterance
        return follower

    def _free_follower(self) -> _Follower | None:
        """Return a new follower, or the one whose utterance finished or was abandoned first.

        None if no follower is free.
        """
        free = [
            follower
            for follower in self._followers
            if follower.finished or self._requests - follower.last_request > ABANDONED_AFTER
        ]
        if len(self._followers) < MAX_FOLLOWED and not any(follower.finished for follower in free):
            self._followers.append(_Follower(SphinxDecoder()))
            return self._followers[-1]
        return min(free, key=lambda follower: follower.last_request, default=None)

    def _fresh_decoder(self) -> SphinxDecoder:
        self._spare.reset()
        return self._spare

    def _hypothesis(self, request: RecognitionRequest, text: str, words: Sequence[Word] = ()) -> Hypothesis:
        return Hypothesis(
            text=text,
            words=tuple(words) if request.options.words else (),
            language="en",
            confidence=_confidence(words),
            ignored=request.options.unsupported(self.supported_options),
        )


def _confidence(words: Sequence[Word]) -> float | None:
    if not words:
        return None
    return math.exp(fmean(math.log(max(word.confidence or 0, _MIN_POSTERIOR)) for word in words))

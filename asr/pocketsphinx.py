"""PocketSphinx: the embedded recognizer. Its English model lies in its wheel: no download, no torch.

Good for a first run and for offline work, not for accuracy. It holds Python's lock while it decodes, so a
server runs it in a process of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import ClassVar, Final

from asr.pocketsphinx_decoder import LEAD, SphinxDecoder
from asr.recognizer import Hypothesis, RecognitionRequest, Word

NAME: Final = "pocketsphinx"

LIVE: Final = 4  # utterances followed at once, in some 90 MB each
PATIENCE: Final = 64  # requests until an utterance of which nothing was heard counts as given up

_LEAST: Final = 1e-6  # a posterior rounded to 0 would have no logarithm


@dataclass(slots=True)
class _Live:
    """A decoder that follows an utterance.

    heard: number of the request that last was about it; over: that request was not for a partial
    """

    sphinx: SphinxDecoder
    utterance: str = ""
    heard: int = 0
    over: bool = True


class PocketSphinx:
    """CMU PocketSphinx 5 with its US English model (Huggins-Daines et al. 2006).

    English whatever language is asked for; a prompt is ignored. A word's confidence is its posterior in the
    lattice; a partial has none.

    Incremental: LIVE utterances are followed from partial to partial. While all those decoders are taken, the
    partials of another utterance say nothing and its final is decoded whole. The answer to what is not a
    partial does not depend on what was asked before.
    """

    family: ClassVar[str] = "pocketsphinx"
    device: ClassVar[str] = "cpu"
    dtype: ClassVar[str] = "float32"
    languages: ClassVar[tuple[str, ...]] = ("en",)
    honours: ClassVar[frozenset[str]] = frozenset({"words"})  # of the options
    incremental: ClassVar[bool] = True

    def __init__(self) -> None:
        self._spare = SphinxDecoder()
        self._live = [_Live(SphinxDecoder())]  # the others when they are needed: one takes 0.3 s to build
        self._requests = 0

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return [self._recognize(request) for request in requests]

    def _recognize(self, request: RecognitionRequest) -> Hypothesis:
        self._requests += 1
        live = self._following(request)
        if live is not None:
            live.heard, live.over = self._requests, not request.partial
        if request.partial:
            said = self._hypothesis(request, live.sphinx.follow(request.clip) if live else "")
            return replace(said, settled=len(live.sphinx.settled) if live else 0)
        words = (live.sphinx if live else self._forgetful()).finish(request.clip)
        return self._hypothesis(request, " ".join(word.text for word in words), words)

    def _following(self, request: RecognitionRequest) -> _Live | None:
        """Who follows the utterance; a partial that is long enough finds somebody, if somebody is free."""
        known = (live for live in self._live if live.utterance == request.utterance != "")
        if (live := next(known, None)) is not None:
            return live
        if not request.utterance or not request.partial or len(request.clip.samples) < LEAD:
            return None
        if (live := self._free()) is not None:
            live.sphinx.forget()
            live.utterance = request.utterance
        return live

    def _free(self) -> _Live | None:
        """A new one, or the one whose utterance is over or given up, and that longest."""
        free = [live for live in self._live if live.over or self._requests - live.heard > PATIENCE]
        if len(self._live) < LIVE and not any(live.over for live in free):
            self._live.append(_Live(SphinxDecoder()))
            return self._live[-1]
        return min(free, key=lambda live: live.heard, default=None)

    def _forgetful(self) -> SphinxDecoder:
        self._spare.forget()
        return self._spare

    def _hypothesis(self, request: RecognitionRequest, text: str, words: Sequence[Word] = ()) -> Hypothesis:
        return Hypothesis(
            text=text,
            words=tuple(words) if request.options.words else (),
            language="en",
            confidence=_confidence(words),
            ignored=request.options.beyond(self.honours),
        )


def _confidence(words: Sequence[Word]) -> float | None:
    if not words:
        return None
    return math.exp(fmean(math.log(max(word.confidence or 0, _LEAST)) for word in words))

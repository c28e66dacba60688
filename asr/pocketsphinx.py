"""PocketSphinx: the embedded recognizer. Its English model lies in its wheel: no download, no torch.

Good for a first run and for offline work, not for accuracy. It holds Python's lock while it decodes, so a
server runs it in a process of its own.
"""

import math
import re
from collections.abc import Sequence
from statistics import fmean
from typing import ClassVar, Final

import numpy as np
from pocketsphinx import Decoder  # type: ignore[import-untyped]

from asr.hypothesis import Hypothesis, Options, Request, Word
from audio.clip import SAMPLE_RATE, Clip

NAME: Final = "pocketsphinx"

_FRAME: Final = SAMPLE_RATE // 100  # samples
_SHORTEST: Final = 10 * _FRAME  # below ten frames the decoder finds nothing; below one it fails
_WIDEST: Final = (
    3000  # models alive in a frame; the default, 30000, costs half as much again and hears no better
)
_FILLER: Final = re.compile(r"[<\[+]")  # how <s>, <sil>, [NOISE] and ++UH++ begin
_VARIANT: Final = re.compile(r"\(\d+\)$")  # the 2 of read(2): which pronunciation was heard
_LEAST: Final = 1e-6  # a posterior rounded to 0 would have no logarithm


class PocketSphinx:
    """CMU PocketSphinx 5 with its US English model (Huggins-Daines et al. 2006).

    English whatever language is asked for; a prompt is ignored. A word's confidence is its posterior in the
    lattice.

    Each clip is decoded whole, with its own cepstral mean and noise estimate: the answer does not depend on
    what was decoded before.
    """

    family: ClassVar[str] = "pocketsphinx"
    device: ClassVar[str] = "cpu"
    dtype: ClassVar[str] = "float32"
    languages: ClassVar[tuple[str, ...]] = ("en",)

    def __init__(self) -> None:
        self._decoder = Decoder(maxhmmpf=_WIDEST, loglevel="FATAL")

    def transcribe(self, requests: Sequence[Request]) -> list[Hypothesis]:
        return [self._recognize(request.clip, request.options) for request in requests]

    def _recognize(self, clip: Clip, options: Options) -> Hypothesis:
        words = self._decode(clip) if len(clip.samples) >= _SHORTEST else ()
        return Hypothesis(
            text=" ".join(word.text for word in words),
            words=words if options.words else (),
            language="en",
            confidence=_confidence(words),
        )

    def _decode(self, clip: Clip) -> tuple[Word, ...]:
        self._decoder.reinit_feat()  # or the noise estimate of the clip before would colour this one
        self._decoder.start_utt()
        try:
            self._decoder.process_raw(pcm16(clip), full_utt=True)
        finally:
            self._decoder.end_utt()
        return tuple(
            Word(
                text=_VARIANT.sub("", segment.word),
                start=clip.start + segment.start_frame * _FRAME,
                end=min(clip.start + (segment.end_frame + 1) * _FRAME, clip.end),
                confidence=min(segment.prob, 1.0),  # rounding takes it to 1.0003
            )
            for segment in self._decoder.seg() or ()
            if not _FILLER.match(segment.word)
        )


def pcm16(clip: Clip) -> bytes:
    """The clip as signed 16-bit samples, little-endian; louder than full scale is clipped."""
    return (np.clip(clip.samples, -1, 1) * 32767).round().astype("<i2").tobytes()


def _confidence(words: Sequence[Word]) -> float | None:
    if not words:
        return None
    return math.exp(fmean(math.log(max(word.confidence or 0, _LEAST)) for word in words))

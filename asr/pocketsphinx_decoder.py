"""Sphinx: a PocketSphinx decoder, and the clip that it follows while it grows."""

import re
from dataclasses import replace
from typing import Final

import numpy as np
from pocketsphinx import Decoder  # type: ignore[import-untyped]

from asr.recognizer import Word
from audio.clip import SAMPLE_RATE, Clip, Samples

LEAD: Final = SAMPLE_RATE * 3 // 2  # samples; of them the cepstral mean is estimated to begin with
PIECE: Final = SAMPLE_RATE // 10  # samples
STRETCH: Final = 30 * PIECE  # decoded before a pause is looked for
PAUSE: Final = 20  # frames of silence

_FRAME: Final = SAMPLE_RATE // 100  # samples
_SHORTEST: Final = 10 * _FRAME  # below ten frames the decoder finds nothing; below one it fails
_WIDEST: Final = (
    3000  # models alive in a frame; the default, 30000, costs half as much again and hears no better
)
_FILLER: Final = re.compile(r"[<\[+]")  # how <s>, <sil>, [NOISE] and ++UH++ begin
_VARIANT: Final = re.compile(r"\(\d+\)$")  # the 2 of read(2): which pronunciation was heard
_SILENCE: Final = ("<sil>", "</s>")  # the latter while it is the last that was heard


class SphinxDecoder:
    """Decodes one clip after the other, or one clip as it grows.

    What it says of a clip hangs on the clip alone, to the last digit: not on how much of it was heard
    before, nor on what else. So the decoder is always fed alike: in pieces counted from the clip's start,
    with a cepstral mean estimated from the lead (of a shorter clip: from all of it, and it is decoded only
    when it is finished) and brought up to date after each piece.

    The decoder goes twice over what it has heard, the second time at the end, and cannot go on from an end.
    So a long clip is decoded in stretches, from pause to pause.
    Then neither an end nor what must be heard again after one is much longer than a stretch.
    """

    def __init__(self) -> None:
        self._decoder = Decoder(maxhmmpf=_WIDEST, loglevel="FATAL")
        self._listening = False  # the decoder is inside a stretch
        self.forget()

    def forget(self) -> None:
        """The next clip has nothing to do with the one before."""
        if self._listening:
            self._end()
        self._words: list[Word] = []  # of the stretches that are over
        self._origin = 0  # of the clip, in samples of the stream
        self._start = 0  # of the stretch, in samples of the clip
        self._fed = 0  # samples of the clip
        self._mean = ""  # cepstral, with which the stretch begins; "" until it can be estimated

    def follow(self, clip: Clip) -> str:
        """What was said so far, roughly; "" while the clip is shorter than the lead."""
        self._advance(clip)
        under_way = self._decoder.hyp() if self._listening else None
        return " ".join(filter(None, [self.settled, under_way.hypstr if under_way else ""]))

    @property
    def settled(self) -> str:
        """What was said in the stretches that are over: however the clip goes on, its text begins so."""
        return " ".join(word.text for word in self._words)

    def finish(self, clip: Clip) -> tuple[Word, ...]:
        """What was said in the clip. It may still grow."""
        if len(clip.samples) < _SHORTEST:
            return ()
        self._advance(clip)
        if not self._listening:
            self._begin(self._mean or self._estimate(clip.samples))
        self._feed(clip.samples[self._fed :])
        return (*self._words, *self._close(clip))

    def _advance(self, clip: Clip) -> None:
        """Feeds the whole pieces that are new."""
        length = len(clip.samples)
        if clip.start != self._origin or length < self._fed:
            self.forget()
            self._origin = clip.start
        if not self._mean and length >= LEAD:
            self._mean = self._estimate(clip.samples[:LEAD])
        while self._mean and self._fed + PIECE <= length:
            if not self._listening:
                self._begin(self._mean)
            elif (middle := self._pause()) is not None:
                self._turn(clip, middle)
            self._feed(clip.samples[self._fed : self._fed + PIECE])

    def _estimate(self, samples: Samples) -> str:
        """The cepstral mean, as the decoder writes it."""
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm16(samples), no_search=True, full_utt=True)
        self._decoder.end_utt()
        return str(self._decoder.get_cmn(False))

    def _begin(self, mean: str) -> None:
        self._decoder.reinit_feat()  # or the noise estimate of what was heard before would colour the stretch
        self._decoder.set_cmn(mean)
        self._decoder.start_utt()
        self._listening = True
        self._fed = self._start

    def _feed(self, samples: Samples) -> None:
        if not len(samples):
            return
        self._decoder.process_raw(pcm16(samples))
        self._decoder.get_cmn(True)  # the samples have their say in the mean
        self._fed += len(samples)

    def _pause(self) -> int | None:
        """The middle of the pause that is under way, in samples of the clip; None if it is none, or early."""
        if self._fed - self._start < STRETCH:
            return None
        segments = tuple(self._decoder.seg() or ())
        if len(segments) < 3:  # <s>, a word, the pause
            return None
        last = segments[-1]
        length: int = last.end_frame - last.start_frame + 1
        middle: int = (last.start_frame + last.end_frame) // 2
        return self._start + middle * _FRAME if last.word in _SILENCE and length >= PAUSE else None

    def _turn(self, clip: Clip, middle: int) -> None:
        """Ends the stretch and begins the next in the middle of the pause.

        The decoder hears 110 ms behind: what it makes of a word that may have begun since is left out.
        """
        mean = str(self._decoder.get_cmn(False))
        end = clip.start + middle
        self._words += [
            replace(word, end=min(word.end, end)) for word in self._close(clip) if word.start < end
        ]
        self._start, self._mean = middle, mean
        self._begin(mean)

    def _close(self, clip: Clip) -> list[Word]:
        """Ends the stretch; its words. All of it is new to the decoder if the clip goes on."""
        start, end = clip.start + self._start, clip.start + self._fed
        self._end()
        self._fed = self._start
        return [
            Word(
                text=_VARIANT.sub("", segment.word),
                start=start + segment.start_frame * _FRAME,
                end=min(start + (segment.end_frame + 1) * _FRAME, end),
                confidence=min(segment.prob, 1.0),  # rounding takes it to 1.0003
            )
            for segment in self._decoder.seg() or ()
            if not _FILLER.match(segment.word)
        ]

    def _end(self) -> None:
        self._decoder.end_utt()
        self._listening = False


def pcm16(samples: Samples) -> bytes:
    """Signed 16-bit samples, little-endian; what is louder than full scale is clipped."""
    return (np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes()

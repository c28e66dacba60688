"""Decode clips with PocketSphinx, also incrementally while a clip grows."""

import re
from dataclasses import replace
from typing import Final

import numpy as np
from pocketsphinx import Decoder  # type: ignore[import-untyped]

from asr.recognizer import Word
from audio.clip import SAMPLE_RATE, Clip, Samples

LEAD_SAMPLES: Final = SAMPLE_RATE * 3 // 2  # The initial cepstral mean is estimated from them.
PIECE_SAMPLES: Final = SAMPLE_RATE // 10
MIN_SECTION_SAMPLES: Final = 30 * PIECE_SAMPLES  # A pause ends a section only after them.
PAUSE_FRAMES: Final = 20  # of silence

_FRAME: Final = SAMPLE_RATE // 100  # samples
_MIN_SAMPLES: Final = 10 * _FRAME  # Below ten frames the decoder finds nothing; below one it fails.
# Most active models per frame. The default, 30000, costs half as much again and is no more accurate.
_MAX_ACTIVE_MODELS: Final = 3000
_FILLER: Final = re.compile(r"[<\[+]")  # Matches the start of <s>, <sil>, [NOISE] and ++UH++.
_VARIANT: Final = re.compile(r"\(\d+\)$")  # The 2 in read(2) is the number of a pronunciation.
_SILENCE: Final = ("<sil>", "</s>")  # The latter while it is the last segment.


class SphinxDecoder:
    """Decode one clip after another, or one clip while it grows.

    The result for a clip depends on the clip alone, bit for bit, and not on earlier calls. The decoder is
    therefore always fed in the same way: in pieces counted from the start of the clip, with a cepstral mean
    that is estimated from the first LEAD_SAMPLES and updated after each piece. A shorter clip is decoded only
    in `finish`, with a mean estimated from all of it.

    The decoder makes a second pass when it ends and cannot continue afterwards. A long clip is therefore
    decoded in sections, from pause to pause, so that neither the second pass nor the audio to be decoded
    again after it is much longer than a section.
    """

    def __init__(self) -> None:
        self._decoder = Decoder(maxhmmpf=_MAX_ACTIVE_MODELS, loglevel="FATAL")
        self._in_section = False  # Whether the decoder is inside a section.
        self.reset()

    def reset(self) -> None:
        """Discard the current clip; the next one is unrelated to it."""
        if self._in_section:
            self._end()
        self._words: list[Word] = []  # of the finished sections
        self._origin = 0  # start of the clip in samples of the stream
        self._start = 0  # start of the section in samples of the clip
        self._fed = 0  # fed samples of the clip
        self._mean = ""  # cepstral mean at the start of the section; "" until it can be estimated

    def follow(self, clip: Clip) -> str:
        """Return a preliminary text of the clip so far; "" while it is shorter than LEAD_SAMPLES."""
        self._advance(clip)
        current = self._decoder.hyp() if self._in_section else None
        return " ".join(filter(None, [self.stable_text, current.hypstr if current else ""]))

    @property
    def stable_text(self) -> str:
        """Return the text of the finished sections, which does not change while the clip grows."""
        return " ".join(word.text for word in self._words)

    def finish(self, clip: Clip) -> tuple[Word, ...]:
        """Return the words of the clip. The clip may still grow afterwards."""
        if len(clip.samples) < _MIN_SAMPLES:
            return ()
        self._advance(clip)
        if not self._in_section:
            self._begin(self._mean or self._estimate(clip.samples))
        self._feed(clip.samples[self._fed :])
        return (*self._words, *self._close(clip))

    def _advance(self, clip: Clip) -> None:
        """Feed the complete pieces that are new."""
        length = len(clip.samples)
        if clip.start != self._origin or length < self._fed:
            self.reset()
            self._origin = clip.start
        if not self._mean and length >= LEAD_SAMPLES:
            self._mean = self._estimate(clip.samples[:LEAD_SAMPLES])
        while self._mean and self._fed + PIECE_SAMPLES <= length:
            if not self._in_section:
                self._begin(self._mean)
            elif (middle := self._pause()) is not None:
                self._start_section_at(clip, middle)
            self._feed(clip.samples[self._fed : self._fed + PIECE_SAMPLES])

    def _estimate(self, samples: Samples) -> str:
        """Return the cepstral mean of the samples in the text format of the decoder."""
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm16(samples), no_search=True, full_utt=True)
        self._decoder.end_utt()
        return str(self._decoder.get_cmn(False))

    def _begin(self, mean: str) -> None:
        self._decoder.reinit_feat()  # Resets the noise estimate of earlier audio.
        self._decoder.set_cmn(mean)
        self._decoder.start_utt()
        self._in_section = True
        self._fed = self._start

    def _feed(self, samples: Samples) -> None:
        if not len(samples):
            return
        self._decoder.process_raw(pcm16(samples))
        self._decoder.get_cmn(True)  # Updates the mean with these samples.
        self._fed += len(samples)

    def _pause(self) -> int | None:
        """Return the middle of the current pause in samples of the clip.

        None if there is no pause, or if the section is too short to end.
        """
        if self._fed - self._start < MIN_SECTION_SAMPLES:
            return None
        segments = tuple(self._decoder.seg() or ())
        if len(segments) < 3:  # <s>, a word, the pause
            return None
        last = segments[-1]
        length: int = last.end_frame - last.start_frame + 1
        middle: int = (last.start_frame + last.end_frame) // 2
        return self._start + middle * _FRAME if last.word in _SILENCE and length >= PAUSE_FRAMES else None

    def _start_section_at(self, clip: Clip, middle: int) -> None:
        """End the section and begin the next one in the middle of the pause.

        The decoder detects a pause 110 ms late. A word that it may have begun since then is left out.
        """
        mean = str(self._decoder.get_cmn(False))
        end = clip.start + middle
        self._words += [
            replace(word, end=min(word.end, end)) for word in self._close(clip) if word.start < end
        ]
        self._start, self._mean = middle, mean
        self._begin(mean)

    def _close(self, clip: Clip) -> list[Word]:
        """End the section and return its words; the section is decoded again if the clip grows."""
        start, end = clip.start + self._start, clip.start + self._fed
        self._end()
        self._fed = self._start
        return [
            Word(
                text=_VARIANT.sub("", segment.word),
                start=start + segment.start_frame * _FRAME,
                end=min(start + (segment.end_frame + 1) * _FRAME, end),
                confidence=min(segment.prob, 1.0),  # Rounding can give 1.0003.
            )
            for segment in self._decoder.seg() or ()
            if not _FILLER.match(segment.word)
        ]

    def _end(self) -> None:
        self._decoder.end_utt()
        self._in_section = False


def pcm16(samples: Samples) -> bytes:
    """Return little-endian signed 16-bit samples of float32 samples (n,), clipped to -1..1."""
    return (np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes()

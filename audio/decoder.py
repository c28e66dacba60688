"""Decoder: a client's bytes, in whatever encodings they come, to one stream of clips at 16 kHz."""

from typing import Final

import numpy as np

from audio.clip import SAMPLE_RATE, Clip, Samples
from audio.codecs import Encoding, Format, SampleReader
from audio.resampler import Resampler

PIECE: Final = 1 << 16  # samples as they came, that are handed on at once: a few milliseconds of work in all


class Decoder:
    """One stream. However its bytes are cut into chunks, the samples are the same.

    The encoding may change from chunk to chunk. A new rate begins a new stretch: the resampler is flushed
    first, so nothing is lost, and the n frames of a stretch become floor(n * 16000 / rate + 1/2) samples.
    Samples that came at 16 kHz are the same exactly, resampled ones within one step of PCM16.

    What came in one long chunk is handed out in pieces, so that whoever takes it in can let others have their
    turn: the first by `decode`, the rest by `go_on`, while it `has_more`.

    leftover: bytes that the last `decode` or `flush` had to discard, 0 if all is well: the stub of a frame at
        the end, or where the encoding changed. All whole frames are in the clip nevertheless: take it, then
        tell the client.
    position: samples handed out so far, the `start` of the next clip
    """

    def __init__(self, position: int = 0) -> None:
        self.leftover = 0
        self.position = position
        self._repeated = 0
        self._encoding = Encoding()
        self._is_pcm16 = _is_pcm16(self._encoding)
        self._reader = SampleReader(self._encoding)
        self._resampler = Resampler(self._encoding.sample_rate)
        self._waiting = np.empty(0, np.float32)  # samples as they came; bounded by one message

    def decode(self, data: bytes, encoding: Encoding) -> Clip | None:
        """The first of the samples that are certain by now; None if there are none yet.

        Raises InvalidAudio for NaN and infinity; then it is as if `data` had never come.
        """
        self.leftover = 0
        if encoding is not self._encoding and encoding != self._encoding:
            return self._change(data, encoding)
        return self._clip(self._piece_of(self._reader.read(data)), self._is_pcm16)

    @property
    def has_more(self) -> bool:
        """Something of the last chunk is still to be handed out."""
        return len(self._waiting) > 0

    def go_on(self) -> Clip | None:
        """The next of the samples that came with the last chunk."""
        return self._clip(self._piece_of(np.empty(0, np.float32)), self._is_pcm16)

    def drain(self) -> Clip | None:
        """What the resampler still holds, for a commit: all whole frames are in the stream then.

        The stream goes on, a new stretch of it; a frame that is cut still waits for its rest.
        """
        return self._clip(np.concatenate((self._rest(), self._resampler.flush())), self._is_pcm16)

    def flush(self) -> Clip | None:
        """The last samples at the end of the stream; see `leftover`."""
        self.leftover = self._reader.discard()
        return self.drain()

    def repeat(self, samples: int) -> None:
        """Leaves out the next samples: they were handed out before."""
        self._repeated = samples

    def _change(self, data: bytes, encoding: Encoding) -> Clip | None:
        reader = SampleReader(encoding)
        head = reader.read(data)  # raises before anything has changed
        tail = self._rest()
        if encoding.sample_rate != self._encoding.sample_rate:
            tail = np.concatenate((tail, self._resampler.flush()))
            self._resampler = Resampler(encoding.sample_rate)
        self.leftover = self._reader.discard()
        self._encoding, self._reader = encoding, reader
        was_pcm16, self._is_pcm16 = self._is_pcm16, _is_pcm16(encoding)
        return self._clip(np.concatenate((tail, self._piece_of(head))), was_pcm16 and self._is_pcm16)

    def _piece_of(self, samples: Samples) -> Samples:
        """At 16 kHz, of those that wait and of more; what is above PIECE waits."""
        if len(self._waiting):
            samples = np.concatenate((self._waiting, samples))
        self._waiting = samples[PIECE:]
        return self._resampler.resample(samples[:PIECE])

    def _rest(self) -> Samples:
        """At 16 kHz, all of those that wait."""
        samples, self._waiting = self._waiting, np.empty(0, np.float32)
        return self._resampler.resample(samples)

    def _clip(self, samples: Samples, is_pcm16: bool) -> Clip | None:
        if self._repeated:
            left_out = min(self._repeated, len(samples))
            samples, self._repeated = samples[left_out:], self._repeated - left_out
        if not len(samples):
            return None
        clip = Clip(samples, self.position, is_pcm16)
        self.position = clip.end
        return clip


def _is_pcm16(encoding: Encoding) -> bool:
    """Neither resampling nor mixing puts anything between two steps of 16 bits."""
    return (
        encoding.format is not Format.FLOAT32
        and encoding.channels == 1
        and encoding.sample_rate == SAMPLE_RATE
    )

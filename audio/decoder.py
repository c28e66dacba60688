"""Decode a client's bytes, in any supported encodings, to one stream of clips at 16 kHz."""

from typing import Final

import numpy as np

from audio.clip import SAMPLE_RATE, Clip, Samples
from audio.codecs import PCM16, PCM16_STEP, Encoding, Format, SampleReader
from audio.errors import UnsupportedChannels
from audio.resampler import Resampler

PIECE: Final = 1 << 16  # input samples decoded in one call: a few milliseconds of work in all
DEFAULT: Final = Encoding()  # PCM16, mono, 16 kHz
NO_SAMPLES: Final[Samples] = np.empty(0, np.float32)


class Decoder:
    """Decode one stream to the same samples however its bytes are cut into chunks.

    The encoding may change from chunk to chunk. Where the sample rate changes, the resampler is flushed
    first, so nothing is lost, and n frames at one rate become floor(n * 16000 / rate + 1/2) samples. Samples
    at 16 kHz are the same exactly, resampled ones within one step of PCM16.

    A long chunk is returned in pieces, so that its consumer can let other streams run in between: the first
    piece by `decode`, the rest by `continue_decoding`, while it `has_pending`.

    Channels are mixed to one, or kept apart: then the samples of the clips are (n, channels), and the number
    of channels cannot change.

    leftover: bytes that the last `decode` or `flush` discarded: the part of a frame at the end, or where the
        encoding changed; 0 if there was none. All whole frames are in the clip nevertheless.
    position: number of samples returned so far, the `start` of the next clip
    """

    def __init__(self, position: int = 0, apart: int | None = None) -> None:
        """Begin with the sample `position` of the stream.

        apart: number of channels that are kept apart; None to mix them
        """
        self.leftover = 0
        self.position = position
        self._to_skip = 0
        self._apart = apart
        self._encoding = DEFAULT if apart is None else Encoding(channels=apart)
        self._is_default = apart is None
        self._is_pcm16 = self._stays_pcm16(self._encoding)
        self._reader = SampleReader(self._encoding, apart=apart is not None)
        self._resampler = Resampler(self._encoding.sample_rate, apart)
        self._nothing = NO_SAMPLES if apart is None else np.empty((0, apart), np.float32)
        self._piece = PIECE // (apart or 1)  # frames
        self._waiting = self._nothing  # input samples; bounded by one message

    def decode(self, data: bytes, encoding: Encoding) -> Clip | None:
        """Return the first samples that are certain by now, or None if there are none yet.

        Raises InvalidAudio for NaN and infinity, and UnsupportedChannels for another number of channels than
        the one that is kept apart; then the state is as before the call.
        """
        self.leftover = 0
        if encoding is not self._encoding and encoding != self._encoding:
            return self._change(data, encoding)
        is_usual = self._is_default and 0 < len(data) <= 2 * PIECE and not len(data) % 2
        if is_usual and not (self._reader.carry or len(self._waiting) or self._to_skip):
            start = self.position  # nothing to resample, to keep or to skip
            self.position += len(data) // 2
            return Clip(np.frombuffer(data, PCM16) * PCM16_STEP, start, is_pcm16=True)
        return self._clip(self._piece_of(self._reader.read(data)), self._is_pcm16)

    @property
    def has_pending(self) -> bool:
        """Whether samples of the last chunk are still to be returned."""
        return len(self._waiting) > 0

    def continue_decoding(self) -> Clip | None:
        """Return the next samples of the last chunk."""
        return self._clip(self._piece_of(self._nothing), self._is_pcm16)

    def drain(self) -> Clip | None:
        """Return what the resampler still holds: after it, for a commit, all whole frames are in the stream.

        The stream may continue; an incomplete frame still waits for its rest.
        """
        return self._clip(np.concatenate((self._rest(), self._resampler.flush())), self._is_pcm16)

    def flush(self) -> Clip | None:
        """Return the last samples at the end of the stream; see `leftover`."""
        self.leftover = self._reader.discard()
        return self.drain()

    def repeat(self, samples: int) -> None:
        """Skip the next samples, which the client repeats: they were returned before."""
        self._to_skip = samples

    def _change(self, data: bytes, encoding: Encoding) -> Clip | None:
        if self._apart not in (None, encoding.channels):
            raise UnsupportedChannels(
                f"the stream keeps {self._apart} channels apart, so channels cannot be {encoding.channels}"
            )
        reader = SampleReader(encoding, apart=self._apart is not None)
        head = reader.read(data)  # may raise: nothing has changed yet
        tail = self._rest()
        if encoding.sample_rate != self._encoding.sample_rate:
            tail = np.concatenate((tail, self._resampler.flush()))
            self._resampler = Resampler(encoding.sample_rate, self._apart)
        self.leftover = self._reader.discard()
        self._encoding, self._reader = encoding, reader
        self._is_default = self._apart is None and encoding == DEFAULT
        was_pcm16, self._is_pcm16 = self._is_pcm16, self._stays_pcm16(encoding)
        return self._clip(np.concatenate((tail, self._piece_of(head))), was_pcm16 and self._is_pcm16)

    def _piece_of(self, samples: Samples) -> Samples:
        """Resample the next piece of the waiting and the given input samples; the rest waits."""
        if len(self._waiting):
            samples = np.concatenate((self._waiting, samples))
        self._waiting = samples[self._piece :]
        return self._resampler.resample(samples[: self._piece])

    def _rest(self) -> Samples:
        """Resample all input samples that wait."""
        samples, self._waiting = self._waiting, self._nothing
        return self._resampler.resample(samples)

    def _clip(self, samples: Samples, is_pcm16: bool) -> Clip | None:
        if self._to_skip:
            skipped = min(self._to_skip, len(samples))
            samples, self._to_skip = samples[skipped:], self._to_skip - skipped
        if not len(samples):
            return None
        clip = Clip(samples, self.position, is_pcm16)
        self.position = clip.end
        return clip

    def _stays_pcm16(self, encoding: Encoding) -> bool:
        """Return whether every decoded sample is a whole step of 16 bits: nothing is resampled or mixed."""
        is_mixed = self._apart is None and encoding.channels > 1
        return encoding.format is not Format.FLOAT32 and encoding.sample_rate == SAMPLE_RATE and not is_mixed

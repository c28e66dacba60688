"""Read clips in which a known speaker is heard."""

from io import BytesIO
from typing import Final

import numpy as np

from audio.clip import SAMPLE_RATE, Samples
from audio.errors import AudioError
from audio.files import decode_file
from diarization.chunks import CHUNK_SAMPLES

MIN_SAMPLES: Final = SAMPLE_RATE


class ReferenceClipError(ValueError):
    """A reference clip cannot be used; the message says why, as the end of a sentence about the clip."""


def read_reference(data: bytes) -> Samples:
    """Return the samples of an audio file of any format, at most the first CHUNK_SAMPLES. It blocks.

    Raises ReferenceClipError for a file that cannot be decoded or is shorter than a second.
    """
    pieces: list[Samples] = [np.zeros(0, np.float32)]
    try:
        for clip in decode_file(BytesIO(data)):
            pieces.append(clip.samples)
            if clip.end >= CHUNK_SAMPLES:
                break
    except (AudioError, ValueError, OSError) as error:
        raise ReferenceClipError(f"cannot be decoded: {error}") from error
    samples = np.concatenate(pieces)[:CHUNK_SAMPLES]
    if len(samples) < MIN_SAMPLES:
        raise ReferenceClipError("is shorter than a second")
    return samples

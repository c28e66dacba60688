"""Read clips of known speakers, which clients send as data URLs (RFC 2397)."""

from collections.abc import Sequence
from io import BytesIO
from typing import Final

import numpy as np

from audio.base64_text import decode_base64
from audio.clip import SAMPLE_RATE, Samples
from audio.errors import AudioError
from audio.files import decode_file
from diarization.chunks import CHUNK_SAMPLES
from engine.file_diarizer import KnownSpeaker
from server.errors import invalid
from streaming.threads import run_in_thread_to_completion

REFERENCES: Final = "known_speaker_references"
MIN_SAMPLES: Final = SAMPLE_RATE


async def read_known_speakers(clips: Sequence[tuple[str, str]]) -> tuple[KnownSpeaker, ...]:
    """Return the known speakers; of a long clip only the first CHUNK_SAMPLES are used.

    clips: names and data URLs
    Raises ApiError if a clip cannot be decoded or is shorter than a second.
    """
    return tuple(
        [KnownSpeaker(name, await run_in_thread_to_completion(_decode, name, url)) for name, url in clips]
    )


def _decode(name: str, url: str) -> Samples:
    head, comma, text = url.partition(",")
    if not (head.startswith("data:") and comma and head.endswith(";base64")):
        raise invalid(f"The reference of {name!r} is no data URL in base64.", REFERENCES)
    pieces: list[Samples] = []
    try:
        for clip in decode_file(BytesIO(decode_base64(text))):
            pieces.append(clip.samples)
            if clip.end >= CHUNK_SAMPLES:
                break
    except (AudioError, ValueError, OSError) as error:
        raise invalid(f"The reference of {name!r} cannot be decoded: {error}", REFERENCES) from error
    samples = np.concatenate([np.zeros(0, np.float32), *pieces])[:CHUNK_SAMPLES]
    if len(samples) < MIN_SAMPLES:
        raise invalid(f"The reference of {name!r} is shorter than a second.", REFERENCES)
    return samples

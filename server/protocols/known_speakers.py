"""Read clips of known speakers, which clients send as data URLs (RFC 2397)."""

from collections.abc import Sequence
from typing import Final

from audio.base64_text import decode_base64
from audio.clip import Samples
from diarization.reference_clips import ReferenceClipError, read_reference
from engine.file_diarizer import KnownSpeaker
from server.errors import invalid
from streaming.threads import run_in_thread_to_completion

REFERENCES: Final = "known_speaker_references"


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
    try:
        return read_reference(decode_base64(text))
    except ReferenceClipError as error:
        raise invalid(f"The reference of {name!r} {error}.", REFERENCES) from error
    except ValueError as error:
        raise invalid(f"The reference of {name!r} cannot be decoded: {error}", REFERENCES) from error

"""Find texts that Whisper got wrong because its encoder took less than the 30 s of its training.

In a short context Whisper often does not notice the end of the clip and begins its text again, and sometimes
it ends too early. So does the best of several texts sometimes, as it is judged by the mean over its tokens.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from asr.recognizer import compression_ratio
from asr.repeated_run import longest_repetition
from asr.windows import MAX_COMPRESSION
from audio.clip import SAMPLE_RATE, Samples

# A block of tokens that follows itself is a loop if it has this many tokens, or two and is the whole text,
MIN_BLOCK: Final = 4
# ... or if this many tokens repeat a shorter one. People say "no, no, no".
MIN_REPEATED: Final = 8

MAX_TOKENS_PER_LOUD_SECOND: Final = 10.0  # A hurried "no, no, no" has two tokens for each of five words.

MAX_NO_SPEECH: Final = 0.6  # Above this probability a clip counts as silence (openai/whisper, transcribe.py).

BLOCK_SAMPLES: Final = SAMPLE_RATE // 20  # in which the level is measured
LOUD_DB: Final = 25.0  # A block is loud if it is at most this far below the loudest ones.
LOUDEST_PERCENT: Final = 95.0
MIN_TOKENS_PER_LOUD_SECOND: Final = 1.0  # English speech has 3 to 5.
MIN_LOUD_SECONDS: Final = 2.0  # Less need not be speech.
# One in a hundred texts of LibriSpeech has fewer, and with those are the texts whose second half is missing.
SPARSE_TOKENS_PER_LOUD_SECOND: Final = 2.0


def find_fault(
    ids: Sequence[int],
    text: str,
    samples: Samples,
    *,
    no_speech: float,
    has_ended: bool,
) -> str | None:
    """Return what indicates that a text suffers from a short context, or None.

    ids: tokens of the text
    samples: the clip
    no_speech: probability that the clip has no speech; if it is high, no better text is expected
    has_ended: whether the decoder ended the text before its limit
    """
    if not has_ended:
        return "no end"
    if find_loop(ids) or compression_ratio(text) > MAX_COMPRESSION:
        return "repetition"
    if no_speech > MAX_NO_SPEECH:
        return None
    if is_sparse(len(ids), samples, MIN_TOKENS_PER_LOUD_SECOND):
        return "early end"
    return None


def is_sparse(tokens: int, samples: Samples, least: float = SPARSE_TOKENS_PER_LOUD_SECOND) -> bool:
    """Return whether a text has so few tokens for its clip that some may be missing.

    least: tokens for each loud second
    """
    seconds = loud_seconds(samples)
    return seconds >= MIN_LOUD_SECONDS and tokens < least * seconds


def is_loop(ids: Sequence[int], text: str, samples: Samples, *, has_ended: bool) -> bool:
    """Return whether a text repeats itself more than people do.

    A short phrase that was repeated no faster than people speak, in a text that ended, was probably spoken.
    """
    if compression_ratio(text) <= MAX_COMPRESSION:
        return False
    found = find_loop(ids)
    is_short = found is not None and found[1] < MIN_BLOCK
    return not (has_ended and is_short and len(ids) <= MAX_TOKENS_PER_LOUD_SECOND * loud_seconds(samples))


def find_loop(ids: Sequence[int]) -> tuple[int, int, int] | None:
    """Return start, period and length of the longest stretch of tokens that repeats itself, or None.

    length: number of tokens that equal the token one period before; the stretch has period + length tokens
    """
    tokens = np.asarray(ids)
    best: tuple[int, int, int] | None = None
    for period in range(1, len(tokens) // 2 + 1):
        start, length = longest_repetition(tokens, period)
        is_all = period > 1 and period + length == len(tokens)
        needed = period if period >= MIN_BLOCK or is_all else MIN_REPEATED
        if length >= needed and (best is None or length > best[2]):
            best = (start, period, length)
    return best


def without_loop(ids: Sequence[int]) -> list[int]:
    """Return tokens with only the first copy of a block that repeats itself."""
    found = find_loop(ids)
    if not found:
        return list(ids)
    start, period, length = found
    return [*ids[: start + period], *ids[start + period + length :]]


def loud_seconds(samples: Samples) -> float:
    """Return the duration of the blocks that are nearly as loud as the loudest ones."""
    blocks = samples[: len(samples) // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)
    if not len(blocks):
        return 0.0
    levels = 10 * np.log10(np.square(blocks).mean(axis=1) + 1e-10)
    loud = np.count_nonzero(levels > np.percentile(levels, LOUDEST_PERCENT) - LOUD_DB)
    return float(loud * BLOCK_SAMPLES / SAMPLE_RATE)

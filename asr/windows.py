"""Define the windows of 30 s that Whisper and Moonshine take, and cut long clips into them."""

from collections.abc import Iterator
from typing import Final, Literal

import numpy as np

from audio.clip import SAMPLE_RATE, Clip

# full: the encoder takes 30 s, as in training; short: it takes little more than the clip; auto: the default
# of the family.
AudioContext = Literal["auto", "full", "short"]

WINDOW: Final = 30 * SAMPLE_RATE  # samples; the longest clip that these models were trained on

CUT_RANGE: Final = 5 * SAMPLE_RATE  # samples at the end of a window in which it is cut
CUT_BLOCK: Final = SAMPLE_RATE // 10  # samples; the window is cut in the quietest block

MAX_COMPRESSION: Final = 2.4  # Above this ratio a text counts as repetitive (openai/whisper, transcribe.py).
# A text that is repetitive in full context is decoded again at these temperatures, in order, until it is not
# (openai/whisper, transcribe.py). If all are repetitive, the first one stays: people repeat themselves, too.
FALLBACK_TEMPERATURES: Final = (0.2, 0.6, 1.0)

# A decoder can repeat itself without end, so its output is limited. The authors of Moonshine allow 6.5 tokens
# per second for English and 13 for other scripts.
TOKENS_PER_SECOND: Final = 13
MIN_TOKEN_LIMIT: Final = 16


def token_limit(seconds: float, positions: int) -> int:
    """Return the most tokens for a clip; positions: tokens left of the decoder's own limit."""
    return min(positions, MIN_TOKEN_LIMIT + int(TOKENS_PER_SECOND * seconds))


def split_windows(clip: Clip) -> Iterator[Clip]:
    """Yield the clip in parts of at most 30 s, each cut in the quietest place near its end."""
    while len(clip.samples) > WINDOW:
        blocks = clip.samples[WINDOW - CUT_RANGE : WINDOW].reshape(-1, CUT_BLOCK)
        quietest = int(np.square(blocks).sum(axis=1).argmin())
        cut = WINDOW - CUT_RANGE + quietest * CUT_BLOCK + CUT_BLOCK // 2
        yield Clip(clip.samples[:cut], clip.start)
        clip = Clip(clip.samples[cut:], clip.start + cut)
    yield clip

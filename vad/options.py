"""Define the options of segmentation: when speech begins, and when an utterance ends."""

from dataclasses import dataclass
from typing import Final

from audio.clip import HOP, samples_from_ms

HYSTERESIS: Final = 0.15  # speech continues until the probability falls this far below the threshold
MIN_EXIT_THRESHOLD: Final = 0.01
FILE_PAUSE_MS: Final = 3_000  # a silence of this length ends a segment of a file
FILE_SEGMENT_MS: Final = 30_000  # maximum length of a segment of a file: the window of a Whisper
MAX_SEGMENT_MS: Final = 120_000

RANGES: Final = {
    "threshold": (0.0, 1.0),
    "silence_ms": (0, 10_000),
    "prefix_ms": (0, 2_000),
    "min_speech_ms": (0, 2_000),
    "max_segment_ms": (1_000, MAX_SEGMENT_MS),
}


class OptionError(ValueError):
    """A value is outside its range; `param` names the option."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class VadOptions:
    """Hold the options of one stream's segmentation. Raises OptionError for a value outside RANGES.

    threshold: probability from which a hop is speech
    silence_ms: silence that ends an utterance
    prefix_ms: audio kept from before the first speech hop (pre-roll), so that first words are complete
    min_speech_ms: speech that must add up before an utterance begins; less counts as non-speech
    max_segment_ms: maximum length of an utterance, which is cut at a quiet place before it
    manual: only the client ends utterances, and the next one begins there; of the other options only the next
        one applies
    max_manual_ms: maximum length of an utterance with `manual`
    pause_ms: for a file, the silence that ends an utterance, while shorter ones are part of it; an utterance
        that reaches its maximum length is cut at its longest silence. 0 for live speech
    """

    threshold: float = 0.5
    silence_ms: int = 300
    prefix_ms: int = 300
    min_speech_ms: int = 96
    max_segment_ms: int = 30_000
    manual: bool = False
    pause_ms: int = 0
    max_manual_ms: int = MAX_SEGMENT_MS

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise OptionError(name, f"{name} must be between {low} and {high}, not {value}")

    @property
    def exit_threshold(self) -> float:
        """Probability below which speech turns to silence."""
        return max(self.threshold - HYSTERESIS, MIN_EXIT_THRESHOLD)

    @property
    def silence_hops(self) -> int:
        """Hops of silence that end an utterance."""
        return hops_from_ms(self.silence_ms)

    @property
    def pause_hops(self) -> int:
        """Hops of silence that end an utterance once it has begun."""
        return max(self.silence_hops, hops_from_ms(self.pause_ms))

    @property
    def min_speech_hops(self) -> int:
        """Hops of speech that begin an utterance."""
        return hops_from_ms(self.min_speech_ms)

    @property
    def prefix(self) -> int:
        """Samples of pre-roll; at most half of the longest segment, to leave space for speech."""
        return min(samples_from_ms(self.prefix_ms), self.max_segment // 2)

    @property
    def max_segment(self) -> int:
        """Samples after which a segment is cut; of a file a hop less, so that the hop of its end fits."""
        longest = self.max_manual_ms if self.manual else self.max_segment_ms
        return samples_from_ms(longest) - (HOP if self.pause_ms else 0)


def hops_from_ms(ms: int) -> int:
    """Return the fewest whole hops, at least one, that last so long."""
    return max(1, -(-samples_from_ms(ms) // HOP))

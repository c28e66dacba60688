"""Score the finals of a stream against the utterances that it contains."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.load.message_tape import Label

MIN_COVERED_SHARE = 0.5  # an utterance is lost if finals cover less of it
ROUNDING_MS = 2  # segments may overlap by this much, because their times are rounded


@dataclass(frozen=True, slots=True)
class ScoredTranscript:
    """Hold a final and the time of its arrival, in seconds after the start of the stream."""

    item_id: str
    start_ms: float
    end_ms: float
    arrival: float
    reason: str = "silence"


@dataclass(slots=True)
class Score:
    """Sum up one stream or several streams. Latencies are in ms.

    lost: utterances that no finals cover; doubled: finals for audio or an item that already had one
    split: utterances that more than one final covers; strays: finals that cover no utterance
    finals: pairs of the true end of speech (ms of the stream) and the latency from there to the final
    partials: latencies from the true start of sound to the first partial of the utterance
    partials_after_word: the same from the start of the first word, where it is known
    """

    utterances: int = 0
    lost: int = 0
    doubled: int = 0
    split: int = 0
    strays: int = 0
    finals: list[tuple[float, float]] = field(default_factory=list)
    partials: list[float] = field(default_factory=list)
    partials_after_word: list[float] = field(default_factory=list)

    def add(self, other: "Score") -> None:
        """Add the counts and latencies of another score."""
        self.utterances += other.utterances
        self.lost += other.lost
        self.doubled += other.doubled
        self.split += other.split
        self.strays += other.strays
        self.finals += other.finals
        self.partials += other.partials
        self.partials_after_word += other.partials_after_word


def score(
    spoken: Iterable[tuple[Label, bool]],
    received: Sequence[ScoredTranscript],
    first_partials: dict[str, float],
) -> Score:
    """Match finals with utterances by overlap in time, and count.

    spoken: the utterances of the stream, and whether the stream contains all of each; finals over an
    incomplete utterance are allowed but not required
    received: the finals; first_partials: arrival of the first partial of each item, in seconds
    """
    result = Score(doubled=count_doubled(received))
    matched: set[int] = set()
    for label, complete in spoken:
        over = [number for number, final in enumerate(received) if overlap(label, final) > 0]
        matched.update(over)
        if not complete:
            continue
        result.utterances += 1
        covers = [received[number] for number in over]
        if sum(overlap(label, final) for final in covers) < MIN_COVERED_SHARE * (
            label.end_ms - label.start_ms
        ):
            result.lost += 1
            continue
        result.split += len({final.item_id for final in covers}) > 1
        last = max(covers, key=lambda final: final.end_ms)
        if last.reason != "end_of_stream":  # otherwise no silence was awaited
            result.finals.append((label.end_ms, last.arrival * 1000 - label.end_ms))
        first = min(covers, key=lambda final: final.start_ms)
        if first.item_id in first_partials:
            arrival_ms = first_partials[first.item_id] * 1000
            result.partials.append(arrival_ms - label.start_ms)
            if label.first_word_ms is not None:
                result.partials_after_word.append(arrival_ms - label.first_word_ms)
    result.strays = len(received) - len(matched)
    return result


def overlap(label: Label, final: ScoredTranscript) -> float:
    """Return the overlap of both in milliseconds."""
    return max(0.0, min(label.end_ms, final.end_ms) - max(label.start_ms, final.start_ms))


def count_doubled(received: Sequence[ScoredTranscript]) -> int:
    """Count finals that begin before an earlier one has ended, or whose item already has a final."""
    doubled, reached, items = 0, 0.0, set[str]()
    for final in sorted(received, key=lambda final: final.start_ms):
        doubled += final.item_id in items or final.start_ms < reached - ROUNDING_MS
        reached = max(reached, final.end_ms)
        items.add(final.item_id)
    return doubled


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Interpolate linearly between the two nearest ranks, as numpy does; return None without values."""
    if not values:
        return None
    ordered = sorted(values)
    rank = (len(ordered) - 1) * percent / 100
    low = int(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def summary(values: Sequence[float]) -> dict[str, float | int | None]:
    """Return n, p50, p95, p99 and max, rounded to a tenth."""
    figures: dict[str, float | None] = {
        f"p{percent}": percentile(values, percent) for percent in (50, 95, 99)
    }
    figures["max"] = max(values, default=None)
    return {"n": len(values)} | {
        name: None if value is None else round(value, 1) for name, value in figures.items()
    }

"""Score: finals held against what was really said."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.load.message_tape import Label

COVERED = 0.5  # share of an utterance that finals must cover, or it is lost
SAME_MS = 2  # segments may overlap by so much: rounding


@dataclass(frozen=True, slots=True)
class ScoredTranscript:
    """A final as it arrived. arrival: seconds after the stream began to speak."""

    item_id: str
    start_ms: float
    end_ms: float
    arrival: float
    reason: str = "silence"


@dataclass(slots=True)
class Score:
    """Of one stream, or of many added up. Latencies in ms; counts in utterances or finals.

    lost: utterances that no finals cover; doubled: finals for sound that had one, or for the same item
    split: utterances that more than one final covers; strays: finals over no utterance at all
    finals: from the true end of speech to the final that covers it; each with that end, in ms of the stream
    partials: from the true start of speech to the utterance's first partial
    """

    utterances: int = 0
    lost: int = 0
    doubled: int = 0
    split: int = 0
    strays: int = 0
    finals: list[tuple[float, float]] = field(default_factory=list)
    partials: list[float] = field(default_factory=list)

    def add(self, other: "Score") -> None:
        self.utterances += other.utterances
        self.lost += other.lost
        self.doubled += other.doubled
        self.split += other.split
        self.strays += other.strays
        self.finals += other.finals
        self.partials += other.partials


def score(
    said: Iterable[tuple[Label, bool]], heard: Sequence[ScoredTranscript], first_partials: dict[str, float]
) -> Score:
    """Matches by overlap in time.

    said: utterances of the stream and whether they are whole; of others nothing is expected, all is allowed
    first_partials: arrival of each item's first partial
    """
    result = Score(doubled=count_doubled(heard))
    matched: set[int] = set()
    for label, whole in said:
        over = [number for number, final in enumerate(heard) if overlap(label, final) > 0]
        matched.update(over)
        if not whole:
            continue
        result.utterances += 1
        covers = [heard[number] for number in over]
        if sum(overlap(label, final) for final in covers) < COVERED * (label.end_ms - label.start_ms):
            result.lost += 1
            continue
        result.split += len({final.item_id for final in covers}) > 1
        last = max(covers, key=lambda final: final.end_ms)
        if last.reason != "end_of_stream":  # nobody waited for silence
            result.finals.append((label.end_ms, last.arrival * 1000 - label.end_ms))
        first = min(covers, key=lambda final: final.start_ms)
        if first.item_id in first_partials:
            result.partials.append(first_partials[first.item_id] * 1000 - label.start_ms)
    result.strays = len(heard) - len(matched)
    return result


def overlap(label: Label, final: ScoredTranscript) -> float:
    """Milliseconds that both share."""
    return max(0.0, min(label.end_ms, final.end_ms) - max(label.start_ms, final.start_ms))


def count_doubled(heard: Sequence[ScoredTranscript]) -> int:
    """Finals that begin before one of the others has ended, or whose item has had its final."""
    doubled, reached, items = 0, 0.0, set[str]()
    for final in sorted(heard, key=lambda final: final.start_ms):
        doubled += final.item_id in items or final.start_ms < reached - SAME_MS
        reached = max(reached, final.end_ms)
        items.add(final.item_id)
    return doubled


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Linear between the two nearest ranks, as numpy has it; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    rank = (len(ordered) - 1) * percent / 100
    low = int(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def summary(values: Sequence[float]) -> dict[str, float | int | None]:
    """n, p50, p95, p99 and max, rounded to a tenth."""
    figures: dict[str, float | None] = {
        f"p{percent}": percentile(values, percent) for percent in (50, 95, 99)
    }
    figures["max"] = max(values, default=None)
    return {"n": len(values)} | {
        name: None if value is None else round(value, 1) for name, value in figures.items()
    }

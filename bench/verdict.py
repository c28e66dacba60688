"""Verdict: what came back from a stream, held against what was said in it, as figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from bench.accuracy import Comparison, Errors, Normalizer, Steadiness, assign, compare, steadiness, total
from bench.corpus import Entry, Place, Recording
from bench.listener import Listener
from bench.score import percentile, summary

CUT_MS: Final = 50  # a segment that leaves out more of what is loud has cut speech off


@dataclass(frozen=True, slots=True)
class Heard:
    """One utterance. The texts are normalised words.

    pieces: finals that it came in; shared: of these, such as reach into the speech of a neighbour
    early_ms, late_ms: by how much the first segment begins before speech, the last ends behind it; below 0
    speech is cut off. None without a final
    """

    place: Place
    reference: list[str]
    offline: list[str]
    streamed: list[str]
    pieces: int
    shared: int
    early_ms: float | None
    late_ms: float | None

    @classmethod
    def from_stream(
        cls,
        places: Sequence[Place],
        listener: Listener,
        normalizer: Normalizer,
        offline: Mapping[Entry, list[str]],
    ) -> list[Self]:
        rows, _ = assign(places, listener.finals)
        return [
            cls(
                place=place,
                reference=normalizer.words(place.entry.text),
                offline=offline[place.entry],
                streamed=normalizer.words(" ".join(final.text for final in row)),
                pieces=len(row),
                shared=sum(_reaches_over(final.start_ms, final.end_ms, places) for final in row),
                early_ms=place.speech.start_ms - row[0].start_ms if row else None,
                late_ms=row[-1].end_ms - place.speech.end_ms if row else None,
            )
            for place, row in zip(places, rows, strict=True)
        ]

    def line(self) -> str:
        return "\n".join(
            f"{name:>9} {' '.join(words)}"
            for name, words in (
                (f"{self.pieces} piece(s)", self.reference),
                ("offline", self.offline),
                ("streamed", self.streamed),
            )
        )


def _reaches_over(start_ms: float, end_ms: float, places: Sequence[Place]) -> bool:
    touched = [place for place in places if place.speech.start_ms < end_ms and place.speech.end_ms > start_ms]
    return len(touched) > 1


def offline_figures(heard: Sequence[Heard]) -> dict[str, Any]:
    return {"utterances": len(heard)} | of([compare(each.reference, each.offline) for each in heard])


def streaming_figures(
    heard: Sequence[Heard],
    recordings: Sequence[Recording],
    listeners: Sequence[Listener],
    normalizer: Normalizer,
) -> dict[str, Any]:
    """against_offline: with the offline text for a reference; split, whole: of utterances in several pieces,
    or in one, beside the offline figures of the same ones."""
    streamed = of([compare(each.reference, each.streamed) for each in heard])
    offline = of([compare(each.reference, each.offline) for each in heard])
    figures = streamed | {
        "wer_minus_offline": _difference(streamed["wer"], offline["wer"]),
        "against_offline": of([compare(each.offline, each.streamed) for each in heard if each.offline]),
    }
    for name, part in (
        ("split", [each for each in heard if each.pieces > 1]),
        ("whole", [each for each in heard if each.pieces == 1]),
    ):
        figures[name] = {
            "utterances": len(part),
            "streaming": of([compare(each.reference, each.streamed) for each in part]),
            "offline": of([compare(each.reference, each.offline) for each in part]),
        }
    return figures | {
        "without_a_final": sum(each.pieces == 0 for each in heard),
        "finals_over_two_utterances": sum(each.shared for each in heard),
        **_strays(recordings, listeners, normalizer),
        "boundaries": boundaries(heard),
        "partials": partial_figures(listeners),
        "errors": [error for listener in listeners for error in listener.errors],
    }


def of(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """WER and recall in percent."""
    errors = total(comparisons)
    return {
        "wer": _percent(errors.rate),
        **_counts(errors),
        "first_words": _percent(_share([each.first for each in comparisons])),
        "last_words": _percent(_share([each.last for each in comparisons])),
    }


def _counts(errors: Errors) -> dict[str, int]:
    return {
        "words": errors.words,
        "substitutions": errors.substitutions,
        "deletions": errors.deletions,
        "insertions": errors.insertions,
    }


def _strays(
    recordings: Sequence[Recording], listeners: Sequence[Listener], normalizer: Normalizer
) -> dict[str, Any]:
    strays = [
        final
        for recording, listener in zip(recordings, listeners, strict=True)
        for final in assign(recording.places, listener.finals)[1]
    ]
    return {
        "finals_in_gaps": len(strays),
        "words_in_gaps": sum(len(normalizer.words(final.text)) for final in strays),
    }


def boundaries(heard: Sequence[Heard]) -> dict[str, Any]:
    """ms against what is loud: how early segments begin, how late they end; and how many cut speech off."""
    figures: dict[str, Any] = {}
    for name, errors in (
        ("begin_early_ms", [each.early_ms for each in heard if each.early_ms is not None]),
        ("end_late_ms", [each.late_ms for each in heard if each.late_ms is not None]),
    ):
        for percent in (5, 50, 95):
            value = percentile(errors, percent)
            figures[f"{name}_p{percent}"] = None if value is None else round(value)
        figures[f"{name}_cut"] = sum(error < -CUT_MS for error in errors)
    return figures


def partial_figures(listeners: Sequence[Listener]) -> dict[str, Any]:
    """As shown: capitals and punctuation count."""
    steady = sum((each for listener in listeners for each in _steadiness_of(listener)), Steadiness())
    return {
        "partials": sum(len(shown) for listener in listeners for shown in listener.partials.values()),
        "shown_words": steady.shown,
        "taken_back": _percent(steady.taken_back / steady.shown if steady.shown else None),
        "stable_words": steady.stable,
        "stable_broken": _percent(steady.broken / steady.stable if steady.stable else None),
    }


def _steadiness_of(listener: Listener) -> list[Steadiness]:
    return [
        steadiness(
            [
                (partial.text.split(), partial.stable.split())
                for partial in listener.partials.get(final.item_id, [])
            ],
            final.text.split(),
        )
        for final in listener.finals
    ]


def latencies(recordings: Sequence[Recording], listeners: Sequence[Listener]) -> dict[str, Any]:
    """ms: of the first partial from where speech begins, of the last final from where it ends."""
    firsts: list[float] = []
    lasts: list[float] = []
    for recording, listener in zip(recordings, listeners, strict=True):
        for place, row in zip(recording.places, assign(recording.places, listener.finals)[0], strict=True):
            if not row:
                continue
            lasts.append(listener.final_ms[row[-1].item_id] - place.speech.end_ms)
            first = listener.first_partial_ms.get(row[0].item_id)
            if first is not None:
                firsts.append(first - place.speech.start_ms)
    return {"first_partial_ms": summary(firsts), "final_ms": summary(lasts)}


def emitted(
    recordings: Sequence[Recording], listeners: Sequence[Listener]
) -> tuple[dict[str, Any], list[tuple[Path, str, str]]]:
    """Words over sounds that hold none; and which, by file."""
    found: list[tuple[Path, str, str]] = []
    segments = words = 0
    for recording, listener in zip(recordings, listeners, strict=True):
        rows, strays = assign(recording.places, listener.finals)
        segments += len(listener.finals)
        words += sum(len(final.text.split()) for final in listener.finals)
        found += [
            (place.entry.path, place.entry.category, " | ".join(final.text for final in row if final.text))
            for place, row in zip(recording.places, rows, strict=True)
            if any(final.text for final in row)
        ]
        found += [(Path("-"), "gap", final.text) for final in strays if final.text]
    hours = sum(recording.seconds for recording in recordings) / 3600
    return {
        "files": sum(len(recording.places) for recording in recordings),
        "hours": round(hours, 3),
        "segments": segments,
        "speech_share": round(
            sum(listener.closed.speech_ms for listener in listeners if listener.closed) / 3_600_000 / hours, 3
        ),
        "words": words,
        "words_per_hour": round(words / hours, 1),
        "files_with_words": len(found),
        "errors": [error for listener in listeners for error in listener.errors],
    }, found


def _share(answers: Sequence[bool]) -> float | None:
    return sum(answers) / len(answers) if answers else None


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else round(one - other, 2)

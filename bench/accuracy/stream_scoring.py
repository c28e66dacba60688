"""Compute accuracy figures of streams: their finals against the reference texts and offline transcripts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from bench.accuracy.corpus import LongRecording, ManifestEntry, PlacedClip
from bench.accuracy.scoring import percentile
from bench.accuracy.text_metrics import Comparison, Normalizer, assign, compare, total
from bench.load.recording_client import RecordingClient

CUT_MS: Final = 50  # a segment has cut speech off if it leaves out more of the loud part
BOOTSTRAP_DRAWS: Final = 2_000


@dataclass(frozen=True, slots=True)
class ReceivedUtterance:
    """Hold the texts of one utterance as normalised words, and its finals in figures.

    pieces: finals with words for this utterance; shared: those of them that reach into the speech of another
    early_ms: how much earlier than speech the first segment begins; late_ms: how much later than speech the
    last segment ends. Below 0, speech is cut off. Both are None without a final.
    """

    place: PlacedClip
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
        places: Sequence[PlacedClip],
        receiver: RecordingClient,
        normalizer: Normalizer,
        offline: Mapping[ManifestEntry, list[str]],
    ) -> list[Self]:
        """Assign the finals of a stream to its utterances."""
        rows, _ = assign(places, [final for final in receiver.finals if final.text])
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
        """Return the three texts as lines for the terminal."""
        return "\n".join(
            f"{name:>9} {' '.join(words)}"
            for name, words in (
                (f"{self.pieces} piece(s)", self.reference),
                ("offline", self.offline),
                ("streamed", self.streamed),
            )
        )


def _reaches_over(start_ms: float, end_ms: float, places: Sequence[PlacedClip]) -> bool:
    touched = [place for place in places if place.speech.start_ms < end_ms and place.speech.end_ms > start_ms]
    return len(touched) > 1


def offline_figures(utterances: Sequence[ReceivedUtterance]) -> dict[str, Any]:
    """Return the figures of the offline transcripts."""
    return of([compare(each.reference, each.offline) for each in utterances])


def streamed_figures(utterances: Sequence[ReceivedUtterance]) -> dict[str, Any]:
    """Return the figures of the streamed transcripts, and their difference from the offline ones.

    wer_minus_offline: in percentage points, with the 95 % interval of a bootstrap over utterances
    first_words_of_offline, last_words_of_offline: recall in percent of the offline recall
    """
    streamed = of([compare(each.reference, each.streamed) for each in utterances])
    offline = offline_figures(utterances)
    low, high = _interval(utterances)
    return streamed | {
        "wer_minus_offline": _difference(utterances),
        "wer_minus_offline_low": low,
        "wer_minus_offline_high": high,
        **{
            f"{name}_of_offline_%": _percent(_ratio(streamed[f"{name}_%"], offline[f"{name}_%"]))
            for name in ("first_words", "last_words")
        },
    }


def segment_figures(
    utterances: Sequence[ReceivedUtterance],
    recordings: Sequence[LongRecording],
    receivers: Sequence[RecordingClient],
    normalizer: Normalizer,
) -> dict[str, Any]:
    """Return figures about segments. whole, split: utterances that came in one final, or in several."""
    parts = {
        "whole": [each for each in utterances if each.pieces == 1],
        "split": [each for each in utterances if each.pieces > 1],
    }
    strays = [final for final in _strays(recordings, receivers) if final]
    figures = {f"{name}_utterances": len(part) for name, part in parts.items()}
    return {
        **figures,
        **{f"{name}_wer_minus_offline": _difference(part) for name, part in parts.items()},
        "utterances_without_words": sum(each.pieces == 0 for each in utterances),
        "finals_over_two_utterances": sum(each.shared for each in utterances),
        "words_in_gaps": sum(len(normalizer.words(text)) for text in strays),
        **boundaries(utterances),
        "errors": sum(len(receiver.errors) for receiver in receivers),
    }


def of(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return WER and recall of first and last words, in percent."""
    errors = total(comparisons)
    return {
        "wer_%": _percent(errors.rate),
        "words": errors.words,
        "substitutions": errors.substitutions,
        "deletions": errors.deletions,
        "insertions": errors.insertions,
        "first_words_%": _percent(_share([each.first for each in comparisons])),
        "last_words_%": _percent(_share([each.last for each in comparisons])),
    }


def _excess(utterances: Sequence[ReceivedUtterance]) -> tuple[list[int], list[int]]:
    """Return, per utterance, the errors of streaming minus those of offline, and the reference's words."""
    errors = [
        compare(each.reference, each.streamed).errors.wrong
        - compare(each.reference, each.offline).errors.wrong
        for each in utterances
    ]
    return errors, [len(each.reference) for each in utterances]


def _difference(utterances: Sequence[ReceivedUtterance]) -> float | None:
    errors, words = _excess(utterances)
    return round(100 * sum(errors) / sum(words), 2) if sum(words) else None


def _interval(utterances: Sequence[ReceivedUtterance]) -> tuple[float | None, float | None]:
    errors, words = (np.array(each) for each in _excess(utterances))
    if not len(words) or not words.all():
        return None, None
    draws = np.random.default_rng(0).integers(len(words), size=(BOOTSTRAP_DRAWS, len(words)))
    rates = 100 * errors[draws].sum(1) / words[draws].sum(1)
    low, high = np.quantile(rates, (0.025, 0.975))
    return round(float(low), 2), round(float(high), 2)


def _strays(recordings: Sequence[LongRecording], receivers: Sequence[RecordingClient]) -> Iterator[str]:
    for recording, receiver in zip(recordings, receivers, strict=True):
        yield from (final.text for final in assign(recording.places, receiver.finals)[1])


def boundaries(utterances: Sequence[ReceivedUtterance]) -> dict[str, Any]:
    """Return how early segments begin and how late they end, in ms, and how many cut speech off."""
    figures: dict[str, Any] = {}
    for name, errors in (
        ("begin_early", [each.early_ms for each in utterances if each.early_ms is not None]),
        ("end_late", [each.late_ms for each in utterances if each.late_ms is not None]),
    ):
        for percent in (5, 50, 95):
            value = percentile(errors, percent)
            figures[f"{name}_ms_p{percent}"] = None if value is None else round(value)
        figures[f"{name}_cut"] = sum(error < -CUT_MS for error in errors)
    return figures


def emitted(
    recordings: Sequence[LongRecording], receivers: Sequence[RecordingClient]
) -> tuple[dict[str, Any], list[tuple[Path, str, str]]]:
    """Return figures about words in recordings without speech, and the words by file.

    segments_with_partials counts segments for which a partial showed words.
    """
    found: list[tuple[Path, str, str]] = []
    for recording, receiver in zip(recordings, receivers, strict=True):
        rows, strays = assign(recording.places, receiver.finals)
        found += [
            (place.entry.path, place.entry.category, " | ".join(final.text for final in row if final.text))
            for place, row in zip(recording.places, rows, strict=True)
            if any(final.text for final in row)
        ]
        found += [(Path("-"), "gap", final.text) for final in strays if final.text]
    hours = sum(recording.seconds for recording in recordings) / 3600
    finals = [final for receiver in receivers for final in receiver.finals]
    words = sum(len(final.text.split()) for final in finals)
    return {
        "files": sum(len(recording.places) for recording in recordings),
        "hours": round(hours, 3),
        "segments": len(finals),
        "segments_with_words": sum(bool(final.text) for final in finals),
        "words": words,
        "words_per_hour": round(words / hours, 1),
        "segments_with_partials": sum(len(receiver.partials) for receiver in receivers),
        "errors": sum(len(receiver.errors) for receiver in receivers),
    }, found


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _share(answers: Sequence[bool]) -> float | None:
    return sum(answers) / len(answers) if answers else None


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)

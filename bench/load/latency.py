"""Compute the latency of partials and finals of streams that were sent in real time."""

from collections.abc import Iterator, Sequence
from typing import Any

import client
from bench.accuracy.corpus import LongRecording
from bench.accuracy.scoring import percentile
from bench.accuracy.text_metrics import PartialStability, assign, partial_stability
from bench.load.recording_client import RecordingClient


def latencies(recordings: Sequence[LongRecording], receivers: Sequence[RecordingClient]) -> dict[str, Any]:
    """Return latencies in ms to the first partial and to the last final of each utterance.

    after_onset: from the arrival of speech_started; after_speech: from the true start of speech (partials) or
    its true end (finals); after_segment: from the end of the final's segment, which includes 96 ms of silence
    """
    onsets = [
        receiver.first_partial_ms[item] - began
        for receiver in receivers
        for item, began in receiver.started_ms.items()
        if item in receiver.first_partial_ms
    ]
    firsts, lasts = [], []
    for recording, receiver in zip(recordings, receivers, strict=True):
        for place, row in zip(
            recording.places, assign(recording.places, _finals_with_words(receiver))[0], strict=True
        ):
            if not row:
                continue
            lasts.append(receiver.final_ms[row[-1].item_id] - place.speech.end_ms)
            if row[0].item_id in receiver.first_partial_ms:
                firsts.append(receiver.first_partial_ms[row[0].item_id] - place.speech.start_ms)
    waits = [wait for _, _, wait in waits_of(receivers)]
    return {
        **_spread("first_partial_after_onset_ms", onsets),
        **_spread("first_partial_after_speech_ms", firsts),
        **_spread("final_after_speech_ms", lasts),
        **_spread("final_after_segment_ms", waits),
    }


def waits_of(receivers: Sequence[RecordingClient]) -> Iterator[tuple[int, int, float]]:
    """Yield the stream, segment end in ms and latency from there in ms, for each final ended by silence."""
    for number, receiver in enumerate(receivers):
        for final in _finals_with_words(receiver):
            if final.reason == "silence":
                yield number, final.end_ms, receiver.final_ms[final.item_id] - final.end_ms


def gained(slower: Sequence[RecordingClient], faster: Sequence[RecordingClient]) -> dict[str, Any]:
    """Return by how many ms the finals of `faster` came earlier, for segments that both streams share."""
    waits = {(number, end_ms): wait for number, end_ms, wait in waits_of(faster)}
    return _spread(
        "gained_ms",
        [wait - waits[number, end] for number, end, wait in waits_of(slower) if (number, end) in waits],
    )


def partial_figures(receivers: Sequence[RecordingClient], alone: Sequence[RecordingClient]) -> dict[str, Any]:
    """Return figures about the stability of partials. Words are compared with capitals and punctuation.

    alone: the same streams, with the finals that the recognizer alone would have written
    stable_contradicted: stable words that those finals lack; finals_changed: finals that differ from those
    """
    shown, unbound = _total(receivers), _total(alone)
    pairs = [
        (final.text, other.text)
        for one, another in zip(receivers, alone, strict=True)
        for final, other in zip(one.finals, another.finals, strict=True)
        if final.text
    ]
    return {
        "partials": sum(len(each) for receiver in receivers for each in receiver.partials.values()),
        "shown_words": shown.shown,
        "taken_back_%": _percent(shown.taken_back, shown.shown),
        "stable_words": shown.stable,
        "stable_broken_%": _percent(shown.broken, shown.stable),
        "stable_contradicted_%": _percent(unbound.broken, unbound.stable),
        "finals_changed_%": _percent(sum(text != other for text, other in pairs), len(pairs)),
    }


def _finals_with_words(receiver: RecordingClient) -> list[client.Final]:
    return [final for final in receiver.finals if final.text]


def _total(receivers: Sequence[RecordingClient]) -> PartialStability:
    return sum((each for receiver in receivers for each in _stability_of(receiver)), PartialStability())


def _stability_of(receiver: RecordingClient) -> list[PartialStability]:
    return [
        partial_stability(
            [
                (partial.text.split(), partial.stable.split())
                for partial in receiver.partials.get(final.item_id, [])
            ],
            final.text.split(),
        )
        for final in receiver.finals
    ]


def _spread(name: str, values: Sequence[float]) -> dict[str, Any]:
    figures: dict[str, Any] = {f"{name}_n": len(values)}
    for percent in (50, 95):
        value = percentile(values, percent)
        figures[f"{name}_p{percent}"] = None if value is None else round(value)
    return figures


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None

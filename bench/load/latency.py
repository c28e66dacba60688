"""Latency: when partials and finals of paced streams arrived, held against speech and against each other."""

from collections.abc import Iterator, Sequence
from typing import Any

import client
from bench.accuracy.corpus import LongRecording
from bench.accuracy.scoring import percentile
from bench.accuracy.text_metrics import Steadiness, assign, steadiness
from bench.load.recording_client import RecordingClient


def latencies(recordings: Sequence[LongRecording], listeners: Sequence[RecordingClient]) -> dict[str, Any]:
    """ms, to the arrival of the first partial and of the last final of what was said.

    after_onset: since the client was told that an utterance has begun; after_speech: since speech has begun,
    or ended; after_segment: since the end of the segment, 96 ms of silence included, of each final
    """
    onsets = [
        listener.first_partial_ms[item] - began
        for listener in listeners
        for item, began in listener.started_ms.items()
        if item in listener.first_partial_ms
    ]
    firsts, lasts = [], []
    for recording, listener in zip(recordings, listeners, strict=True):
        for place, row in zip(recording.places, assign(recording.places, _worded(listener))[0], strict=True):
            if not row:
                continue
            lasts.append(listener.final_ms[row[-1].item_id] - place.speech.end_ms)
            if row[0].item_id in listener.first_partial_ms:
                firsts.append(listener.first_partial_ms[row[0].item_id] - place.speech.start_ms)
    waits = [wait for _, _, wait in waits_of(listeners)]
    return {
        **_spread("first_partial_after_onset_ms", onsets),
        **_spread("first_partial_after_speech_ms", firsts),
        **_spread("final_after_speech_ms", lasts),
        **_spread("final_after_segment_ms", waits),
    }


def waits_of(listeners: Sequence[RecordingClient]) -> Iterator[tuple[int, int, float]]:
    """Each final that a silence has ended: its stream, the end of its segment, and ms from there to it."""
    for number, listener in enumerate(listeners):
        for final in _worded(listener):
            if final.reason == "silence":
                yield number, final.end_ms, listener.final_ms[final.item_id] - final.end_ms


def gained(slower: Sequence[RecordingClient], faster: Sequence[RecordingClient]) -> dict[str, Any]:
    """ms by which the one's finals came after the other's, of the same segments of the same streams."""
    waits = {(number, end_ms): wait for number, end_ms, wait in waits_of(faster)}
    return _spread(
        "gained_ms",
        [wait - waits[number, end] for number, end, wait in waits_of(slower) if (number, end) in waits],
    )


def partial_figures(listeners: Sequence[RecordingClient], alone: Sequence[RecordingClient]) -> dict[str, Any]:
    """Words as shown: capitals and punctuation count.

    alone: the same streams, each final as the recognizer by itself would have had it
    contradicted: stable words that it would have taken back; finals_changed: finals that were kept from it
    """
    told, free = _total(listeners), _total(alone)
    pairs = [
        (final.text, other.text)
        for one, another in zip(listeners, alone, strict=True)
        for final, other in zip(one.finals, another.finals, strict=True)
        if final.text
    ]
    return {
        "partials": sum(len(shown) for listener in listeners for shown in listener.partials.values()),
        "shown_words": told.shown,
        "taken_back_%": _percent(told.taken_back, told.shown),
        "stable_words": told.stable,
        "stable_broken_%": _percent(told.broken, told.stable),
        "stable_contradicted_%": _percent(free.broken, free.stable),
        "finals_changed_%": _percent(sum(text != other for text, other in pairs), len(pairs)),
    }


def _worded(listener: RecordingClient) -> list[client.Final]:
    return [final for final in listener.finals if final.text]


def _total(listeners: Sequence[RecordingClient]) -> Steadiness:
    return sum((each for listener in listeners for each in _steadiness_of(listener)), Steadiness())


def _steadiness_of(listener: RecordingClient) -> list[Steadiness]:
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


def _spread(name: str, values: Sequence[float]) -> dict[str, Any]:
    figures: dict[str, Any] = {f"{name}_n": len(values)}
    for percent in (50, 95):
        value = percentile(values, percent)
        figures[f"{name}_p{percent}"] = None if value is None else round(value)
    return figures


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None

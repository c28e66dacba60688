"""Test latency figures with small artificial streams."""

from dataclasses import replace
from pathlib import Path

import numpy as np

import client
from bench.accuracy.corpus import LongRecording, ManifestEntry, PlacedClip
from bench.load.latency import gained, latencies, partial_figures
from bench.load.message_tape import Label
from bench.load.recording_client import RecordingClient

PLACES = (
    PlacedClip(ManifestEntry(Path("cat.wav"), "THE CAT SAT", 2.0), 1000, 3000, Label(1200, 2900)),
    PlacedClip(ManifestEntry(Path("dog.wav"), "A DOG RAN AWAY", 2.0), 5000, 7000, Label(5200, 6900)),
)
RECORDING = LongRecording(np.zeros(8 * 16_000, np.float32), PLACES)


def final(item: str, text: str, start_ms: int, end_ms: int, reason: str = "silence") -> client.Final:
    return client.Final(text, item, start_ms, end_ms, reason, 1)


def receiver(*heard: tuple[client.Event, float]) -> RecordingClient:
    one = RecordingClient()
    for event, at_ms in heard:
        one.receive(event, at_ms)
    return one


STREAM = receiver(
    (client.SpeechStarted("1", 1000), 1300),
    (client.Partial("The cat", "1", 1000, 0), 1900),
    (client.Partial("The cat sat", "1", 1000, 3), 2500),
    (final("1", "The cat sat.", 1000, 3000), 3300),
    (client.SpeechStarted("2", 4900), 5300),
    (final("2", "A dog ran away.", 4900, 7000), 7200),
)


def test_partials_are_timed_from_the_onset_and_from_speech() -> None:
    found = latencies([RECORDING], [STREAM])
    assert (found["first_partial_after_onset_ms_n"], found["first_partial_after_onset_ms_p50"]) == (1, 600)
    assert found["first_partial_after_speech_ms_p50"] == 700


def test_finals_are_timed_from_the_end_of_speech_and_of_their_segments() -> None:
    found = latencies([RECORDING], [STREAM])
    assert (found["final_after_speech_ms_n"], found["final_after_speech_ms_p50"]) == (2, 350)
    assert found["final_after_segment_ms_p50"] == 250


def test_a_final_not_ended_by_silence_has_no_wait() -> None:
    cut = receiver((final("1", "The cat", 1000, 3000, "max_duration"), 3010))
    assert latencies([RECORDING], [cut])["final_after_segment_ms_n"] == 0


def test_gains_compare_the_same_segments() -> None:
    late = receiver(
        (final("a", "The cat sat.", 1000, 3000), 3500),
        (final("b", "A dog", 4900, 6000), 6900),
    )
    assert gained([late], [STREAM]) == {"gained_ms_n": 1, "gained_ms_p50": 200, "gained_ms_p95": 200}


def test_stable_words_are_compared_with_both_finals() -> None:
    one = receiver(
        (client.Partial("The hat", "1", 0, 0), 1500),
        (client.Partial("The cat is", "1", 0, 7), 2000),
        (final("1", "The cat sat.", 1000, 3100), 3300),
    )
    free = replace(one, finals=[final("1", "The bat sat.", 1000, 3100)])
    figures = partial_figures([one], [free])
    assert (figures["partials"], figures["shown_words"], figures["taken_back_%"]) == (2, 4, 50)
    assert (figures["stable_words"], figures["stable_broken_%"]) == (2, 0)
    assert (figures["stable_contradicted_%"], figures["finals_changed_%"]) == (50, 100)


def test_a_rejected_final_does_not_count_as_changed() -> None:
    one, free = (receiver((final("1", text, 0, 500), 900)) for text in ("", "Thank you."))
    assert partial_figures([one], [free])["finals_changed_%"] is None

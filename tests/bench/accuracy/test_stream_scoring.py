"""Test accuracy figures with small artificial streams."""

from pathlib import Path

import numpy as np

import client
from bench.accuracy.corpus import LongRecording, ManifestEntry, PlacedClip
from bench.accuracy.stream_scoring import (
    ReceivedUtterance,
    boundaries,
    emitted,
    offline_figures,
    segment_figures,
    streamed_figures,
)
from bench.accuracy.text_metrics import Normalizer
from bench.load.message_tape import Label
from bench.load.recording_client import RecordingClient

CAT = ManifestEntry(Path("cat.wav"), "THE CAT SAT", 2.0)
DOG = ManifestEntry(Path("dog.wav"), "A DOG RAN AWAY", 2.0)
PLACES = (
    PlacedClip(CAT, 1000, 3000, Label(1200, 2900)),
    PlacedClip(DOG, 5000, 7000, Label(5200, 6900)),
)
RECORDING = LongRecording(np.zeros(8 * 16_000, np.float32), PLACES)
OFFLINE = {CAT: ["the", "cat", "sat"], DOG: ["a", "dog", "ran", "away"]}
NORMALIZER = Normalizer()


def final(item: str, text: str, start_ms: int, end_ms: int) -> client.Final:
    return client.Final(text, item, start_ms, end_ms, "silence", 1)


def receiver(*finals: client.Final) -> RecordingClient:
    return RecordingClient(finals=list(finals))


WHOLE = receiver(
    final("0", "", 500, 900),
    final("1", "The cat sat.", 1000, 3100),
    final("2", "A dog", 4900, 5800),
    final("3", "ran.", 6000, 6700),
    final("4", "Boo!", 7500, 7600),
)


def heard(one: RecordingClient = WHOLE) -> list[ReceivedUtterance]:
    return ReceivedUtterance.from_stream(PLACES, one, NORMALIZER, OFFLINE)


def test_an_utterance_is_joined_of_its_finals() -> None:
    cat, dog = heard()
    assert (cat.streamed, cat.pieces) == (["the", "cat", "sat"], 1)
    assert (dog.streamed, dog.pieces) == (["a", "dog", "ran"], 2)


def test_a_final_without_words_is_no_piece_of_an_utterance() -> None:
    cat, _ = heard(receiver(final("0", "", 1000, 1100), final("1", "The cat sat.", 1150, 3100)))
    assert (cat.pieces, cat.early_ms) == (1, 50)


def test_streaming_is_told_beside_offline() -> None:
    offline, streamed = offline_figures(heard()), streamed_figures(heard())
    assert (offline["wer_%"], offline["last_words_%"]) == (0, 100)
    assert streamed["wer_%"] == round(100 / 7, 2) == streamed["wer_minus_offline"]
    assert (streamed["first_words_%"], streamed["last_words_%"]) == (100, 50)
    assert streamed["last_words_of_offline_%"] == 50


def test_the_interval_of_a_difference_holds_it() -> None:
    figures = streamed_figures(heard())
    low, high = figures["wer_minus_offline_low"], figures["wer_minus_offline_high"]
    assert low == 0 <= figures["wer_minus_offline"] <= high == 25


def test_utterances_in_one_piece_and_in_several_are_told_apart() -> None:
    figures = segment_figures(heard(), [RECORDING], [WHOLE], NORMALIZER)
    assert (figures["whole_utterances"], figures["split_utterances"]) == (1, 1)
    assert (figures["whole_wer_minus_offline"], figures["split_wer_minus_offline"]) == (0, 25)
    assert figures["words_in_gaps"] == 1


def test_boundaries_count_from_speech_and_cuts_are_counted() -> None:
    found = boundaries(heard())
    assert (found["begin_early_ms_p50"], found["begin_early_cut"]) == (250, 0)
    assert (found["end_late_ms_p50"], found["end_late_cut"]) == (0, 1)


def test_a_lost_utterance_is_counted() -> None:
    lost = heard(RecordingClient())
    assert (
        segment_figures(lost, [RECORDING], [RecordingClient()], NORMALIZER)["utterances_without_words"] == 2
    )
    assert streamed_figures(lost)["wer_%"] == 100


def test_a_final_over_two_utterances_is_counted() -> None:
    one = receiver(final("1", "The cat sat. A dog", 1000, 5800))
    assert segment_figures(heard(one), [RECORDING], [one], NORMALIZER)["finals_over_two_utterances"] == 1


def test_words_over_sounds_without_words_are_told_by_file() -> None:
    one = receiver(final("0", "", 500, 900), final("1", "thank you", 1000, 3100))
    figures, found = emitted([RECORDING], [one])
    assert (figures["segments"], figures["segments_with_words"], figures["words"]) == (2, 1, 2)
    assert figures["words_per_hour"] == 900
    assert [(path.name, text) for path, _, text in found] == [("cat.wav", "thank you")]

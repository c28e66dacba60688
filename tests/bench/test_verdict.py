"""Figures of little streams that were made up."""

from pathlib import Path

import numpy as np

import client
from bench.accuracy import Normalizer
from bench.corpus import Entry, Place, Recording
from bench.listener import Listener
from bench.tape import Label
from bench.verdict import Heard, boundaries, emitted, latencies, partial_figures, streaming_figures

CAT = Entry(Path("cat.wav"), "THE CAT SAT", 2.0)
DOG = Entry(Path("dog.wav"), "A DOG RAN AWAY", 2.0)
PLACES = (
    Place(CAT, 1000, 3000, Label(1200, 2900)),
    Place(DOG, 5000, 7000, Label(5200, 6900)),
)
RECORDING = Recording(np.zeros(8 * 16_000, np.float32), PLACES)
OFFLINE = {CAT: ["the", "cat", "sat"], DOG: ["a", "dog", "ran", "away"]}
NORMALIZER = Normalizer()


def final(item: str, text: str, start_ms: int, end_ms: int) -> client.Final:
    return client.Final(text, item, start_ms, end_ms, "silence", 1)


def partial(item: str, text: str, stable_chars: int = 0) -> client.Partial:
    return client.Partial(text, item, 0, stable_chars)


def listener(*heard: tuple[client.Event, float]) -> Listener:
    one = Listener()
    for event, at_ms in heard:
        one.hear(event, at_ms)
    return one


WHOLE = listener(
    (partial("1", "The cat"), 1700),
    (final("1", "The cat sat.", 1000, 3100), 3300),
    (final("2", "A dog", 4900, 5800), 6000),
    (final("3", "ran.", 6000, 6700), 7200),
    (final("4", "Boo!", 7500, 7600), 8000),
)


def heard() -> list[Heard]:
    return Heard.from_stream(PLACES, WHOLE, NORMALIZER, OFFLINE)


def test_an_utterance_is_joined_of_its_finals() -> None:
    cat, dog = heard()
    assert (cat.streamed, cat.pieces) == (["the", "cat", "sat"], 1)
    assert (dog.streamed, dog.pieces) == (["a", "dog", "ran"], 2)


def test_streaming_is_told_against_the_reference_and_against_offline() -> None:
    figures = streaming_figures(heard(), [RECORDING], [WHOLE], NORMALIZER)
    assert figures["wer"] == round(100 / 7, 2) == figures["wer_minus_offline"]
    assert figures["against_offline"]["deletions"] == 1
    assert (figures["first_words"], figures["last_words"]) == (100.0, 50.0)
    assert figures["split"]["streaming"]["deletions"] == 1
    assert figures["whole"]["streaming"]["wer"] == 0
    assert (figures["finals_in_gaps"], figures["words_in_gaps"]) == (1, 1)


def test_boundaries_count_from_speech_and_cuts_are_counted() -> None:
    found = boundaries(heard())
    assert (found["begin_early_ms_p50"], found["begin_early_ms_cut"]) == (250, 0)
    assert (found["end_late_ms_p50"], found["end_late_ms_cut"]) == (0, 1)


def test_a_lost_utterance_is_counted() -> None:
    silent = Listener()
    found = Heard.from_stream(PLACES, silent, NORMALIZER, OFFLINE)
    figures = streaming_figures(found, [RECORDING], [silent], NORMALIZER)
    assert (figures["without_a_final"], figures["wer"]) == (2, 100.0)


def test_a_final_over_two_utterances_is_counted() -> None:
    one = listener((final("1", "The cat sat. A dog", 1000, 5800), 6000))
    found = Heard.from_stream(PLACES, one, NORMALIZER, OFFLINE)
    assert streaming_figures(found, [RECORDING], [one], NORMALIZER)["finals_over_two_utterances"] == 1


def test_latencies_count_from_the_begin_and_the_end_of_speech() -> None:
    found = latencies([RECORDING], [WHOLE])
    assert found["first_partial_ms"]["p50"] == 500
    assert found["final_ms"]["max"] == 400


def test_partials_are_held_against_their_own_final() -> None:
    one = listener(
        (partial("1", "The hat"), 1500),
        (partial("1", "The cat", stable_chars=3), 2000),
        (final("1", "The cat sat.", 1000, 3100), 3300),
    )
    figures = partial_figures([one])
    assert (figures["partials"], figures["shown_words"], figures["taken_back"]) == (2, 3, round(100 / 3, 2))
    assert (figures["stable_words"], figures["stable_broken"]) == (1, 0)


def test_words_over_sounds_without_words_are_told_by_file() -> None:
    figures, found = emitted([RECORDING], [listener((final("1", "thank you", 1000, 3100), 3300))])
    assert (figures["words"], figures["files_with_words"]) == (2, 1)
    assert figures["words_per_hour"] == 900
    assert [(path.name, text) for path, _, text in found] == [("cat.wav", "thank you")]

"""Test finals: rejected, shortened, with the stable words, or failed."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asr.hallucination_filter import FilterThresholds
from asr.recognizer import Hypothesis, Word
from audio.clip import Clip, Samples
from postprocessing.options import TextOptions
from streaming.events import FinalTranscript, TranscriptionFailed
from streaming.finalization import final_event, with_stable_words
from streaming.local_agreement import pieces
from streaming.partials import Partials
from streaming.utterance import Utterance
from vad.segmenter import Reason

SECOND = 16_000
LOUD = np.full(SECOND, 0.3, np.float32)
SPEECH, NOISE = [0.95] * 31, [0.5] * 31
WORDS = st.lists(st.sampled_from(["a", "b", "c."]), max_size=5)


def closed(
    outcome: Hypothesis | str,
    samples: Samples = LOUD,
    *,
    told: str = "",
    probabilities: Sequence[float] = SPEECH,
) -> Utterance:
    utterance = Utterance(3, 0, Partials(0, due=0))
    utterance.partials.stable = pieces(told)
    utterance.clip, utterance.reason = Clip(samples, 100), Reason.SILENCE
    utterance.speech_probabilities, utterance.outcome = probabilities, outcome
    return utterance


def final(utterance: Utterance) -> FinalTranscript:
    event = final_event(utterance, FilterThresholds())
    assert isinstance(event, FinalTranscript)
    return event


def test_hypothesis_becomes_the_final() -> None:
    said = Hypothesis("good morning", confidence=0.9)
    assert final(closed(said)).hypothesis is said
    assert final(closed(said)).guard is None


def test_text_over_silence_is_rejected_by_a_named_guard() -> None:
    said = Hypothesis("thank you", words=(Word("thank", 0, 9),))
    event = final(closed(said, LOUD * 1e-4, probabilities=NOISE))
    assert (event.guard, event.hypothesis.text, event.hypothesis.words) == ("rms", "", ())
    assert event.is_rejected


def test_text_of_certain_speech_is_kept_whatever_its_level() -> None:
    event = final(closed(Hypothesis("thank you"), LOUD * 1e-4))
    assert (event.guard, event.hypothesis.text) == (None, "thank you")


def test_endless_text_is_shortened_and_still_speech() -> None:
    event = final(closed(Hypothesis("well " + "no " * 40 + "good")))
    assert (event.guard, event.hypothesis.text) == ("repetition", "well no no no no no good")
    assert not event.is_rejected


def test_words_of_a_final_have_times_of_their_own() -> None:
    words = tuple(Word(text, 100 + SECOND, 100 + SECOND) for text in ("good", "morning"))
    event = final(closed(Hypothesis("good morning", words=words)))
    spans = [(word.start - 100, word.end - 100) for word in event.hypothesis.words]
    assert spans == [(SECOND - 640, SECOND - 320), (SECOND - 320, SECOND)]


def test_empty_text_is_not_rejected() -> None:
    assert final(closed(Hypothesis(""), LOUD * 0)).guard is None


def test_failure_takes_the_place_of_the_final() -> None:
    assert final_event(closed("no memory"), FilterThresholds()) == TranscriptionFailed(
        3, 100, 100 + SECOND, "no memory"
    )


def test_stable_words_are_kept_if_the_hypothesis_changes() -> None:
    assert final(closed(Hypothesis("Good mourning, all."), told="good morning")).hypothesis.text == (
        "good morning all."
    )


def test_stable_words_are_kept_if_the_text_is_rejected() -> None:
    event = final(closed(Hypothesis("good morning all"), LOUD * 1e-4, told="good", probabilities=NOISE))
    assert (event.guard, event.hypothesis.text) == ("rms", "good")


@given(WORDS, WORDS)
def test_final_begins_with_stable_words_and_else_is_unchanged(told: list[str], said: list[str]) -> None:
    hypothesis = Hypothesis(" ".join(said))
    kept = with_stable_words(pieces(" ".join(told)), hypothesis, Clip(LOUD))
    assert kept.text.split()[: len(told)] == told
    if said[: len(told)] == told:
        assert kept is hypothesis


@given(WORDS, WORDS)
def test_word_times_are_ordered_and_inside_the_clip(told: list[str], said: list[str]) -> None:
    step = SECOND // max(1, len(said))
    words = tuple(Word(word, n * step, (n + 1) * step, 0.5) for n, word in enumerate(said))
    kept = with_stable_words(pieces(" ".join(told)), Hypothesis(" ".join(said), words=words), Clip(LOUD))
    if said:
        assert [word.text for word in kept.words] == kept.text.split()
    edges = [edge for word in kept.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= SECOND for edge in edges)


def test_changed_word_has_no_confidence() -> None:
    words = (Word("good", 0, 5, 0.9), Word("mourning", 5, 9, 0.8), Word("all", 9, 12, 0.7))
    kept = with_stable_words(["good", " morning"], Hypothesis("good mourning all", words=words), Clip(LOUD))
    assert kept.words == (words[0], Word("morning", 5, 9), words[2])


def test_text_of_a_final_is_changed_as_its_utterance_wants() -> None:
    utterance = closed(Hypothesis("my code is 4711", words=(Word("your", 100, 200),)))
    utterance.text = TextOptions(redact=("numbers",))
    event = final(utterance)
    assert event.hypothesis == Hypothesis("my code is [NUMBER]")
    assert "4711" not in repr(event)

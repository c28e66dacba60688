"""Test that the required silence depends on the text or the audio before it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis
from audio.clip import HOP, Clip, samples_from_ms
from streaming.endpointing import AdaptiveSilence, FixedSilence, ModelSilence, reads_unfinished
from streaming.events import FinalTranscript, UtteranceEnded
from streaming.options import SessionOptions
from streaming.session import QUESTION_SAMPLES, Session
from streaming.utterance import TaskKind
from tests.streaming.fakes import (
    detect_all,
    hear,
    sound,
    take_events,
    take_hops,
    take_question,
    take_task,
)

USUAL = samples_from_ms(500)


@pytest.mark.parametrize(
    "text",
    [
        "I went to the",
        "yes, but",
        "so um",
        "my number is five five",
        "call 5 5 5",
        "first,",
        "well…",
        "He said that",
    ],
)
def test_unfinished_text_requires_more_silence(text: str) -> None:
    assert reads_unfinished(text)
    assert AdaptiveSilence().silence(text, USUAL) > USUAL


@pytest.mark.parametrize("text", ["That is all.", "Is it?", "Stop!", "What are you looking at?"])
def test_finished_text_requires_less_silence(text: str) -> None:
    assert AdaptiveSilence().silence(text, USUAL) < USUAL


@pytest.mark.parametrize("text", ["good morning", "", "I have one", "in 1984"])
def test_other_text_requires_the_default_silence(text: str) -> None:
    assert AdaptiveSilence().silence(text, USUAL) == USUAL


@given(st.text(), st.integers(0, 160_000))
def test_adaptive_silence_is_bounded_and_fixed_is_constant(text: str, default: int) -> None:
    adaptive = AdaptiveSilence(shortest=3_200, longest=16_000)
    assert min(3_200, default) <= adaptive.silence(text, default) <= max(16_000, default)
    assert FixedSilence().silence(text, default) == default


def hops_until_final(text: str) -> int:
    """Return the hops of silence before an utterance with this eager text ends."""
    session = Session(SessionOptions(turn=AdaptiveSilence()), hops_per_step=200)
    samples = sound((True, 32 * HOP), (False, 80 * HOP))
    session.receive_audio(Clip(samples))
    hops = take_hops(session)
    assert hops is not None
    for number, probability in enumerate(hear(hops)):
        session.receive_probabilities([probability])
        job = take_task(session)
        if job is not None and job.kind is TaskKind.EAGER:
            session.receive_hypothesis(job, Hypothesis(text))
        if any(isinstance(event, FinalTranscript) for event in take_events(session)):
            return number + 1 - 32
    raise AssertionError("the utterance did not end")


def test_text_moves_the_end_of_the_utterance() -> None:
    assert hops_until_final("That is all.") == 7  # 224 ms
    assert hops_until_final("that is all") == 10  # 320 ms
    assert hops_until_final("that is the") == 38  # 1216 ms


def test_late_text_ends_the_utterance_at_the_same_sample() -> None:
    session = Session(SessionOptions(turn=AdaptiveSilence()), hops_per_step=200)
    samples = sound((True, 32 * HOP), (False, 20 * HOP), (True, 10 * HOP), (False, 60 * HOP))
    session.receive_audio(Clip(samples))
    hops = take_hops(session)
    assert hops is not None
    session.receive_probabilities(hear(hops))  # all of it is judged before anything is transcribed
    for text in ("that is the", "that is the end."):
        job = take_task(session)
        assert job is not None
        session.receive_hypothesis(job, Hypothesis(text))
    finals = [event for event in take_events(session) if isinstance(event, FinalTranscript)]
    assert [final.hypothesis.text for final in finals] == ["that is the end."]


def test_required_silence_applies_to_one_pause_only() -> None:
    session = Session(SessionOptions(turn=AdaptiveSilence()), hops_per_step=200)
    samples = sound((True, 32 * HOP), (False, 20 * HOP), (True, 10 * HOP), (False, 12 * HOP))
    session.receive_audio(Clip(samples))
    hops = take_hops(session)
    assert hops is not None
    texts = iter(["that is the", "that is the end"])
    finals = []
    for probability in hear(hops):
        session.receive_probabilities([probability])
        job = take_task(session)
        if job is not None and job.kind is TaskKind.EAGER:
            session.receive_hypothesis(job, Hypothesis(next(texts)))
        finals += [event for event in take_events(session) if isinstance(event, FinalTranscript)]
    assert [final.hypothesis.text for final in finals] == ["that is the end"]


@pytest.mark.parametrize(("probability", "hops"), [(0.9, 7), (0.5, 7), (0.49, 38), (None, 10)])
def test_model_moves_the_end_of_the_utterance(probability: float | None, hops: int) -> None:
    assert hops_of_pause(probability) == hops


def test_pause_is_not_judged_further_until_the_model_answers() -> None:
    session = Session(SessionOptions(turn=ModelSilence()), hops_per_step=200)
    session.receive_audio(Clip(sound((True, 32 * HOP), (False, 80 * HOP))))
    detect_all(session)
    assert session.judged == 38 * HOP  # 192 ms of the pause
    question = take_question(session)
    assert question is not None
    assert question.clip.end == 38 * HOP
    session.receive_turn_probability(question, 0.9)
    assert session.judged == 112 * HOP
    assert not session.is_speaking


def hops_of_pause(probability: float | None) -> int:
    """Return the hops of silence before an utterance ends about which the model says this."""
    session = Session(SessionOptions(turn=ModelSilence()), hops_per_step=200)
    session.receive_audio(Clip(sound((True, 32 * HOP), (False, 80 * HOP))))
    wanted = take_hops(session)
    assert wanted is not None
    for number, heard in enumerate(hear(wanted)):
        session.receive_probabilities([heard])
        if (question := take_question(session)) is not None:
            session.receive_turn_probability(question, probability)
        if any(isinstance(event, UtteranceEnded) for event in take_events(session)):
            return number + 1 - 32
    raise AssertionError("the utterance did not end")


def test_model_hears_the_last_seconds_of_the_utterance() -> None:
    session = Session(SessionOptions(turn=ModelSilence()), hops_per_step=2000)
    samples = sound((True, 500 * HOP), (False, 80 * HOP))
    session.receive_audio(Clip(samples))
    wanted = take_hops(session)
    assert wanted is not None
    session.receive_probabilities(hear(wanted))
    question = take_question(session)
    assert question is not None
    assert len(question.clip.samples) == QUESTION_SAMPLES
    np.testing.assert_array_equal(question.clip.samples, samples[506 * HOP - QUESTION_SAMPLES : 506 * HOP])


def test_answer_counts_for_its_own_pause_only() -> None:
    session = Session(SessionOptions(turn=ModelSilence()), hops_per_step=200)
    samples = sound((True, 32 * HOP), (False, 20 * HOP), (True, 10 * HOP), (False, 60 * HOP))
    session.receive_audio(Clip(samples))
    wanted = take_hops(session)
    assert wanted is not None
    session.receive_probabilities(hear(wanted))
    first = take_question(session)
    assert first is not None
    session.receive_turn_probability(first, 0.1)
    second = take_question(session)
    assert second is not None
    assert second.clip.end == 68 * HOP
    session.receive_turn_probability(first, 0.9)  # an answer that comes twice changes nothing
    assert session.is_speaking
    session.receive_turn_probability(second, 0.9)
    assert not session.is_speaking


def test_new_options_end_the_wait_for_the_model() -> None:
    session = Session(SessionOptions(turn=ModelSilence()), hops_per_step=200)
    session.receive_audio(Clip(sound((True, 32 * HOP), (False, 6 * HOP))))
    detect_all(session)
    question = take_question(session)
    assert question is not None
    session.receive_options(SessionOptions(turn=ModelSilence()))
    session.receive_turn_probability(question, 0.1)
    session.receive_audio(Clip(sound((False, 4 * HOP)), 38 * HOP))
    detect_all(session)
    assert not session.is_speaking  # after the default silence


@given(st.integers(0, 160_000), st.integers(1_536, 160_000), st.integers(1_536, 160_000), st.floats(0, 1))
def test_model_is_asked_before_any_silence_that_it_may_require(
    default: int, shortest: int, longest: int, probability: float
) -> None:
    turn = ModelSilence(shortest, longest)
    assert turn.question_silence(default) < max(1, turn.judged_silence(probability, default))
    assert turn.question_silence(default) % HOP == 0

"""Test that a session that is saved and restored anywhere gives the same events."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis, TranscriptionOptions
from audio.clip import Clip, Samples
from postprocessing.options import TextOptions
from streaming.endpointing import AdaptiveSilence, ModelSilence
from streaming.events import Event, FinalTranscript, PartialTranscript
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.snapshot import restore, save
from streaming.utterance import RecordedResult, TaskKind
from tests.examples import examples
from tests.streaming.fakes import (
    CONTINUING,
    FEW_GUARDS,
    complete,
    detect_all,
    flat,
    hear,
    play,
    recognize,
    sound,
    take_events,
    take_hops,
    take_question,
    take_task,
)
from vad.options import VadOptions
from vad.segmenter import Reason


def answered(session: Session, chance: random.Random, late: float) -> list[Event]:
    """Answer at once, except finals: they come late, or not before the session is saved."""
    events: list[Event] = []
    while True:
        while (job := take_task(session)) is not None:
            if job.kind is not TaskKind.FINAL or chance.random() > late:
                session.receive_hypothesis(job, recognize(job.request))
        if (question := take_question(session)) is not None and chance.random() > late:
            session.receive_turn_probability(question, complete(question.clip))
            continue
        events += take_events(session)
        if (hops := take_hops(session)) is None:
            return events
        session.receive_probabilities(hear(hops))


def relayed(
    samples: Samples, seed: int, options: SessionOptions = CONTINUING, late: float = 0.0
) -> list[Event]:
    """Run one session after the other, each restored from the one before."""
    chance, session, start = random.Random(seed), Session(options), 0
    events: list[Event] = []
    while start < len(samples):
        end = min(len(samples), start + chance.randint(1, 9_000))
        session.receive_audio(Clip(samples[start:end], start))
        start = end
        events += answered(session, chance, late)
        if session.is_at_rest and chance.random() < 0.7:
            session = restore(save(session), options)
    session.receive_end(Reason.END_OF_STREAM)
    return events + answered(session, chance, 0.0)


runs = st.lists(st.tuples(st.booleans(), st.integers(0, 30_000)), max_size=8)


@examples(60)
@given(runs, st.integers(0, 10_000))
def test_restored_session_gives_the_same_events(parts: list[tuple[bool, int]], seed: int) -> None:
    samples = sound(*parts)
    assert flat(relayed(samples, seed)) == flat(play(samples, [], options=CONTINUING))


@examples(30)
@given(runs, st.integers(0, 10_000))
def test_pending_finals_survive_a_snapshot(parts: list[tuple[bool, int]], seed: int) -> None:
    samples = sound((True, 9_000), (False, 9_000), *parts)
    options = SessionOptions(guards=FEW_GUARDS, eager=False, continues=True)
    session = Session(options)
    session.receive_audio(Clip(samples, 0))
    events = answered(session, random.Random(seed), 0.8)
    session = restore(save(session), options)
    session.receive_end(Reason.END_OF_STREAM)
    assert flat(events + answered(session, random.Random(seed), 0.0)) == flat(
        play(samples, [], options=options)
    )


@pytest.mark.parametrize(
    "options",
    [
        SessionOptions(partials=True, guards=FEW_GUARDS, turn=AdaptiveSilence(), continues=True),
        SessionOptions(partials=True, guards=FEW_GUARDS, turn=ModelSilence(), continues=True),
        SessionOptions(partials=True, guards=FEW_GUARDS, vad=VadOptions(manual=True)),
        SessionOptions(partials=True, guards=FEW_GUARDS, vad=VadOptions(manual=True, max_manual_ms=1_000)),
        SessionOptions(partials=True, guards=FEW_GUARDS, vad=VadOptions(max_segment_ms=1_000)),
    ],
)
@pytest.mark.parametrize("seed", range(6))
def test_restored_session_gives_the_same_events_with_other_options(
    options: SessionOptions, seed: int
) -> None:
    samples = sound((True, 20_000), (False, 4_000), (True, 40_000), (False, 30_000), (True, 9_000))
    assert flat(relayed(samples, seed, options)) == flat(play(samples, [], options=options))


def test_waiting_markers_survive_a_snapshot() -> None:
    session = Session(SessionOptions(guards=FEW_GUARDS, eager=False))
    session.receive_audio(Clip(sound((True, 9_600)), 0))
    detect_all(session)
    session.receive_marker("held")
    session.receive_audio(Clip(sound((False, 256)), 9_600))
    session.effects.clear()
    state = save(session).state
    assert state.held == ("held",)
    session = restore(save(session), session.options)
    session.receive_end(Reason.DISCONNECT)
    told = [type(event).__name__ for event in answered(session, random.Random(1), 0.0)]
    assert told[-3:] == ["FinalTranscript", "MarkerReached", "StreamClosed"]


def test_stable_words_survive_a_snapshot() -> None:
    options = SessionOptions(partials=True, guards=FEW_GUARDS)
    session = restore(save(Session(options)), options, stable_words={1: ["hello", " there"]})
    session.receive_audio(Clip(sound((True, 32_000), (False, 16_000)), 0))
    events = answered(session, random.Random(1), 0.0)
    partials = [event for event in events if isinstance(event, PartialTranscript)]
    assert partials
    assert all(event.text[: event.stable_chars].startswith("hello there") for event in partials)
    assert [event.utterance for event in events if isinstance(event, FinalTranscript)] == [1]
    assert "text='hello there" in repr(events)


def test_recorded_result_replaces_recognition() -> None:
    session = Session(SessionOptions(guards=FEW_GUARDS, eager=False))
    session.receive_audio(Clip(sound((True, 9_600), (False, 9_600)), 0))
    detect_all(session)
    job = take_task(session)
    assert job is not None
    said = recognize(job.request)
    session.receive_recorded_result(job, RecordedResult(said, "rate"))
    (final,) = [event for event in take_events(session) if type(event).__name__ == "FinalTranscript"]
    assert (final.hypothesis, final.guard) == (said, "rate")  # type: ignore[union-attr]
    session.receive_end(Reason.DISCONNECT)
    answered(session, random.Random(1), 0.0)
    assert session.accounting.speech == 0  # the rejected segment is not speech


def test_recognition_options_of_an_utterance_are_saved_with_it() -> None:
    words = SessionOptions(guards=FEW_GUARDS, asr=TranscriptionOptions(words=True))
    plain = SessionOptions(guards=FEW_GUARDS)
    session = Session(words)
    session.receive_audio(Clip(sound((True, 16_384)), 0))
    detect_all(session)
    session.receive_options(plain)
    take_events(session)
    session = restore(save(session), plain)
    session.receive_commit()
    take_events(session)
    assert take_task(session) is not None  # the final, which gets no answer
    session = restore(save(session), plain)
    task = take_task(session)
    assert task is not None
    assert task.request.options == words.asr


def test_language_survives_a_snapshot() -> None:
    options = SessionOptions(guards=FEW_GUARDS, eager=False)
    session = Session(options)
    session.receive_audio(Clip(sound((True, 9_600), (False, 9_600)), 0))
    detect_all(session)
    task = take_task(session)
    assert task is not None
    session.receive_hypothesis(task, Hypothesis("Guten Tag.", language="de", language_probability=0.9))
    session.effects.clear()
    restored = restore(save(session), options)
    restored.receive_audio(Clip(sound((True, 9_600), (False, 9_600)), restored.received))
    detect_all(restored)
    task = take_task(restored)
    assert task is not None
    assert task.request.likely_language == "de"


def test_text_options_of_an_utterance_are_saved_with_it() -> None:
    redacting = SessionOptions(guards=FEW_GUARDS, text=TextOptions(redact=("numbers",)))
    plain = SessionOptions(guards=FEW_GUARDS)
    session = Session(redacting)
    session.receive_audio(Clip(sound((True, 16_384)), 0))
    detect_all(session)
    session.receive_options(plain)
    take_events(session)
    session = restore(save(session), plain)
    session.receive_commit()
    take_events(session)
    assert take_task(session) is not None  # the final, which gets no answer
    session = restore(save(session), plain)
    task = take_task(session)
    assert task is not None
    session.receive_hypothesis(task, Hypothesis("the code is 4711"))
    assert "text='the code is [NUMBER]'" in repr(take_events(session))

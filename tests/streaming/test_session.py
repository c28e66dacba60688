"""Test that no sample is lost, and that each utterance has one final, in order, whatever the timing."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.hallucination_filter import FilterThresholds
from asr.recognizer import Hypothesis, TranscriptionOptions
from audio.clip import HOP, Clip
from postprocessing.options import TextOptions
from streaming.effects import HoldTask
from streaming.endpointing import AdaptiveSilence, EndpointPolicy, ModelSilence
from streaming.events import (
    AudioCleared,
    Event,
    FinalTranscript,
    MarkerReached,
    NoteReached,
    PartialTranscript,
    StreamClosed,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.utterance import RecognitionTask, TaskKind
from tests.examples import examples
from tests.streaming.fakes import (
    CONTINUING,
    FEW_GUARDS,
    Ask,
    Slow,
    flat,
    hear,
    play,
    recognize,
    sound,
    take_events,
    take_hops,
    take_task,
)
from vad.options import VadOptions
from vad.segmenter import Reason

SECOND = 16_000
TWO_UTTERANCES = sound((False, SECOND), (True, SECOND), (False, SECOND), (True, SECOND), (False, SECOND))

COMMIT: Ask = Session.receive_commit
CLEAR: Ask = Session.receive_clear
NO_AUDIO: Ask = Session.receive_no_audio


def mark(name: str) -> Ask:
    return lambda session: session.receive_marker(name)


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events if not isinstance(event, PartialTranscript)]


def finals(events: Sequence[Event]) -> list[FinalTranscript]:
    return [event for event in events if isinstance(event, FinalTranscript)]


def closed(events: list[Event]) -> StreamClosed:
    last = events[-1]
    assert isinstance(last, StreamClosed)
    return last


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1_000, 40_000)), min_size=1, max_size=12),
    st.integers(100, 20_000),
    st.integers(0, 3),
)
@examples(25)
def test_segments_of_a_file_do_not_depend_on_its_chunks(
    runs: list[tuple[bool, int]], size: int, seed: int
) -> None:
    samples = sound(*runs)
    vad = VadOptions(max_segment_ms=2_000, pause_ms=1_000, silence_ms=160)
    options = SessionOptions(vad=vad, eager=False)
    events = play(samples, range(0, len(samples), size), seed=seed, options=options)
    assert flat(events) == flat(play(samples, (), options=options))
    assert sum((closed(events).speech, closed(events).non_speech)) == len(samples)
    spans = [(final.clip.start, final.clip.end) for final in finals(events)]
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_events_of_two_utterances_end_with_the_sums() -> None:
    events = play(TWO_UTTERANCES, range(0, 80_000, 1600))
    assert kinds(events) == ["UtteranceStarted", "UtteranceEnded", "FinalTranscript"] * 2 + ["StreamClosed"]
    assert [final.reason for final in finals(events)] == [Reason.SILENCE, Reason.SILENCE]
    for final in finals(events):
        assert final.hypothesis == recognize_clip(final.clip)
        assert final.eager
    assert closed(events).received == len(TWO_UTTERANCES)


def recognize_clip(clip: Clip) -> Hypothesis:
    from asr.recognizer import RecognitionRequest

    return recognize(RecognitionRequest(clip))


def test_final_clip_has_pre_roll_and_tail() -> None:
    first = finals(play(TWO_UTTERANCES, range(0, 80_000, 1600)))[0]
    speech_start, speech_end = SECOND // HOP * HOP, -(-2 * SECOND // HOP) * HOP
    assert (first.clip.start, first.clip.end) == (speech_start - 4800, speech_end + 3 * HOP)


def test_partials_grow_and_keep_their_stable_part() -> None:
    events = play(sound((True, 5 * SECOND), (False, SECOND)), range(0, 96_000, 1600))
    partials = [event for event in events if isinstance(event, PartialTranscript)]
    assert len(partials) >= 8
    for before, after in pairwise(partials):
        assert after.text[: before.stable_chars] == before.text[: before.stable_chars]
        assert after.stable_chars >= before.stable_chars
    assert partials[-1].stable_chars > 0


def test_no_partials_are_requested_unless_wanted() -> None:
    session = Session(SessionOptions(), hops_per_step=1000)
    session.receive_audio(Clip(sound((True, 2 * SECOND))))
    hops = take_hops(session)
    assert hops is not None
    session.receive_probabilities(hear(hops))
    assert take_task(session) is None


def feed(session: Session, *runs: tuple[bool, int]) -> None:
    session.receive_audio(Clip(sound(*runs), session.received))
    while (hops := take_hops(session)) is not None:
        session.receive_probabilities(hear(hops))


def test_eager_hypothesis_becomes_the_final_at_the_endpoint() -> None:
    session = Session(SessionOptions(), hops_per_step=1000)
    feed(session, (True, 32 * HOP), (False, 4 * HOP))
    eager = take_task(session)
    assert eager is not None
    assert eager.kind is TaskKind.EAGER
    session.receive_hypothesis(eager, Hypothesis("all of it"))
    assert finals(take_events(session)) == []
    feed(session, (False, 6 * HOP))
    assert take_task(session) is None
    assert [final.hypothesis.text for final in finals(take_events(session))] == ["all of it"]


def test_eager_hypothesis_is_dropped_when_speech_resumes() -> None:
    session = Session(SessionOptions(), hops_per_step=1000)
    feed(session, (True, 32 * HOP), (False, 4 * HOP))
    first = take_task(session)
    assert first is not None
    session.receive_hypothesis(first, Hypothesis("half"))
    feed(session, (True, 8 * HOP), (False, 10 * HOP))
    job = take_task(session)
    assert job is not None
    assert job.kind is TaskKind.FINAL
    assert len(job.request.clip.samples) == (32 + 4 + 8 + 3) * HOP


def test_late_eager_hypothesis_becomes_the_waiting_final() -> None:
    session = Session(SessionOptions(), hops_per_step=1000)
    feed(session, (True, 32 * HOP), (False, 4 * HOP))
    eager = take_task(session)
    feed(session, (False, 6 * HOP))
    final = take_task(session)
    assert eager is not None
    assert final is not None
    assert final.key == eager.key
    session.receive_hypothesis(eager, Hypothesis("late"))
    session.receive_hypothesis(final, Hypothesis("too late"))
    assert [f.hypothesis.text for f in finals(take_events(session))] == ["late"]


def test_final_waits_for_earlier_finals() -> None:
    session = Session(SessionOptions(eager=False), hops_per_step=1000)
    feed(session, *[(True, SECOND), (False, SECOND)] * 2)
    first, second = take_task(session), take_task(session)
    assert first is not None
    assert second is not None
    session.receive_hypothesis(second, Hypothesis("second"))
    assert finals(take_events(session)) == []
    session.receive_hypothesis(first, Hypothesis("first"))
    assert [f.hypothesis.text for f in finals(take_events(session))] == ["first", "second"]


def test_failed_final_is_reported_in_order() -> None:
    session = Session(SessionOptions(eager=False), hops_per_step=1000)
    feed(session, *[(True, SECOND), (False, SECOND)] * 2)
    first, second = take_task(session), take_task(session)
    assert first is not None
    assert second is not None
    session.receive_hypothesis(second, Hypothesis("second"))
    session.receive_failure(first, "the model is broken")
    told = [
        event for event in take_events(session) if isinstance(event, FinalTranscript | TranscriptionFailed)
    ]
    assert [type(event) for event in told] == [TranscriptionFailed, FinalTranscript]


def test_failed_eager_task_is_repeated_as_a_final() -> None:
    session = Session(SessionOptions(), hops_per_step=1000)
    feed(session, (True, SECOND), (False, 4 * HOP))
    eager = take_task(session)
    assert eager is not None
    session.receive_failure(eager, "no room")
    feed(session, (False, SECOND))
    job = take_task(session)
    assert job is not None
    assert job.kind is TaskKind.FINAL


def test_commit_ends_the_utterance_at_its_sample() -> None:
    events = play(TWO_UTTERANCES, [], [(25_001, COMMIT)])
    first = finals(events)[0]
    assert (first.clip.end, first.reason) == (25_001, Reason.COMMIT)
    assert sum(len(f.clip.samples) for f in finals(events)) == closed(events).speech


def test_commit_in_silence_yields_nothing() -> None:
    assert kinds(play(sound((False, SECOND)), [], [(8_000, COMMIT)])) == ["StreamClosed"]


def test_utterance_ends_where_no_audio_follows_and_later_audio_is_heard() -> None:
    events = play(TWO_UTTERANCES, [], [(25_001, NO_AUDIO)])
    first, second, third = finals(events)
    assert (first.clip.end, first.reason) == (25_001, Reason.NO_AUDIO)
    assert (second.clip.start, second.reason) == (25_001, Reason.SILENCE)
    assert third.reason is Reason.SILENCE


@pytest.mark.parametrize("at", [8_000, SECOND + 2 * HOP])
def test_no_audio_before_an_onset_changes_nothing(at: int) -> None:
    """In silence, and while the speech is too short for an utterance."""
    assert flat(play(TWO_UTTERANCES, [], [(at, NO_AUDIO)])) == flat(play(TWO_UTTERANCES, []))


def test_no_audio_leaves_the_utterance_open_in_manual_mode() -> None:
    options = SessionOptions(vad=VadOptions(manual=True), guards=FEW_GUARDS)
    events = play(sound((True, 2 * SECOND)), [], [(SECOND, NO_AUDIO)], options=options)
    assert [(f.clip.end, f.reason) for f in finals(events)] == [(2 * SECOND, Reason.END_OF_STREAM)]


def test_clear_drops_the_open_utterance_and_reports_it() -> None:
    events = play(sound((True, 2 * SECOND), (False, SECOND)), [], [(20_000, CLEAR)])
    assert [e for e in events if isinstance(e, AudioCleared)] == [AudioCleared(0, 20_000)]
    assert closed(events).dropped == 20_000
    assert [f.clip.start for f in finals(events)] == [20_000]


@pytest.mark.parametrize("reason", [Reason.END_OF_STREAM, Reason.DISCONNECT])
def test_open_utterance_is_transcribed_to_the_last_sample(reason: Reason) -> None:
    events = play(sound((True, SECOND + 77)), [], end=reason)
    assert [(f.clip.end, f.reason) for f in finals(events)] == [(SECOND + 77, reason)]


def test_marker_waits_for_the_final_of_its_utterance() -> None:
    asks = [(100, mark("silence")), (24_000, mark("speech")), (79_000, mark("end"))]
    told = [e for e in play(TWO_UTTERANCES, [], asks) if isinstance(e, FinalTranscript | MarkerReached)]
    assert [e.id if isinstance(e, MarkerReached) else "final" for e in told] == [
        "silence",
        "final",
        "speech",
        "final",
        "end",
    ]


def test_note_does_not_wait_for_finals() -> None:
    session = Session(SessionOptions(eager=False), hops_per_step=1000)
    feed(session, (True, 2 * SECOND))
    session.receive_commit()
    session.receive_note("after the commit")
    session.receive_marker("after the final")
    assert kinds(list(take_events(session))) == ["UtteranceStarted", "UtteranceEnded", "NoteReached"]
    job = take_task(session)
    assert job is not None
    session.receive_hypothesis(job, Hypothesis("one"))
    assert kinds(list(take_events(session))) == ["FinalTranscript", "MarkerReached"]


def test_note_is_emitted_when_audio_before_it_is_judged() -> None:
    session = Session(SessionOptions(), hops_per_step=1000)
    session.receive_audio(Clip(sound((False, SECOND))))
    session.receive_note("here")
    assert take_events(session) == []
    hops = take_hops(session)
    assert hops is not None
    session.receive_probabilities(hear(hops))
    assert take_events(session) == [NoteReached("here", SECOND)]


def test_manual_utterance_of_silence_has_its_text_rejected() -> None:
    session = Session(SessionOptions(vad=VadOptions(manual=True)), hops_per_step=1000)
    feed(session, (False, SECOND))
    session.receive_commit()
    job = take_task(session)
    assert job is not None
    session.receive_hypothesis(job, Hypothesis("thank you"))
    [final] = finals(take_events(session))
    assert (final.clip.end, final.hypothesis.text, final.guard) == (SECOND, "", "rate")


def test_new_options_apply_from_their_sample() -> None:
    patient = SessionOptions(vad=VadOptions(silence_ms=2000))
    events = play(TWO_UTTERANCES, [], [(100, lambda session: session.receive_options(patient))])
    assert len(finals(events)) == 1


def test_long_utterance_is_split_without_loss() -> None:
    options = SessionOptions(vad=VadOptions(max_segment_ms=2000))
    events = play(sound((True, 9 * SECOND), (False, SECOND)), range(0, 160_000, 1600), options=options)
    clips = [f.clip for f in finals(events)]
    assert len(clips) >= 5
    for before, after in pairwise(clips):
        assert after.start == before.end
    assert all(len(clip.samples) <= 2 * SECOND + HOP for clip in clips)


def test_samples_out_of_order_are_refused() -> None:
    session = Session(SessionOptions(), hops_per_step=1000)
    with pytest.raises(ValueError, match="was due"):
        session.receive_audio(Clip(sound((True, 10)), 5))
    session.receive_end(Reason.END_OF_STREAM)
    with pytest.raises(ValueError, match="was due"):
        session.receive_audio(Clip(sound((True, 10)), 0))


def test_audio_that_no_segment_needs_is_freed() -> None:
    session = Session(SessionOptions(), hops_per_step=1000)
    for _ in range(60):
        feed(session, (False, SECOND))
    assert re.search(r"received=960000 ", repr(session))
    assert len(session.audio) < 2 * SECOND


def test_final_begins_with_the_stable_words() -> None:
    """The recognizer changes every word in the final."""
    session = Session(SessionOptions(partials=True), hops_per_step=1000)
    shown: list[PartialTranscript] = []
    feed(session, (True, SECOND))
    for text in ("one two", "one two three", "one two three four"):
        feed(session, (True, SECOND))
        job = take_task(session)
        assert job is not None
        session.receive_hypothesis(job, Hypothesis(text))
        shown += [event for event in take_events(session) if isinstance(event, PartialTranscript)]
    feed(session, (False, SECOND))
    last = take_task(session)
    assert last is not None
    session.receive_hypothesis(last, Hypothesis("won too tree for"))
    [final] = finals(take_events(session))
    assert shown[-1].text[: shown[-1].stable_chars] == "one two three"
    assert final.hypothesis.text == "one two three for"


def test_non_speech_has_no_partial_and_an_empty_final() -> None:
    session = Session(SessionOptions(partials=True), hops_per_step=1000)
    session.receive_audio(Clip(sound((True, 20 * HOP), (False, SECOND))))
    while (hops := take_hops(session)) is not None:
        session.receive_probabilities([0.51 if loud > 0.5 else 0.0 for loud in hear(hops)])
    while (job := take_task(session)) is not None:
        session.receive_hypothesis(job, Hypothesis("thank you"))
    session.receive_end(Reason.END_OF_STREAM)
    events = list(take_events(session))
    assert [event for event in events if isinstance(event, PartialTranscript)] == []
    assert [(final.hypothesis.text, final.guard) for final in finals(events)] == [("", "phantom")]
    sums = closed(events)
    assert (sums.speech, sums.segments) == (0, 1)
    assert sums.non_speech == sums.received


RUNS = st.lists(st.tuples(st.booleans(), st.integers(0, 25_000)), max_size=6)
ASKS = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from([COMMIT, CLEAR, NO_AUDIO, mark("a"), mark("b")])), max_size=5
)
CUTS = st.one_of(
    st.integers(200, SECOND).map(lambda size: range(0, 150_000, size)),
    st.lists(st.integers(0, 150_000), max_size=50),
)


def placed(asks: list[tuple[float, Ask]], samples: int) -> list[tuple[int, Ask]]:
    return [(round(share * samples), ask) for share, ask in asks]


@examples(40)
@given(RUNS, ASKS, CUTS, st.integers(0, 1_000_000))
def test_events_do_not_depend_on_chunks_or_model_latency(
    runs: list[tuple[bool, int]], asks: list[tuple[float, Ask]], cuts: list[int], seed: int
) -> None:
    samples = sound(*runs)
    there = placed(asks, len(samples))
    expected = flat(play(samples, range(0, len(samples), 1600), there, options=CONTINUING))
    assert flat(play(samples, cuts, there, options=CONTINUING)) == expected
    assert flat(play(samples, cuts, there, seed=seed, options=CONTINUING)) == expected


@pytest.mark.parametrize("turn", [AdaptiveSilence(), ModelSilence()])
@examples(25)
@given(RUNS, ASKS, CUTS, st.integers(0, 1_000_000))
def test_events_do_not_depend_on_when_the_endpoint_is_decided(
    turn: EndpointPolicy,
    runs: list[tuple[bool, int]],
    asks: list[tuple[float, Ask]],
    cuts: list[int],
    seed: int,
) -> None:
    samples = sound(*runs)
    there = placed(asks, len(samples))
    options = SessionOptions(turn=turn, eager=False, continues=True)
    expected = flat(play(samples, range(0, len(samples), 1600), there, options=options))
    assert flat(play(samples, cuts, there, options=options)) == expected
    assert flat(play(samples, cuts, there, seed=seed, options=options)) == expected


def test_pause_is_judged_once_its_text_is_known_or_failed() -> None:
    session = Session(SessionOptions(turn=AdaptiveSilence()), hops_per_step=1000)
    feed(session, (True, 32 * HOP), (False, 30 * HOP))
    job = take_task(session)
    assert job is not None
    assert session.unjudged == 24 * HOP  # 192 ms of the pause are
    session.receive_failure(job, "the queue is full")
    assert session.unjudged == 0
    assert [event for event in take_events(session) if isinstance(event, UtteranceEnded)]


def test_chunks_of_one_sample_give_the_same_events() -> None:
    samples = sound((False, 2_000), (True, 4_000), (False, 7_000), (True, 3_000))
    assert flat(play(samples, range(len(samples)))) == flat(play(samples, []))


@examples(60)
@given(RUNS, ASKS, st.integers(0, 1_000_000))
def test_each_utterance_has_one_final_in_order(
    runs: list[tuple[bool, int]], asks: list[tuple[float, Ask]], seed: int
) -> None:
    samples = sound(*runs)
    events = play(samples, range(0, len(samples), 1600), placed(asks, len(samples)), seed=seed)
    sums = closed(events)
    assert sums.received == len(samples) == sums.speech + sums.non_speech + sums.dropped
    assert sums.segments == len(finals(events))
    started = [e.utterance for e in events if isinstance(e, UtteranceStarted)]
    stopped = [e.utterance for e in events if isinstance(e, UtteranceEnded)]
    assert started == sorted(set(started))
    assert [f.utterance for f in finals(events)] == stopped
    assert sum(e.end > e.start for e in events if isinstance(e, AudioCleared)) >= len(started) - len(stopped)
    assert sum(len(f.clip.samples) for f in finals(events) if f.guard is None) == sums.speech
    for before, after in pairwise(finals(events)):
        assert before.clip.end <= after.clip.start
    markers = [e for e in events if isinstance(e, MarkerReached)]
    assert len(markers) == sum(ask not in (COMMIT, CLEAR, NO_AUDIO) for _, ask in asks)


@examples(40)
@given(RUNS, ASKS, st.integers(0, 1_000_000))
def test_sums_agree_wherever_the_stream_is_abandoned(
    runs: list[tuple[bool, int]], asks: list[tuple[float, Ask]], seed: int
) -> None:
    samples, session = sound(*runs), Session(SessionOptions(), hops_per_step=1000)
    models = Slow(session, seed)
    for start in range(0, len(samples), 1_600):
        session.receive_audio(Clip(samples[start : start + 1_600], start))
        for at, ask in placed(asks, len(samples)):
            if start <= at < session.received:
                ask(session)
        models.answer_some()
    last = session.abandon()
    assert last.received == len(samples) == last.speech + last.non_speech + last.dropped
    assert last.dropped >= session.unjudged - HOP  # a clear settles the current hop
    assert session.abandon() == last


def test_abandoned_utterance_is_dropped_but_not_silence_before() -> None:
    session = Session(SessionOptions(), hops_per_step=1000)
    session.receive_audio(Clip(sound((False, SECOND), (True, SECOND)), 0))
    models = Slow(session, 0)
    models.answer_all()
    started = next(event.at for event in models.events if isinstance(event, UtteranceStarted))
    assert session.abandon() == StreamClosed(2 * SECOND, 0, started, 2 * SECOND - started, 0)


def test_slow_models_answer_late() -> None:
    """Otherwise the test above would show nothing."""
    session = Session(SessionOptions(), hops_per_step=1000)
    models = Slow(session, 3)
    late = 0
    for start in range(0, len(TWO_UTTERANCES), 1600):
        session.receive_audio(Clip(TWO_UTTERANCES[start : start + 1600], start))
        models.answer_some()
        late = max(late, session.unjudged)
    assert late > 4_000


def test_task_key_is_the_utterance_and_the_end_of_its_clip() -> None:
    session = Session(SessionOptions(eager=False), hops_per_step=1000)
    feed(session, (True, SECOND), (False, SECOND))
    job = take_task(session)
    assert isinstance(job, RecognitionTask)
    assert job.key == (1, job.request.clip.end)


def test_later_options_do_not_change_the_recognition_of_an_open_utterance() -> None:
    words, plain = (SessionOptions(asr=TranscriptionOptions(words=words)) for words in (True, False))
    session, requested = Session(words, hops_per_step=1), []
    for run, options in (((True, 16_384), plain), ((False, 16_384), None), ((True, 16_384), None)):
        session.receive_audio(Clip(sound(run), session.received))
        while (hops := take_hops(session)) is not None:
            session.receive_probabilities(hear(hops))
            while (task := take_task(session)) is not None:
                requested.append((task.utterance, task.request.options.words))
        if options is not None:
            session.receive_options(options)
    session.receive_end(Reason.END_OF_STREAM)
    while (task := take_task(session)) is not None:
        requested.append((task.utterance, task.request.options.words))
    assert set(requested) == {(1, True), (2, False)}


def say(text: str, language: str, probability: float | None) -> Hypothesis:
    return Hypothesis(text, language=language, language_probability=probability)


@pytest.mark.parametrize("probability", [0.3, 0.9])
def test_uncertain_final_is_recognized_in_the_language_before(probability: float) -> None:
    session = Session(SessionOptions(eager=False), hops_per_step=1000)
    feed(session, *[(True, SECOND), (False, SECOND)] * 2)
    first, second = take_task(session), take_task(session)
    assert first is not None
    assert second is not None
    session.receive_hypothesis(second, say("Já.", "is", probability))
    session.receive_hypothesis(first, say("Guten Tag.", "de", 0.9))
    again = take_task(session)
    assert again is not None
    assert again.request == replace(second.request, likely_language="de")
    session.receive_hypothesis(again, say("Ja.", "de", 0.2))
    assert [final.hypothesis.text for final in finals(take_events(session))] == ["Guten Tag.", "Ja."]
    assert take_task(session) is None


def test_late_result_of_a_withdrawn_task_does_not_answer_the_second_recognition() -> None:
    session = Session(SessionOptions(), hops_per_step=1000)
    feed(session, (True, SECOND), (False, SECOND))
    first = take_task(session)
    feed(session, (True, SECOND), (False, 4 * HOP))
    eager = take_task(session)
    feed(session, (False, SECOND))
    second = take_task(session)
    assert first is not None
    assert eager is not None
    assert second is not None
    assert (eager.kind, second.kind) == (TaskKind.EAGER, TaskKind.FINAL)
    session.receive_hypothesis(first, say("Guten Tag.", "de", 0.9))
    session.receive_hypothesis(second, say("Já.", "is", 0.3))
    again = take_task(session)
    assert again is not None
    session.receive_hypothesis(eager, say("Já.", "is", 0.3))
    assert [final.hypothesis.text for final in finals(take_events(session))] == ["Guten Tag."]
    session.receive_hypothesis(again, say("Ja.", "de", 0.2))
    assert [final.hypothesis.text for final in finals(take_events(session))] == ["Ja."]


@pytest.mark.parametrize(
    "said",
    [say("Oui.", "fr", 0.96), say("Yes.", "fr", None), say("Ja.", "de", 0.3), say("", "fr", 0.1)],
)
def test_other_finals_are_recognized_once(said: Hypothesis) -> None:
    session = Session(SessionOptions(eager=False), hops_per_step=1000)
    feed(session, *[(True, SECOND), (False, SECOND)] * 2)
    for hypothesis in (say("Guten Tag.", "de", 0.9), said):
        task = take_task(session)
        assert task is not None
        session.receive_hypothesis(task, hypothesis)
    assert take_task(session) is None
    assert finals(take_events(session))[1].hypothesis == said


def test_final_that_was_asked_for_in_the_language_before_is_not_asked_for_again() -> None:
    session = Session(SessionOptions(eager=False), hops_per_step=1000)
    likely = []
    for hypothesis in (say("Guten Tag.", "de", 0.9), say("Oui.", "fr", 0.9)):
        feed(session, (True, SECOND), (False, SECOND))
        task = take_task(session)
        assert task is not None
        likely.append(task.request.likely_language)
        session.receive_hypothesis(task, hypothesis)
    assert likely == [None, "de"]
    assert [final.hypothesis.text for final in finals(take_events(session))] == ["Guten Tag.", "Oui."]
    assert take_task(session) is None


def test_eager_text_is_checked_although_the_final_was_asked_for_in_the_language_before() -> None:
    """The task that is answered knew no language before; the one beside it, of the same clip, did."""
    session = Session(SessionOptions(), hops_per_step=1000)
    feed(session, (True, SECOND), (False, SECOND))
    first = take_task(session)
    assert first is not None
    feed(session, (True, SECOND), (False, 5 * HOP))
    tasks = []
    while (task := take_task(session)) is not None:
        tasks.append(task)
    eager = next(task for task in tasks if (task.utterance, task.kind) == (2, TaskKind.EAGER))
    session.receive_hypothesis(first, say("Guten Tag.", "de", 0.9))
    feed(session, (False, SECOND))
    final = take_task(session)
    assert final is not None
    assert (eager.request.likely_language, final.request.likely_language) == (None, "de")
    session.receive_hypothesis(eager, say("Já.", "is", 0.3))
    again = take_task(session)
    assert again is not None
    assert again.request.likely_language == "de"
    session.receive_hypothesis(again, say("Ja.", "de", 0.2))
    assert [each.hypothesis.text for each in finals(take_events(session))] == ["Guten Tag.", "Ja."]


def test_failed_second_recognition_leaves_the_first_text() -> None:
    session = Session(SessionOptions(eager=False), hops_per_step=1000)
    feed(session, *[(True, SECOND), (False, SECOND)] * 2)
    for hypothesis in (say("Guten Tag.", "de", 0.9), say("Já.", "is", 0.3)):
        task = take_task(session)
        assert task is not None
        session.receive_hypothesis(task, hypothesis)
    again = take_task(session)
    assert again is not None
    session.receive_failure(again, "lost")
    assert [final.hypothesis.text for final in finals(take_events(session))] == ["Guten Tag.", "Já."]


def test_rejected_text_does_not_choose_the_language() -> None:
    guards = FilterThresholds(sure_peak=1.0, max_rate=1.0)
    session = Session(SessionOptions(eager=False, guards=guards), hops_per_step=1000)
    feed(session, *[(True, SECOND), (False, SECOND)] * 2)
    first, second = take_task(session), take_task(session)
    assert first is not None
    assert second is not None
    session.receive_hypothesis(first, say("one two three four five six seven eight", "de", 0.9))
    session.receive_hypothesis(second, say("Já.", "is", 0.3))
    assert [final.hypothesis.language for final in finals(take_events(session))] == ["de", "is"]


def test_partial_keeps_the_language_that_was_certain_before_in_the_utterance() -> None:
    session = Session(SessionOptions(partials=True), hops_per_step=1000)
    likely = []
    for hypothesis in (say("Guten", "de", 0.8), say("Guten Tag", "nl", 0.4), say("Guten Tag", "de", 0.9)):
        feed(session, (True, 2 * SECOND))
        task = take_task(session)
        assert task is not None
        likely.append(task.request.likely_language)
        session.receive_hypothesis(task, hypothesis)
    assert likely == [None, "de", "de"]


def spelled(text: TextOptions) -> list[Event]:
    """Return the events of an utterance whose partials and final name a number and a swear word."""
    session = Session(SessionOptions(partials=True, text=text, guards=FEW_GUARDS), hops_per_step=1000)
    events: list[Event] = []
    for run in ((True, 2 * SECOND), (True, 2 * SECOND), (True, 2 * SECOND), (False, SECOND)):
        feed(session, run)
        while (task := take_task(session)) is not None:
            session.receive_hypothesis(task, Hypothesis("well shit the code is 4711"))
        events += take_events(session)
    return events


def test_redacted_utterance_has_no_partials() -> None:
    events = spelled(TextOptions(redact=("numbers",)))
    assert not any(isinstance(event, PartialTranscript) for event in events)
    assert [final.hypothesis.text for final in finals(events)] == ["well shit the code is [NUMBER]"]
    assert "4711" not in repr(events)


def test_changed_partials_have_no_stable_part() -> None:
    events = spelled(TextOptions(profanity_filter=True))
    partials = [event for event in events if isinstance(event, PartialTranscript)]
    assert {(event.text, event.stable_chars) for event in partials} == {("well **** the code is 4711", 0)}
    assert [final.hypothesis.text for final in finals(events)] == ["well **** the code is 4711"]
    assert "shit" not in repr(events)


PAUSE = (False, SECOND // 2)
SPEECH = (True, SECOND)


def continued(session: Session, *runs: tuple[bool, int]) -> list[RecognitionTask]:
    """Feed the session and return the tasks that it asks for."""
    if runs:
        feed(session, *runs)
    tasks = []
    while (task := take_task(session)) is not None:
        tasks.append(task)
    return tasks


def test_final_continues_the_final_before() -> None:
    session = Session(SessionOptions(continues=True), hops_per_step=1000)
    (first,) = continued(session, SPEECH, PAUSE)
    session.receive_hypothesis(first, Hypothesis("one two", language="en"))
    (second,) = continued(session, SPEECH, PAUSE)
    previous = second.request.previous
    assert first.request.previous is None
    assert previous is not None
    assert (previous.clip.start, previous.clip.end) == (first.request.clip.start, second.request.clip.start)
    assert len(previous.clip.samples) == second.request.clip.start - first.request.clip.start
    assert (previous.text, previous.language) == ("one two", "en")


def test_final_that_continues_waits_for_the_final_before() -> None:
    session = Session(SessionOptions(continues=True), hops_per_step=1000)
    (first,) = continued(session, SPEECH, PAUSE)
    assert continued(session, SPEECH, (False, 8 * HOP)) == []
    assert continued(session, PAUSE) == []
    session.receive_hypothesis(first, Hypothesis("one two"))
    (second,) = continued(session)
    assert second.kind is TaskKind.FINAL
    assert second.request.previous is not None
    session.receive_hypothesis(second, Hypothesis("three"))
    assert [final.hypothesis.text for final in finals(take_events(session))] == ["one two", "three"]


def test_eager_final_is_requested_once_the_final_before_is_known() -> None:
    session = Session(SessionOptions(continues=True, vad=VadOptions(silence_ms=700)), hops_per_step=1000)
    (first,) = continued(session, SPEECH, (False, 24 * HOP))
    assert continued(session, SPEECH, (False, 8 * HOP)) == []
    session.receive_hypothesis(first, Hypothesis("one two"))
    (second,) = continued(session)
    assert second.kind is TaskKind.EAGER
    assert second.request.previous is not None


@pytest.mark.parametrize("said", [Hypothesis(""), Hypothesis("no " * 40), None])
def test_nothing_continues_an_utterance_without_a_sure_text(said: Hypothesis | None) -> None:
    """Its text is empty, shortened, or failed."""
    session = Session(SessionOptions(continues=True), hops_per_step=1000)
    (first,) = continued(session, SPEECH, PAUSE)
    assert continued(session, SPEECH, PAUSE) == []
    if said is None:
        session.receive_failure(first, "the model is broken")
    else:
        session.receive_hypothesis(first, said)
    (second,) = continued(session)
    assert second.request.previous is None


@pytest.mark.parametrize(
    "options",
    [
        {"continues": False},
        {"asr": TranscriptionOptions(temperature=0.5)},
        {"asr": TranscriptionOptions(task="translate")},
        {"text": TextOptions(redact=("numbers",))},
        {"vad": VadOptions(silence_ms=960)},
    ],
)
def test_utterance_is_recognized_alone(options: dict[str, Any]) -> None:
    """It does so without waiting: with other options, or after a pause of a second."""
    pause = (False, 45 * HOP) if "vad" in options else PAUSE
    session = Session(replace(SessionOptions(continues=True), **options), hops_per_step=1000)
    assert [task.request.previous for task in continued(session, SPEECH, pause)] == [None]
    assert [task.request.previous for task in continued(session, SPEECH, pause)] == [None]


@pytest.mark.parametrize("ask", [COMMIT, CLEAR, NO_AUDIO])
@pytest.mark.parametrize("is_open", [False, True])
def test_command_separates_utterances(ask: Ask, is_open: bool) -> None:
    session = Session(SessionOptions(continues=True, eager=False), hops_per_step=1000)
    feed(session, SPEECH, (False, 2 * HOP) if is_open else PAUSE)
    ask(session)
    assert [task.request.previous for task in continued(session, SPEECH, PAUSE)] in ([None], [None, None])


def test_utterance_of_other_options_is_recognized_alone() -> None:
    session = Session(SessionOptions(continues=True), hops_per_step=1000)
    assert len(continued(session, SPEECH, PAUSE)) == 1
    session.receive_options(SessionOptions(continues=True, asr=TranscriptionOptions(language="de")))
    assert [task.request.previous for task in continued(session, SPEECH, PAUSE)] == [None]


def test_utterances_of_more_than_12_s_are_not_joined() -> None:
    session = Session(SessionOptions(continues=True), hops_per_step=1000)
    assert len(continued(session, (True, 6 * SECOND), PAUSE)) == 1
    assert [task.request.previous for task in continued(session, (True, 6 * SECOND), PAUSE)] == [None]


def test_doubtful_speech_is_recognized_alone() -> None:
    """Then the recognizer's probability of no speech must be that of the utterance itself."""
    session = Session(SessionOptions(continues=True), hops_per_step=1000)
    assert len(continued(session, SPEECH, PAUSE)) == 1
    session.receive_audio(Clip(sound(SPEECH, PAUSE), session.received))
    while (hops := take_hops(session)) is not None:
        session.receive_probabilities([min(0.94, each) for each in hear(hops)])
    assert [task.request.previous for task in continued(session)] == [None]


def test_held_final_keeps_its_sound_where_it_is_put() -> None:
    session = Session(SessionOptions(continues=True, eager=False), hops_per_step=1000)
    (first,) = continued(session, SPEECH, PAUSE)
    feed(session, SPEECH, PAUSE)
    (held,) = [effect.task for effect in session.effects if isinstance(effect, HoldTask)]
    kept = session.sound_of(held).copy()
    assert session.replace_sound(held, kept) is None
    session.receive_hypothesis(first, Hypothesis("one"))
    (second,) = continued(session)
    assert np.shares_memory(second.request.clip.samples, kept)
    assert second.request.previous is not None
    joined = np.concatenate([second.request.previous.clip.samples, second.request.clip.samples])
    assert np.array_equal(joined, np.concatenate([first.request.clip.samples, kept]))


@pytest.mark.parametrize("every", [3, 7, 1000])
def test_finals_that_continue_do_not_depend_on_model_latency(every: int) -> None:
    """The recognizer answers only after so many chunks."""
    samples = sound(*[(True, 12_000), (False, 9_600)] * 6)
    session, events = Session(CONTINUING, hops_per_step=1), list[Event]()
    for chunk in range(-(-len(samples) // 1600)):
        part = samples[chunk * 1600 : (chunk + 1) * 1600]
        session.receive_audio(Clip(part, session.received))
        while (hops := take_hops(session)) is not None:
            session.receive_probabilities(hear(hops))
        if chunk % every == every - 1:
            events += answered(session)
    session.receive_end(Reason.END_OF_STREAM)
    events += answered(session)
    expected = play(samples, range(0, len(samples), 1600), options=CONTINUING)
    assert flat(events) == flat(expected)
    alone = play(samples, range(0, len(samples), 1600), options=replace(CONTINUING, continues=False))
    pairs = zip(finals(expected), finals(alone), strict=True)
    assert sum(one.hypothesis != other.hypothesis for one, other in pairs) == 5


def answered(session: Session) -> list[Event]:
    """Answer all tasks, the last one first, and return the events."""
    while tasks := continued(session):
        for task in reversed(tasks):
            session.receive_hypothesis(task, recognize(task.request))
    return take_events(session)

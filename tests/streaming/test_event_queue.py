"""Events wait in order for a client that reads slowly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis
from audio.clip import Clip
from streaming.event_queue import MAX_AUDIO_SAMPLES, MAX_EVENTS, EventQueue
from streaming.events import Event, FinalTranscript, LagReported, MarkerReached, PartialTranscript
from tests.streaming.test_arrival_pace import Clock
from vad.segmenter import Reason


def partial(utterance: int, text: str) -> PartialTranscript:
    return PartialTranscript(utterance, 0, text, 0)


def final(utterance: int, samples: int = 1600) -> FinalTranscript:
    return FinalTranscript(
        utterance, Clip(np.zeros(samples, np.float32), 0), Reason.SILENCE, Hypothesis("text")
    )


def taken(queue: EventQueue) -> list[Event]:
    return [queue.take() for _ in range(len(queue))]


def filled(*events: Event) -> EventQueue:
    queue = EventQueue(Clock())
    for event in events:
        queue.put(event)
    return queue


def test_events_are_taken_in_order() -> None:
    events: list[Event] = [MarkerReached("a"), partial(1, "x"), MarkerReached("b")]
    assert taken(filled(*events)) == events


def test_newest_partial_replaces_an_unread_one() -> None:
    queue = filled(partial(1, "a"), partial(1, "a b"), partial(2, "c"), partial(2, "c d"))
    assert taken(queue) == [partial(1, "a b"), partial(2, "c d")]


def test_newest_lag_replaces_an_unread_one() -> None:
    assert taken(filled(LagReported(500), LagReported(900))) == [LagReported(900)]


@pytest.mark.parametrize("event", [MarkerReached("a"), final(1, MAX_AUDIO_SAMPLES // MAX_EVENTS + 10)])
def test_queue_is_full_by_events_or_by_audio_of_finals(event: Event) -> None:
    queue = filled()
    for _ in range(MAX_EVENTS - 1):
        queue.put(event)
    assert queue.is_full == isinstance(event, FinalTranscript)
    queue.put(event)
    assert queue.is_full
    taken(queue)
    assert not queue.is_full


def test_queue_counts_as_full_until_it_is_half_empty() -> None:
    clock = Clock()
    queue = EventQueue(clock)
    for _ in range(MAX_EVENTS):
        queue.put(MarkerReached("a"))
    clock.now += 3
    queue.put(MarkerReached("b"))
    assert queue.full_for == 3
    for _ in range(MAX_EVENTS // 2):
        queue.take()
        assert queue.full_for == 3
    assert not queue.is_full
    queue.take()
    assert queue.full_for == 0


@given(st.lists(st.tuples(st.sampled_from("pf."), st.integers(1, 3)), max_size=60))
def test_no_final_is_ever_lost_or_out_of_order(steps: list[tuple[str, int]]) -> None:
    queue = EventQueue(Clock())
    put: list[Event] = []
    got: list[Event] = []
    for number, (step, utterance) in enumerate(steps):
        if step == "f":
            put.append(final(utterance))
            queue.put(put[-1])
        elif step == "p":
            queue.put(partial(utterance, str(number)))
        elif len(queue):
            got.append(queue.take())
    got += taken(queue)
    told = [event for event in got if isinstance(event, FinalTranscript)]
    assert [id(event) for event in told] == [id(event) for event in put]

"""Test that a buffer returns samples by their position in the stream, or raises."""

import tracemalloc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import Samples
from audio.errors import AudioError, SampleBufferFull
from audio.sample_buffer import MIN_CHUNK, SampleBuffer
from tests.examples import examples


def stream(start: int, end: int) -> Samples:
    """Return samples whose values are their positions."""
    return np.arange(start, end, dtype=np.float32)


def filled(*sizes: int, capacity: int = 100_000) -> SampleBuffer:
    buffer = SampleBuffer(capacity)
    for size in sizes:
        buffer.append(stream(buffer.end, buffer.end + size))
    return buffer


operations = st.lists(
    st.tuples(st.just("append"), st.integers(0, 40) | st.integers(0, 1_500))
    | st.tuples(st.sampled_from(["forget", "read"]), st.integers(0, 10_000)),
    max_size=60,
)


@given(operations=operations, fraction=st.floats(0, 1))
@examples(150)
def test_buffer_agrees_with_an_unbounded_array(operations: list[tuple[str, int]], fraction: float) -> None:
    capacity = 5_000
    buffer, everything, wanted = SampleBuffer(capacity), stream(0, 0), 0
    for verb, number in operations:
        if verb == "append":
            samples = stream(len(everything), len(everything) + number)
            if len(buffer) + number > capacity:
                with pytest.raises(SampleBufferFull):
                    buffer.append(samples)
            else:
                buffer.append(samples)
                everything = np.concatenate((everything, samples))
        elif verb == "forget":
            wanted = max(wanted, min(number, len(everything)))
            buffer.forget(number)
        else:
            start = min(max(number, buffer.start), buffer.end)
            end = start + int(fraction * (buffer.end - start))
            np.testing.assert_array_equal(buffer.read(start, end), everything[start:end])
        assert buffer.end == len(everything)
        assert buffer.start <= wanted  # what was not given up is there
        assert buffer.start + 1_500 >= wanted  # and no more than one chunk besides
        assert len(buffer) == buffer.end - buffer.start <= capacity
        np.testing.assert_array_equal(buffer.read(buffer.start, buffer.end), everything[buffer.start :])


def test_empty_buffer_has_nothing_to_read() -> None:
    buffer = SampleBuffer(10)
    assert (buffer.start, buffer.end, len(buffer)) == (0, 0, 0)
    assert len(buffer.read(0, 0)) == 0
    with pytest.raises(IndexError):
        buffer.read(0, 1)


@pytest.mark.parametrize(("start", "end"), [(999, 1_500), (0, 10), (2_900, 3_001), (1_600, 1_500), (-5, -1)])
def test_forgotten_and_future_samples_cannot_be_read(start: int, end: int) -> None:
    buffer = filled(1_000, 1_000, 1_000)
    buffer.forget(1_000)
    with pytest.raises(IndexError, match=r"not in <SampleBuffer \[1000, 3000\)"):
        buffer.read(start, end)


def test_chunks_are_forgotten_whole() -> None:
    buffer = filled(1_000, 1_000, 1_000)
    buffer.forget(1_999)
    assert buffer.start == 1_000
    buffer.forget(2_000)
    assert buffer.start == 2_000


def test_forgetting_less_than_before_changes_nothing() -> None:
    buffer = filled(1_000, 1_000, 1_000)
    buffer.forget(2_000)
    buffer.forget(1_000)
    assert buffer.start == 2_000


def test_stream_continues_after_all_is_forgotten() -> None:
    buffer = filled(1_000, 1_000)
    buffer.forget(10**9)
    assert (buffer.start, buffer.end) == (2_000, 2_000)
    buffer.append(stream(2_000, 2_010))
    np.testing.assert_array_equal(buffer.read(2_000, 2_010), stream(2_000, 2_010))


def test_full_buffer_refuses_samples_and_keeps_its_own() -> None:
    buffer = filled(60, 40, capacity=100)
    with pytest.raises(SampleBufferFull) as error:
        buffer.append(stream(100, 101))
    assert isinstance(error.value, AudioError)
    assert (error.value.code, error.value.param) == ("buffer_overflow", "audio")
    np.testing.assert_array_equal(buffer.read(0, 100), stream(0, 100))


def test_forgetting_restores_capacity() -> None:
    buffer = filled(1_000, 1_000, capacity=2_000)
    buffer.forget(1_000)
    buffer.append(stream(2_000, 3_000))
    assert (buffer.start, buffer.end) == (1_000, 3_000)


@pytest.mark.parametrize(("start", "end"), [(0, 1_000), (100, 200), (900, 1_100)])
def test_samples_that_were_read_are_a_copy(start: int, end: int) -> None:
    buffer = filled(1_000, 1_000)
    buffer.read(start, end)[:] = -1
    np.testing.assert_array_equal(buffer.read(0, 2_000), stream(0, 2_000))


def test_a_small_view_does_not_keep_a_large_array_alive() -> None:
    large = stream(0, 100_000)
    alive = weakref.ref(large)
    buffer = SampleBuffer(1_000)
    buffer.append(large[:600])
    del large
    assert alive() is None


def test_samples_that_come_one_by_one_cost_little_more_than_themselves() -> None:
    samples = 20_000
    one = np.zeros(1, np.float32)
    tracemalloc.start()
    buffer = SampleBuffer(samples)
    for _ in range(samples):
        buffer.append(one.copy())
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * samples * one.nbytes


def test_repr_names_the_held_range() -> None:
    assert (
        repr(filled(MIN_CHUNK, MIN_CHUNK, capacity=9_999)) == "<SampleBuffer [0, 1024) of 9999 in 2 chunks>"
    )


def test_whole_chunks_can_be_replaced_by_equal_ones() -> None:
    buffer, samples = SampleBuffer(10_000), np.arange(6_000, dtype=np.float32)
    for start in range(0, 6_000, 1_000):
        buffer.append(samples[start : start + 1_000])
    found = buffer.whole_chunks(500, 1_500)
    assert found is not None
    start, kept = found
    assert (start, len(kept)) == (1_000, 2_000)
    buffer.replace_chunks(start, kept)
    assert np.array_equal(buffer.read(0, 6_000), samples)
    assert buffer.whole_chunks(4_000, 1_500) is None  # the newest chunk may still grow
    buffer.forget(3_000)
    buffer.replace_chunks(start, kept)
    assert (buffer.start, buffer.end) == (3_000, 6_000)
    assert np.array_equal(buffer.read(3_000, 6_000), samples[3_000:])

"""Parts of a file."""

from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import SAMPLE_RATE, Clip, Samples
from jobs.parts import CUT_WINDOW, MAX_PART, split


def clips_of(samples: Samples, sizes: list[int]) -> Iterator[Clip]:
    start, turn = 0, 0
    while start < len(samples):
        size = sizes[turn % len(sizes)]
        yield Clip(samples[start : start + size], start)
        start, turn = start + size, turn + 1


@given(
    seconds=st.integers(0, 400),
    sizes=st.lists(st.integers(3 * SAMPLE_RATE, 200 * SAMPLE_RATE), min_size=1, max_size=4),
    start=st.integers(0, 10**9),
)
def test_parts_are_the_file_and_depend_on_its_samples_alone(
    seconds: int, sizes: list[int], start: int
) -> None:
    samples = np.random.default_rng(seconds).standard_normal(seconds * SAMPLE_RATE).astype(np.float32)
    found = list(split([clips_of(samples, sizes)], start))
    position = start
    for part in found:
        assert part.start == position
        assert 0 < len(part) <= MAX_PART
        position = part.end
    assert np.array_equal(
        np.concatenate([np.empty(0, np.float32), *(part.channels[0] for part in found)]), samples
    )
    assert all(len(part) >= MAX_PART - CUT_WINDOW for part in found[:-1])
    other = list(split([clips_of(samples, [SAMPLE_RATE])], start))
    assert [part.start for part in other] == [part.start for part in found]


def test_part_ends_in_the_pause() -> None:
    samples = np.full(200 * SAMPLE_RATE, 0.5, np.float32)
    pause = 101 * SAMPLE_RATE
    samples[pause : pause + SAMPLE_RATE // 2] = 0
    first, second = split([clips_of(samples, [SAMPLE_RATE])])
    assert pause < first.end < pause + SAMPLE_RATE // 2
    assert second.end == len(samples)


def test_split_after_a_part_goes_on_as_without_interruption() -> None:
    samples = np.random.default_rng(3).standard_normal(500 * SAMPLE_RATE).astype(np.float32)
    whole = list(split([clips_of(samples, [SAMPLE_RATE])]))
    later = list(split([clips_of(samples[whole[1].end :], [SAMPLE_RATE])], whole[1].end))
    assert [(part.start, part.end) for part in later] == [(part.start, part.end) for part in whole[2:]]


def test_clips_of_a_part_begin_at_zero() -> None:
    (part,) = split([clips_of(np.ones(40_000, np.float32), [16_000])], 77)
    clips = list(part.clips())
    assert [clip.start for clip in clips] == [0, 16_000, 32_000]
    assert sum(len(clip.samples) for clip in clips) == 40_000


def test_channels_are_cut_where_they_are_quietest_together() -> None:
    def channel(*pauses: int) -> Samples:
        samples = np.full(200 * SAMPLE_RATE, 0.5, np.float32)
        for pause in pauses:
            samples[pause * SAMPLE_RATE : (pause + 1) * SAMPLE_RATE] = 0
        return samples

    # Their mean is silent at 95 s: the second one has the opposite polarity.
    left, right = channel(98, 110), channel(104, 110)
    right[95 * SAMPLE_RATE : 96 * SAMPLE_RATE] *= -1
    first, second = split([clips_of(left, [SAMPLE_RATE]), clips_of(right, [SAMPLE_RATE])])
    assert 110 * SAMPLE_RATE < first.end < 111 * SAMPLE_RATE
    for number, samples in enumerate((left, right)):
        assert np.array_equal(np.concatenate([first.channels[number], second.channels[number]]), samples)
        assert sum(len(clip.samples) for clip in first.clips(number)) == first.end

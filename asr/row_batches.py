"""Group clips of similar length into batches."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Final

import numpy as np

from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import SAMPLE_RATE, Clip, Samples

# Shorter clips are padded with zeros, so that the convolutions of each model produce a frame.
MIN_SAMPLES: Final = SAMPLE_RATE // 10
BATCH_SECONDS: Final = 240.0  # of padded audio in one batch; eight windows of Whisper


def at_least(samples: Samples, count: int) -> Samples:
    """Return float32 samples, padded with zeros at the end to at least `count`."""
    return np.pad(samples, (0, max(0, count - len(samples)))).astype(np.float32, copy=False)


def padded_length(clip: Clip) -> int:
    """Return the number of samples of the clip after padding to MIN_SAMPLES."""
    return max(MIN_SAMPLES, len(clip.samples))


def batches(lengths: Sequence[int], *, budget: int, min_fill: float) -> list[list[int]]:
    """Group indices by similar length, longest first.

    lengths: in samples
    budget: most samples in a group, including padding; a group of one may have more
    min_fill: least share of a row that is audio and not padding: 1 permits equal lengths only, 0 any lengths
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        longest = lengths[groups[-1][0]] if groups else 0
        if groups and (len(groups[-1]) + 1) * longest <= budget and lengths[index] >= min_fill * longest:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def batches_by_kind(
    kinds: Sequence[Hashable], lengths: Sequence[int], *, budget: int, min_fill: float
) -> Iterator[list[int]]:
    """Yield groups as `batches` does, each with items of one kind only."""
    for kind in dict.fromkeys(kinds):
        same = [index for index, each in enumerate(kinds) if each == kind]
        for group in batches([lengths[index] for index in same], budget=budget, min_fill=min_fill):
            yield [same[place] for place in group]


def transcribe_in_batches(
    requests: Sequence[RecognitionRequest],
    recognize: Callable[[list[RecognitionRequest]], list[Hypothesis]],
    *,
    batch_seconds: float,
    min_fill: float,
) -> list[Hypothesis]:
    """Recognize requests in groups of similar length; return the results in the order of the requests.

    recognize: recognizes one group
    batch_seconds: most seconds of audio in a group, including padding
    min_fill: see `batches`
    """
    lengths = [padded_length(request.clip) for request in requests]
    answers: dict[int, Hypothesis] = {}
    for group in batches(lengths, budget=round(batch_seconds * SAMPLE_RATE), min_fill=min_fill):
        answers |= zip(group, recognize([requests[index] for index in group]), strict=True)
    return [answers[index] for index in range(len(requests))]

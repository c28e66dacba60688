"""Turn the speakers of overlapping chunks into the turns of a whole recording."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from audio.clip import samples_from_ms, seconds_from_samples
from diarization.chunks import EDGE_SAMPLES, EMBEDDING, FRAME_SAMPLES, ChunkSpeakers, Flags, Floats, runs_of
from diarization.clustering import (
    ANY_NUMBER,
    DEFAULTS,
    ClusteringOptions,
    Labels,
    SpeakerBounds,
    centroids_of,
    cluster,
)
from diarization.overlap import NO_OVERLAPS, Overlaps

# A pause up to MAX_PAUSE in which no one else speaks belongs to the turn; a turn below MIN_TURN is left out.
MAX_PAUSE: Final = samples_from_ms(300)
MIN_TURN: Final = samples_from_ms(100)
MAX_VOICES: Final = 2  # most speakers at a time
LEAST_VOTE: Final = 0.01  # of a voice that is like no speaker's


@dataclass(frozen=True, slots=True)
class Turn:
    """Hold an interval in which one speaker speaks; turns of different speakers may overlap.

    start, end: samples of the stream, start < end
    speaker: number of the speaker, from 0
    """

    start: int
    end: int
    speaker: int

    @property
    def seconds(self) -> float:
        """Return the length in seconds."""
        return seconds_from_samples(self.end - self.start)

    def shifted(self, samples: int) -> Self:
        """Return the turn so many samples later."""
        return replace(self, start=self.start + samples, end=self.end + samples)


@dataclass(frozen=True, slots=True, eq=False)
class PlacedChunk:
    """Hold the speakers of a chunk that starts at a sample of the stream."""

    start: int
    speakers: ChunkSpeakers


@dataclass(frozen=True, slots=True, eq=False)
class Diarization:
    """Hold who speaks when in a recording.

    turns: in order of their starts; speakers are numbered as they first appear
    overlaps: where several speak at once, also those without a turn of their own
    voices: float32 (speakers, 192), the embedding of each speaker, of length 1
    """

    turns: tuple[Turn, ...]
    voices: Floats
    overlaps: Overlaps = NO_OVERLAPS


NOBODY: Final = Diarization((), np.zeros((0, EMBEDDING), np.float32))


def diarize(
    chunks: Sequence[PlacedChunk],
    bounds: SpeakerBounds = ANY_NUMBER,
    options: ClusteringOptions = DEFAULTS,
) -> Diarization:
    """Return who speaks when, from the chunks of a recording in order. Deterministic.

    Memory: 112 MB for 4 hours with 8 speakers (measured), of which the clustering takes at most 16 MB.
    """
    embeddings = np.concatenate([chunk.speakers.embeddings for chunk in chunks] or [NOBODY.voices])
    if not len(embeddings):
        return NOBODY
    seconds = np.concatenate([chunk.speakers.seconds for chunk in chunks])
    labels = cluster(embeddings, seconds, bounds, options)
    voices = centroids_of(embeddings, seconds, labels)
    similarities = (embeddings * voices[labels]).sum(axis=1)
    votes = _votes(chunks, labels, similarities, len(voices))
    turns, order = turns_of(votes, chunks[0].start + EDGE_SAMPLES, FRAME_SAMPLES)
    return Diarization(turns, voices[list(order)], _overlaps(chunks))


def turns_of(speaking: Flags, origin: int, frame: int) -> tuple[tuple[Turn, ...], tuple[int, ...]]:
    """Return the turns in order of their starts, and the columns of their speakers.

    Speakers are numbered as they first appear; the second result has the column of each number.

    speaking: bool (frames, speakers); origin: sample of the first frame; frame: its samples
    """
    turns = sorted(_turns(speaking, origin, frame), key=lambda turn: (turn.start, turn.end, turn.speaker))
    numbers = {speaker: n for n, speaker in enumerate(dict.fromkeys(turn.speaker for turn in turns))}
    renumbered = tuple(Turn(turn.start, turn.end, numbers[turn.speaker]) for turn in turns)
    return renumbered, tuple(numbers)


def _overlaps(chunks: Sequence[PlacedChunk]) -> Overlaps:
    """Return where most chunks over a frame hear several speakers, for at least MIN_TURN."""
    spans = _frames_of(chunks)
    frames = max(span.stop for span in spans)
    several, covered = np.zeros(frames, np.int16), np.zeros(frames, np.int16)
    for span, chunk in zip(spans, chunks, strict=True):
        several[span] += chunk.speakers.active.sum(axis=1) > 1
        covered[span] += 1
    return overlaps_in(2 * several > covered, chunks[0].start + EDGE_SAMPLES, FRAME_SAMPLES)


def overlaps_in(several: Flags, origin: int, frame: int) -> Overlaps:
    """Return the intervals of at least MIN_TURN in which several people speak.

    several: bool (frames,); origin: sample of the first frame; frame: its samples
    """
    runs = [(first, end) for first, end in runs_of(several) if (end - first) * frame >= MIN_TURN]
    return Overlaps.of([(origin + first * frame, origin + end * frame) for first, end in runs])


def _frames_of(chunks: Sequence[PlacedChunk]) -> list[slice]:
    """Return the frames of each chunk, counted from the start of the first one."""
    firsts = [round((chunk.start - chunks[0].start) / FRAME_SAMPLES) for chunk in chunks]
    return [
        slice(first, first + len(chunk.speakers.active)) for first, chunk in zip(firsts, chunks, strict=True)
    ]


def _votes(chunks: Sequence[PlacedChunk], labels: Labels, similarities: Floats, speakers: int) -> Flags:
    """Return who speaks in each frame since the start of the first chunk, bool (frames, speakers).

    As many speakers speak in a frame as the chunks over it hear on average: those with the most votes. A vote
    counts as much as the voice is similar to the speaker's.
    """
    spans = _frames_of(chunks)
    frames = max(span.stop for span in spans)
    votes = np.zeros((frames, speakers), np.float32)
    heard = np.zeros(frames, np.uint8)
    covered = np.zeros(frames, np.uint8)
    done = 0  # pieces
    for span, chunk in zip(spans, chunks, strict=True):
        count = len(chunk.speakers.pieces)
        own = slice(done, done + count)
        done += count
        vote = _votes_of_chunk(chunk.speakers, labels[own], similarities[own], speakers)
        votes[span] += vote
        heard[span] += (vote > 0).sum(axis=1, dtype=np.uint8)
        covered[span] += 1
    voices = (2 * heard + covered) // np.maximum(2 * covered, 1)  # the mean, rounded
    speaking = np.zeros(votes.shape, np.bool_)
    for rank in range(min(MAX_VOICES, speakers)):
        chosen = votes.argmax(axis=1)
        rows = np.flatnonzero(voices > rank)
        places = rows, chosen[rows]
        speaking[places] = votes[places] > 0
        votes[places] = 0  # so that the next rank finds the next one
    return speaking


def _votes_of_chunk(chunk: ChunkSpeakers, labels: Labels, similarities: Floats, speakers: int) -> Floats:
    """Return the votes of one chunk, float32 (frames, speakers).

    A frame in which a local speaker speaks has the label of the nearest piece of the same local speaker.
    """
    votes = np.zeros((len(chunk.active), speakers), np.float32)
    for local in range(chunk.active.shape[1]):
        own = np.flatnonzero(chunk.pieces[:, 0] == local)
        frames = np.flatnonzero(chunk.active[:, local])
        if len(own) and len(frames):
            first, end = chunk.pieces[own, 1:2], chunk.pieces[own, 2:3]
            nearest = own[np.maximum(first - frames, frames - end + 1).argmin(axis=0)]
            places = frames, labels[nearest]
            votes[places] = np.maximum(votes[places], np.maximum(similarities[nearest], LEAST_VOTE))
    return votes


def _turns(speaking: Flags, origin: int, frame: int) -> Iterator[Turn]:
    anyone: Flags = np.any(speaking, axis=1)
    for speaker in range(speaking.shape[1]):
        start = end = 0
        for first, last in runs_of(speaking[:, speaker]):
            is_pause = (first - end) * frame <= MAX_PAUSE and not anyone[end:first].any()
            if end and is_pause:
                end = last
                continue
            yield from _turn(start, end, speaker, origin, frame)
            start, end = first, last
        yield from _turn(start, end, speaker, origin, frame)


def _turn(start: int, end: int, speaker: int, origin: int, frame: int) -> Iterator[Turn]:
    if (end - start) * frame >= MIN_TURN:
        yield Turn(origin + start * frame, origin + end * frame, speaker)

"""Correct the speakers of earlier utterances of a live stream, once later ones tell more.

An utterance gets its speakers from what was heard before it. The history keeps the voices of the latest
utterances and clusters them together, as those of a file: what was one speaker may turn out to be two, two
may be one, and an utterance may belong to another speaker.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np
import pybase64
from numpy.typing import NDArray

from diarization.chunks import EMBEDDING, Floats, normalized
from diarization.clustering import ANY_NUMBER, ClusteringOptions, Labels, cluster
from diarization.online_speakers import MIN_SECONDS, MIN_SIMILARITY, OnlineSpeakers
from diarization.speaker_finder import SpeakerFinder
from diarization.turns import Turn

MAX_KEPT: Final = 256  # voices, of the latest utterances
# As for a file, but a speaker may have as little speech as a new one in `OnlineSpeakers`.
TOGETHER: Final = ClusteringOptions(least_seconds=MIN_SECONDS)

# A speaker who loses a voice may turn out to be another one, so a correction can lead to a second one.
MAX_ROUNDS: Final = 8

KNOWN_VOICES: Final = 2  # of a speaker from which it is known how similar they are to one another

Span = tuple[int, int]
Spans = NDArray[np.int64]


@dataclass(slots=True)
class HeardUtterance:
    """Hold what is known of the speakers of an utterance.

    number: of the utterance in its stream
    span: samples [start, end) of the utterance; words: those of each word, int64 (m, 2)
    turns: who speaks when; the speaker of a turn is the place of the voice in `voices`
    voices: float32 (n, 192), of length 1; seconds: float32 (n,), speech of each one
    numbers: the speaker of each voice in the whole stream
    speaker, word_speakers: the labels that the client was told
    """

    number: int
    span: Span
    words: Spans
    turns: Sequence[Turn]
    voices: Floats
    seconds: Floats
    numbers: list[int]
    speaker: str = ""
    word_speakers: list[str] = field(default_factory=list)

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Self:
        """Return what `saved` described. Raises KeyError, TypeError, ValueError for anything else."""
        start, end = saved["span"]
        turns = [Turn(*turn) for turn in saved["turns"]]
        words = np.array(saved["words"], np.int64).reshape(-1, 2)
        heard = cls(
            saved["number"],
            (start, end),
            words,
            turns,
            _vectors(saved["voices"]),
            np.array(saved["seconds"], np.float32),
            list(saved["numbers"]),
            saved["speaker"],
            list(saved["word_speakers"]),
        )
        if not len(heard.voices) == len(heard.seconds) == len(heard.numbers):
            raise ValueError(f"{len(heard.voices)} voices have {len(heard.numbers)} numbers")
        return heard

    def saved(self) -> dict[str, object]:
        """Return the utterance as JSON."""
        return {
            "number": self.number,
            "span": self.span,
            "words": self.words.tolist(),
            "turns": [(turn.start, turn.end, turn.speaker) for turn in self.turns],
            "voices": _text(self.voices),
            "seconds": self.seconds.round(2).tolist(),
            "numbers": self.numbers,
            "speaker": self.speaker,
            "word_speakers": self.word_speakers,
        }

    def find_speakers(self, labels: Sequence[str]) -> tuple[str, list[str]]:
        """Return the label of who speaks most of the utterance, and of who speaks each word.

        labels: of each speaker of the stream, by number
        """
        turns = [replace(turn, speaker=self.numbers[turn.speaker]) for turn in self.turns]
        finder = SpeakerFinder(turns)
        words = [labels[finder.find(start, end)] for start, end in self.words.tolist()]
        return labels[SpeakerFinder(turns).find(*self.span)], words


@dataclass(frozen=True, slots=True)
class SpeakerChange:
    """Hold the speakers of an utterance after a correction.

    utterance: its number
    speaker: the label of who speaks most of it
    words: first sample, sample after the last one, and label of each word
    """

    utterance: int
    speaker: str
    words: tuple[tuple[int, int, str], ...] = ()


class SpeakerHistory:
    """Keep the voices of the latest utterances, at most MAX_KEPT, to cluster them together.

    Of older utterances only the mean voice of each speaker is kept; their labels no longer change.

    forgotten: by speaker, the sum of the voices of older utterances, float32 (192,), and their seconds
    references: speaker, voice and seconds of each clip of a named speaker
    """

    def __init__(self) -> None:
        self.utterances: deque[HeardUtterance] = deque()
        self.forgotten: dict[int, tuple[Floats, float]] = {}
        self.references: list[tuple[int, Floats, float]] = []

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Self:
        """Return what `saved` described. Raises KeyError, TypeError, ValueError for anything else."""
        history = cls()
        history.utterances.extend(HeardUtterance.restored(each) for each in saved["utterances"])
        for number, total, seconds in saved["forgotten"]:
            history.forgotten[int(number)] = np.array(total, np.float32), float(seconds)
        for number, voice, seconds in saved["references"]:
            history.references.append((int(number), np.array(voice, np.float32), float(seconds)))
        return history

    def saved(self) -> dict[str, object]:
        """Return the history as JSON: about 600 bytes a voice, and 40 a word."""
        forgotten = [(number, total.tolist(), each) for number, (total, each) in self.forgotten.items()]
        references = [(number, voice.tolist(), each) for number, voice, each in self.references]
        utterances = [each.saved() for each in self.utterances]
        return {"utterances": utterances, "forgotten": forgotten, "references": references}

    def add(self, heard: HeardUtterance) -> None:
        """Keep an utterance, and forget the oldest ones if there are too many voices."""
        self.utterances.append(heard)
        while sum(len(each.numbers) for each in self.utterances) > MAX_KEPT:
            oldest = self.utterances.popleft()
            for number, voice, seconds in zip(oldest.numbers, oldest.voices, oldest.seconds, strict=True):
                total, before = self.forgotten.get(number, (np.zeros(EMBEDDING, np.float32), 0.0))
                self.forgotten[number] = total + voice * seconds, before + float(seconds)

    def revise(self, speakers: OnlineSpeakers) -> list[SpeakerChange]:
        """Cluster all voices; return the utterances whose speakers differ from what the client was told.

        Corrects the voices of `speakers`, too, and adds speakers that were taken for one before.
        """
        utterances = self.utterances
        if not utterances:
            return []
        forgotten = [(number, normalized(total), each) for number, (total, each) in self.forgotten.items()]
        extra = [*self.references, *forgotten]
        voices = np.concatenate([each.voices for each in utterances] + [voice[None] for _, voice, _ in extra])
        weights = [each.seconds for each in utterances]
        seconds = np.concatenate([*weights, np.array([each for _, _, each in extra], np.float32)])
        before = [number for each in utterances for number in each.numbers]
        before += [number for number, _, _ in extra]
        first = len(before) - len(extra)
        pinned = np.arange(first, first + len(self.references))
        numbers = np.array(before)
        for _ in range(MAX_ROUNDS):
            earlier = numbers
            numbers = regrouped(voices, seconds, earlier, pinned, len(speakers.labels), speakers.vacancies)
            speakers.regroup(voices, seconds, numbers)
            if (numbers == earlier).all():
                break
        at = 0
        for each in utterances:
            each.numbers = numbers[at : at + len(each.numbers)].tolist()
            at += len(each.numbers)
        return [change for each in utterances if (change := _change(each, speakers.labels)) is not None]


def regrouped(
    voices: Floats, seconds: Floats, before: Labels, pinned: Labels, speakers: int, vacancies: int
) -> Labels:
    """Return the speaker of each voice after clustering all of them; a group keeps its speaker's number.

    voices: float32 (n, 192), of length 1; seconds: float32 (n,)
    before: the numbers so far, below `speakers`; new speakers are numbered from `speakers` on
    pinned: places of voices whose numbers are certain
    vacancies: most new speakers; groups beyond keep the speaker that most of them had
    """
    groups = cluster(voices, seconds, ANY_NUMBER, TOGETHER)
    weights = seconds.astype(np.float64)
    weights[pinned] += weights.sum()  # so that their groups keep their numbers
    shared = np.zeros((groups.max() + 1, speakers))
    np.add.at(shared, (groups, before), weights)
    numbers = np.full(len(shared), -1)
    while shared.max(initial=0) > 0:
        group, number = divmod(int(shared.argmax()), speakers)
        numbers[group] = number
        shared[group], shared[:, number] = 0, 0
    new = np.flatnonzero(numbers < 0)
    numbers[new] = np.arange(speakers, speakers + len(new))
    for group in new[vacancies:]:
        own = groups == group
        numbers[group] = np.bincount(before[own], weights[own]).argmax()
    after: Labels = numbers[groups]
    _keep_uncertain_speakers_apart(after, voices, seconds, before)
    for group in np.unique(groups[pinned]):
        named = pinned[groups[pinned] == group]
        if len(set(before[named])) > 1:  # Voices of several named speakers are similar: each to the nearest.
            members = np.flatnonzero(groups == group)
            after[members] = before[named][(voices[members] @ voices[named].T).argmax(axis=1)]
    return after


def _keep_uncertain_speakers_apart(after: Labels, voices: Floats, seconds: Floats, before: Labels) -> None:
    """Give speakers that were merged their numbers back, unless they are surely one.

    Their mean voices must be as similar as those that OnlineSpeakers takes for one speaker, or both must have
    so many voices and so much speech that the clustering knows how similar each is to itself.

    after: the numbers after the clustering; changed in place
    """
    speakers, place = np.unique(before, return_inverse=True)
    sums = np.zeros((len(speakers), EMBEDDING), np.float32)
    np.add.at(sums, place, voices * seconds[:, None])
    means, totals, counts = normalized(sums), np.bincount(place, seconds), np.bincount(place)
    is_known = (counts >= KNOWN_VOICES) & (totals >= TOGETHER.clear_group_seconds)
    for index, speaker in enumerate(speakers):
        if speaker in after:
            continue
        own = place == index
        others = np.flatnonzero(speakers == np.bincount(after[own], seconds[own]).argmax())
        if not all(is_known[[index, *others]]) and all(means[others] @ means[index] < MIN_SIMILARITY):
            after[own] = speaker


def _change(heard: HeardUtterance, labels: Sequence[str]) -> SpeakerChange | None:
    """Return what the client is to be told of an utterance, None if it knows it."""
    speaker, words = heard.find_speakers(labels)
    if (speaker, words) == (heard.speaker, heard.word_speakers):
        return None
    heard.speaker, heard.word_speakers = speaker, words
    spans = zip(heard.words.tolist(), words, strict=True)
    return SpeakerChange(heard.number, speaker, tuple((start, end, label) for (start, end), label in spans))


def _text(voices: Floats) -> str:
    """Return voices as text, in half precision."""
    return pybase64.b64encode_as_string(voices.astype("<f2").tobytes())


def _vectors(text: str) -> Floats:
    halves = np.frombuffer(pybase64.b64decode(text, validate=True), "<f2")
    return normalized(halves.astype(np.float32).reshape(-1, EMBEDDING))

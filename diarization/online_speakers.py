"""Recognize the speakers of a live stream again, utterance by utterance."""

from collections.abc import Collection, Mapping
from typing import Any, Final, Self

import numpy as np

from diarization.chunks import EMBEDDING, Floats, normalized
from diarization.clustering import MAX_SPEAKERS, Labels
from diarization.known_speakers import LABELS, MAX_KNOWN

MIN_SIMILARITY: Final = 0.45  # A voice that is less like each speaker before is a new one.
MIN_SECONDS: Final = 1.0  # A voice of less speech is too uncertain to be a new speaker.
FORGOTTEN: Final = ""  # label of a number that stands for no one, until a name takes it
MAX_SECONDS: Final = 120.0  # most weight of a speaker's earlier voice, so that it follows his voice of today


class OnlineSpeakers:
    """Give each voice the number of a speaker, who keeps it for the whole stream.

    Speakers that the client named are known before they speak. The others get the letters A, B … in the order
    in which they are first heard: at most MAX_SPEAKERS. Numbers depend only on the voices so far.

    voices: float32 (speakers, 192), of length 1; seconds: float32 (speakers,), speech of each one
    labels: of each speaker: a letter, or the name that the client gave
    heard: whether each speaker has spoken in the stream
    """

    def __init__(self) -> None:
        self.voices: Floats = np.zeros((0, EMBEDDING), np.float32)
        self.seconds: Floats = np.zeros(0, np.float32)
        self.labels: list[str] = []
        self.heard: list[bool] = []

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Self:
        """Return what `saved` described. Raises KeyError, TypeError, ValueError for anything else."""
        speakers = cls()
        speakers.voices = np.array(saved["voices"], np.float32).reshape(-1, EMBEDDING)
        speakers.seconds = np.array(saved["seconds"], np.float32)
        count = len(speakers.voices)
        speakers.labels = list(saved.get("labels", LABELS[:count]))  # Older servers saved letters only.
        speakers.heard = list(saved.get("heard", [True] * count))
        if not count == len(speakers.seconds) == len(speakers.labels) == len(speakers.heard):
            raise ValueError(f"{count} voices have {len(speakers.seconds)} lengths or other labels")
        return speakers

    def saved(self) -> dict[str, object]:
        """Return the speakers so far, as JSON."""
        return {
            "voices": self.voices.round(4).tolist(),
            "seconds": self.seconds.round(2).tolist(),
            "labels": self.labels,
            "heard": self.heard,
        }

    def enrol(self, name: str, voice: Floats, seconds: float) -> int:
        """Call the speaker of a voice by a name from now on, also one heard before; return the number.

        name: no label of LABELS. A name that is known gets one more voice
        voice: float32 (192,), of length 1; seconds: speech behind it
        Raises ValueError for more than MAX_KNOWN names.
        """
        if name in self.labels:
            number = self.labels.index(name)
            self._add(number, voice, seconds)
            return number
        if sum(map(_is_name, self.labels)) == MAX_KNOWN:
            raise ValueError(f"at most {MAX_KNOWN} speakers can be named")
        similarities = self.voices @ voice
        unnamed = [number for number, label in enumerate(self.labels) if label in LABELS]
        best = max(unnamed, key=lambda number: similarities[number], default=None)
        if best is not None and similarities[best] >= MIN_SIMILARITY:
            self.labels[best] = name
            self._add(best, voice, seconds)
            return best
        if FORGOTTEN in self.labels:
            number = self.labels.index(FORGOTTEN)
            self.labels[number] = name
            self._add(number, voice, seconds)
            return number
        return self._append(name, voice, seconds, heard=False)

    def keep_names(self, names: Collection[str]) -> list[int]:
        """Forget all names but these, and return the numbers of the speakers who had them.

        A speaker who has spoken gets a letter in place of the name. If not, the voice is forgotten, too.
        """
        numbers = [n for n, label in enumerate(self.labels) if _is_name(label) and label not in names]
        for number in numbers:
            if self.heard[number]:
                self.labels[number] = self._next_letter()
            else:
                self.labels[number] = FORGOTTEN
                self.voices[number], self.seconds[number] = 0, 0
        return numbers

    def number_of(self, voice: Floats, seconds: float) -> int:
        """Return the number of the speaker of a voice, and remember the voice.

        voice: float32 (192,), of length 1
        seconds: speech behind it
        """
        nearest = self.nearest(voice)
        if nearest is not None:
            self.heard[nearest] = True
            self._add(nearest, voice, seconds)
            return nearest
        heard = np.flatnonzero(self.heard)
        if len(heard) and (seconds < MIN_SECONDS or not self.vacancies):
            return int(heard[(self.voices[heard] @ voice).argmax()])
        return self._append(self._next_letter(), voice, seconds, heard=True)

    def nearest(self, voice: Floats) -> int | None:
        """Return the number of the speaker whose voice is most similar, None if none is similar enough."""
        similarities = self.voices @ voice
        nearest = int(similarities.argmax()) if len(similarities) else -1
        return nearest if nearest >= 0 and similarities[nearest] >= MIN_SIMILARITY else None

    @property
    def vacancies(self) -> int:
        """Return how many more speakers without names there may be."""
        return MAX_SPEAKERS - sum(label in LABELS for label in self.labels)

    def regroup(self, voices: Floats, seconds: Floats, numbers: Labels) -> None:
        """Take over which voices belong to which speaker. A speaker without any is not found again.

        voices: float32 (n, 192), of length 1, of all speakers; seconds: float32 (n,)
        numbers: int (n,); new speakers are numbered from the present number of speakers on
        """
        new = max(0, int(numbers.max()) + 1 - len(self.labels))
        for _ in range(new):
            self._append(self._next_letter(), np.zeros(EMBEDDING, np.float32), 0.0, heard=True)
        sums = np.zeros_like(self.voices)
        np.add.at(sums, numbers, voices * seconds[:, None])
        self.voices = normalized(sums)
        self.seconds = np.bincount(numbers, seconds, len(self.labels)).astype(np.float32).clip(0, MAX_SECONDS)
        self.heard = [heard and bool(each) for heard, each in zip(self.heard, self.seconds, strict=True)]

    def _next_letter(self) -> str:
        return next(label for label in LABELS if label not in self.labels)

    def _append(self, label: str, voice: Floats, seconds: float, *, heard: bool) -> int:
        self.voices = np.concatenate([self.voices, voice[None]])
        self.seconds = np.append(self.seconds, np.float32(min(seconds, MAX_SECONDS)))
        self.labels.append(label)
        self.heard.append(heard)
        return len(self.labels) - 1

    def _add(self, number: int, voice: Floats, seconds: float) -> None:
        total = self.voices[number] * self.seconds[number] + voice * np.float32(seconds)
        self.voices[number] = normalized(total)
        self.seconds[number] = min(self.seconds[number] + seconds, MAX_SECONDS)


def _is_name(label: str) -> bool:
    return label not in (*LABELS, FORGOTTEN)

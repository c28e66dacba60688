"""Recognize the speakers of a live stream again, utterance by utterance."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from diarization.chunks import EMBEDDING, Floats, normalized
from diarization.clustering import MAX_SPEAKERS

MIN_SIMILARITY: Final = 0.45  # A voice that is less like each speaker before is a new one.
MIN_SECONDS: Final = 1.0  # A voice of less speech is too uncertain to be a new speaker.
MAX_SECONDS: Final = 120.0  # most weight of a speaker's earlier voice, so that it follows his voice of today


@dataclass(slots=True)
class OnlineSpeakers:
    """Give each voice the number of a speaker, which he keeps for the whole stream.

    Numbers are given in the order in which speakers are first heard, at most MAX_SPEAKERS. They depend only
    on the voices so far, and are never changed afterwards.

    voices: float32 (speakers, 192), of length 1; seconds: float32 (speakers,), speech of each one
    """

    voices: Floats = field(default_factory=lambda: np.zeros((0, EMBEDDING), np.float32))
    seconds: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    def number_of(self, voice: Floats, seconds: float) -> int:
        """Return the number of the speaker of a voice, and remember the voice.

        voice: float32 (192,), of length 1
        seconds: speech behind it
        """
        similarities = self.voices @ voice
        nearest = int(similarities.argmax()) if len(similarities) else -1
        if nearest >= 0 and similarities[nearest] >= MIN_SIMILARITY:
            self._add(nearest, voice, seconds)
            return nearest
        is_new = seconds >= MIN_SECONDS and len(self.voices) < MAX_SPEAKERS
        if nearest >= 0 and not is_new:
            return nearest
        self.voices = np.concatenate([self.voices, voice[None]])
        self.seconds = np.append(self.seconds, np.float32(min(seconds, MAX_SECONDS)))
        return len(self.voices) - 1

    def _add(self, number: int, voice: Floats, seconds: float) -> None:
        total = self.voices[number] * self.seconds[number] + voice * np.float32(seconds)
        self.voices[number] = normalized(total)
        self.seconds[number] = min(self.seconds[number] + seconds, MAX_SECONDS)

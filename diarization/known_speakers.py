"""Recognize known speakers among the speakers of a recording."""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Final

import numpy as np

from diarization.chunks import ChunkSpeakers, Floats, normalized
from diarization.clustering import MAX_SPEAKERS

LABELS: Final = tuple(ascii_uppercase)  # of unknown speakers, in the order in which they first speak
MAX_KNOWN: Final = len(LABELS) - MAX_SPEAKERS  # so that there are labels for all, whatever the names
MIN_SIMILARITY: Final = 0.45  # Voices of different speakers are rarely more similar than this.


def number_of(label: str | None) -> int:
    """Return the number of an unknown speaker from the letter; 0 if speakers are not distinguished."""
    return 0 if label is None else LABELS.index(label)


def voice_of(clip: ChunkSpeakers) -> Floats | None:
    """Return the embedding of the speaker who says most in a clip; None without 0.3 s of speech.

    The result is float32 (192,), of length 1.
    """
    if not len(clip.pieces):
        return None
    speakers = clip.pieces[:, 0]
    most = np.bincount(speakers, clip.seconds).argmax()
    weighted = clip.embeddings * clip.seconds[:, None]
    return normalized(weighted[speakers == most].sum(axis=0))


def labels_of(speakers: Floats, known: Sequence[tuple[str, Floats | None]]) -> list[str]:
    """Return a label for each speaker: the name of the known one that is meant, or a letter.

    speakers: float32 (n, 192), of length 1
    known: names and embeddings, at most MAX_KNOWN. A name is given at most once: pairs that are most similar
        come first
    """
    labels: list[str | None] = [None] * len(speakers)
    similarities = np.full((len(speakers), len(known)), -1.0)
    for column, (_, voice) in enumerate(known):
        if voice is not None:
            similarities[:, column] = speakers @ voice
    while similarities.size and similarities.max() >= MIN_SIMILARITY:
        row, column = divmod(int(similarities.argmax()), len(known))
        labels[row] = known[column][0]
        similarities[row], similarities[:, column] = -1, -1
    names = {name for name, _ in known}
    letters = (letter for letter in LABELS if letter not in names)
    return [next(letters) if label is None else label for label in labels]

"""Name the speakers of a live stream's finals."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Self

import numpy as np

from diarization.chunk_cutter import ChunkCutter
from diarization.chunks import EMBEDDING
from diarization.clustering import ANY_NUMBER, ClusteringOptions
from diarization.known_speakers import LABELS
from diarization.online_speakers import OnlineSpeakers
from diarization.speaker_finder import SpeakerFinder
from diarization.turns import Diarization, PlacedChunk, Turn, diarize
from streaming.events import FinalTranscript
from streaming.model_clients import SpeakerClient
from streaming.threads import run_in_thread_to_completion

URGENT: Final = 0  # priority of a chunk for which a client waits
IN_UTTERANCE: Final = ClusteringOptions(least_seconds=1.0)


class StreamSpeakers:
    """Name the speakers of each utterance; a speaker keeps the label for the whole stream.

    Holds 20 embeddings (MAX_SPEAKERS): 16 kB.
    """

    def __init__(self, client: SpeakerClient, speakers: OnlineSpeakers | None = None) -> None:
        self._client = client
        self._speakers = speakers or OnlineSpeakers()

    @classmethod
    def restored(cls, client: SpeakerClient, saved: Mapping[str, Any]) -> Self:
        """Return what `saved` described. Raises KeyError, TypeError, ValueError for anything else."""
        voices = np.array(saved["voices"], np.float32).reshape(-1, EMBEDDING)
        seconds = np.array(saved["seconds"], np.float32)
        if len(voices) != len(seconds):
            raise ValueError(f"{len(voices)} voices have {len(seconds)} lengths")
        return cls(client, OnlineSpeakers(voices, seconds))

    def saved(self) -> Mapping[str, object]:
        """Return the speakers so far, as JSON."""
        voices = self._speakers.voices.round(4).tolist()
        return {"voices": voices, "seconds": self._speakers.seconds.round(2).tolist()}

    async def label(self, final: FinalTranscript) -> FinalTranscript:
        """Return the final with the speakers of the utterance and of its words.

        Without 0.3 s of speech of one speaker the speaker stays None. Raises SpeakersUnavailable.
        """
        if not final.hypothesis.text:
            return final
        cutter = ChunkCutter()
        chunks = [*cutter.push(final.clip.samples), *cutter.finish()]
        placed = [
            PlacedChunk(
                final.clip.start + chunk.start, await self._client.analyse(chunk.samples, priority=URGENT)
            )
            for chunk in chunks
        ]
        found = await run_in_thread_to_completion(diarize, placed, ANY_NUMBER, IN_UTTERANCE)
        return labelled(final, self._numbered(found))

    def _numbered(self, found: Diarization) -> list[Turn]:
        """Return the turns of an utterance with the numbers that speakers have in the whole stream."""
        seconds = np.zeros(len(found.voices))
        for turn in found.turns:
            seconds[turn.speaker] += turn.seconds
        numbers = [
            self._speakers.number_of(voice, float(each))
            for voice, each in zip(found.voices, seconds, strict=True)
        ]
        return [replace(turn, speaker=numbers[turn.speaker]) for turn in found.turns]


def labelled(final: FinalTranscript, turns: list[Turn]) -> FinalTranscript:
    """Return the final with the labels of the speakers in these turns, by number; as it is without turns."""
    if not turns:
        return final
    finder = SpeakerFinder(turns)
    words = tuple(
        replace(word, speaker=LABELS[finder.find(word.start, word.end)]) for word in final.hypothesis.words
    )
    most = SpeakerFinder(turns).find(final.clip.start, final.clip.end)
    return replace(final, hypothesis=replace(final.hypothesis, words=words), speaker=LABELS[most])

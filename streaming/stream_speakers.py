"""Name the speakers of a live stream's finals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np

from diarization.chunk_cutter import ChunkCutter
from diarization.clustering import ANY_NUMBER, ClusteringOptions
from diarization.known_speakers import voice_of
from diarization.online_speakers import OnlineSpeakers
from diarization.reference_clips import ReferenceClipError, read_reference
from diarization.speaker_finder import SpeakerFinder
from diarization.turns import Diarization, PlacedChunk, Turn, diarize
from streaming.events import FinalTranscript
from streaming.model_clients import SpeakerClient
from streaming.threads import run_in_thread_to_completion

URGENT: Final = 0  # priority of a chunk for which a client waits
IN_UTTERANCE: Final = ClusteringOptions(least_seconds=1.0)


@dataclass(frozen=True, slots=True)
class ReferenceClip:
    """Hold a recording, an audio file of any format, of one speaker, to be called by this name."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class SpeakersNamed:
    """Ask, as a note of the stream, that speakers are called by these names from here on.

    event_id: the client's id of the message with the clips
    """

    clips: Sequence[ReferenceClip]
    event_id: str | None = None


class StreamSpeakers:
    """Name the speakers of each utterance; a speaker keeps the label for the whole stream.

    Holds at most 26 embeddings (MAX_SPEAKERS and MAX_KNOWN): 20 kB.
    """

    def __init__(self, client: SpeakerClient, speakers: OnlineSpeakers | None = None) -> None:
        self._client = client
        self._speakers = speakers or OnlineSpeakers()

    @classmethod
    def restored(cls, client: SpeakerClient, saved: Mapping[str, Any]) -> Self:
        """Return what `saved` described. Raises KeyError, TypeError, ValueError for anything else."""
        return cls(client, OnlineSpeakers.restored(saved))

    def saved(self) -> Mapping[str, object]:
        """Return the speakers so far, as JSON."""
        return self._speakers.saved()

    async def enrol(self, clip: ReferenceClip) -> None:
        """Call the speaker of a clip by a name from now on.

        Raises ReferenceClipError for a clip that cannot be used, and SpeakersUnavailable.
        """
        samples = await run_in_thread_to_completion(read_reference, clip.data)
        found = await self._client.analyse(samples, priority=URGENT)
        voice = voice_of(found)
        if voice is None:
            raise ReferenceClipError("contains no speech")
        self._speakers.enrol(clip.name, voice, float(found.seconds.sum()))

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
        return labelled(final, self._numbered(found), self._speakers.labels)

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


def labelled(final: FinalTranscript, turns: list[Turn], labels: Sequence[str]) -> FinalTranscript:
    """Return the final with the labels of the speakers in these turns; as it is without turns.

    labels: of each speaker, by number
    """
    if not turns:
        return final
    finder = SpeakerFinder(turns)
    words = tuple(
        replace(word, speaker=labels[finder.find(word.start, word.end)]) for word in final.hypothesis.words
    )
    most = SpeakerFinder(turns).find(final.clip.start, final.clip.end)
    return replace(final, hypothesis=replace(final.hypothesis, words=words), speaker=labels[most])

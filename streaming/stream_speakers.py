"""Name the speakers of a live stream's finals."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np

from audio.clip import Samples
from diarization.chunk_cutter import ChunkCutter
from diarization.clustering import ANY_NUMBER, ClusteringOptions
from diarization.known_speakers import voice_of
from diarization.online_speakers import OnlineSpeakers
from diarization.reference_clips import ReferenceClipError, read_reference
from diarization.speaker_history import HeardUtterance, SpeakerChange, SpeakerHistory
from diarization.turns import Diarization, PlacedChunk, diarize
from streaming.events import FinalTranscript
from streaming.model_clients import SpeakerClient
from streaming.threads import run_in_thread_to_completion

URGENT: Final = 0  # priority of a chunk for which a client waits
SOON: Final = 1  # of the beginning of an utterance, which only partials need
IN_UTTERANCE: Final = ClusteringOptions(least_seconds=1.0)


@dataclass(frozen=True, slots=True)
class ReferenceClip:
    """Hold a recording, an audio file of any format, of one speaker, to be called by this name."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class SpeakersNamed:
    """Ask, as a note of the stream, that speakers are called by these names from here on.

    names: of all known speakers; others are forgotten
    clips: new ones of theirs
    event_id: the client's id of the message with the clips
    """

    names: Collection[str]
    clips: Sequence[ReferenceClip]
    event_id: str | None = None


class StreamSpeakers:
    """Name the speakers of each utterance; a speaker keeps the label for the whole stream.

    Holds at most 26 embeddings (MAX_SPEAKERS and MAX_KNOWN): 20 kB. With a history, those of the latest
    utterances, too: MAX_KEPT of them, 200 kB, and 20 bytes a word.
    """

    def __init__(
        self,
        client: SpeakerClient,
        speakers: OnlineSpeakers | None = None,
        history: SpeakerHistory | None = None,
    ) -> None:
        self._client = client
        self._speakers = speakers or OnlineSpeakers()
        self._history = history

    @classmethod
    def restored(cls, client: SpeakerClient, saved: Mapping[str, Any]) -> Self:
        """Return what `saved` described. Raises KeyError, TypeError, ValueError for anything else."""
        history = SpeakerHistory.restored(saved["history"]) if saved.get("history") else None
        return cls(client, OnlineSpeakers.restored(saved), history)

    def saved(self) -> Mapping[str, object]:
        """Return the speakers so far, as JSON."""
        history = None if self._history is None else self._history.saved()
        return {**self._speakers.saved(), "history": history}

    def keep_history(self, wanted: bool) -> None:
        """Begin to keep what corrections need, from the next utterance on; or drop it."""
        if not wanted:
            self._history = None
        elif self._history is None:
            self._history = SpeakerHistory()

    def keep_names(self, names: Collection[str]) -> None:
        """Forget the names of all known speakers but these, and their clips."""
        forgotten = self._speakers.keep_names(names)
        if self._history is not None:
            references = self._history.references
            self._history.references = [each for each in references if each[0] not in forgotten]

    async def enrol(self, clip: ReferenceClip) -> None:
        """Call the speaker of a clip by a name from now on.

        Raises ReferenceClipError for a clip that cannot be used, and SpeakersUnavailable.
        """
        samples = await run_in_thread_to_completion(read_reference, clip.data)
        found = await self._client.analyse(samples, priority=URGENT)
        voice = voice_of(found)
        if voice is None:
            raise ReferenceClipError("contains no speech")
        seconds = float(found.seconds.sum())
        number = self._speakers.enrol(clip.name, voice, seconds)
        if self._history is not None:
            self._history.references.append((number, voice, seconds))

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
        return self._labelled(final, found) if found.turns else final

    @property
    def knows_voices(self) -> bool:
        """Whether any speaker is known, so that `likely` may find one."""
        return len(self._speakers.voices) > 0

    async def likely(self, samples: Samples) -> str | None:
        """Return the label of the speaker who says most in a part of an open utterance, and remember nothing.

        samples: float32 (n,) at 16 kHz, at most CHUNK_SAMPLES
        None without 0.3 s of speech, and for a voice like no speaker's so far, which may be a new one.
        Raises SpeakersUnavailable.
        """
        voice = voice_of(await self._client.analyse(samples, priority=SOON))
        number = None if voice is None else self._speakers.nearest(voice)
        return None if number is None else self._speakers.labels[number]

    async def revise(self) -> list[SpeakerChange]:
        """Return which earlier utterances have other speakers than was said, as far as a history is kept."""
        history = self._history
        return [] if history is None else await run_in_thread_to_completion(history.revise, self._speakers)

    def _labelled(self, final: FinalTranscript, found: Diarization) -> FinalTranscript:
        """Return the final with the labels that its speakers have in the whole stream."""
        seconds = np.zeros(len(found.voices), np.float32)
        for turn in found.turns:
            seconds[turn.speaker] += turn.seconds
        numbers = [
            self._speakers.number_of(voice, float(each))
            for voice, each in zip(found.voices, seconds, strict=True)
        ]
        words = final.hypothesis.words
        spans = np.array([(word.start, word.end) for word in words], np.int64).reshape(-1, 2)
        span = final.clip.start, final.clip.end
        heard = HeardUtterance(final.utterance, span, spans, found.turns, found.voices, seconds, numbers)
        heard.speaker, heard.word_speakers = heard.find_speakers(self._speakers.labels)
        if self._history is not None:
            self._history.add(heard)
        named = tuple(
            replace(word, speaker=label, overlap=found.overlaps.has_word(word.start, word.end))
            for word, label in zip(words, heard.word_speakers, strict=True)
        )
        overlap = any(word.overlap for word in named) if named else found.overlaps.has_part_of(*span)
        hypothesis = replace(final.hypothesis, words=named)
        return replace(final, hypothesis=hypothesis, speaker=heard.speaker, overlap=overlap)

"""Find the turns of the speakers of one file while it is being read."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from audio.clip import Clip, Samples
from diarization.chunk_cutter import ChunkCutter
from diarization.clustering import ANY_NUMBER, SpeakerBounds
from diarization.known_speakers import MAX_KNOWN, labels_of, voice_of
from diarization.turns import PlacedChunk, Turn, diarize
from streaming.model_clients import SpeakerClient
from streaming.threads import run_in_thread_to_completion

MAX_PENDING: Final = 16  # chunks of 0.6 MB that wait for the model; beyond, reading waits


@dataclass(frozen=True, slots=True)
class KnownSpeaker:
    """Name a speaker by a clip of his voice: float32 samples at 16 kHz, at most CHUNK_SAMPLES of them."""

    name: str
    samples: Samples


@dataclass(frozen=True, slots=True)
class DiarizationOptions:
    """Hold what a request wants to know about speakers.

    bounds: of the number of speakers
    known: speakers to be called by their names, at most MAX_KNOWN. Raises ValueError for more.
    """

    bounds: SpeakerBounds = ANY_NUMBER
    known: tuple[KnownSpeaker, ...] = ()

    def __post_init__(self) -> None:
        if len(self.known) > MAX_KNOWN:
            raise ValueError(f"at most {MAX_KNOWN} known speakers can be given, not {len(self.known)}")


@dataclass(frozen=True, slots=True)
class SpeakerTurns:
    """Hold the turns of a file; labels: of each speaker, by number: a known name, or a letter."""

    turns: Sequence[Turn]
    labels: Sequence[str]


class FileDiarizer:
    """Collect what the model says about the chunks of one file.

    Holds at most MAX_PENDING chunks of audio, and about 7 kB for each 5 s of the file: 5 MB an hour.
    An async context manager: leaving it withdraws the chunks that wait for the model.
    """

    def __init__(self, model: SpeakerClient, options: DiarizationOptions) -> None:
        self._model = model
        self._options = options
        self._cutter = ChunkCutter()
        self._pending: deque[asyncio.Task[PlacedChunk]] = deque()
        self._chunks: list[PlacedChunk] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)

    async def listen(self, clip: Clip) -> None:
        """Take the next clip of the file; wait while too many chunks wait for the model.

        Raises SpeakersUnavailable.
        """
        for chunk in self._cutter.push(clip.samples):
            await self._add(chunk)

    async def finish(self) -> SpeakerTurns:
        """Return the turns of the whole file. Raises SpeakersUnavailable."""
        for chunk in self._cutter.finish():
            await self._add(chunk)
        while self._pending:
            self._chunks.append(await self._pending.popleft())
        clips = [await self._model.analyse(each.samples) for each in self._options.known]
        known = [(each.name, voice_of(clip)) for each, clip in zip(self._options.known, clips, strict=True)]
        found = await run_in_thread_to_completion(diarize, self._chunks, self._options.bounds)
        return SpeakerTurns(found.turns, labels_of(found.voices, known))

    async def _add(self, chunk: Clip) -> None:
        if len(self._pending) == MAX_PENDING:
            self._chunks.append(await self._pending.popleft())
        self._pending.append(asyncio.create_task(self._analyse(chunk), name="find speakers"))

    async def _analyse(self, chunk: Clip) -> PlacedChunk:
        return PlacedChunk(chunk.start, await self._model.analyse(chunk.samples))

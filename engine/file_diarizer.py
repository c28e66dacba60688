"""Find the turns of the speakers of one file while it is being read."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Protocol, Self

from audio.clip import Clip, Samples
from diarization.chunk_cutter import ChunkCutter
from diarization.chunks import Flags
from diarization.clustering import ANY_NUMBER, SpeakerBounds
from diarization.known_speakers import LABELS, MAX_KNOWN, labels_of, voice_of
from diarization.overlap import NO_OVERLAPS, Overlaps
from diarization.steps import STEP_SPEAKERS, Step, StepCutter, StepSpeakers, overlaps_of_steps, turns_of_steps
from diarization.turns import PlacedChunk, Turn, diarize
from streaming.model_clients import ModelClients, SpeakerClient, StepClient
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
    """Hold the turns of a file, and where they overlap.

    labels: of each speaker, by number: a known name, or a letter
    """

    turns: Sequence[Turn]
    labels: Sequence[str]
    overlaps: Overlaps = NO_OVERLAPS


class Diarizer(Protocol):
    """Find the turns of one file while it is being read; an async context manager."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def listen(self, clip: Clip) -> None:
        """Take the next clip of the file. Raises SpeakersUnavailable."""
        ...

    async def finish(self) -> SpeakerTurns:
        """Return the turns of the whole file. Raises SpeakersUnavailable."""
        ...


async def diarizer_of(models: ModelClients, options: DiarizationOptions) -> Diarizer | None:
    """Return what finds the speakers of a file; None if the server does not distinguish speakers.

    The model that hears whole recordings takes no number of speakers and knows no voices, so it serves
    requests without such wishes only.

    Raises SpeakersUnavailable: the model is loaded before the long work, not after it.
    """
    is_free = not options.known and options.bounds.least == 1 and options.bounds.most >= STEP_SPEAKERS
    if models.speaker_steps is not None and is_free:
        await models.speaker_steps.start()
        return StepDiarizer(models.speaker_steps)
    if models.speakers is None:
        return None
    await models.speakers.start()
    return FileDiarizer(models.speakers, options)


class StepDiarizer:
    """Hear one file with a model that keeps a state, step by step.

    Holds at most two steps of audio (31 s each), and 2.9 MB for each hour of the file.
    An async context manager: leaving it withdraws the step that waits for the model.
    """

    def __init__(self, model: StepClient) -> None:
        self._model = model
        self._cutter = StepCutter()
        self._pending: asyncio.Task[StepSpeakers] | None = None
        self._active: list[Flags] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.gather(self._pending, return_exceptions=True)

    async def listen(self, clip: Clip) -> None:
        """Take the next clip of the file; wait while the step before waits. Raises SpeakersUnavailable."""
        for step in self._cutter.push(clip.samples):
            await self._add(step)

    async def finish(self) -> SpeakerTurns:
        """Return the turns of the whole file. Raises SpeakersUnavailable."""
        for step in self._cutter.finish():
            await self._add(step)
        if self._pending is not None:
            self._active.append((await self._pending).active)
        turns = await run_in_thread_to_completion(turns_of_steps, self._active)
        return SpeakerTurns(turns, LABELS, overlaps_of_steps(self._active))

    async def _add(self, step: Step) -> None:
        if self._pending is not None:
            before = await self._pending
            self._active.append(before.active)
            step = replace(step, state=before.state)
        self._pending = asyncio.create_task(self._model.run(step), name="find speakers")


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
        return SpeakerTurns(found.turns, labels_of(found.voices, known), found.overlaps)

    async def _add(self, chunk: Clip) -> None:
        if len(self._pending) == MAX_PENDING:
            self._chunks.append(await self._pending.popleft())
        self._pending.append(asyncio.create_task(self._analyse(chunk), name="find speakers"))

    async def _analyse(self, chunk: Clip) -> PlacedChunk:
        return PlacedChunk(chunk.start, await self._model.analyse(chunk.samples))

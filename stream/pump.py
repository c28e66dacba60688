"""Pump: carries a session's work to the batchers and its events to the client.

It has no task of its own: what comes in, and what the models answer, moves the session on at once, on the
event loop. So a chunk of audio costs no task switch.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from types import TracebackType
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from asr.hypothesis import Hypothesis, Request
from audio.clip import SAMPLE_RATE, Clip
from batching.batcher import Batcher, Ticket
from batching.errors import QueueFull
from stream.errors import DetectorFailed, Overloaded
from stream.events import Closed, Event, Partial
from stream.options import SessionOptions
from stream.session import Session
from stream.utterance import Job, Kind
from vad.segmenter import Reason
from vad.work import Work

log = logging.getLogger(__name__)

HOPS_PER_STEP: Final = 8  # a stream that pushes a file takes turns with the others after a quarter second
MAX_UNJUDGED: Final = 10 * SAMPLE_RATE
MAX_UNRECOGNISED: Final = 60 * SAMPLE_RATE
MAX_PENDING: Final = 1_000  # controls and markers that wait for their place
MAX_UNSENT: Final = 1_000  # events that wait for the client
STALL_SECONDS: Final = 30.0
INCREMENTAL_INTERVAL: Final = SAMPLE_RATE // 5

Probabilities = NDArray[np.float32]


class Slots(Protocol):
    """Rows of the detector's state, lent to one stream each."""

    def open(self) -> int: ...
    def close(self, slot: int, /) -> None: ...


class Fate(StrEnum):
    """What became of a job.

    DROPPED: taken back before it ran, as speech had gone on or a newer one had come
    SHED: the queue was full
    """

    DONE = "done"
    DROPPED = "dropped"
    SHED = "shed"
    FAILED = "failed"


def _untold(kind: Kind, fate: Fate) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Models:
    """What all pumps share.

    incremental: the recognizer goes on from where an utterance's last partial left it; so partials are worked
    out whether the client wants them or not, and often: little is left to do at the end
    bulk: nobody waits live, so that finals go behind all work of those who do
    """

    slots: Slots
    vad: Batcher[Work, Probabilities]
    asr: Batcher[Request, Hypothesis]
    incremental: bool = False
    tally: Callable[[Kind, Fate], None] = _untold
    bulk: bool = False

    def adapt(self, options: SessionOptions) -> SessionOptions:
        """The client's options, and what the recognizer's nature adds to them."""
        if not self.incremental:
            return options
        interval = min(options.partial_interval, INCREMENTAL_INTERVAL)
        return replace(options, partials=True, partial_interval=interval, bounded_partials=False)


class Pump:
    """One stream at work. A context manager: leaving it gives back the slot and cancels what still waits.

    Bounds: `room` holds the caller back while MAX_UNJUDGED samples wait for the detector, MAX_UNRECOGNISED
    samples of closed segments for the recognizer, MAX_PENDING controls for their place, or MAX_UNSENT events
    for the client. A partial that was not sent is replaced by the next one; a final never is.
    """

    def __init__(self, models: Models, options: SessionOptions, name: str = "") -> None:
        self.session = Session(models.adapt(options), name)
        self._models = models
        self._judging = False
        self._running: dict[Job, Ticket[Request, Hypothesis]] = {}
        self._unsent: deque[Event] = deque()
        self._unsent_news = asyncio.Event()
        self._progress = asyncio.Event()
        self._failure: Exception | None = None
        self._left = False

    def __enter__(self) -> Self:
        self._slot = self._models.slots.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = True
        for ticket in self._running.values():
            self._models.asr.cancel(ticket)
        self._models.slots.close(self._slot)

    # from the client

    def receive_audio(self, clip: Clip) -> None:
        self.session.receive_audio(clip)
        if not self._judging:  # all that sound by itself can lead to
            self._judge()

    def commit(self) -> None:
        self.session.receive_commit()
        self._advance()

    def clear(self) -> None:
        self.session.receive_clear()
        self._advance()

    def mark(self, marker: str) -> None:
        self.session.receive_marker(marker)
        self._advance()

    def note(self, note: object) -> None:
        self.session.receive_note(note)
        self._advance()

    def update(self, options: SessionOptions) -> None:
        self.session.receive_options(self._models.adapt(options))
        self._advance()

    def end(self, reason: Reason) -> None:
        """No more audio comes; the open segment is transcribed, then `events` ends."""
        self.session.receive_end(reason)
        self._advance()

    @property
    def has_room(self) -> bool:
        """Whether more audio may come in."""
        session = self.session
        return (
            session.unjudged < MAX_UNJUDGED
            and session.unrecognised < MAX_UNRECOGNISED
            and session.pending_controls < MAX_PENDING
            and len(self._unsent) < MAX_UNSENT
        ) or self._failure is not None

    async def room(self) -> None:
        """Waits until more audio may come in. Raises Overloaded if nothing has moved for STALL_SECONDS."""
        while not self.has_room:
            self._progress.clear()
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await self._progress.wait()
            except TimeoutError:
                raise Overloaded(f"no progress on this stream's audio for {STALL_SECONDS:.0f} s") from None

    # to the client

    async def events(self) -> AsyncIterator[Event]:
        """The session's events, in order, up to Closed. Raises DetectorFailed."""
        while True:
            while self._unsent:
                event = self._unsent.popleft()
                self._progress.set()
                yield event
                if isinstance(event, Closed):
                    return
            if self._failure is not None:
                raise self._failure
            self._unsent_news.clear()
            await self._unsent_news.wait()

    # from and to the models

    def _advance(self) -> None:
        """Everything that can be done now."""
        if not self._judging:
            self._judge()
        if self._running:
            self._drop_unwanted()
        while (job := self.session.take_job()) is not None:
            self._transcribe(replace(job, kind=Kind.BULK) if self._models.bulk else job)
        for event in self.session.take_events():
            self._emit(event)

    def _judge(self) -> None:
        hops = self.session.take_hops(HOPS_PER_STEP)
        if hops is not None:
            self._judging = True
            self._models.vad.post(Work(self._slot, hops), self._on_probabilities)

    def _on_probabilities(self, outcome: Probabilities | Exception) -> None:
        if self._left:
            return
        self._progress.set()
        if isinstance(outcome, Exception):
            # Judging stops: hops whose state is unknown must not pass for silence.
            self._failure = DetectorFailed("the voice detector failed")
            self._failure.__cause__ = outcome
            self._unsent_news.set()
            return
        self._judging = False
        self.session.receive_probs(outcome.tolist())
        self._advance()

    def _drop_unwanted(self) -> None:
        """Takes back what waits for the recognizer in vain: an eager clip after which speech has gone on."""
        for job in [job for job in self._running if not self.session.wants(job)]:
            if self._models.asr.cancel(self._running[job]):
                del self._running[job]
                self._models.tally(job.kind, Fate.DROPPED)

    def _transcribe(self, job: Job) -> None:
        """Posts a job; a final whose very clip is being transcribed eagerly makes that one urgent instead.

        Of partials there is one at a time: a newer one replaces one that waits, and yields to one that runs.
        """
        for other, ticket in self._running.items():
            if other.kind is Kind.EAGER and other.key == job.key:
                self._models.asr.promote(ticket, job.kind)
                return
            if other.kind is job.kind is Kind.PARTIAL:
                replaced = self._models.asr.cancel(ticket)
                self._models.tally(Kind.PARTIAL, Fate.DROPPED)
                if not replaced:
                    return
                del self._running[other]
                break
        try:
            ticket = self._models.asr.post(job.request, partial(self._on_hypothesis, job), job.kind)
        except QueueFull as full:  # never raised for finals, bulk or not
            self._models.tally(job.kind, Fate.SHED)
            self.session.receive_failure(job, str(full))
        else:
            self._running[job] = ticket

    def _on_hypothesis(self, job: Job, outcome: Hypothesis | Exception) -> None:
        if self._left:
            return
        self._progress.set()
        del self._running[job]
        if isinstance(outcome, Exception):
            self._models.tally(job.kind, Fate.FAILED)
            log.warning("%s of %s failed: %r", job.kind.name.lower(), job.request.utterance, outcome)
            self.session.receive_failure(job, f"{type(outcome).__name__}: {outcome}")
        else:
            self._models.tally(job.kind, Fate.DONE)
            self.session.receive_hypothesis(job, outcome)
        self._advance()

    def _emit(self, event: Event) -> None:
        last = self._unsent[-1] if self._unsent else None
        if isinstance(event, Partial) and isinstance(last, Partial) and last.utterance == event.utterance:
            self._unsent[-1] = event
        else:
            self._unsent.append(event)
        self._unsent_news.set()

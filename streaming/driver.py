"""Pump: carries a session's work to the batchers and its events to the client.

It has no task of its own: what comes in, and what the models answer, moves the session on at once, on the
event loop. So a chunk of audio costs no task switch.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Final, Self

from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import SAMPLE_RATE, Clip
from batching.batcher import BULK, Ticket
from batching.errors import ModelDied, QueueFull
from streaming.arrival_pace import ArrivalPace
from streaming.degradation import lag_to_report
from streaming.errors import DetectorFailed, EventsUnread, Overloaded, StreamError, fails_stream
from streaming.event_queue import EventQueue
from streaming.events import Event, LagReported, StreamClosed
from streaming.model_clients import ModelClients, Probabilities, TaskOutcome
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.snapshot import RestorePoint, Snapshot, restore, save
from streaming.utterance import RecognitionTask, TaskKind
from vad.detector_input import NO_HOPS, DetectorInput, DetectorState
from vad.segmenter import Reason

log = logging.getLogger(__name__)

HOPS_PER_STEP: Final = 8  # a stream that pushes a file takes turns with the others after a quarter second
MAX_UNJUDGED: Final = 10 * SAMPLE_RATE
MAX_UNRECOGNISED: Final = 60 * SAMPLE_RATE
MAX_PENDING: Final = 1_000  # controls and markers that wait for their place
STALL_SECONDS: Final = 30.0
UNREAD_SECONDS: Final = 10.0  # that the outbox may be full, while its client takes some events


class StreamDriver:
    """One stream at work. A context manager: leaving it gives back the slot and cancels what still waits.

    Bounds: `room` holds the caller back while MAX_UNJUDGED samples wait for the detector, MAX_UNRECOGNISED
    samples of closed segments for the recognizer, MAX_PENDING controls for a place, or the outbox is full.

    A stream that is ahead of the clock is a file: what it says goes behind all for which somebody waits.
    """

    def __init__(
        self,
        models: ModelClients,
        options: SessionOptions,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
        stall_seconds: float = STALL_SECONDS,
        unread_seconds: float = UNREAD_SECONDS,
        begun: RestorePoint | None = None,
    ) -> None:
        """begun: elsewhere, to be gone on with here."""
        options = models.adapt(options)
        self.session = (
            restore(begun.snapshot, options, name, begun.promised) if begun else Session(options, name)
        )
        self._replaying = begun is not None  # the input was received before: only finals are recognized
        self._memory = begun.memory if begun else None
        self._concluded = dict(begun.concluded) if begun else {}
        self._save: Callable[[Snapshot, DetectorState], None] | None = None
        self._all_told = False
        self.models = models
        self._judging = False
        self._running: dict[RecognitionTask, Ticket[RecognitionRequest, Hypothesis]] = {}
        self._unsent = EventQueue(clock)
        self._unsent_news = asyncio.Event()
        self._progress = asyncio.Event()
        self._failure: Exception | None = None
        self._left = False
        self._deadly = 0  # utterance of which, or beside which, the model died: only its final is tried again
        self._handed_over = False
        self._pace = ArrivalPace(clock)
        self._stall_seconds = stall_seconds
        self._unread_seconds = unread_seconds
        self._told_lag_ms = 0

    def __enter__(self) -> Self:
        self._slot = self.models.slots.open()
        if self._replaying:
            self._advance()  # what was saved may have been waiting for the models
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = True
        for ticket in self._running.values():
            self.models.asr.cancel(ticket)
        self.models.slots.close(self._slot)
        if not self._handed_over:
            self.models.account(self.session.abandon())

    def finish_replay(self) -> None:
        """Recognize partials again: everything that was received before has been replayed."""
        self._replaying = False

    def hand_over(self) -> None:
        """Leave the stream to another server, which accounts for its audio."""
        self._handed_over = True

    # from the client

    @property
    def received(self) -> int:
        """Samples received so far."""
        return self.session.received

    @property
    def input_ended(self) -> bool:
        """Whether no more audio is accepted."""
        return self.session.input_ended

    def receive_audio(self, clip: Clip) -> None:
        self.session.receive_audio(clip)
        if not self._replaying:
            self._pace.hear(len(clip.samples))
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
        self.session.receive_options(self.models.adapt(options))
        self._advance()

    def save(self, done: Callable[[Snapshot, DetectorState], None]) -> None:
        """Soon calls `done` with all that is needed to go on elsewhere: at a place up to which everything has
        been told, and behind which nothing has come in but sound."""
        self._save = done

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
            and not self._unsent.is_full
        ) or self._failure is not None

    async def room(self) -> None:
        """Waits until more audio may come in.

        Raises Overloaded if nothing has moved for `stall_seconds`, and Unread if the client has taken too few
        events for `unread_seconds`.
        """
        while not self.has_room:
            self._progress.clear()
            try:
                async with asyncio.timeout(self._stall_seconds):
                    await self._progress.wait()
            except TimeoutError:
                if not self._overtake():
                    raise Overloaded(f"no progress on this stream for {self._stall_seconds:.0f} s") from None
            if self._unsent.full_for > self._unread_seconds:
                raise EventsUnread(f"{len(self._unsent)} events are unread")

    @property
    def lag(self) -> float:
        """Seconds by which the detector is behind what was spoken."""
        return self._pace.lag(self.session.unjudged)

    # to the client

    def tell_lag(self, lag_ms: int) -> None:
        """How far recognition is behind, for a client that wants to know."""
        told = lag_to_report(lag_ms, self._told_lag_ms) if self.session.options.lag else None
        if told is not None:
            self._told_lag_ms = told
            self._emit(LagReported(told))

    async def events(self) -> AsyncIterator[Event]:
        """The session's events, in order, up to Closed. Raises DetectorFailed, StreamBroken."""
        while True:
            while self._unsent:
                event = self._unsent.take()
                self._progress.set()
                yield event
                if isinstance(event, StreamClosed):
                    return
            if self._failure is not None:
                raise self._failure
            self._unsent_news.clear()
            self._all_told = True
            await self._unsent_news.wait()
            self._all_told = False

    # from and to the models

    def _advance(self) -> None:
        """Everything that can be done now."""
        if not self._judging:
            self._judge()
        if self._running:
            self._drop_unwanted()
        while (job := self.session.take_job(self.models.relief().spread)) is not None:
            if not self._is_known(job):
                self._transcribe(replace(job, kind=TaskKind.BULK) if self.models.bulk else job)
        for event in self.session.take_events():
            self._emit(event)

    def _judge(self) -> None:
        if self._save is not None and self._can_be_saved:
            self._judging = True
            self.models.vad.post(DetectorInput(self._slot, NO_HOPS, self._memory), self._on_memory)
            self._memory = None
            return
        hops = self.session.take_hops(HOPS_PER_STEP)
        if hops is not None:
            self._judging = True
            self.models.vad.post(DetectorInput(self._slot, hops, self._memory), self._on_probabilities)
            self._memory = None

    @property
    def _can_be_saved(self) -> bool:
        return self._all_told and not self._unsent and self.session.is_at_rest

    @fails_stream
    def _on_memory(self, outcome: DetectorState | Exception) -> None:
        if self._left or isinstance(outcome, Exception):
            self._hear_failure(outcome)
            return
        self._judging = False
        if self._save is not None and self._can_be_saved:  # still: hypotheses may have come meanwhile
            done, self._save = self._save, None
            done(save(self.session), outcome)
        self._advance()

    @fails_stream
    def _on_probabilities(self, outcome: Probabilities | Exception) -> None:
        if self._left or isinstance(outcome, Exception):
            self._hear_failure(outcome)
            return
        self._progress.set()
        self._judging = False
        self.session.receive_probs(outcome.tolist())
        self._advance()

    def _hear_failure(self, outcome: Probabilities | Exception) -> None:
        if isinstance(outcome, Exception) and not self._left:
            # Judging stops: hops whose state is unknown must not pass for silence.
            failure = DetectorFailed("the voice detector failed")
            failure.__cause__ = outcome
            self.fail(failure)

    def fail(self, failure: StreamError) -> None:
        self._failure = failure
        self._progress.set()
        self._unsent_news.set()

    def _is_known(self, job: RecognitionTask) -> bool:
        """What is played once more need not be recognised again."""
        if job.kind is TaskKind.FINAL and job.utterance in self._concluded:
            self.session.receive_conclusion(job, self._concluded.pop(job.utterance))
            return True
        if self._replaying and job.kind is not TaskKind.FINAL and self.session.options.earliest is None:
            self.session.receive_failure(job, "was heard before")
            return True
        return False

    def _drop_unwanted(self) -> None:
        """Takes back what waits for the recognizer in vain: an eager clip after which speech has gone on."""
        for job in [job for job in self._running if not self.session.wants(job)]:
            if self.models.asr.cancel(self._running[job]):
                del self._running[job]
                self.models.tally(job.kind, TaskOutcome.DROPPED)

    def _transcribe(self, job: RecognitionTask) -> None:
        """Posts a job; a final whose very clip is being transcribed eagerly makes that one urgent instead.

        Of partials there is one at a time: a newer one replaces one that waits, and yields to one that runs.
        """
        is_extra = job.kind in (TaskKind.PARTIAL, TaskKind.EAGER) and not self._decides(job)
        if is_extra and (job.kind in self.models.relief().sheds or job.utterance == self._deadly):
            self._shed(job, "recognition is behind, or the model has died of this utterance")
            return
        priority = BULK if self._pace.is_ahead and job.kind is not TaskKind.PARTIAL else job.kind
        for other, ticket in self._running.items():
            if other.kind is TaskKind.EAGER and other.key == job.key:
                if ticket.priority != BULK:  # also where it runs: a final is tried again if the model dies
                    self.models.asr.promote(ticket, TaskKind.FINAL)
                return
            if other.kind is job.kind is TaskKind.PARTIAL:
                replaced = self.models.asr.cancel(ticket)
                self.models.tally(TaskKind.PARTIAL, TaskOutcome.DROPPED)
                if not replaced:
                    return
                del self._running[other]
                break
        try:
            ticket = self.models.asr.post(job.request, partial(self._on_hypothesis, job), priority, self)
        except QueueFull as full:  # never raised for finals, bulk or not
            self._shed(job, str(full))
        else:
            self._running[job] = ticket

    def _shed(self, job: RecognitionTask, why: str) -> None:
        self.models.tally(job.kind, TaskOutcome.SHED)
        self.session.receive_failure(job, why)

    def _decides(self, job: RecognitionTask) -> bool:
        """Whether the utterance's end hangs on what comes of it, and not only how soon it is told."""
        return job.kind is TaskKind.EAGER and self.session.options.earliest is not None

    def _overtake(self) -> bool:
        """A file that a client streams has waited long enough behind the others: it has its turn among them.

        False where nothing of it waits behind them.
        """
        behind = [t for t in self._running.values() if t.waiting and t.priority == BULK]
        if self.models.bulk or not behind:
            return False
        for ticket in behind:
            self.models.asr.promote(ticket, TaskKind.FINAL)
        return True

    @fails_stream
    def _on_hypothesis(self, job: RecognitionTask, outcome: Hypothesis | Exception) -> None:
        if self._left:
            return
        self._progress.set()
        del self._running[job]
        if isinstance(outcome, Exception):
            self.models.tally(job.kind, TaskOutcome.FAILED)
            if isinstance(outcome, ModelDied):
                self._deadly = job.utterance
            about = {"session": job.request.utterance.partition("/")[0], "utterance": job.utterance}
            log.warning("%s failed: %r", job.kind.name.lower(), outcome, extra=about)
            self.session.receive_failure(job, f"{type(outcome).__name__}: {outcome}")
        else:
            self.models.tally(job.kind, TaskOutcome.DONE)
            self.session.receive_hypothesis(job, outcome)
        self._advance()

    def _emit(self, event: Event) -> None:
        self._unsent.put(event)
        self._unsent_news.set()

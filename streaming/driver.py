"""Run a session: carry its requests to the models and its events to the client.

A driver has no task of its own. What comes in from the client, and what the models answer, moves the session
on at once, on the event loop: a chunk of audio costs no task switch.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial, wraps
from types import TracebackType
from typing import Concatenate, Final, ParamSpec, Self

from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import SAMPLE_RATE, Clip, Samples
from batching.batcher import BULK, Ticket
from batching.errors import ModelDied, QueueFull
from streaming.arrival_pace import ArrivalPace
from streaming.degradation import lag_to_report
from streaming.effects import CancelTask, DetectHops, HoldTask
from streaming.errors import DetectorFailed, EventsUnread, Overloaded, SpoolFull, StreamBroken, StreamError
from streaming.event_queue import EventQueue
from streaming.events import Event, LagReported, StreamClosed
from streaming.model_clients import ModelClients, Probabilities, TaskOutcome
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.snapshot import RestorePoint, Snapshot, restore, save
from streaming.spool import StreamSpool
from streaming.utterance import RecognitionTask, TaskKind, TurnQuestion
from vad.detector_input import NO_HOPS, DetectorInput, DetectorState
from vad.segmenter import Reason

log = logging.getLogger(__name__)

MAX_UNJUDGED: Final = 10 * SAMPLE_RATE
MAX_UNRECOGNISED: Final = 60 * SAMPLE_RATE
STORED_AT_ONCE: Final = 5 * SAMPLE_RATE  # unjudged audio that goes to disk together
MAX_PENDING: Final = 1_000  # commands and markers that wait for their place
STALL_SECONDS: Final = 30.0
TURN_SECONDS: Final = 1.0  # most time for the turn model to answer, waiting included
UNREAD_SECONDS: Final = 10.0  # for which the event queue may be full although the client takes some events

Arguments = ParamSpec("Arguments")


class DriverState(Enum):
    """Name the states of a driver's stream.

    REPLAYING: its input comes from a journal and was received before; optional tasks are skipped
    LIVE: its input comes from the client
    HANDED_OVER: the session continues elsewhere, where its samples are accounted for
    CLOSED: the driver was left
    """

    REPLAYING = 0
    LIVE = 1
    HANDED_OVER = 2
    CLOSED = 3


def _ends_stream_on_error(
    receive: Callable[Concatenate["StreamDriver", Arguments], None],
) -> Callable[Concatenate["StreamDriver", Arguments], None]:
    """Let an error in a callback of a batcher or timer end the stream; otherwise it would wait for ever."""

    @wraps(receive)
    def received(driver: "StreamDriver", /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            receive(driver, *args, **kwargs)
        except Exception as error:
            driver.fail(StreamBroken("the server failed in the middle of this stream"), error)

    return received


@dataclass(frozen=True, slots=True)
class _PendingTurn:
    """Hold a question that waits for the turn model; `timer` ends the wait."""

    question: TurnQuestion
    ticket: Ticket[Clip, float]
    timer: asyncio.TimerHandle


class StreamDriver:
    """Run one stream. A context manager: leaving it frees the detector's slot and cancels waiting tasks.

    `has_capacity` is false while MAX_UNJUDGED samples wait for the detector, MAX_UNRECOGNISED samples of
    closed segments for the recognizer, MAX_PENDING commands for their place, or the event queue is full. The
    caller must then wait before it sends more audio.

    With a spool, audio beyond these bounds goes to disk, so that a client that sends at the pace of speech
    never waits; when the spool is full, `wait_for_capacity` raises SpoolFull. A client that sends faster
    waits for the detector, and for a full spool.

    A stream that is ahead of the clock is a file: its finals run after all work for which a client waits.
    """

    def __init__(
        self,
        models: ModelClients,
        options: SessionOptions,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
        stall_seconds: float = STALL_SECONDS,
        unread_seconds: float = UNREAD_SECONDS,
        turn_seconds: float = TURN_SECONDS,
        begun: RestorePoint | None = None,
        connected: float | None = None,
        events_changed: asyncio.Event | None = None,
    ) -> None:
        """Begin a stream, or continue one from `begun`.

        connected: when the client began to send, by the clock; None for now
        events_changed: is set when there is an event to take or the stream has failed; None for a new one
        """
        options = models.adapt(options)
        self.session = (
            restore(begun.snapshot, options, name, begun.stable_words) if begun else Session(options, name)
        )
        self.models = models
        self.state = DriverState.REPLAYING if begun else DriverState.LIVE
        self._detector_state = begun.detector_state if begun else None  # sent along with the first hops
        self._recorded = dict(begun.results) if begun else {}
        self._running: dict[RecognitionTask, Ticket[RecognitionRequest, Hypothesis]] = {}
        # The model died while it ran a batch with this utterance: only its final is tried again.
        self._suspect_utterance = 0
        self._name = name
        self._turn_seconds = turn_seconds
        self._turn: _PendingTurn | None = None
        self._events = EventQueue(clock)
        self._events_changed = events_changed or asyncio.Event()
        self._all_taken = False  # the client took every event and waits for the next one
        self._progress = asyncio.Event()
        self._failure: Exception | None = None
        self._pace = ArrivalPace(clock, connected)
        self._live_from = 0  # the first sample that the client itself sent
        self._stall_seconds = stall_seconds
        self._unread_seconds = unread_seconds
        self._reported_lag_ms = 0
        self._spool = None if models.spool is None else models.spool.open()
        self._stored_utterance = 0  # the last one whose clip went to disk
        self._stored_until = 0  # unjudged audio before this sample is on disk, or about to be
        self._save: Callable[[Snapshot, DetectorState], None] | None = None
        self._is_reading_state = False  # the detector was asked for its state, to be saved
        self._held_hops: Samples | None = None  # hops that go to the detector after that

    def __enter__(self) -> Self:
        self._slot = self.models.slots.open()
        self._step()  # a restored session may have been waiting for the models
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_handed_over = self.state is DriverState.HANDED_OVER
        self.state = DriverState.CLOSED
        for ticket in self._running.values():
            self.models.asr.cancel(ticket)
        self._end_question()
        self.models.slots.close(self._slot)
        if not is_handed_over:
            self.models.on_stream_closed(self.abandon())

    # From the client

    @property
    def received(self) -> int:
        """Samples received so far."""
        return self.session.received

    @property
    def input_ended(self) -> bool:
        """Whether no more audio is accepted."""
        return self.session.input_ended

    @property
    def accepts_turn_model(self) -> bool:
        """Whether the endpointing may depend on a model of the end of a turn."""
        # A replay repeats what another server accepted.
        return self.models.turn_model is not None or self.state is DriverState.REPLAYING

    @property
    def channels(self) -> Sequence["StreamDriver"]:
        """The streams of the channels: this one alone."""
        return (self,)

    def receive_audio(self, clip: Clip) -> None:
        """Accept the next samples of the stream."""
        self.session.receive_audio(clip)
        if self.session.effects or self._save is not None:
            self._step()
        if self.session.unjudged > MAX_UNJUDGED and self._spool is not None:
            self._store_unjudged(self._spool)

    def commit(self) -> None:
        """End the open utterance here."""
        self.session.receive_commit()
        self._step()

    @_ends_stream_on_error
    def end_without_audio(self) -> None:
        """End the open utterance here, because no audio follows for now, unless only the client ends it."""
        self.session.receive_no_audio()
        self._step()

    def clear(self) -> None:
        """Drop the open utterance."""
        self.session.receive_clear()
        self._step()

    def mark(self, marker: str) -> None:
        """Let MarkerReached come when everything up to here has been recognised."""
        self.session.receive_marker(marker)
        self._step()

    def note(self, note: object) -> None:
        """Let NoteReached come when everything up to here has been judged."""
        self.session.receive_note(note)
        self._step()

    def update(self, options: SessionOptions) -> None:
        """Use other options from here on."""
        self.session.receive_options(self.models.adapt(options))
        self._step()

    def save(self, done: Callable[[Snapshot, DetectorState], None]) -> None:
        """Call `done` soon with all that is needed to continue the session elsewhere.

        It is saved once the client has taken every event so far, and only audio waits to be judged.
        """
        self._save = done

    def end(self, reason: Reason) -> None:
        """Accept no more audio; the open segment is transcribed, then `events` ends."""
        self.session.receive_end(reason)
        self._step()

    def hand_over(self) -> None:
        """Leave the accounting of the stream to the server on which the session continues."""
        if self.state is not DriverState.CLOSED:
            self.state = DriverState.HANDED_OVER

    def finish_replay(self) -> None:
        """Treat all further input as live."""
        if self.state is DriverState.REPLAYING:
            self.state = DriverState.LIVE
            self._live_from = self.session.received

    def abandon(self) -> StreamClosed:
        """Account for all samples although results are missing; the stream is over. Idempotent."""
        return self.session.abandon()

    @property
    def has_capacity(self) -> bool:
        """Whether more audio may come in."""
        session = self.session
        if self._failure is not None:
            return True
        if session.pending_commands >= MAX_PENDING or self._events.is_full:
            return False
        if self._spool is None:
            return session.unjudged < MAX_UNJUDGED and session.unrecognised < MAX_UNRECOGNISED
        if self._is_spool_full or self._spool.writing > MAX_UNRECOGNISED:
            return False
        return session.unjudged < MAX_UNJUDGED or session.waits_for_text or not self._is_hurried

    async def wait_for_capacity(self) -> None:
        """Wait until more audio may come in.

        Raises Overloaded if the models neither work for this stream nor start for `stall_seconds`, SpoolFull
        if a client that sends at the pace of speech would have to wait for them, and EventsUnread if the
        client has taken too few events for `unread_seconds`.
        """
        while not self.has_capacity:
            self._check_spool()
            self._progress.clear()
            try:
                async with asyncio.timeout(self._stall_seconds):
                    await self._progress.wait()
            except TimeoutError:
                if not (self._promote_bulk() or self._is_served or self._events.is_full):
                    raise Overloaded(f"no progress on this stream for {self._stall_seconds:.0f} s") from None
            if self._events.full_for > self._unread_seconds:
                raise EventsUnread(f"{len(self._events)} events are unread")

    @property
    def holds_little(self) -> bool:
        """Whether so little audio waits that it is all in memory, and may be saved."""
        return self.session.unjudged + self.session.unrecognised < MAX_UNRECOGNISED

    @property
    def lag(self) -> float:
        """Seconds by which the detector is behind what was spoken."""
        return self._pace.lag(self._arrived, self.session.unjudged)

    # To the client

    def report_lag(self, lag_ms: int) -> None:
        """Report how far recognition is behind, if the client asked for it."""
        lag = lag_to_report(lag_ms, self._reported_lag_ms) if self.session.options.lag else None
        if lag is not None:
            self._reported_lag_ms = lag
            self._emit(LagReported(lag))

    async def events(self) -> AsyncIterator[Event]:
        """Yield the session's events in order, up to StreamClosed. Raises DetectorFailed, StreamBroken."""
        while True:
            while (event := self.take_event()) is not None:
                yield event
                if isinstance(event, StreamClosed):
                    return
            self._events_changed.clear()
            self._all_taken = True
            await self._events_changed.wait()
            self._all_taken = False

    def take_event(self) -> Event | None:
        """Return the next event; None if there is none yet. Raises DetectorFailed, StreamBroken."""
        if self._events:
            self._progress.set()
            return self._events.take()
        if self._failure is not None:
            raise self._failure
        return None

    # The step of a stream

    def _step(self) -> None:
        """Carry out what the session asks for, until it asks for nothing more."""
        effects = self.session.effects
        while effects:
            match effects.popleft():
                case DetectHops(hops):
                    self._detect(hops)
                case RecognitionTask() as task:
                    self._recognize(task)
                case HoldTask(task):
                    self._stored(task)
                case CancelTask(task):
                    self._cancel(task)
                case TurnQuestion() as question:
                    self._ask_turn_model(question)
                case event:
                    self._emit(event)
        if self._save is not None and not self.session.is_detecting:
            self._read_detector_state()

    def _detect(self, hops: Samples) -> None:
        if self._save is not None:
            self._read_detector_state()
        if self._is_reading_state:  # the state must be that before these hops
            self._held_hops = hops
        else:
            self._post_hops(hops, self._on_probabilities)

    def _post_hops(self, hops: Samples, done: Callable[[Probabilities | Exception], None]) -> None:
        self.models.vad.post(DetectorInput(self._slot, hops, self._detector_state), done)
        self._detector_state = None

    def _recognize(self, task: RecognitionTask) -> None:
        """Post a task, unless its result is known or it is shed.

        A final whose clip is already being transcribed eagerly makes that task urgent instead. There is one
        partial at a time: a newer one replaces one that waits, and is dropped in favour of one that runs.
        """
        degradation = self.models.degradation()
        if task.kind is TaskKind.PARTIAL and degradation.partial_interval_factor > 1:
            self.session.space_partials(task, degradation.partial_interval_factor)
        if self._answered_by_replay(task) or self._stored(task):
            return
        is_optional = task.kind in (TaskKind.PARTIAL, TaskKind.EAGER) and not self._decides_endpoint(task)
        if is_optional and (task.kind in degradation.shed_kinds or task.utterance == self._suspect_utterance):
            self._shed(task, "recognition is behind, or the model died on this utterance")
            return
        for other, ticket in self._running.items():
            if other.kind is TaskKind.EAGER and other.key == task.key:
                if ticket.priority != BULK:  # also while it runs: a final is tried again if the model dies
                    self.models.asr.promote(ticket, TaskKind.FINAL)
                return
            if other.kind is task.kind is TaskKind.PARTIAL:
                is_replaced = self.models.asr.cancel(ticket)
                self.models.on_task_done(TaskKind.PARTIAL, TaskOutcome.DROPPED)
                dropped = other if is_replaced else task
                self.session.receive_failure(dropped, "another partial of the stream takes its place")
                if not is_replaced:
                    return
                del self._running[other]
                break
        priority = self._kind(task)
        if self._pace.is_ahead(self._arrived) and task.kind is not TaskKind.PARTIAL:
            priority = TaskKind.BULK
        try:
            ticket = self.models.asr.post(task.request, partial(self._on_hypothesis, task), priority, self)
        except QueueFull as full:  # never raised for finals
            self._shed(task, str(full))
        else:
            self._running[task] = ticket

    def _cancel(self, task: RecognitionTask) -> None:
        ticket = self._running.get(task)
        if ticket is not None and self.models.asr.cancel(ticket):
            del self._running[task]
            self.models.on_task_done(self._kind(task), TaskOutcome.DROPPED)

    def _ask_turn_model(self, question: TurnQuestion) -> None:
        """Ask for a limited time whether the turn is complete."""
        self._end_question()  # it was about an utterance that a command ended
        model = self.models.turn_model
        if model is None:  # the session began on a server that had one
            self.session.receive_turn_probability(question, None)
            return
        ticket = model.post(question.clip, partial(self._on_turn_probability, question))
        late = TimeoutError(f"no answer for {self._turn_seconds} s")
        timer = asyncio.get_running_loop().call_later(
            self._turn_seconds, self._on_turn_probability, question, late
        )
        self._turn = _PendingTurn(question, ticket, timer)

    def _end_question(self) -> None:
        if self._turn is not None and self.models.turn_model is not None:
            self._turn.timer.cancel()
            self.models.turn_model.cancel(self._turn.ticket)
        self._turn = None

    def _emit(self, event: Event) -> None:
        self._events.put(event)
        self._events_changed.set()

    # From the models

    @_ends_stream_on_error
    def _on_probabilities(self, outcome: Probabilities | Exception) -> None:
        if self.state is DriverState.CLOSED:
            return
        if isinstance(outcome, Exception):
            self._fail_detector(outcome)
            return
        self._progress.set()
        self.session.receive_probabilities(outcome.tolist())
        if self.session.effects or self._save is not None:
            self._step()

    @_ends_stream_on_error
    def _on_hypothesis(self, task: RecognitionTask, outcome: Hypothesis | Exception) -> None:
        if self.state is DriverState.CLOSED:
            return
        self._progress.set()
        del self._running[task]
        if isinstance(outcome, Exception):
            self.models.on_task_done(self._kind(task), TaskOutcome.FAILED)
            if isinstance(outcome, ModelDied):
                self._suspect_utterance = task.utterance
            about = {"session": task.request.utterance.partition("/")[0], "utterance": task.utterance}
            kind = self._kind(task).name.lower()
            log.warning("recognition.failed kind=%s error=%r", kind, outcome, extra=about)
            self.session.receive_failure(task, f"{type(outcome).__name__}: {outcome}")
        else:
            self.models.on_task_done(self._kind(task), TaskOutcome.DONE)
            self.session.receive_hypothesis(task, outcome)
        self._step()

    @_ends_stream_on_error
    def _on_turn_probability(self, question: TurnQuestion, outcome: float | Exception) -> None:
        if self._turn is None or self._turn.question is not question:
            return
        self._end_question()
        self._progress.set()
        if isinstance(outcome, Exception):
            about = {"session": self._name, "utterance": question.utterance}
            log.warning("turn_model.failed error=%r", outcome, extra=about)
            self.session.receive_turn_probability(question, None)
        else:
            self.session.receive_turn_probability(question, outcome)
        self._step()

    @_ends_stream_on_error
    def _on_detector_state(self, outcome: DetectorState | Exception) -> None:
        if self.state is DriverState.CLOSED:
            return
        if isinstance(outcome, Exception):
            self._fail_detector(outcome)
            return
        self._is_reading_state = False
        if self._save is not None and self._can_be_saved:  # unless a result came meanwhile
            done, self._save = self._save, None
            done(save(self.session), outcome)
        if self._held_hops is not None:
            hops, self._held_hops = self._held_hops, None
            self._detect(hops)

    def _read_detector_state(self) -> None:
        """Ask for the detector's state of the stream, if the session can be saved now."""
        if self._can_be_saved and not self._is_reading_state:
            self._is_reading_state = True
            self._post_hops(NO_HOPS, self._on_detector_state)

    @property
    def _can_be_saved(self) -> bool:
        return self._all_taken and not self._events and self.session.is_at_rest

    def _fail_detector(self, error: Exception) -> None:
        # Detection stops: hops without a result must not count as silence.
        self.fail(DetectorFailed("the voice detector failed"), error)

    def fail(self, failure: StreamError, cause: Exception) -> None:
        """End the stream: `events` raises this failure."""
        failure.__cause__ = cause
        self._failure = failure
        self._progress.set()
        self._events_changed.set()

    # What waits on disk

    def _stored(self, task: RecognitionTask) -> bool:
        """Move the clip of a final to disk if too many wait in memory; then the task is posted later."""
        session, spool = self.session, self._spool
        if (
            spool is None
            or task.kind is not TaskKind.FINAL
            or task.utterance <= self._stored_utterance
            or session.unrecognised <= MAX_UNRECOGNISED
        ):
            return False
        self._stored_utterance = task.utterance
        spool.store(session.sound_of(task), partial(self._on_stored, task))
        return True

    @_ends_stream_on_error
    def _on_stored(self, task: RecognitionTask, samples: Samples) -> None:
        if self.state is DriverState.CLOSED:
            return
        self._progress.set()
        stored = self.session.replace_sound(task, samples)
        if stored is not None:
            self._recognize(stored)

    def _store_unjudged(self, spool: StreamSpool) -> None:
        """Move audio that waits for the detector, or for a text, to disk; the next to be judged stays."""
        found = self.session.audio.whole_chunks(self._unstored_from, STORED_AT_ONCE)
        if found is not None:
            start, samples = found
            self._stored_until = start + len(samples)
            spool.store(samples, partial(self._on_unjudged_stored, start))

    @_ends_stream_on_error
    def _on_unjudged_stored(self, start: int, samples: Samples) -> None:
        self._progress.set()
        self.session.audio.replace_chunks(start, samples)

    @property
    def _unstored_from(self) -> int:
        """The first unjudged sample that should go to disk, and is not on the way there."""
        return max(self._stored_until, self.session.judged + MAX_UNJUDGED)

    @property
    def _is_spool_full(self) -> bool:
        """Whether as much audio waits as memory and disk may hold."""
        assert self._spool is not None
        waiting = self.session.unjudged + self.session.unrecognised
        return waiting >= MAX_UNRECOGNISED + self._spool.max_samples

    @property
    def _is_hurried(self) -> bool:
        """Whether audio arrives faster than speech: such a client can wait without losing anything."""
        return self.state is DriverState.REPLAYING or self._pace.is_ahead(self._arrived)

    def _check_spool(self) -> None:
        """Raise SpoolFull if the spool is full and the client cannot be made to wait."""
        if self._spool is None or not self._is_spool_full or self._is_hurried:
            return
        if self._spool.error is not None:
            raise SpoolFull(f"audio that waits for recognition cannot be stored: {self._spool.error}")
        minutes = (MAX_UNRECOGNISED + self._spool.max_samples) / SAMPLE_RATE / 60
        raise SpoolFull(f"{minutes:.3g} minutes of audio wait for recognition, which is the limit")

    # Tasks

    @property
    def _is_served(self) -> bool:
        """Whether the stream awaits a model that works or is being started again, or the disk."""
        models = self.models
        return (
            (bool(self._running) and models.asr.is_busy)
            or (self.session.is_detecting and models.vad.is_busy)
            or (self._spool is not None and self._spool.writing > 0)
        )

    def _answered_by_replay(self, task: RecognitionTask) -> bool:
        """Answer a task of a replayed session without the recognizer, if that is possible."""
        if task.kind is TaskKind.FINAL and task.utterance in self._recorded:
            self.session.receive_recorded_result(task, self._recorded.pop(task.utterance))
            return True
        is_replayed = self.state is DriverState.REPLAYING
        if is_replayed and task.kind is not TaskKind.FINAL and self.session.options.min_silence is None:
            self.session.receive_failure(task, "partials are not repeated in a replay")
            return True
        return False

    def _kind(self, task: RecognitionTask) -> TaskKind:
        return TaskKind.BULK if self.models.bulk else task.kind

    def _shed(self, task: RecognitionTask, why: str) -> None:
        self.models.on_task_done(self._kind(task), TaskOutcome.SHED)
        self.session.receive_failure(task, why)

    def _decides_endpoint(self, task: RecognitionTask) -> bool:
        """Return whether the end of the utterance, and not only its latency, depends on the result."""
        return task.kind is TaskKind.EAGER and self.session.options.min_silence is not None

    def _promote_bulk(self) -> bool:
        """Let the finals of a live stream that was taken for a file wait no longer behind other streams.

        Returns False if there are none.
        """
        bulk = [ticket for ticket in self._running.values() if ticket.waiting and ticket.priority == BULK]
        if self.models.bulk or not bulk:
            return False
        for ticket in bulk:
            self.models.asr.promote(ticket, TaskKind.FINAL)
        return True

    @property
    def _arrived(self) -> int:
        """Samples that the client sent, without those of a replay."""
        return 0 if self.state is DriverState.REPLAYING else self.session.received - self._live_from

"""Run one stream as a state machine, without I/O and without a clock.

Audio comes in, hops go to the detector and probabilities come back; the segmenter makes utterances of them.
Recognition tasks go to a recognizer and hypotheses come back; events go to the client. Everything that is to
be done outside stands in `Session.effects`, in order, for the driver to carry out.

What the client asks for (commit, clear, marker, new options, end), and that it sends no audio, takes effect
at the sample at which it was received, once all audio before it has been judged. So the same stream gives the
same events, however late the models answer; only partials depend on that.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Final

import numpy as np

from asr.recognizer import Hypothesis
from audio.clip import HOP, SAMPLE_RATE, Clip, Samples
from audio.loudness import quietest_within
from audio.sample_buffer import SampleBuffer
from postprocessing.text import processed
from streaming.command_queue import Action, CommandQueue
from streaming.continuation import MAX_PAUSE, continues, may_be_continued, may_continue, previous_of
from streaming.effects import CancelTask, DetectHops, Effect, HoldTask
from streaming.events import (
    AudioCleared,
    MarkerReached,
    NoteReached,
    PartialTranscript,
    StreamClosed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.finalization import rejecting_guard
from streaming.options import SessionOptions
from streaming.partials import FIRST_FACTOR, Partials
from streaming.result_queue import ResultQueue
from streaming.sample_accounting import SampleAccounting
from streaming.speech_probabilities import SpeechProbabilities
from streaming.task_planner import TaskPlanner
from streaming.utterance import (
    NO_SAMPLES,
    RecognitionTask,
    RecordedResult,
    TaskKind,
    TurnQuestion,
    Utterance,
)
from vad.file_segmenter import FileSegmenter
from vad.segmenter import Endpoint, Onset, Reason, Segmenter

# A bound far above what the driver lets in: the longest segment, what is not judged yet, one large message.
BUFFER_CAPACITY: Final = 5 * 3600 * SAMPLE_RATE
HOPS_PER_STEP: Final = 8  # a stream that sends a file takes turns with the others after a quarter of a second
FORGET_SAMPLES: Final = 8 * HOP  # audio that is not needed any more is dropped after so many judged samples
QUESTION_SAMPLES: Final = 8 * SAMPLE_RATE  # most audio that the turn model hears


class InputState(Enum):
    """Name the states of a session's input.

    ENDING: the client ended the stream; what came before still waits for the detector
    ENDED: every received sample is in a segment, in silence or dropped
    """

    OPEN = 0
    ENDING = 1
    ENDED = 2


class Session:
    """Run one stream. Not thread-safe: all calls come from one place, in order.

    The attributes without a comment belong to streaming/snapshot.py, which saves and restores them.

    effects: what the driver is to do, in order; it removes what it has carried out
    received: samples received so far
    """

    def __init__(self, options: SessionOptions, name: str = "", hops_per_step: int = HOPS_PER_STEP) -> None:
        """Begin an empty stream.

        name: distinguishes the utterances of this session from those of others
        hops_per_step: most hops in one DetectHops
        """
        self.options = options
        self.effects: deque[Effect] = deque()
        self.received = 0
        self.state = InputState.OPEN
        self.audio = SampleBuffer(BUFFER_CAPACITY)
        self.requested = 0  # samples handed to the detector
        self._is_detecting = False  # the probabilities of the last requested hops have not come
        self._hops_per_step = hops_per_step
        self._quietest = partial(quietest_within, self.audio)
        kind = FileSegmenter if options.vad.pause_ms else Segmenter
        self.segmenter: Segmenter = kind(options.vad, self._quietest)
        self._unjudged: deque[float] = deque()  # probabilities that wait for the text before a pause
        self.speech_probabilities = SpeechProbabilities()
        self._forget_at = FORGET_SAMPLES
        self._commands = CommandQueue()
        self.open: Utterance | None = None
        self.last: Utterance | None = None  # closed, and the next one may continue it
        self.count = 0  # utterances so far
        self.results = ResultQueue()
        self.held_markers: list[MarkerReached] = []  # inside the open utterance, or the candidate for one
        self._planner = TaskPlanner(self.audio, name)
        self.accounting = SampleAccounting()
        self.stable_words: dict[
            int, Sequence[str]
        ] = {}  # by utterance: shown before this session was restored

    def __repr__(self) -> str:
        return (
            f"<Session received={self.received} judged={self.judged} open={self.open is not None} "
            f"waiting={len(self.results)} state={self.state.name}>"
        )

    @property
    def input_ended(self) -> bool:
        """Whether no more audio is accepted: the end was received, or the stream was abandoned."""
        return self.state is not InputState.OPEN

    @property
    def ended(self) -> bool:
        """Whether every received sample is accounted for, and no more will come."""
        return self.state is InputState.ENDED

    @property
    def judged(self) -> int:
        """Samples that the segmenter has judged."""
        return self.segmenter.position

    @property
    def oldest_needed(self) -> int:
        """The first sample of the stream that a segment, or the pause before it, may still need."""
        oldest = self.segmenter.oldest_needed
        before = self.last if self.open is None else self.open.previous
        return oldest if before is None or before.clip is None else min(oldest, before.clip.end)

    @property
    def unjudged(self) -> int:
        """Received samples that wait to be judged."""
        return self.received - self.segmenter.position

    @property
    def unrecognised(self) -> int:
        """Samples of closed segments that wait for the recognizer."""
        return self.results.unrecognised

    @property
    def pending_commands(self) -> int:
        """Commands and markers that wait for their place."""
        return len(self._commands.waiting) + len(self.held_markers) + self.results.markers

    @property
    def waits_for_text(self) -> bool:
        """Whether hops that the detector has seen wait for what decides whether the utterance ends."""
        return bool(self._unjudged)

    @property
    def is_detecting(self) -> bool:
        """Whether hops are at the detector."""
        return self._is_detecting

    @property
    def is_at_rest(self) -> bool:
        """Whether the session can be saved: no command, probability or effect waits."""
        return self.state is InputState.OPEN and not (
            self._commands.waiting or self._unjudged or self.effects
        )

    @property
    def is_speaking(self) -> bool:
        """Whether an utterance is open."""
        return self.open is not None

    def beginning_of(self, utterance: int, samples: int) -> Samples | None:
        """Return so many first samples of the open utterance, float32 (samples,).

        None if it is shorter so far, or has ended.
        """
        now = self.open
        if now is None or now.number != utterance or self.judged < now.start + samples:
            return None
        return self.audio.read(now.start, now.start + samples)

    # Input

    def receive_audio(self, clip: Clip) -> None:
        """Accept the next samples of the stream. Raises ValueError for others, and after the end."""
        if self.state is not InputState.OPEN or clip.start != self.received:
            raise ValueError(f"samples from {clip.start} on came where {self.received} was due")
        self.audio.append(clip.samples)
        self.received += len(clip.samples)
        if not self._is_detecting and self.received - self.requested >= HOP:
            self._request_hops()

    def receive_commit(self) -> None:
        """End the open utterance here."""
        self._command(partial(self._close, Reason.COMMIT))

    def receive_no_audio(self) -> None:
        """End the open utterance here, because no audio follows for now; the client may continue later."""
        self._command(self._close_without_audio)

    def receive_clear(self) -> None:
        """Drop the open utterance."""
        self._command(self._clear)

    def receive_marker(self, marker: str) -> None:
        """Emit MarkerReached when everything up to here has been recognised."""
        self._command(partial(self._mark, MarkerReached(marker)))

    def receive_note(self, note: object) -> None:
        """Emit NoteReached at this place among the events, without waiting for finals."""
        self._command(lambda at: self.effects.append(NoteReached(note, at)))

    def receive_options(self, options: SessionOptions) -> None:
        """Use other options from here on."""
        self._command(partial(self._set_options, options))

    def receive_end(self, reason: Reason) -> None:
        """End the stream here. Later calls change nothing."""
        if self.state is InputState.OPEN:
            self._command(partial(self._end, reason))
            if self.state is InputState.OPEN:
                self.state = InputState.ENDING

    def receive_probabilities(self, probabilities: list[float]) -> None:
        """Accept the detector's probabilities of the hops that it was last asked for, in order."""
        self._is_detecting = False
        self.speech_probabilities.values.extend(probabilities)
        self._unjudged.extend(probabilities)
        self._judge()
        if self.received - self.requested >= HOP:
            self._request_hops()

    def receive_hypothesis(self, task: RecognitionTask, hypothesis: Hypothesis) -> None:
        """Accept the result of a task."""
        utterance = self._find(task)
        if utterance is None:
            return
        if utterance.clip is None:
            if task.kind is TaskKind.PARTIAL and self.options.bounded_partials:
                utterance.partials.result_received(self.judged)
            self._show(utterance, task.request.clip, hypothesis)
            if utterance.is_eager_of_pause(task):
                utterance.eager, utterance.is_eager_pending = hypothesis, False
                utterance.likely_language = task.request.likely_language
                if self.options.min_silence is not None:
                    silence = self.options.turn.silence(hypothesis.text, self.options.default_silence)
                    self.segmenter.require_silence(silence)
                self._judge()
        elif utterance.is_ended_by(task):
            utterance.likely_language = task.request.likely_language
            self._set_outcome(utterance, hypothesis)

    def receive_failure(self, task: RecognitionTask, message: str) -> None:
        """Accept that a task has no result; only the failure of a final is reported to the client."""
        utterance = self._find(task)
        if utterance is None:
            return
        if utterance.is_ended_by(task):
            self._set_outcome(utterance, utterance.doubted or message)
        elif utterance.is_eager_of_pause(task):
            utterance.is_eager_pending = False
            self._judge()

    def receive_turn_probability(self, question: TurnQuestion, probability: float | None) -> None:
        """Accept how probably the turn is complete; None if that is unknown: the default silence counts."""
        utterance = self.open
        if utterance is None or utterance.question is not question:
            return
        utterance.question = None
        model = self.options.turn_model
        if model is not None and probability is not None:
            self.segmenter.require_silence(model.judged_silence(probability, self.options.default_silence))
        self._judge()

    def receive_recorded_result(self, task: RecognitionTask, result: RecordedResult | str) -> None:
        """Accept the result of a final's task, or its error message, that was sent before a replay."""
        utterance = self._find(task)
        if utterance is not None:
            self._set_outcome(utterance, result)

    def sound_of(self, task: RecognitionTask) -> Samples:
        """Return what is kept of the sound for the task of a final, float32 (n,): pause and clip."""
        utterance = self._utterance(task.utterance)
        pause = utterance.pause if utterance is not None else NO_SAMPLES
        return np.concatenate([pause, task.request.clip.samples]) if len(pause) else task.request.clip.samples

    def replace_sound(self, task: RecognitionTask, samples: Samples) -> RecognitionTask | None:
        """Hold equal samples in place of what `sound_of` returned, and return the task with them.

        None if the result of the task no longer matters, or the task is held.
        """
        utterance = self._utterance(task.utterance)
        if utterance is None or utterance.clip is None or task not in utterance.tasks:
            return None
        pause = len(samples) - utterance.clip_length
        utterance.pause = samples[:pause] if len(utterance.pause) else NO_SAMPLES
        utterance.clip = replace(utterance.clip, samples=samples[pause:])
        replaced = replace(task, request=replace(task.request, clip=utterance.clip))
        utterance.tasks[utterance.tasks.index(task)] = replaced
        return None if utterance.is_held else replaced

    def space_partials(self, task: RecognitionTask, intervals: int) -> None:
        """Let the next partial come only so many intervals after the one of this task."""
        utterance = self._utterance(task.utterance)
        if utterance is not None:
            utterance.partials.space_out(intervals * self.options.partial_interval)

    def abandon(self) -> StreamClosed:
        """End the stream at once and return the sums; what is open or not judged is dropped. Idempotent."""
        if not self.ended:
            start = self.judged if self.segmenter.start is None else self.segmenter.start
            self.accounting.enter_drop(max(start, self.accounting.settled), self.received)
            self.state = InputState.ENDED
        return StreamClosed(self.received, *self.accounting.sums)

    # Judging: hop by hop

    def _request_hops(self) -> None:
        hops = min((self.received - self.requested) // HOP, self._hops_per_step)
        end = self.requested + hops * HOP
        self.effects.append(DetectHops(self.audio.read(self.requested, end).reshape(hops, HOP)))
        self.requested = end
        self._is_detecting = True

    def _judge(self) -> None:
        """Judge the hops whose probabilities are there, up to where text or model limit the pause."""
        probabilities, segmenter = self._unjudged, self.segmenter
        while probabilities:
            utterance = self.open
            if utterance is not None and (
                utterance.question is not None or (utterance.is_eager_pending and self._needs_text())
            ):
                break
            decision = segmenter.feed(probabilities.popleft())
            if decision is not None:
                self._apply_decision(decision)
            utterance, pause_end = self.open, segmenter.pause_end
            if utterance is not None:
                if pause_end != utterance.paused_at or (
                    pause_end is None
                    and self.options.partials
                    and segmenter.position >= utterance.partials.due
                ):
                    self._plan(utterance)
                if pause_end is not None and pause_end != utterance.asked_at:
                    self._ask_turn_model(utterance)
            elif self.held_markers and segmenter.start is None:  # a candidate came to nothing
                self._release_markers()
            if self._commands.waiting:
                self._run_commands()
        if self._planner.is_due:
            self._request_task()
        if segmenter.position >= self._forget_at:
            self._forget()

    def _needs_text(self) -> bool:
        """Return whether the next hop may end the utterance, depending on its text."""
        min_silence = self.options.min_silence
        return min_silence is not None and self.segmenter.silent + HOP >= min_silence

    def _ask_turn_model(self, utterance: Utterance) -> None:
        """Ask whether the turn is complete, if the endpointing depends on it and the pause is long enough."""
        model, segmenter = self.options.turn_model, self.segmenter
        if model is None:
            return
        # The clip depends on the place of the pause alone: after a restore the same question is asked.
        silence = model.question_silence(self.options.default_silence)
        end = segmenter.position - segmenter.silent + silence
        if end <= segmenter.position:
            start = max(utterance.start, end - QUESTION_SAMPLES)
            utterance.question = TurnQuestion(utterance.number, Clip(self.audio.read(start, end), start))
            utterance.asked_at = segmenter.pause_end
            self.effects.append(utterance.question)

    def _forget(self) -> None:
        last = self.last
        if last is not None and last.clip and self.segmenter.oldest_needed - last.clip.end >= MAX_PAUSE:
            self.last = None
        oldest = self.oldest_needed
        self.audio.forget(oldest)
        self.speech_probabilities.forget(oldest)
        self._forget_at = self.judged + FORGET_SAMPLES

    def _apply_decision(self, decision: Onset | Endpoint) -> None:
        if isinstance(decision, Onset):
            self._open_utterance(decision.start)
            return
        if self.open is None:  # a candidate that the client closed
            self._open_utterance(decision.start)
        self._close_utterance(decision)
        start = self.segmenter.start
        if self.segmenter.is_open and start is not None:  # cut at its maximum length: the next one has begun
            self._open_utterance(start)
        else:
            self._release_markers()

    # Commands: each takes effect at its place in the stream

    def _command(self, action: Action) -> None:
        if self.state is InputState.OPEN:
            self._commands.add(self.received, action)
            self._run_commands()

    def _run_commands(self) -> None:
        self._commands.run(lambda: self.judged)

    def _close(self, reason: Reason, at: int) -> None:
        endpoint = self.segmenter.close(at, reason)
        if endpoint is not None:
            self._apply_decision(endpoint)
        self.last = None  # What the client separates is not joined.
        self._release_markers()

    def _close_without_audio(self, at: int) -> None:
        self.last = None
        # A candidate stays: it is too short for an utterance, and the client has seen nothing of it.
        if self.segmenter.is_open and not self.options.vad.manual:
            self._close(Reason.NO_AUDIO, at)

    def _clear(self, at: int) -> None:
        start, end = self.segmenter.discard(at) or (at, at)
        self.accounting.enter_drop(start, end)
        if self.open is not None:
            self.effects.extend(CancelTask(task) for task in self.open.tasks)
            self.open = None
        self.last = None
        self._planner.reset()
        self.effects.append(AudioCleared(start, end))
        self._release_markers()

    def _mark(self, marker: MarkerReached, at: int) -> None:
        self.held_markers.append(marker)
        if self.segmenter.start is None:
            self._release_markers()

    def _release_markers(self) -> None:
        self.results.extend(self.held_markers)
        self.held_markers.clear()
        self._release_results()

    def _set_options(self, options: SessionOptions, at: int) -> None:
        self.options = options
        self.segmenter.options = options.vad
        if self.open is not None:
            self.open.question = (
                None  # the default silence counts from here on, also if the answer came before
            )

    def _end(self, reason: Reason, at: int) -> None:
        self._close(reason, at)
        self.accounting.settle(self.received)
        self.state = InputState.ENDED
        self._release_results()

    # Utterances

    def make_utterance(self, number: int, start: int, stable: Sequence[str]) -> Utterance:
        """Return a new open utterance; stable: words of it that were shown as stable before."""
        spoken = self.judged - self.options.vad.min_speech_hops * HOP  # speech began there at the latest
        first = spoken + self.options.partial_interval // FIRST_FACTOR
        partials = Partials(start, first, stable)
        return Utterance(
            number, start, partials, self.options.asr, self.options.text, is_trusted=bool(stable)
        )

    def add_closed(self, utterance: Utterance) -> None:
        """Queue a closed utterance and ask for its text, or hold the task until the final before is known."""
        self.results.add(utterance)
        if utterance.waits_for_previous:
            utterance.is_held = True
            task = self._planner.final(utterance, None)
            utterance.tasks.append(task)
            self.effects.append(HoldTask(task))
        else:
            self._request_final(utterance)

    def _request_final(self, utterance: Utterance) -> None:
        previous = None
        if utterance.previous is not None:
            previous = previous_of(utterance.previous, utterance.pause)
        self._request(utterance, self._planner.final(utterance, self.results.language, previous))

    def resume(self) -> None:
        """Ask for the work that the session was waiting for when it was saved."""
        if self.open is not None:
            self._plan(self.open)
            self._request_task()
            if self.segmenter.pause_end is not None:
                self._ask_turn_model(self.open)
        if self.received - self.requested >= HOP:
            self._request_hops()

    def _open_utterance(self, start: int) -> None:
        self.count += 1
        self.open = self.make_utterance(self.count, start, self.stable_words.pop(self.count, ()))
        if self.last is not None and self.options.continues and may_continue(self.open, self.last):
            self.open.previous = self.last
        self.last = None
        self.effects.append(UtteranceStarted(self.count, start))

    def _close_utterance(self, endpoint: Endpoint) -> None:
        utterance = self.open
        assert utterance is not None
        self.open = None
        self._planner.reset()
        self.accounting.enter_segment(endpoint.start, endpoint.end)
        self.effects.append(UtteranceEnded(utterance.number, endpoint.end, endpoint.reason))
        utterance.reason = endpoint.reason
        utterance.clip = Clip(self.audio.read(endpoint.start, endpoint.end), endpoint.start)
        # Whether the next hop's probability has come depends on time: only judged hops count.
        last = min(endpoint.end, self.judged)
        utterance.speech_probabilities = self.speech_probabilities.read(endpoint.start, last)
        self._keep_previous(utterance)
        if self.options.continues and may_be_continued(utterance):
            self.last = utterance
        self._cancel_unwanted(utterance)
        if utterance.paused_at == endpoint.end and utterance.eager is not None:
            utterance.outcome, utterance.used_eager = utterance.eager, True
            self.results.add(utterance)
            self._release_results()
        else:
            self.add_closed(utterance)

    def _keep_previous(self, utterance: Utterance) -> None:
        """Keep the pause before a closed utterance that continues another one, or forget the other one."""
        before = utterance.previous
        assert utterance.clip is not None
        if before is not None and before.clip is not None and self._continues(utterance, utterance.clip.end):
            utterance.pause = self.audio.read(before.clip.end, utterance.start)
        else:
            utterance.previous = None

    def _continues(self, utterance: Utterance, end: int) -> bool:
        """Return whether the utterance, if it ends there, is recognized with the one before."""
        probabilities = self.speech_probabilities.read(utterance.start, min(end, self.judged))
        return continues(utterance, end, probabilities, self.options.guards)

    def _plan(self, utterance: Utterance) -> None:
        self._planner.plan(utterance, self.segmenter.pause_end, self.judged, self.options)
        self._cancel_unwanted(utterance)

    def _request_task(self) -> None:
        """Ask for the text of the open utterance so far, as planned.

        An eager final that continues another utterance is not asked for before that has its final.
        """
        utterance, previous = self.open, None
        if utterance is None:
            return
        end = utterance.paused_at
        if self._planner.is_eager_due and end is not None and self._continues(utterance, end):
            before = utterance.previous
            assert before is not None
            assert before.clip is not None
            if not before.is_final_known:
                return
            previous = previous_of(before, self.audio.read(before.clip.end, utterance.start))
        task = self._planner.take(
            utterance, self.judged, self.options, self._quietest, self.results.language, previous
        )
        if task is not None:
            self._request(utterance, task)

    def _request(self, utterance: Utterance, task: RecognitionTask) -> None:
        utterance.tasks.append(task)
        self.effects.append(task)

    def _cancel_unwanted(self, utterance: Utterance) -> None:
        """Withdraw the utterance's tasks whose results no longer matter."""
        for task in [task for task in utterance.tasks if not utterance.wants(task)]:
            utterance.tasks.remove(task)
            self.effects.append(CancelTask(task))

    def _find(self, task: RecognitionTask) -> Utterance | None:
        """Return the utterance of a task that is done, or None if it was dropped or its result has left.

        Of a closed utterance, a task that was withdrawn while it ran does not count: the text may have been
        asked for again, in another language.
        """
        utterance = self._utterance(task.utterance)
        if utterance is None:
            return None
        if task in utterance.tasks:
            utterance.tasks.remove(task)
        elif utterance.clip is not None:
            return None
        return utterance

    def _utterance(self, number: int) -> Utterance | None:
        if self.open is not None and self.open.number == number:
            return self.open
        return self.results.find(number)

    def _show(self, utterance: Utterance, clip: Clip, hypothesis: Hypothesis) -> None:
        """Emit a partial if the hypothesis says something new."""
        if not self.options.partials or utterance.text.conceals:  # A part of what is redacted would show.
            return
        if not utterance.is_trusted:
            probabilities = self.speech_probabilities.read(clip.start, clip.end)
            if rejecting_guard(hypothesis, clip, probabilities, self.options.guards) is not None:
                return
            utterance.is_trusted = bool(hypothesis.text)
        if hypothesis.text and hypothesis.is_language_sure:
            utterance.language = hypothesis.language
        shown = utterance.partials.update(clip.start, clip.end, hypothesis)
        if shown is not None:
            text, stable_chars = shown
            if utterance.text.changes_text:
                # A later word may change what stands before it, so no part of the text is stable.
                text, stable_chars = (
                    processed(replace(hypothesis, text=text, words=()), utterance.text).text,
                    0,
                )
                utterance.partials.stable = []
            self.effects.append(
                PartialTranscript(utterance.number, utterance.start, text, stable_chars, clip.end)
            )

    def _set_outcome(self, utterance: Utterance, outcome: Hypothesis | RecordedResult | str) -> None:
        utterance.outcome = outcome
        self._cancel_unwanted(utterance)
        self._release_results()

    def _release_results(self) -> None:
        """Emit finals and markers in the order of speech, as far as they are known, and at last the end."""
        if self.results.waiting:
            self.effects.extend(self.results.release(self.options.guards, self.accounting))
            self._recognize_again()
            self._request_held()
        if self.ended and not self.results.waiting:
            self.effects.append(StreamClosed(self.received, *self.accounting.sums))

    def _request_held(self) -> None:
        """Ask for what waited for the final that was released last."""
        held = self.results.first_held
        if held is not None:
            held.is_held = False
            held.tasks.clear()
            self._request_final(held)
        if self._planner.is_due:
            self._request_task()

    def _recognize_again(self) -> None:
        """Ask for the text of the first waiting utterance in the language that was spoken before it."""
        utterance = self.results.doubtful
        if utterance is not None:
            assert isinstance(utterance.outcome, Hypothesis)
            utterance.doubted, utterance.outcome, utterance.used_eager = utterance.outcome, None, False
            self._request(utterance, self._planner.final(utterance, self.results.language))

"""Session: one stream as a state machine, without I/O and without a clock.

Sound comes in, hops go out to the detector and probabilities come back; the segmenter makes utterances of
them, jobs go out to a recognizer and hypotheses come back; events come out. What the client asks in between
(commit, clear, marker, new options, end) takes effect at the sample at which it was asked, once all before it
has been judged: so the same stream gives the same events, however late the models are. Only partials depend
on that.
"""

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Final

from asr.recognizer import Hypothesis
from audio.clip import HOP, SAMPLE_RATE, Clip, Samples
from audio.loudness import quietest_within
from audio.sample_buffer import SampleBuffer
from streaming.command_queue import Action, CommandQueue
from streaming.events import (
    AudioCleared,
    Event,
    MarkerReached,
    NoteReached,
    PartialTranscript,
    StreamClosed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.finalization import refusal
from streaming.options import SessionOptions
from streaming.partials import Partials
from streaming.result_queue import ResultQueue
from streaming.sample_accounting import SampleAccounting
from streaming.speech_probabilities import SpeechProbabilities
from streaming.task_queue import TaskQueue
from streaming.utterance import RecognitionTask, RecordedResult, TaskKind, Utterance
from vad.segmenter import Endpoint, Onset, Reason, Segmenter

# A hard bound, far above what the pump lets in: the longest segment, 10 s not judged yet, one large message.
RING_CAPACITY: Final = 600 * SAMPLE_RATE


class Session:
    """One stream. Not thread-safe: everything is called from one place, in order.

    Its parts are for streaming/snapshot.py, which saves and restores them, and for nobody else.
    """

    def __init__(self, options: SessionOptions, name: str = "") -> None:
        self.options = options
        self.received = 0  # samples
        self.ended = False
        self.ring = SampleBuffer(RING_CAPACITY)
        self.taken = 0  # samples handed out as hops
        self._quietest = partial(quietest_within, self.ring)
        self.segmenter = Segmenter(options.vad, self._quietest)
        self._unweighed: deque[float] = deque()  # probabilities that wait for what was said before a pause
        self.heard = SpeechProbabilities()
        self._controls = CommandQueue()
        self.open: Utterance | None = None
        self.count = 0  # utterances so far
        self.backlog = ResultQueue()
        self.held: list[MarkerReached] = []  # markers inside the utterance (or candidate) under way
        self.agenda = TaskQueue(self.ring, name)
        self._events: list[Event] = []
        self.ledger = SampleAccounting()
        self._ending = False
        self.promised: dict[int, Sequence[str]] = {}  # by utterance: words that were shown as stable before

    def __repr__(self) -> str:
        return (
            f"<Session received={self.received} judged={self.judged} open={self.open is not None} "
            f"waiting={len(self.backlog)} ended={self.ended}>"
        )

    @property
    def input_ended(self) -> bool:
        """Whether no more audio is accepted: the end was received, or the stream was abandoned."""
        return self._ending

    @property
    def judged(self) -> int:
        """Samples about which the detector has spoken."""
        return self.segmenter.position

    @property
    def unjudged(self) -> int:
        """Samples that wait for the detector."""
        return self.received - self.judged

    @property
    def unrecognised(self) -> int:  # samples of closed segments that wait for the recognizer
        return self.backlog.unrecognised

    @property
    def pending_controls(self) -> int:
        return len(self._controls) + len(self.held) + len(self.backlog)

    @property
    def is_at_rest(self) -> bool:
        """It can be saved: nothing waits for its place, or for what was said before a pause."""
        return not (self._controls or self._unweighed or self._events or self._ending)

    @property
    def is_speaking(self) -> bool:
        """An utterance is open."""
        return self.open is not None

    # what comes in

    def receive_audio(self, clip: Clip) -> None:
        """Takes in the next samples of the stream. Raises ValueError for others, and after the end."""
        if self._ending or clip.start != self.received:
            raise ValueError(f"samples from {clip.start} on came where {self.received} was due")
        self.ring.append(clip.samples)
        self.received = clip.end

    def receive_commit(self) -> None:
        """The client ends the utterance here."""
        self._control(partial(self._close, Reason.COMMIT))

    def receive_clear(self) -> None:
        """The client drops the open utterance."""
        self._control(self._clear)

    def receive_marker(self, marker: str) -> None:
        """The client wants to hear when everything up to here has been recognised."""
        self._control(partial(self._mark, MarkerReached(marker)))

    def receive_note(self, note: object) -> None:
        """The note comes back at this place among the events, without waiting for finals."""
        self._control(lambda at: self._events.append(NoteReached(note, at)))

    def receive_options(self, options: SessionOptions) -> None:
        """The client changes its options from here on."""
        self._control(partial(self._adopt, options))

    def receive_end(self, reason: Reason) -> None:
        """The stream ends here. Later calls change nothing."""
        if not self._ending:
            self._control(partial(self._end, reason))
            self._ending = True

    def receive_probs(self, probabilities: list[float]) -> None:
        """Takes the detector's word on the hops that were taken, in order."""
        self.heard.extend(probabilities)
        self._unweighed.extend(probabilities)
        self._weigh()

    def _weigh(self) -> None:
        """Moves on hop by hop, up to where only the text says how long the pause may be."""
        while self._unweighed and not self._awaits_text():
            verdict = self.segmenter.feed(self._unweighed.popleft())
            if verdict is not None:
                self._follow(verdict)
            if self.open is not None:
                self.plan(self.open)
            elif self.held and self.segmenter.start is None:  # a candidate came to nothing
                self._release_markers()
            if self._controls:
                self._controls.run(lambda: self.judged)
        self.ring.forget(self.segmenter.oldest_needed)
        self.heard.forget(self.segmenter.oldest_needed)

    def _awaits_text(self) -> bool:
        if self.open is None or not self.open.awaited:
            return False
        earliest = self.options.earliest
        return earliest is not None and self.segmenter.silent + HOP >= earliest

    def receive_hypothesis(self, job: RecognitionTask, hypothesis: Hypothesis) -> None:
        """Takes the recognizer's word on a job that was taken."""
        utterance = self._find(job.utterance)
        if utterance is None:
            return
        if utterance.clip is None:
            if job.kind is TaskKind.PARTIAL and self.options.bounded_partials:
                utterance.partials.answered(self.judged)
            self._show(utterance, job.request.clip, hypothesis)
            if utterance.hears_pause(job):
                utterance.eager, utterance.awaited = hypothesis, False
                self.segmenter.wait(self.options.turn.silence(hypothesis.text, self.options.usual_silence))
                self._weigh()
        elif utterance.is_ended_by(job):
            utterance.outcome = hypothesis
            self._tell()

    def receive_failure(self, job: RecognitionTask, message: str) -> None:
        """A job that was taken came to nothing. Only of a final is the client told: others were extras."""
        utterance = self._find(job.utterance)
        if utterance is None:
            return
        if utterance.is_ended_by(job):
            utterance.outcome = message
            self._tell()
        elif utterance.hears_pause(job):
            utterance.awaited = False
            self._weigh()

    def receive_conclusion(self, job: RecognitionTask, conclusion: RecordedResult | str) -> None:
        """What was told of the job's closed utterance already, or why it had failed."""
        utterance = self._find(job.utterance)
        if utterance is not None:
            utterance.outcome = conclusion
            self._tell()

    def wants(self, job: RecognitionTask) -> bool:
        """Whether a job that was taken still matters: not once speech has gone on, or its final is told."""
        utterance = self._find(job.utterance)
        if utterance is None:
            return False
        if utterance.clip is not None:
            return utterance.is_ended_by(job)
        return job.kind is TaskKind.PARTIAL or utterance.hears_pause(job)

    # what goes out

    def take_hops(self, most: int) -> Samples | None:
        """Whole hops not taken yet: float32 (n, 512), 1 <= n <= most; None if there are none."""
        hops = min((self.received - self.taken) // HOP, most)
        if hops <= 0:
            return None
        start = self.taken
        self.taken += hops * HOP
        samples: Samples = self.ring.read(start, self.taken)
        return samples.reshape(hops, HOP)

    def take_job(self, spread: int = 1) -> RecognitionTask | None:
        """The most urgent job: finals, then the eager one, then the partial.

        spread: intervals until the next partial is due
        """
        return self.agenda.take(self.open, self.judged, self.options, self._quietest, spread)

    def take_events(self) -> Sequence[Event]:
        """The events since the last call, in order."""
        if not self._events:
            return ()
        events, self._events = self._events, []
        return events

    def abandon(self) -> StreamClosed:
        """Nothing more will become of the stream: what was not judged, or is open, is dropped. Idempotent."""
        if not self.ended:
            start = self.judged if self.segmenter.start is None else self.segmenter.start
            self.ledger.enter_drop(max(start, self.ledger.settled), self.received)
            self.ended = self._ending = True
        return StreamClosed(self.received, *self.ledger.sums)

    # controls: what the client asks for, at its place in the stream

    def _control(self, action: Action) -> None:
        if not self._ending:
            self._controls.add(self.received, action)
            self._controls.run(lambda: self.judged)

    def _close(self, reason: Reason, at: int) -> None:
        endpoint = self.segmenter.close(at, reason)
        if endpoint is not None:
            self._follow(endpoint)
        self._release_markers()

    def _clear(self, at: int) -> None:
        start, end = self.segmenter.discard(at) or (at, at)
        self.ledger.enter_drop(start, end)
        self.open = None
        self.agenda.let_go()
        self._events.append(AudioCleared(start, end))
        self._release_markers()

    def _mark(self, marker: MarkerReached, at: int) -> None:
        self.held.append(marker)
        if self.segmenter.start is None:
            self._release_markers()

    def _release_markers(self) -> None:
        self.backlog.extend(self.held)
        self.held.clear()
        self._tell()

    def _adopt(self, options: SessionOptions, at: int) -> None:
        self.options = options
        self.segmenter.options = options.vad

    def _end(self, reason: Reason, at: int) -> None:
        self._close(reason, at)
        self.ledger.settle(self.received)
        self.ended = True
        self._tell()

    # utterances

    def _follow(self, verdict: Onset | Endpoint) -> None:
        if isinstance(verdict, Onset):
            self._open_utterance(verdict.start)
            return
        if self.open is None:  # a candidate that the client closed
            self._open_utterance(verdict.start)
        self._close_utterance(verdict)
        if self.segmenter.is_open:  # cut at its limit, and going on
            self._open_utterance(verdict.end)
        else:
            self._release_markers()

    def _open_utterance(self, start: int) -> None:
        self.count += 1
        self.open = self.make_utterance(self.count, start, self.promised.pop(self.count, ()))
        self._events.append(UtteranceStarted(self.count, start))

    def make_utterance(self, number: int, start: int, told: Sequence[str]) -> Utterance:
        spoken = self.judged - self.options.vad.min_speech_hops * HOP  # since then, at the least
        partials = Partials(start, spoken + self.options.partial_interval, told)
        return Utterance(number, start, partials, self.options.asr, believed=bool(told))

    def _close_utterance(self, endpoint: Endpoint) -> None:
        utterance = self.open
        assert utterance is not None
        self.open = None
        self.agenda.let_go()
        self.ledger.enter_segment(endpoint.start, endpoint.end)
        self._events.append(UtteranceEnded(utterance.number, endpoint.end, endpoint.reason))
        utterance.reason = endpoint.reason
        utterance.clip = Clip(self.ring.read(endpoint.start, endpoint.end), endpoint.start)
        # The hop under way may have been heard already, or not: that hangs on time.
        utterance.heard = self.heard.read(endpoint.start, min(endpoint.end, self.judged))
        self.backlog.add(utterance)
        if utterance.paused_at == endpoint.end and utterance.eager is not None:
            utterance.outcome, utterance.ahead = utterance.eager, True
            self._tell()
        else:
            self.agenda.add_final(utterance)

    def plan(self, utterance: Utterance) -> None:
        self.agenda.plan(utterance, self.segmenter.pause_end, self.judged, self.options)

    def _find(self, number: int) -> Utterance | None:
        """The utterance while it still matters: not once it was dropped or told."""
        if self.open is not None and self.open.number == number:
            return self.open
        return self.backlog.find(number)

    def _show(self, utterance: Utterance, clip: Clip, hypothesis: Hypothesis) -> None:
        if not self.options.partials:
            return
        if not utterance.believed:
            heard = self.heard.read(clip.start, clip.end)
            if refusal(hypothesis, clip, heard, self.options.guards) is not None:
                return
            utterance.believed = bool(hypothesis.text)
        shown = utterance.partials.update(clip.start, clip.end, hypothesis)
        if shown is not None:
            self._events.append(PartialTranscript(utterance.number, utterance.start, *shown, clip.end))

    def _tell(self) -> None:
        """Tells finals and markers in the order of speech, as far as they are known; at last the end."""
        self._events += self.backlog.release(self.options.guards, self.ledger)
        if self.ended and not self.backlog:
            self._events.append(StreamClosed(self.received, *self.ledger.sums))

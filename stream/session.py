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

from asr.hypothesis import Hypothesis, Request
from audio.clip import HOP, SAMPLE_RATE, Clip, Samples
from audio.loudness import quietest
from audio.ring import Ring
from stream.backlog import Backlog
from stream.controls import Action, Controls
from stream.events import Cleared, Closed, Event, MarkerReached, Noted, Partial, SpeechStarted, SpeechStopped
from stream.heard import Heard
from stream.ledger import Ledger
from stream.options import SessionOptions
from stream.partials import Partials
from stream.utterance import Job, Kind, Utterance, Wanted
from stream.verdict import refusal
from vad.segmenter import Endpoint, Onset, Reason, Segmenter

# A hard bound, far above what the pump lets in: the longest segment, 10 s not judged yet, one large message.
RING_CAPACITY: Final = 600 * SAMPLE_RATE


class Session:
    """One stream. Not thread-safe: everything is called from one place, in order."""

    def __init__(self, options: SessionOptions, name: str = "") -> None:
        self.options = options
        self._name = name  # tells its utterances from those of other sessions, for the recognizer
        self.received = 0  # samples
        self.ended = False
        self._ring = Ring(RING_CAPACITY)
        self._taken = 0  # samples handed out as hops
        self._segmenter = Segmenter(options.vad, self._quietest)
        self._unweighed: deque[float] = deque()  # probabilities that wait for what was said before a pause
        self._heard = Heard()
        self._controls = Controls()
        self._open: Utterance | None = None
        self._count = 0  # utterances so far
        self._backlog = Backlog()
        self._held: list[MarkerReached] = []  # markers inside the utterance (or candidate) under way
        self._wanted = Wanted()
        self._events: list[Event] = []
        self._ledger = Ledger()
        self._ending = False

    def __repr__(self) -> str:
        return (
            f"<Session received={self.received} judged={self.judged} open={self._open is not None} "
            f"waiting={len(self._backlog)} ended={self.ended}>"
        )

    @property
    def judged(self) -> int:
        """Samples about which the detector has spoken."""
        return self._segmenter.position

    @property
    def unjudged(self) -> int:
        """Samples that wait for the detector."""
        return self.received - self.judged

    @property
    def unrecognised(self) -> int:  # samples of closed segments that wait for the recognizer
        return self._backlog.unrecognised

    @property
    def pending_controls(self) -> int:
        return len(self._controls) + len(self._held) + len(self._backlog)

    # what comes in

    def receive_audio(self, clip: Clip) -> None:
        """Takes in the next samples of the stream. Raises ValueError for others, and after the end."""
        if self._ending or clip.start != self.received:
            raise ValueError(f"samples from {clip.start} on came where {self.received} was due")
        self._ring.append(clip.samples)
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
        self._control(lambda at: self._events.append(Noted(note, at)))

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
        self._heard.extend(probabilities)
        self._unweighed.extend(probabilities)
        self._weigh()

    def _weigh(self) -> None:
        """Moves on hop by hop, up to where only the text says how long the pause may be."""
        while self._unweighed and not self._awaits_text():
            verdict = self._segmenter.feed(self._unweighed.popleft())
            if verdict is not None:
                self._follow(verdict)
            if self._open is not None:
                self._plan(self._open)
            elif self._held and self._segmenter.start is None:  # a candidate came to nothing
                self._release_markers()
            if self._controls:
                self._controls.run(lambda: self.judged)
        self._ring.forget(self._segmenter.oldest_needed)
        self._heard.forget(self._segmenter.oldest_needed)

    def _awaits_text(self) -> bool:
        if self._open is None or not self._open.awaited:
            return False
        earliest = self.options.earliest
        return earliest is not None and self._segmenter.silent + HOP >= earliest

    def receive_hypothesis(self, job: Job, hypothesis: Hypothesis) -> None:
        """Takes the recognizer's word on a job that was taken."""
        utterance = self._find(job.utterance)
        if utterance is None:
            return
        if utterance.clip is None:
            if job.kind is Kind.PARTIAL and self.options.bounded_partials:
                utterance.partials.answered(self.judged)
            self._show(utterance, job.request.clip, hypothesis)
            if _hears_pause(job, utterance):
                utterance.eager, utterance.awaited = hypothesis, False
                self._segmenter.wait(self.options.turn.silence(hypothesis.text, self.options.usual_silence))
                self._weigh()
        elif _is_final(job, utterance):
            utterance.outcome = hypothesis
            self._tell()

    def receive_failure(self, job: Job, message: str) -> None:
        """A job that was taken came to nothing. Only of a final is the client told: others were extras."""
        utterance = self._find(job.utterance)
        if utterance is None:
            return
        if _is_final(job, utterance):
            utterance.outcome = message
            self._tell()
        elif _hears_pause(job, utterance):
            utterance.awaited = False
            self._weigh()

    def wants(self, job: Job) -> bool:
        """Whether a job that was taken still matters: not once speech has gone on, or its final is told."""
        utterance = self._find(job.utterance)
        if utterance is None:
            return False
        if utterance.clip is not None:
            return _is_final(job, utterance)
        return job.kind is Kind.PARTIAL or _hears_pause(job, utterance)

    # what goes out

    def take_hops(self, most: int) -> Samples | None:
        """Whole hops not taken yet: float32 (n, 512), 1 <= n <= most; None if there are none."""
        hops = min((self.received - self._taken) // HOP, most)
        if hops <= 0:
            return None
        start = self._taken
        self._taken += hops * HOP
        samples: Samples = self._ring.read(start, self._taken)
        return samples.reshape(hops, HOP)

    def take_job(self) -> Job | None:
        """The most urgent job: finals, then the eager one, then the partial."""
        if self._wanted.finals:
            return self._wanted.finals.popleft()
        if self._open is None:
            return None
        if self._wanted.eager:
            self._wanted.eager = self._wanted.partial = False
            assert self._open.paused_at is not None
            return self._job(Kind.EAGER, self._open, self._open.start, self._open.paused_at)
        if self._wanted.partial:
            self._wanted.partial = False
            quietest = self._quietest if self.options.bounded_partials else None
            start, end = self._open.partials.next_range(self.judged, self.options.partial_interval, quietest)
            return self._job(Kind.PARTIAL, self._open, start, end)
        return None

    def take_events(self) -> Sequence[Event]:
        """The events since the last call, in order."""
        if not self._events:
            return ()
        events, self._events = self._events, []
        return events

    # controls: what the client asks for, at its place in the stream

    def _control(self, action: Action) -> None:
        if not self._ending:
            self._controls.add(self.received, action)
            self._controls.run(lambda: self.judged)

    def _close(self, reason: Reason, at: int) -> None:
        endpoint = self._segmenter.close(at, reason)
        if endpoint is not None:
            self._follow(endpoint)
        self._release_markers()

    def _clear(self, at: int) -> None:
        start, end = self._segmenter.discard(at) or (at, at)
        self._ledger.enter_drop(start, end)
        self._open = None
        self._wanted.eager = self._wanted.partial = False
        self._events.append(Cleared(start, end))
        self._release_markers()

    def _mark(self, marker: MarkerReached, at: int) -> None:
        self._held.append(marker)
        if self._segmenter.start is None:
            self._release_markers()

    def _release_markers(self) -> None:
        self._backlog.extend(self._held)
        self._held.clear()
        self._tell()

    def _adopt(self, options: SessionOptions, at: int) -> None:
        self.options = options
        self._segmenter.options = options.vad

    def _end(self, reason: Reason, at: int) -> None:
        self._close(reason, at)
        self._ledger.settle(self.received)
        self.ended = True
        self._tell()

    # utterances

    def _follow(self, verdict: Onset | Endpoint) -> None:
        if isinstance(verdict, Onset):
            self._open_utterance(verdict.start)
            return
        if self._open is None:  # a candidate that the client closed
            self._open_utterance(verdict.start)
        self._close_utterance(verdict)
        if self._segmenter.is_open:  # cut at its limit, and going on
            self._open_utterance(verdict.end)
        else:
            self._release_markers()

    def _open_utterance(self, start: int) -> None:
        self._count += 1
        spoken = self.judged - self.options.vad.min_speech_hops * HOP  # since then, at the least
        partials = Partials(start, due=spoken + self.options.partial_interval)
        self._open = Utterance(self._count, start, partials)
        self._events.append(SpeechStarted(self._count, start))

    def _close_utterance(self, endpoint: Endpoint) -> None:
        utterance = self._open
        assert utterance is not None
        self._open = None
        self._wanted.eager = self._wanted.partial = False
        self._ledger.enter_segment(endpoint.start, endpoint.end)
        self._events.append(SpeechStopped(utterance.number, endpoint.end, endpoint.reason))
        utterance.reason = endpoint.reason
        utterance.clip = Clip(self._ring.read(endpoint.start, endpoint.end), endpoint.start)
        # The hop under way may have been heard already, or not: that hangs on time.
        utterance.heard = self._heard.read(endpoint.start, min(endpoint.end, self.judged))
        self._backlog.add(utterance)
        if utterance.paused_at == endpoint.end and utterance.eager is not None:
            utterance.outcome, utterance.ahead = utterance.eager, True
            self._tell()
        else:
            self._wanted.finals.append(self._job(Kind.FINAL, utterance, endpoint.start, endpoint.end))

    def _plan(self, utterance: Utterance) -> None:
        """After each hop of an open utterance: is it time for an eager final, or for a partial?"""
        pause_end = self._segmenter.pause_end
        if pause_end != utterance.paused_at:  # a pause begins, or speech has resumed
            utterance.paused_at = pause_end
            utterance.eager = None
            utterance.awaited = self._wanted.eager = pause_end is not None and self.options.wants_eager
        if self.options.partials and pause_end is None and utterance.partials.is_due(self.judged):
            self._wanted.partial = True

    def _job(self, kind: Kind, utterance: Utterance, start: int, end: int) -> Job:
        clip = utterance.clip or Clip(self._ring.read(start, end), start)
        name = f"{self._name}/{utterance.number}" if self._name else ""
        request = Request(clip, self.options.asr, name, partial=kind is Kind.PARTIAL)
        return Job(kind, utterance.number, request)

    def _find(self, number: int) -> Utterance | None:
        """The utterance while it still matters: not once it was dropped or told."""
        if self._open is not None and self._open.number == number:
            return self._open
        return self._backlog.find(number)

    def _show(self, utterance: Utterance, clip: Clip, hypothesis: Hypothesis) -> None:
        if not self.options.partials:
            return
        if not utterance.believed:
            heard = self._heard.read(clip.start, clip.end)
            if refusal(hypothesis, clip, heard, self.options.guards) is not None:
                return
            utterance.believed = bool(hypothesis.text)
        shown = utterance.partials.update(clip.start, clip.end, hypothesis)
        if shown is not None:
            self._events.append(Partial(utterance.number, utterance.start, *shown, clip.end))

    def _tell(self) -> None:
        """Tells finals and markers in the order of speech, as far as they are known; at last the end."""
        self._events += self._backlog.release(self.options.guards, self._ledger)
        if self.ended and not self._backlog:
            self._events.append(Closed(self.received, *self._ledger.sums))

    def _quietest(self, low: int, high: int) -> int:
        return low + quietest(self._ring.read(low, high))


def _hears_pause(job: Job, utterance: Utterance) -> bool:
    """Whether the job is the eager one of the pause under way."""
    return job.kind is Kind.EAGER and job.request.clip.end == utterance.paused_at


def _is_final(job: Job, utterance: Utterance) -> bool:
    """Whether the job heard the whole closed segment; an eager one did if its pause became the end."""
    clip = utterance.clip
    return job.kind is not Kind.PARTIAL and clip is not None and clip.end == job.request.clip.end

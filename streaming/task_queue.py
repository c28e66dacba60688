"""Agenda: which clips of a session are to be transcribed next."""

from collections import deque
from collections.abc import Callable

from asr.recognizer import RecognitionRequest
from audio.clip import Clip
from audio.sample_buffer import SampleBuffer
from streaming.options import SessionOptions
from streaming.utterance import RecognitionTask, TaskKind, Utterance


class TaskQueue:
    """Jobs that nobody has taken yet. A newer partial or eager job replaces the one before it; finals queue
    up, and are bounded by the audio that the pump lets in.

    name: of the session, which tells its utterances from those of others
    """

    def __init__(self, ring: SampleBuffer, name: str) -> None:
        self._ring = ring
        self._name = name
        self._finals: deque[RecognitionTask] = deque()
        self._eager = False
        self._partial = False

    def add_final(self, utterance: Utterance) -> None:
        """Of one that is closed."""
        assert utterance.clip is not None
        self._finals.append(self._job(TaskKind.FINAL, utterance, utterance.clip))

    def plan(self, utterance: Utterance, pause_end: int | None, judged: int, options: SessionOptions) -> None:
        """After each hop of an open utterance: is it time for an eager final, or for a partial?"""
        if pause_end != utterance.paused_at:  # a pause begins, or speech has resumed
            utterance.paused_at = pause_end
            utterance.eager = None
            utterance.awaited = self._eager = pause_end is not None and options.wants_eager
        if options.partials and pause_end is None and utterance.partials.is_due(judged):
            self._partial = True

    def let_go(self) -> None:
        """No utterance is open any more."""
        self._eager = self._partial = False

    def take(
        self,
        utterance: Utterance | None,
        judged: int,
        options: SessionOptions,
        quietest: Callable[[int, int], int],
        spread: int = 1,
    ) -> RecognitionTask | None:
        """The most urgent job: finals, then the eager one of the open utterance, then its partial.

        spread: intervals until the next partial is due
        """
        if self._finals:
            return self._finals.popleft()
        if utterance is None:
            return None
        if self._eager:
            self._eager = self._partial = False
            assert utterance.paused_at is not None
            return self._job(TaskKind.EAGER, utterance, self._clip(utterance.start, utterance.paused_at))
        if self._partial:
            self._partial = False
            where = quietest if options.bounded_partials else None
            window = utterance.partials.next_range(judged, spread * options.partial_interval, where)
            return self._job(TaskKind.PARTIAL, utterance, self._clip(*window))
        return None

    def _clip(self, start: int, end: int) -> Clip:
        return Clip(self._ring.read(start, end), start)

    def _job(self, kind: TaskKind, utterance: Utterance, clip: Clip) -> RecognitionTask:
        name = f"{self._name}/{utterance.number}" if self._name else ""
        request = RecognitionRequest(clip, utterance.asr, name, partial=kind is TaskKind.PARTIAL)
        return RecognitionTask(kind, utterance.number, request)

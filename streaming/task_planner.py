"""Decide which clips of an open utterance are transcribed next."""

from collections.abc import Callable

from asr.recognizer import PreviousUtterance, RecognitionRequest
from audio.clip import Clip
from audio.sample_buffer import SampleBuffer
from streaming.options import SessionOptions
from streaming.utterance import RecognitionTask, TaskKind, Utterance


class TaskPlanner:
    """Plan the recognition tasks of one session.

    Of an open utterance at most one task is due: a newer one replaces the one before it, and an eager final
    takes precedence over a partial.

    is_due: whether `take` will return a task
    """

    def __init__(self, audio: SampleBuffer, session: str) -> None:
        """Read clips from `audio`; `session` is the name that distinguishes utterances of all sessions."""
        self._audio = audio
        self._session = session
        self.is_due = False
        self._eager = False
        self._partial = False

    def plan(self, utterance: Utterance, pause_end: int | None, judged: int, options: SessionOptions) -> None:
        """Plan an eager final or a partial of an open utterance, if one is due after this hop.

        pause_end: where the utterance would end if the present pause ended it; None outside a pause
        judged: samples judged so far
        """
        if pause_end != utterance.paused_at:  # a pause begins, or speech has resumed
            utterance.paused_at = pause_end
            utterance.eager = None
            utterance.is_eager_pending = self._eager = pause_end is not None and options.wants_eager
        if options.partials and pause_end is None and judged >= utterance.partials.due:
            self._partial = True
        self.is_due = self._eager or self._partial

    @property
    def is_eager_due(self) -> bool:
        """Whether the next task is an eager final."""
        return self._eager

    def reset(self) -> None:
        """Drop what was planned: no utterance is open any more."""
        self.is_due = self._eager = self._partial = False

    def take(
        self,
        utterance: Utterance,
        judged: int,
        options: SessionOptions,
        quietest: Callable[[int, int], int],
        language: str | None,
        previous: PreviousUtterance | None = None,
    ) -> RecognitionTask | None:
        """Return the task of the open utterance that is due, if there is one.

        language: that of the utterances before
        previous: what an eager final continues
        """
        eager, partial = self._eager, self._partial
        self.reset()
        if eager:
            assert utterance.paused_at is not None
            window = (utterance.start, utterance.paused_at)
            return self._task(TaskKind.EAGER, utterance, window, language, previous)
        if partial:
            cut = quietest if options.bounded_partials else None
            window = utterance.partials.next_range(judged, options.partial_interval, cut)
            return self._task(TaskKind.PARTIAL, utterance, window, utterance.language or language)
        return None

    def final(
        self, utterance: Utterance, language: str | None, previous: PreviousUtterance | None = None
    ) -> RecognitionTask:
        """Return the task that transcribes a closed utterance.

        language: that of the utterances before
        previous: what it continues
        """
        assert utterance.clip is not None
        return self._of_clip(TaskKind.FINAL, utterance, utterance.clip, language, previous)

    def _task(
        self,
        kind: TaskKind,
        utterance: Utterance,
        window: tuple[int, int],
        language: str | None,
        previous: PreviousUtterance | None = None,
    ) -> RecognitionTask:
        clip = Clip(self._audio.read(*window), window[0])
        return self._of_clip(kind, utterance, clip, language, previous)

    def _of_clip(
        self,
        kind: TaskKind,
        utterance: Utterance,
        clip: Clip,
        language: str | None,
        previous: PreviousUtterance | None,
    ) -> RecognitionTask:
        name = f"{self._session}/{utterance.number}" if self._session else ""
        is_partial = kind is TaskKind.PARTIAL
        request = RecognitionRequest(clip, utterance.asr, name, is_partial, language, previous)
        return RecognitionTask(kind, utterance.number, request)

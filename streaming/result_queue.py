"""Hold closed utterances and markers until they can leave in the order of speech."""

from collections import deque
from collections.abc import Iterable, Iterator

from asr.hallucination_filter import FilterThresholds
from asr.recognizer import Hypothesis
from streaming.events import FinalTranscript, MarkerReached, TranscriptionFailed
from streaming.finalization import final_event
from streaming.sample_accounting import SampleAccounting
from streaming.utterance import NO_SAMPLES, Utterance


class ResultQueue:
    """Order results. The driver limits how much audio and how many markers wait.

    waiting: closed utterances and markers, in the order of speech
    unrecognised: samples of the utterances among them, and of the pauses that belong to them
    markers: number of the markers among them
    language: that of the last released final that was sure of it; None at first
    """

    def __init__(self) -> None:
        self.unrecognised = 0
        self.markers = 0
        self.language: str | None = None
        self.waiting: deque[Utterance | MarkerReached] = deque()

    def __len__(self) -> int:
        return len(self.waiting)

    def add(self, utterance: Utterance) -> None:
        """Add a closed utterance."""
        self.waiting.append(utterance)
        self.unrecognised += utterance.kept_samples

    def extend(self, markers: Iterable[MarkerReached]) -> None:
        """Add markers."""
        before = len(self.waiting)
        self.waiting.extend(markers)
        self.markers += len(self.waiting) - before

    def find(self, number: int) -> Utterance | None:
        """Return the utterance of this number, or None if it is not in the queue."""
        return next((u for u in self.waiting if isinstance(u, Utterance) and u.number == number), None)

    @property
    def first_held(self) -> Utterance | None:
        """Return the first utterance if its task waits for a final that is now known."""
        first = self.waiting[0] if self.waiting else None
        is_ready = isinstance(first, Utterance) and first.is_held and not first.waits_for_previous
        return first if isinstance(first, Utterance) and is_ready else None

    @property
    def doubtful(self) -> Utterance | None:
        """Return the first utterance if its text may be in the language before it: it is recognized again.

        That depends on the finals before it, and not on the time at which they came.
        """
        first = self.waiting[0] if self.waiting else None
        if not isinstance(first, Utterance) or not isinstance(first.outcome, Hypothesis):
            return None
        language = self.language
        if not first.outcome.text or language is None or first.doubted or first.likely_language == language:
            return None
        return first if first.outcome.may_be_in(language) else None

    def release(
        self, guards: FilterThresholds, accounting: SampleAccounting
    ) -> Iterator[FinalTranscript | TranscriptionFailed | MarkerReached]:
        """Remove and yield what can leave: everything before the first utterance without a certain outcome.

        A segment whose text is rejected is counted as non-speech instead of speech.
        """
        while self.waiting:
            first = self.waiting[0]
            if isinstance(first, Utterance) and (first.outcome is None or self.doubtful):
                return
            self.waiting.popleft()
            if isinstance(first, MarkerReached):
                self.markers -= 1
                yield first
                continue
            self.unrecognised -= first.kept_samples
            last = final_event(first, guards)
            first.is_final_known, first.previous, first.pause = True, None, NO_SAMPLES
            if isinstance(last, FinalTranscript):
                if last.guard is None:
                    said = last.hypothesis
                    first.said = said.text
                    first.said_language = said.language if said.is_language_sure else None
                if last.is_rejected:
                    accounting.reject_segment(last.clip.start, last.clip.end)
                elif last.hypothesis.text and last.hypothesis.is_language_sure:
                    self.language = last.hypothesis.language
            yield last

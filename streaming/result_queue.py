"""Backlog: closed utterances and markers, told in the order of speech however late their texts come."""

from collections import deque
from collections.abc import Iterable, Iterator

from asr.hallucination_filter import FilterThresholds
from streaming.events import FinalTranscript, MarkerReached, TranscriptionFailed
from streaming.finalization import conclude
from streaming.sample_accounting import SampleAccounting
from streaming.utterance import Utterance


class ResultQueue:
    """What waits to be told. Bounded by the pump, which lets in only so much sound and so many markers."""

    def __init__(self) -> None:
        self.unrecognised = 0  # samples of the utterances in it
        self._waiting: deque[Utterance | MarkerReached] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Utterance | MarkerReached]:
        return iter(self._waiting)

    def add(self, utterance: Utterance) -> None:
        """A closed one."""
        self._waiting.append(utterance)
        self.unrecognised += utterance.clip_length

    def extend(self, markers: Iterable[MarkerReached]) -> None:
        self._waiting.extend(markers)

    def find(self, number: int) -> Utterance | None:
        return next((u for u in self._waiting if isinstance(u, Utterance) and u.number == number), None)

    def release(
        self, guards: FilterThresholds, ledger: SampleAccounting
    ) -> Iterator[FinalTranscript | TranscriptionFailed | MarkerReached]:
        """Takes out what can be told, as events: up to the first utterance whose outcome is not known.

        A segment whose text is refused goes over to non-speech in the ledger.
        """
        while self._waiting:
            first = self._waiting[0]
            if isinstance(first, Utterance) and first.outcome is None:
                return
            self._waiting.popleft()
            if isinstance(first, MarkerReached):
                yield first
                continue
            self.unrecognised -= first.clip_length
            last = conclude(first, guards)
            if isinstance(last, FinalTranscript) and last.guard is not None:
                ledger.refuse(last.clip.start, last.clip.end)
            yield last

"""Cut the speech of a file into long segments, at its long silences.

A live stream ends an utterance at the first short silence, because a client waits for the answer. No client
waits for a segment of a file, and a recognizer makes fewer errors in a long one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from vad.options import VadOptions
from vad.segmenter import Endpoint, Onset, Reason, Segmenter


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Hold the state before a sound that is still too short to be speech again.

    speech_end, speech_hops: of the segmenter
    silences: number of silences
    """

    speech_end: int
    speech_hops: int
    silences: int


class FileSegmenter(Segmenter):
    """Decide where the segments of a file begin and end.

    A silence of `pause_ms` ends a segment. A segment that reaches its maximum length is cut at its longest
    silence in the second half, or else in the first half; where there is no silence at all, at a quiet place.
    After `silence_ms` of silence, a sound shorter than `min_speech_ms` is no speech, as in a live stream.
    """

    def __init__(self, options: VadOptions, quietest: Callable[[int, int], int]) -> None:
        """Begin at the start of a file."""
        # In the open segment, [end of speech, next speech); at most one for two hops of the longest segment.
        self._silences: list[tuple[int, int]] = []
        self._doubt: _Doubt | None = None
        super().__init__(options, quietest)

    def _enter_quiet(self) -> None:
        super()._enter_quiet()
        self._silences, self._doubt = [], None

    def feed(self, probability: float) -> Onset | Endpoint | None:
        """Judge the next hop by its probability of speech."""
        decision = super().feed(probability)
        if self._doubt is not None:
            self._settle(self._doubt)
        return decision

    def _resume(self, hop: int) -> None:
        if self._doubt is None and hop - self._speech_end >= self._silence:
            self._doubt = _Doubt(self._speech_end, self._speech_hops, len(self._silences))
        self._silences.append((self._speech_end, hop))

    def _settle(self, doubt: _Doubt) -> None:
        """Decide whether speech has resumed, or the silence goes on with a sound in it."""
        if self._speech_hops - doubt.speech_hops >= self._min_speech_hops:
            self._doubt = None
        elif self.silent >= self._silence:
            self._speech_end, self._speech_hops, self._doubt = doubt.speech_end, doubt.speech_hops, None
            del self._silences[doubt.silences :]
            self.pause_end = self._pause_end()

    def _cut(self) -> Endpoint:
        """End the segment at a silence inside it; the next one begins with the speech after that silence."""
        present = [] if self._voiced else [(self._speech_end, self.position)]
        silences = [*self._silences, *present]
        if not silences:
            return super()._cut()
        middle = self._start + self._max_segment // 2
        late = [silence for silence in silences if silence[0] >= middle]
        begin, resume = max(late or silences, key=lambda silence: silence[1] - silence[0])
        end = begin + min(self._tail, (resume - begin) // 2)
        if resume == self.position:
            return self._end(end, Reason.MAX_DURATION)
        endpoint = Endpoint(self._start, end, Reason.MAX_DURATION)
        self._floor, self._start = end, max(end, resume - self._prefix)
        self._silences = [silence for silence in self._silences if silence[0] >= resume]
        self._doubt = None
        return endpoint

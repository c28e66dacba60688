"""Read the counts of finals and recognition tasks from the /metrics of a server."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from prometheus_client.parser import text_string_to_metric_families

FINALS_METRIC: Final = "stt_finals_total"
EAGER_FINALS_METRIC: Final = "stt_eager_finals_total"
TASKS_METRIC: Final = "stt_asr_jobs_total"
GUARDED_METRIC: Final = "stt_guarded_segments_total"


@dataclass(frozen=True, slots=True)
class ServerCounters:
    """Hold counts since the server started, or the difference of two readings.

    eager_finals: finals whose text was ready when the utterance ended
    tasks: recognition tasks by kind and outcome; guarded: segments whose text a filter rejected, by filter
    """

    finals: int
    eager_finals: int
    tasks: Mapping[tuple[str, str], int]
    guarded: Mapping[str, int]

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse the text of /metrics. Raises ValueError if it is not in the exposition format."""
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        return cls(
            finals=round(sum(s.value for s in samples if s.name == FINALS_METRIC)),
            eager_finals=round(sum(s.value for s in samples if s.name == EAGER_FINALS_METRIC)),
            tasks={
                (s.labels["kind"], s.labels["fate"]): round(s.value)
                for s in samples
                if s.name == TASKS_METRIC
            },
            guarded={s.labels["guard"]: round(s.value) for s in samples if s.name == GUARDED_METRIC},
        )

    def since(self, before: Self) -> "ServerCounters":
        """Return the difference from an earlier reading."""
        return ServerCounters(
            self.finals - before.finals,
            self.eager_finals - before.eager_finals,
            Counter(self.tasks) - Counter(before.tasks),
            Counter(self.guarded) - Counter(before.guarded),
        )

    def figures(self) -> dict[str, float | int | None]:
        """Return the counts, and the use of eager transcriptions in percent.

        eager_used: eager transcriptions that became finals, which needed no transcription of their own
        eager_ahead: finals whose text was ready when the utterance ended
        """
        eager, partials = self.tasks.get(("eager", "done"), 0), self.tasks.get(("partial", "done"), 0)
        used = self.finals - self.tasks.get(("final", "done"), 0)
        return {
            "finals": self.finals,
            "eager_done": eager,
            "eager_used_%": round(100 * used / eager, 1) if eager else None,
            "eager_wasted_%": round(100 - 100 * used / eager, 1) if eager else None,
            "eager_ahead_%": round(100 * self.eager_finals / self.finals, 1) if self.finals else None,
            "eager_taken_back": self.tasks.get(("eager", "dropped"), 0),
            "partials_done": partials,
            "partials_taken_back": self.tasks.get(("partial", "dropped"), 0),
        }

"""Counts: what a server's /metrics say of finals and of the jobs for them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from prometheus_client.parser import text_string_to_metric_families

FINALS: Final = "stt_finals_total"
AHEAD: Final = "stt_eager_finals_total"
JOBS: Final = "stt_asr_jobs_total"
GUARDED: Final = "stt_guarded_segments_total"


@dataclass(frozen=True, slots=True)
class ServerCounters:
    """Since the server began; or, as a difference, between two looks.

    ahead: finals whose text was there when the pause became the end
    jobs: by kind and fate; guarded: segments without text, by guard
    """

    finals: int
    ahead: int
    jobs: Mapping[tuple[str, str], int]
    guarded: Mapping[str, int]

    @classmethod
    def read(cls, text: str) -> Self:
        """text: of /metrics. Raises ValueError for what is not in the exposition format."""
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        return cls(
            finals=round(sum(s.value for s in samples if s.name == FINALS)),
            ahead=round(sum(s.value for s in samples if s.name == AHEAD)),
            jobs={(s.labels["kind"], s.labels["fate"]): round(s.value) for s in samples if s.name == JOBS},
            guarded={s.labels["guard"]: round(s.value) for s in samples if s.name == GUARDED},
        )

    def since(self, before: Self) -> "ServerCounters":
        return ServerCounters(
            self.finals - before.finals,
            self.ahead - before.ahead,
            Counter(self.jobs) - Counter(before.jobs),
            Counter(self.guarded) - Counter(before.guarded),
        )

    def figures(self) -> dict[str, float | int | None]:
        """eager_used: percent of the eager transcriptions that were done and became finals, each of which
        saved its final's own; eager_ahead: percent of the finals that were there at the endpoint."""
        eager, partials = self.jobs.get(("eager", "done"), 0), self.jobs.get(("partial", "done"), 0)
        used = self.finals - self.jobs.get(("final", "done"), 0)
        return {
            "finals": self.finals,
            "eager_done": eager,
            "eager_used_%": round(100 * used / eager, 1) if eager else None,
            "eager_wasted_%": round(100 - 100 * used / eager, 1) if eager else None,
            "eager_ahead_%": round(100 * self.ahead / self.finals, 1) if self.finals else None,
            "eager_taken_back": self.jobs.get(("eager", "dropped"), 0),
            "partials_done": partials,
            "partials_taken_back": self.jobs.get(("partial", "dropped"), 0),
        }

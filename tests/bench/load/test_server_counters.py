"""Test reading counters from the metrics of the server."""

from bench.load.server_counters import ServerCounters
from server.observability.metrics import Metrics
from streaming.model_clients import TaskOutcome
from streaming.utterance import TaskKind


def counted(finals: int, eager_finals: int, *tasks: tuple[TaskKind, TaskOutcome, int]) -> ServerCounters:
    metrics = Metrics()
    metrics.finals.labels("silence").inc(finals - 1)
    metrics.finals.labels("commit").inc()
    metrics.eager_finals.inc(eager_finals)
    metrics.guarded_segments.labels("rms").inc()
    for kind, outcome, count in tasks:
        for _ in range(count):
            metrics.count_task(kind, outcome)
    return ServerCounters.read(metrics.text().decode())


def test_finals_and_jobs_are_counted_between_two_looks() -> None:
    before = counted(2, 1, (TaskKind.EAGER, TaskOutcome.DONE, 3))
    after = counted(5, 2, (TaskKind.EAGER, TaskOutcome.DONE, 7), (TaskKind.PARTIAL, TaskOutcome.DROPPED, 1))
    passed = after.since(before)
    assert (passed.finals, passed.eager_finals) == (3, 1)
    assert passed.tasks == {("eager", "done"): 4, ("partial", "dropped"): 1}
    assert passed.guarded == {}


def test_an_eager_transcription_was_of_use_where_a_final_needed_none_of_its_own() -> None:
    figures = counted(
        10, 6, (TaskKind.EAGER, TaskOutcome.DONE, 16), (TaskKind.FINAL, TaskOutcome.DONE, 2)
    ).figures()
    assert (figures["eager_used_%"], figures["eager_wasted_%"], figures["eager_ahead_%"]) == (50, 50, 60)


def test_a_server_without_a_recognizer_of_its_own_counts_nothing() -> None:
    assert ServerCounters.read("").figures()["eager_used_%"] is None

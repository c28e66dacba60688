"""Test the benchmark of the start and of an idle server."""

from pathlib import Path

import pytest

from bench.load.start_idle import Cost, report, start_and_idle, transcribe


def test_least_of_all_runs_is_reported() -> None:
    starts = [Cost(2.0, 1.5), Cost(3.0, 1.25)]
    assert report(starts, 0.00123, [Cost(1.0, 0.5)]) == {
        "start_s": 2.0,
        "start_cpu_s": 1.25,
        "idle_percent": 0.123,
        "file_s": 1.0,
        "file_cpu_s": 0.5,
    }


@pytest.mark.slow
def test_start_and_file_are_measured() -> None:
    start, _ = start_and_idle("free", 0)
    assert start.cpu > 0
    assert start.wall > 0
    assert transcribe("free", Path("test.wav")).cpu > 0

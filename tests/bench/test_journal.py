"""What journals cost, as figures."""

from pathlib import Path
from typing import Any

from bench.journal import bytes_in, compared, mean_of, settings_with


def run(cpu: float, p95: float) -> dict[str, Any]:
    return {"cpu_ms_per_stream_s": cpu, "final_ms": {"p50": 400.0, "p95": p95}, "disk_share": 1.1}


def test_each_policy_is_held_against_none() -> None:
    runs = {"off": run(2.0, 450.0), "never": run(2.1, 453.0), "always": run(3.0, 600.0)}
    figures = compared(runs)
    assert figures == {"never": {"cpu_%": 5.0, "p95_ms": 3.0}, "always": {"cpu_%": 50.0, "p95_ms": 150.0}}


def test_rounds_are_averaged() -> None:
    mean = mean_of([run(1.0, 400.0), run(3.0, 500.0)])
    assert (mean["cpu_ms_per_stream_s"], mean["final_ms"]["p95"], mean["disk_share"]) == (2.0, 450.0, 1.1)


def test_only_a_policy_makes_a_server_keep_journals() -> None:
    assert "JOURNAL_DIR" not in settings_with("off", "here")
    kept = settings_with("second", "here", 5001)
    assert (kept["JOURNAL_DIR"], kept["JOURNAL_FSYNC"], kept["PORT"]) == ("here", "second", "5001")


def test_bytes_of_all_files_count(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"678")
    assert bytes_in(tmp_path) == 8

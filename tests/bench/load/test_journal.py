"""Test the figures about the cost of journals."""

from pathlib import Path
from typing import Any

from bench.load.journal import bytes_in, compared, settings_with


def run(cpu: float, p95: float) -> dict[str, Any]:
    return {"cpu_ms_per_stream_s": cpu, "final_ms": {"p50": 400.0, "p95": p95}, "disk_share": 1.1}


def test_each_policy_is_held_against_none_round_by_round() -> None:
    rounds = {
        "off": [run(2.0, 450.0), run(4.0, 450.0), run(1.0, 440.0)],
        "never": [run(2.1, 453.0), run(4.0, 449.0), run(1.5, 442.0)],
    }
    assert compared(rounds) == {
        "never": {
            "cpu_%": {"median": 5.0, "min": 0.0, "max": 50.0},
            "p95_ms": {"median": 2.0, "min": -1.0, "max": 3.0},
        }
    }


def test_only_a_policy_makes_a_server_keep_journals() -> None:
    assert "JOURNAL_DIR" not in settings_with("off", "here")
    kept = settings_with("second", "here", 5001)
    assert (kept["JOURNAL_DIR"], kept["JOURNAL_FSYNC"], kept["PORT"]) == ("here", "second", "5001")


def test_bytes_of_all_files_count(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"678")
    assert bytes_in(tmp_path) == 8

"""Test what a benchmark says about its machine."""

from pathlib import Path

from bench.load.machine import gpu_names, machine


def test_gpus_are_those_that_the_driver_lists(tmp_path: Path) -> None:
    for address, model in (("0000:02:00.0", "NVIDIA L4"), ("0000:01:00.0", "NVIDIA H200")):
        (tmp_path / address).mkdir()
        (tmp_path / address / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 16\n")
    assert gpu_names(tmp_path) == ["NVIDIA H200", "NVIDIA L4"]


def test_a_machine_without_a_driver_has_no_gpus(tmp_path: Path) -> None:
    assert gpu_names(tmp_path / "gpus") == []
    assert machine()["cores"] > 0

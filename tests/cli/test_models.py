"""`models` and `pull`."""

import io
import json
import os
import socket
import zipfile
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from asr.artifact_catalogue import ARTIFACTS
from asr.default_model import CHOICE_FILE
from asr.devices import available_cores, processor_name
from asr.download_progress import LINE_SECONDS, BarReporter, LineReporter
from asr.model_registry import AUTO_ON_CUDA, KNOWN_MODELS
from cli.console import OK, UNUSABLE
from tests.cli.running import command


def test_table_lists_known_and_cached_models(tmp_path: Path) -> None:
    for model, files in {"whisper-tiny": ["model.safetensors"], "whisper-base": []}.items():
        snapshot = tmp_path / "hub" / f"models--openai--{model}" / "snapshots" / "1"
        snapshot.mkdir(parents=True)
        for name in ["config.json", *files]:
            (snapshot / name).write_text("{}")
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("1")
    told = command("models", HF_HOME=str(tmp_path), HF_HUB_CACHE=str(tmp_path / "hub"))
    assert told.returncode == OK, told.stderr
    rows = {line.split("  ")[0]: line for line in told.stdout.splitlines()}
    assert {model.id for model in KNOWN_MODELS} <= rows.keys()
    assert "built in" in rows["pocketsphinx"]
    assert "cached" in rows["openai/whisper-tiny"]
    assert "in part" in rows["openai/whisper-base"]
    assert "cached" not in rows["openai/whisper-small"]


def test_unreachable_hub_is_reported_at_once() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        told = command("pull", "org/name", HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="0")
    assert told.returncode == UNUSABLE
    assert told.stderr.startswith(f"stt: org/name cannot be downloaded: {endpoint} cannot be reached")
    assert told.stderr.count("\n") == 1


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """Return variables under which nothing but the folder of this test is in reach."""
    return {
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
        "ASR_MODEL_CACHE": str(tmp_path / "cache"),
    }


def test_the_list_names_what_can_be_pulled(offline: dict[str, str]) -> None:
    shown = command("models", **offline)
    assert shown.returncode == OK, shown.stderr
    rows = {line.split("  ")[0]: line for line in shown.stdout.splitlines()}
    for artifact in ARTIFACTS:
        assert artifact.licence in rows[artifact.name]
        assert "package index" in rows[artifact.name]
    assert "150 MB" in rows["whisper-base"]
    assert rows[f"cache: {offline['ASR_MODEL_CACHE']}"]


def test_the_list_marks_the_default_of_this_machine(offline: dict[str, str], tmp_path: Path) -> None:
    undecided = command("models", **offline).stdout.splitlines()
    assert undecided[-1].startswith("default on a CPU: not chosen yet")
    machine = {"processor": processor_name(), "cores": available_cores()}
    (tmp_path / "cache").mkdir()
    choice = {"model": "whisper-tiny.en", "seconds": 0.5, **machine}
    (tmp_path / "cache" / CHOICE_FILE).write_text(json.dumps(choice))
    shown = command("models", **offline).stdout
    rows = {line.split("  ")[0]: line for line in shown.splitlines()}
    assert [name for name, line in rows.items() if "on a CPU" in line] == ["whisper-tiny.en"]
    assert "default on CUDA" in rows[AUTO_ON_CUDA]


@pytest.mark.slow
def test_pull_names_every_source_of_a_missing_model(offline: dict[str, str], tmp_path: Path) -> None:
    shown = command("pull", "smart-turn-v3.2", **offline)
    assert (shown.returncode, shown.stdout) == (UNUSABLE, "")
    error = shown.stderr.splitlines()[-1]
    assert error.startswith("stt: smart-turn-v3.2 is not available (ASR_MODEL_DIR: not set; cache ")
    assert "hub (pipecat-ai/smart-turn-v3): HF_HUB_OFFLINE is set;" in error
    assert f"{tmp_path} has no pipecat_ai-1.14.0-py3-none-any.whl" in error
    assert error.endswith(
        f"put the file smart-turn-v3.2-cpu.onnx at {tmp_path / 'cache' / 'smart-turn-v3.2'}"
    )


@pytest.mark.slow
def test_pull_does_not_take_a_wheel_with_other_content(offline: dict[str, str], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pipecat_ai-1.14.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx", bytes(8679182))
    shown = command("pull", "smart-turn-v3.2", **offline)
    assert shown.returncode == UNUSABLE
    assert "smart-turn-v3.2-cpu.onnx has another SHA-256" in shown.stderr
    assert not (tmp_path / "cache" / "smart-turn-v3.2" / "smart-turn-v3.2-cpu.onnx").exists()


@pytest.mark.slow
def test_pull_auto_fails_where_only_the_fallback_is_in_reach(offline: dict[str, str]) -> None:
    shown = command("pull", "auto", **offline)
    assert (shown.returncode, shown.stdout) == (UNUSABLE, "")
    error = shown.stderr.splitlines()[-1]
    assert "whisper-base is not available" in error
    assert "whisper-tiny.en is not available" in error


class TestProgress:
    def test_lines_are_few(self) -> None:
        output, now = io.StringIO(), 0.0
        reporter = LineReporter(output, lambda: now)
        for megabytes in range(101):
            now = megabytes * LINE_SECONDS / 50
            reporter.progress("a.whl", megabytes * 10**6, 100 * 10**6)
        reporter.progress("b.whl", 10**6, None)
        for seconds in range(10):
            now += 1
            reporter.conversion("c", seconds)
        reporter.conversion("c", None)
        reporter.note("Done.")
        assert output.getvalue().splitlines() == [
            "a.whl: 0.0 of 100.0 MB (0%)",
            "a.whl: 50.0 of 100.0 MB (50%)",
            "a.whl: 100.0 of 100.0 MB (100%)",
            "b.whl: 1.0 MB",
            "c: converting, 4 s",
            "c: converting, 9 s",
            "Done.",
        ]

    def test_a_terminal_gets_a_bar_per_file(self) -> None:
        output = io.StringIO()
        bars = Progress(console=Console(file=output, force_terminal=True, width=80))
        reporter = BarReporter(bars)
        reporter.note("Starting [bold].")
        assert output.getvalue() == "Starting [bold].\n"
        reporter.progress("a.whl", 0, 100)
        reporter.progress("b.whl", 0, None)
        reporter.progress("a.whl", 50, 100)
        reporter.conversion("c", 1)
        assert [task.description for task in bars.tasks] == ["a.whl", "b.whl", "c, converting"]
        reporter.conversion("c", None)
        bars.stop()
        assert [(task.description, task.completed, task.total) for task in bars.tasks] == [
            ("a.whl", 50, 100),
            ("b.whl", 0, None),
        ]
        assert "50%" in output.getvalue()

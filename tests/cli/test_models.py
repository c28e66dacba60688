"""`models` and `pull`."""

import socket
from pathlib import Path

from asr.model_registry import KNOWN_MODELS
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

"""Test without a container that the server needs no writable folder but that of its data."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from server.settings import Settings
from tests.asr.spoken import sentence
from tests.server.asgi_calls import wav
from tests.server.server_process import free_port, program
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
KEY = "0123456789abcdef"
# Runs in a namespace where all is read-only, except $DATA and the mounts of the kernel (/proc, /dev).
READ_ONLY = r"""
mount --bind "$DATA" "$DATA"
mount -o remount,ro,bind /
mount --bind "$HOUSE" "$HOUSE"
mount -o remount,ro,bind "$HOUSE"
! touch "$HOUSE/written" 2>/dev/null
! touch "$HOME/written" 2>/dev/null
exec bash "$HOUSE/entrypoint.sh" serve
"""


def can_unshare() -> bool:
    unshare = shutil.which("unshare")
    command = [unshare or "", "-m", "mount", "--bind", "/", "/"]
    return unshare is not None and subprocess.run(command, capture_output=True, timeout=30).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_unshare(), reason="nobody here may mount anything")
def test_server_works_on_a_read_only_file_system(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    port = free_port()
    with program(
        ("unshare", "-m", "bash", "-euc", READ_ONLY),
        PORT=str(port),
        API_KEYS=f"alice:{KEY}",
        ASR_MODEL="pocketsphinx",
        STT_PYTHON=sys.executable,
        HOUSE=str(ROOT),
        DATA=str(tmp_path),
        HOME=str(ROOT),
        TMPDIR=str(tmp_path / "tmp"),
        JOURNAL_DIR=str(tmp_path / "journal"),
        DATA_DIR=str(tmp_path / "jobs"),
        HF_HOME=str(tmp_path / "models"),
    ) as server:
        wait_until(lambda: server.get("/ready").json()["ready"], seconds=60)
        heard = httpx.post(
            f"{server.url}/v1/audio/transcriptions",
            headers={"x-api-key": KEY},
            files={"file": wav(sentence(0).samples)},
            data={"model": "whisper-1"},
            timeout=60,
        )
        assert heard.status_code == 200
        assert heard.json()["text"]
        assert "Read-only" not in server.log


def test_image_runs_as_an_unprivileged_user() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER [1-9][0-9]*$", dockerfile, re.M)
    (run,) = re.findall(r"^# docker run .+(?:\n#   .+)*", dockerfile, re.M)
    for option in ("--read-only", "--tmpfs /tmp", "--cap-drop ALL", "-v stt-data:/data", "API_KEYS"):
        assert option in run


def test_folders_of_the_image_are_in_its_writable_volumes() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    folders = dict(re.findall(r"\b(DATA_DIR|TMPDIR|HF_HOME|ASR_MODEL_CACHE)=(\S+)", dockerfile))
    assert folders.keys() == {"DATA_DIR", "TMPDIR", "HF_HOME", "ASR_MODEL_CACHE"}
    assert all(folder.startswith(("/data/", "/models")) for folder in folders.values())


def test_image_has_no_jobs_and_no_secrets_of_the_machine_that_builds_it() -> None:
    left_out = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"data", ".env"} <= set(left_out)
    assert Settings.model_fields["data_dir"].default == "data"

"""Files are synced beside those who write them."""

import os
from pathlib import Path

from server.syncer import Syncer, Written


def test_a_round_syncs_every_file_and_closes_its_handle(tmp_path: Path) -> None:
    failures: list[OSError] = []
    handles = [os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT) for name in "abc"]
    syncer = Syncer()
    syncer.sync([Written(handle, failures.append) for handle in handles])
    syncer.stop()
    assert not syncer.is_busy
    assert failures == []
    assert [handle for handle in handles if Path(f"/proc/self/fd/{handle}").exists()] == []


def test_one_that_cannot_be_synced_is_told_and_the_others_are(tmp_path: Path) -> None:
    failures: list[OSError] = []
    reading, writing = os.pipe()  # no disk is behind it
    good = os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT)
    syncer = Syncer()
    syncer.sync([Written(writing, failures.append), Written(good, failures.append)])
    syncer.stop()
    os.close(reading)
    assert len(failures) == 1
    assert not Path(f"/proc/self/fd/{good}").exists()

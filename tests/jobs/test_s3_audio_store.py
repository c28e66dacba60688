"""Audio of jobs in a bucket, on a server that speaks the protocol of S3."""

import io
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

boto3 = pytest.importorskip("boto3")
moto_server = pytest.importorskip("moto.server")

from jobs.audio_store import ORPHAN_SECONDS  # noqa: E402
from jobs.job import JobState  # noqa: E402
from jobs.options import JobsOptions  # noqa: E402
from jobs.s3_audio_store import S3AudioStore  # noqa: E402
from jobs.service import JobDatabase  # noqa: E402
from tests.jobs.working import TALK, ended, uploaded, working  # noqa: E402
from tests.server.asgi_calls import wav  # noqa: E402

URL = "s3://talks/some/where"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a server with an empty bucket, which `keys` reads."""
    server = moto_server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="talks")
    yield
    httpx.post(f"http://{host}:{port}/moto-api/reset")  # all servers of a process share what they store
    server.stop()


def keys() -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket="talks").get("Contents", [])
    return [each["Key"] for each in found]


@pytest.mark.usefixtures("bucket")
def test_audio_is_saved_read_and_deleted() -> None:
    store = S3AudioStore(URL)
    data = os.urandom(9 << 20)  # in several parts
    saved = store.save(io.BytesIO(data))
    assert (saved.size, keys()) == (len(data), [f"some/where/{saved.key}"])
    with store.local(saved.key) as path:
        assert path.read_bytes() == data
    assert not path.exists()
    store.delete(saved.key)
    store.delete(saved.key)
    assert keys() == []
    with pytest.raises(FileNotFoundError), store.local(saved.key):
        pass


@pytest.mark.usefixtures("bucket")
def test_sweep_deletes_only_old_audio_without_a_job() -> None:
    store = S3AudioStore(URL)
    used, orphan = store.save(io.BytesIO(b"used")), store.save(io.BytesIO(b"orphan"))
    assert store.sweep(lambda key: key == used.key) == 0
    assert store.sweep(lambda key: key == used.key, time.time() + ORPHAN_SECONDS + 5) == 1
    assert keys() == [f"some/where/{used.key}"]
    assert orphan.key != used.key


@pytest.mark.usefixtures("bucket")
def test_missing_bucket_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match="S3"):
        S3AudioStore("s3://nowhere").save(io.BytesIO(b"sound"))


@pytest.mark.slow
@pytest.mark.usefixtures("bucket")
async def test_job_runs_with_its_audio_in_a_bucket(tmp_path: Path) -> None:
    with closing(JobDatabase(JobsOptions(tmp_path, audio_url=URL))) as database:
        async with working(database) as jobs:
            job = await uploaded(jobs, wav(TALK))
            assert (await ended(jobs, job)).state is JobState.SUCCEEDED
            assert len(keys()) == 1
            await jobs.delete(job.id)
            assert keys() == []
    assert not (tmp_path / "audio").exists()

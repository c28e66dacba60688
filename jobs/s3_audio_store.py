"""Keep the audio of jobs in a bucket of S3, or of a server that speaks its protocol.

Needs the extra `s3`. Credentials, region and endpoint come from the standard variables of AWS
(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL_S3, …).
"""

import hashlib
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from jobs.audio_store import ORPHAN_SECONDS, PIECE, StoredAudio

MISSING: Final = frozenset({"404", "NoSuchKey"})


class S3AudioStore:
    """Store files by their content, under the keys of `AudioStore`. The methods block.

    url: s3://bucket/prefix
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._bucket = parts.netloc
        self._prefix = f"{parts.path.strip('/')}/".lstrip("/")
        with _errors():
            self._client: Any = boto3.client("s3")

    def save(self, source: IO[bytes]) -> StoredAudio:
        """Copy a file, which can seek, from its current position. Raises OSError."""
        begin, digest, size = source.tell(), hashlib.sha256(), 0
        while piece := source.read(PIECE):
            digest.update(piece)
            size += len(piece)
        source.seek(begin)
        key = f"{digest.hexdigest()}-{secrets.token_hex(8)}"
        with _errors():
            self._client.upload_fileobj(source, self._bucket, self._prefix + key)
        return StoredAudio(key, size)

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        """Yield the path of a temporary copy. Raises FileNotFoundError and OSError."""
        with tempfile.NamedTemporaryFile(prefix="stt-audio-") as copy:
            with _errors():
                self._client.download_fileobj(self._bucket, self._prefix + key, copy)
            copy.flush()
            yield Path(copy.name)

    def delete(self, key: str) -> None:
        """Delete audio; does nothing if it is deleted already. Raises OSError."""
        with _errors():
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def sweep(self, is_used: Callable[[str], bool], now: float | None = None) -> int:
        """Delete what a crash left: old files that no job names. Return their number. Raises OSError."""
        limit = (time.time() if now is None else now) - ORPHAN_SECONDS
        deleted = 0
        with _errors():
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                for found in page.get("Contents", ()):
                    key = found["Key"].removeprefix(self._prefix)
                    if found["LastModified"].timestamp() < limit and not is_used(key):
                        self.delete(key)
                        deleted += 1
        return deleted


@contextmanager
def _errors() -> Iterator[None]:
    """Raise errors of boto3 as OSError."""
    try:
        yield
    except ClientError as error:
        kind = FileNotFoundError if error.response["Error"]["Code"] in MISSING else OSError
        raise kind(f"S3: {error}") from error
    except BotoCoreError as error:
        raise OSError(f"S3: {error}") from error

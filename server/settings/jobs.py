"""Define the settings of jobs: files that are transcribed durably."""

import base64
import re
from importlib.util import find_spec
from typing import Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from server.settings.folders import check_no_file

DATABASE_URL: Final = re.compile(r"(postgresql|postgres|postgresql\+psycopg)://[^/]*(/.*)?")
AUDIO_URL: Final = re.compile(r"s3://[^/?#]+(/[^?#]*)?")


class JobSettings(BaseSettings):
    """Configure where jobs are kept, and what this process does for them (docs/jobs.md)."""

    data_dir: str = Field(
        "data",
        description="Folder in which jobs are kept, including their audio and their text, until "
        "JOB_RETENTION_SECONDS after their end. It is made when the first job is submitted. Empty: no jobs.",
    )
    database_url: SecretStr = Field(
        SecretStr(""),
        description="URL of a Postgres database for jobs, which several servers and workers share: "
        "postgresql://user:password@host/name. Empty: SQLite in DATA_DIR.",
    )
    fetch_video_sites: bool = Field(
        False,
        description="Accept addresses of web pages in jobs, whose recording is downloaded with yt-dlp; needs "
        "FETCH_URLS and the extra `video`.",
    )
    jobs_at_once: int = Field(
        2,
        ge=0,
        le=1_000,
        description="Maximum number of jobs that this process transcribes at once; 0 leaves them to "
        "`./entrypoint.sh worker`.",
    )
    worker_id: str = Field(
        "",
        max_length=200,
        description="Name of this process as a worker for jobs. A worker that restarts under its name "
        "resumes its jobs at once. Empty: the first free of local-0, local-1, …; with DATABASE_URL the host "
        "name.",
    )
    worker_alive_file: str = Field(
        "",
        description="File that `./entrypoint.sh worker` touches every 5 s while it is alive, for a liveness "
        "probe. Empty: none.",
    )
    job_retention_seconds: float = Field(
        3_600.0, ge=1, description="Seconds after its end for which a job is kept, with its audio and text."
    )
    job_audio_url: str = Field(
        "",
        description="Bucket for the audio of jobs: s3://bucket/prefix; needs the extra `s3`. Credentials, "
        "region and endpoint come from the standard variables of AWS. Empty: a folder in DATA_DIR.",
    )
    job_callback_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret with which callbacks are signed (Standard Webhooks): whsec_ and 24 to 64 bytes "
        "in base64. Empty: callbacks have no signature.",
    )
    max_jobs: int = Field(
        20_000,
        ge=1,
        description="Maximum number of unfinished jobs, of which one API key may have half; further ones are "
        "answered with 503.",
    )
    job_storage_mb: int = Field(
        51_200,
        ge=1,
        description="Maximum size of the audio of all jobs, in MiB; further uploads are answered with 507.",
    )

    @field_validator("data_dir")
    @classmethod
    def _is_no_file(cls, path: str) -> str:
        return check_no_file(path)

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value() and not DATABASE_URL.fullmatch(url.get_secret_value()):
            raise ValueError(
                "it must be the URL of a Postgres database, postgresql://user:password@host/name"
            )
        return url

    @field_validator("fetch_video_sites")
    @classmethod
    def _has_yt_dlp(cls, value: bool) -> bool:
        if value and find_spec("yt_dlp") is None:
            raise ValueError("video sites need the package of the extra `video`: poetry install -E video")
        return value

    @field_validator("job_callback_secret")
    @classmethod
    def _is_a_secret(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        try:
            key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
        except ValueError:
            key = b""
        if text and not (text.startswith("whsec_") and 24 <= len(key) <= 64):
            raise ValueError("not whsec_ and 24 to 64 bytes in base64: echo whsec_$(openssl rand -base64 32)")
        return value

    @field_validator("job_audio_url")
    @classmethod
    def _is_bucket(cls, value: str) -> str:
        if value and not AUDIO_URL.fullmatch(value):
            raise ValueError("it must be s3://bucket or s3://bucket/prefix")
        if value and find_spec("boto3") is None:
            raise ValueError("S3 needs the package of the extra `s3`: poetry install -E s3")
        return value

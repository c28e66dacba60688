"""Provide the base of HTTP endpoints whose requests become jobs, for any protocol."""

import errno
import hashlib
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson
from fastapi import Request

from downloads.address import target_of
from downloads.errors import AddressRefused
from jobs.errors import IdempotencyConflict, JobNotFound, JobsUnavailable, StorageFull, TooManyJobs
from jobs.host import JobsHost
from jobs.job import Job, JobOptions, JobPriority, JobSource, NewJob
from server.admission.controller import AdmissionController
from server.admission.quotas import HOUR_SECONDS
from server.auth.api_keys import caller_of
from server.errors import ApiError, ClientError, as_rate_limit, invalid, rate_limited, try_again
from server.http.exception_handlers import http_error_of
from server.http.multipart import FILE
from server.http.upload import Body, Upload, receive_upload
from server.settings import Settings

if TYPE_CHECKING:  # Importing it imports the database, which happens on first use of jobs.
    from jobs.service import Jobs

MAX_IDEMPOTENCY_KEY: Final = 200  # characters
MAX_EVENT_STREAMS: Final = 2_000
JOB_ID: Final = re.compile("job_[0-9a-f]{32}")
UNAVAILABLE_SECONDS: Final = 5.0  # after which a client may try again
FULL_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class JobServices:
    """Hold what all endpoints of jobs share.

    host: the jobs of this process; None if the settings allow none
    uploads: the admission of requests that submit a job
    watchers: the admission of clients that receive events of a job
    """

    settings: Settings
    host: JobsHost | None
    uploads: AdmissionController
    watchers: AdmissionController


class JobEndpoint:
    """Receive requests, and submit, read and delete jobs for their senders.

    A protocol derives from it: it reads the fields of a request, and writes the response.
    """

    protocol: str  # the name that is stored with the job

    def __init__(self, services: JobServices) -> None:
        self._services = services
        self._settings = services.settings

    @asynccontextmanager
    async def _received(self, request: Request, file_field: str = FILE) -> AsyncIterator[Upload]:
        """Yield the form or JSON object of a request that submits a job. Raises ApiError.

        file_field: name of the part of a form that is the file
        """
        async with (
            self._admitted(request) as body,
            receive_upload(request, body, file_field) as upload,
        ):
            yield upload

    @asynccontextmanager
    async def _admitted(self, request: Request) -> AsyncIterator[Body]:
        """Yield the body of a request that may submit a job. A ClientError inside becomes an ApiError."""
        uploads = self._services.uploads
        async with Body(request, self._settings.max_upload_bytes) as body:
            with _client_errors_as_http(), job_errors_as_http():
                uploads.policy.check_submission(request.scope)
                with uploads.admit():
                    jobs = await self._jobs()  # before a body is received that could not be stored
                    await _check_quota(request, jobs)
                    yield body

    async def _submit(
        self,
        request: Request,
        upload: Upload,
        *,
        url: str | None,
        options: JobOptions,
        priority: JobPriority = JobPriority.NORMAL,
    ) -> tuple[Job, bool]:
        """Submit a job for a file or a URL; return it, and whether it is new.

        Raises ApiError, also if the server downloads no files or refuses the URL.
        """
        key = _idempotency_key(request)
        jobs = await self._jobs()
        with job_errors_as_http():
            if url is not None:
                self._check_url(url)
                source = JobSource(url=url)
            else:
                assert upload.file is not None
                audio = await jobs.save_audio(upload.file)
                source = JobSource(name=upload.file_name, audio=audio.key, size=audio.size)
            return await jobs.submit(
                NewJob(
                    owner=owner_of(request),
                    source=source,
                    options=options,
                    priority=priority,
                    protocol=self.protocol,
                    idempotency_key=key,
                    fingerprint=_fingerprint(self.protocol, upload, source),
                )
            )

    async def _jobs(self) -> "Jobs":
        """Return the jobs. Raises ApiError if there are none here."""
        host = self._services.host
        if host is None:
            raise ApiError(404, "This server keeps no jobs: DATA_DIR is empty.", code="jobs_disabled")
        with job_errors_as_http():
            return await host.jobs()

    def _check_url(self, url: str) -> None:
        """Refuse a URL that could never be downloaded; the worker checks the host and what it leads to."""
        if not self._settings.fetch_urls:
            message = (
                "This server does not download files: send the file itself. "
                "Its operator can allow downloads with FETCH_URLS=true."
            )
            raise invalid(message, "url", "remote_content_error")
        check_address(url, "url")


def check_address(url: str, param: str) -> None:
    """Raise ApiError if a text is no http(s) address; whether it may be used is checked when it is."""
    try:
        target_of(url)
    except AddressRefused as error:
        raise invalid(error.message, param, error.code) from None


def owner_of(request: Request) -> str:
    """Return the name of the key that owns the jobs of a request; "" on a server without keys."""
    return caller_of(request.scope).name or ""


def checked_id(job_id: str) -> str:
    """Return a job id from a client. Raises JobNotFound if no job can have it."""
    if JOB_ID.fullmatch(job_id) is None:
        raise JobNotFound(job_id)
    return job_id


async def _check_quota(request: Request, jobs: "Jobs") -> None:
    """Raise ClientError if jobs of the key have used its audio of the last hour.

    Jobs of this process count against the quota like streams do; this sees those of other workers, too.
    """
    key = caller_of(request.scope).key
    if key is None or key.audio_seconds_per_hour is None:
        return
    if await jobs.audio_seconds(key.name, time.time() - HOUR_SECONDS) >= key.audio_seconds_per_hour:
        message = f"This key has used its quota of {key.audio_seconds_per_hour:g} s of audio per hour."
        raise rate_limited(message, FULL_SECONDS)


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= MAX_IDEMPOTENCY_KEY:
        message = f"An Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY} characters."
        raise invalid(message, "Idempotency-Key")
    return key


def _fingerprint(protocol: str, upload: Upload, source: JobSource) -> str:
    """Return a digest of the protocol, the fields and the content of the file."""
    content = source.audio and source.audio.partition("-")[0]
    return hashlib.sha256(orjson.dumps([protocol, list(upload.fields), content])).hexdigest()


@contextmanager
def _client_errors_as_http() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise http_error_of(as_rate_limit(error)) from None


@contextmanager
def job_errors_as_http() -> Iterator[None]:
    """Turn the errors of jobs, of their database and of the disk into ApiError."""
    try:
        yield
    except JobNotFound as error:
        raise ApiError(404, str(error), code="job_not_found") from None
    except IdempotencyConflict as error:
        raise ApiError(409, str(error), param="Idempotency-Key", code="idempotency_conflict") from None
    except TooManyJobs as error:
        raise try_again(str(error), "too_many_jobs", retry_after=FULL_SECONDS) from None
    except StorageFull as error:
        raise ApiError(507, str(error), code="storage_full") from None
    except JobsUnavailable as error:
        message = "The database of jobs cannot be used at present."
        raise try_again(message, "jobs_unavailable", retry_after=UNAVAILABLE_SECONDS) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise ApiError(507, "The disk of the server is full.", code="storage_full") from error

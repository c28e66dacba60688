"""Report the end of a job to the address that its client gave (https://www.standardwebhooks.com).

A report is sent at least once: after a crash, or when the answer is lost, it comes again, with the same
`webhook-id`. The unit of work that sends it is queued in the transaction that ends the job; each further try
is queued in the one that records the failure before it.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import orjson
from sqlalchemy.exc import SQLAlchemyError

from downloads.address import target_of
from downloads.errors import AddressRefused, DownloadError
from downloads.network import Network, errors_of_the_address, request
from jobs.callback_store import CallbackStore, DueCallback
from jobs.job import CallbackState, Delivery, JobState, JobTranscript

log = logging.getLogger(__name__)

# Seconds between the tries; all together nearly a day.
DELAYS: Final = (5.0, 30.0, 120.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 21_600.0, 36_000.0)
TRY_SECONDS: Final = 20.0  # for one try
DATABASE_SECONDS: Final = 5.0  # between two tries to reach the database
SECRET_PREFIX: Final = "whsec_"
GONE: Final = 410  # the receiver wants no further tries
VERSION: Final = 1  # of the payload


@dataclass(frozen=True, slots=True)
class Payload:
    """Hold the body of a report."""

    content: bytes
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class CallbackFormat:
    """Render reports in the way of a wire protocol.

    render: returns the report of a job that has ended; the segments are given only if `needs_text`
    needs_text: whether a report contains the text. It is not sent any more when the text has been deleted
    """

    render: Callable[[JobTranscript], Payload]
    needs_text: bool = False


def render_event(transcript: JobTranscript) -> Payload:
    """Return our own report: an event without the text, which is read with the key of the client."""
    job = transcript.job
    finished = datetime.fromtimestamp(job.finished or 0.0, UTC)
    succeeded = job.state is JobState.SUCCEEDED
    problem = None if job.problem is None else {"code": job.problem.code, "message": job.problem.message}
    event = {
        "type": f"job.{job.state}",
        "version": VERSION,
        "timestamp": finished.isoformat().replace("+00:00", "Z"),
        "data": {
            "id": job.id,
            "status": job.state,
            "error": problem,
            "metadata": job.options.metadata,
            "transcript": f"/v1/jobs/{job.id}/transcript" if succeeded else None,
        },
    }
    return Payload(orjson.dumps(event))


NATIVE: Final = CallbackFormat(render_event)


def secret_bytes(secret: str) -> bytes:
    """Return the key of a secret as Standard Webhooks writes it: whsec_ and bytes in base64."""
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX))


def signature(key: bytes, message_id: str, timestamp: int, content: bytes) -> str:
    """Return the value of `webhook-signature`: HMAC-SHA256 over id, time and body."""
    signed = f"{message_id}.{timestamp}.".encode() + content
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


@dataclass(frozen=True, slots=True)
class CallbackSender:
    """Send the reports of jobs.

    formats: by name of the protocol that submitted the job; others have our own format
    secret: key for signatures; None for reports without one
    private: addresses that are not public are allowed, too
    delays: seconds between the tries
    """

    store: CallbackStore
    formats: Mapping[str, CallbackFormat] = field(default_factory=dict)
    secret: bytes | None = None
    private: bool = False
    network: Network = field(default_factory=lambda: Network(idle_seconds=TRY_SECONDS))
    delays: tuple[float, ...] = DELAYS
    now: Callable[[], float] = time.time

    async def deliver(self, job_id: str, number: int) -> None:
        """Make a try to deliver the report of a job, and record it; number: of the try, from 0 on."""
        while True:
            try:
                due = await asyncio.to_thread(self.store.due, job_id, number)
                break
            except SQLAlchemyError as error:
                await self._wait_for_database(job_id, error)
        if due is None:
            log.info("callback.skipped job=%s try=%d", job_id, number)
            return
        delivery, state = await self._try(due, number)
        delay = self.delays[number] if state is CallbackState.PENDING else 0.0
        log.info(
            "callback.%s job=%s try=%d status=%s error=%s",
            state if state is not CallbackState.PENDING else "postponed",
            job_id,
            number,
            delivery.status,
            delivery.error,
        )
        while True:
            try:
                await asyncio.to_thread(self.store.record, job_id, delivery, state, delay)
                return
            except SQLAlchemyError as error:
                await self._wait_for_database(job_id, error)

    async def _wait_for_database(self, job_id: str, error: SQLAlchemyError) -> None:
        """Wait: a unit of work that fails is not run again, and the report would be lost."""
        log.warning("callback.database_failed job=%s error=%s", job_id, error)
        await asyncio.sleep(DATABASE_SECONDS)

    async def _try(self, due: DueCallback, number: int) -> tuple[Delivery, CallbackState]:
        """Send the report; return the try, and the state of the callback after it."""
        begun = self.now()
        status, error, is_over = None, None, False
        form = self.formats.get(due.job.protocol, NATIVE)
        if form.needs_text and due.is_stripped:
            error, is_over = "The text has been deleted.", True
        else:
            try:
                payload = await asyncio.to_thread(self._payload, due, form)
                status = await self._send(due.url, f"msg_{due.job.id}", payload)
            except DownloadError as failure:
                error, is_over = failure.message, isinstance(failure, AddressRefused)
        delivery = Delivery(number, begun, self.now() - begun, status, error)
        if status is not None and 200 <= status < 300:
            return delivery, CallbackState.DELIVERED
        if is_over or status == GONE or number >= len(self.delays):
            return delivery, CallbackState.FAILED
        return delivery, CallbackState.PENDING

    def _payload(self, due: DueCallback, form: CallbackFormat) -> Payload:
        parts = self.store.parts(due.job.id) if form.needs_text else ()
        return form.render(JobTranscript.of_parts(due.job, parts))

    async def _send(self, url: str, message_id: str, payload: Payload) -> int:
        """Post the report, and return the status of the answer. Raises DownloadError."""
        timestamp = int(self.now())
        headers = {
            "content-type": payload.media_type,
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
        }
        if self.secret is not None:
            headers["webhook-signature"] = signature(self.secret, message_id, timestamp, payload.content)
        opened = request(
            "POST",
            target_of(url),
            private=self.private,
            network=self.network,
            headers=headers,
            content=payload.content,
        )
        try:
            with errors_of_the_address():
                async with asyncio.timeout(TRY_SECONDS), opened as response:
                    return response.status_code
        except TimeoutError:
            raise DownloadError("It did not answer in time.", is_transient=True) from None

"""Submit files as jobs of a server, and come back for their text (docs/jobs.md).

with JobsClient("http://localhost:5001") as jobs:
    job = jobs.submit("interview.mp3", language="en")
    jobs.wait(job["id"])
    print(jobs.transcript(job["id"]))
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from client.errors import SttClientError

Job = dict[str, Any]  # the object of docs/jobs.md

FINAL: Final = frozenset({"succeeded", "failed", "cancelled"})
ADDRESSES: Final = ("http://", "https://")
PAGE: Final = 100
TRIES: Final = 5  # of a request that may succeed later
RETRY_SECONDS: Final = 1.0
MAX_RETRY_SECONDS: Final = 30.0
LATER: Final = frozenset({429, 502, 503, 504})
LOST_SECONDS: Final = 300.0  # without the server, after which `wait` gives up
IDLE_SECONDS: Final = 60.0  # without a byte; the server sends a comment every 15 s


class JobsError(SttClientError):
    """The server refused a request, or did not answer.

    status: HTTP status; None if there was no answer
    code: name of the error in docs/jobs.md; None without one
    is_unreachable: whether no connection could be made
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        code: str | None = None,
        *,
        is_unreachable: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.is_unreachable = is_unreachable


class JobsClient:
    """Call /v1/jobs of a server. All methods block, and raise JobsError.

    A request that fails for a reason that may pass is sent again. A job is nevertheless submitted only once,
    because each submission has an Idempotency-Key.

    url: of the server, such as http://localhost:5001; anything else raises JobsError
    key: API key, if the server requires one
    sleep: waits between two tries, in seconds
    """

    def __init__(
        self, url: str, *, key: str | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._sleep = sleep
        self._url = url
        if not _is_address(url):
            raise JobsError(f"{url!r} is no address of a server, such as http://localhost:5001.")
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        # Reading the certificate authorities takes 60 ms, and a server without TLS needs none.
        needs_tls = url.lower().startswith("https:")
        self._http = httpx.Client(
            base_url=url.rstrip("/") + "/v1/jobs", headers=headers, verify=needs_tls, timeout=IDLE_SECONDS
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(self, source: str | Path, *, idempotency_key: str | None = None, **fields: Any) -> Job:
        """Submit a file or an http(s) address, and return its job.

        fields: those of docs/jobs.md, such as language, hotwords, start and end
        idempotency_key: a second submission with the same key returns the first job; None for a new one

        Raises OSError, too, if the file cannot be read.
        """
        headers = {"idempotency-key": idempotency_key or uuid.uuid4().hex}
        given = {name: value for name, value in fields.items() if value is not None}
        if isinstance(source, str) and source.startswith(ADDRESSES):
            return self._json("POST", headers=headers, json={"url": source, **given})
        form = {name: value if isinstance(value, list) else str(value) for name, value in given.items()}
        with Path(source).open("rb") as file:
            return self._json(
                "POST", headers=headers, data=form, files={"file": (Path(source).name, file)}, rewind=file
            )

    def get(self, job_id: str) -> Job:
        """Return a job."""
        return self._json("GET", f"/{job_id}")

    def find(self, status: str = "") -> Iterator[Job]:
        """Yield the jobs of the key, the newest first; status: only these states, separated by commas."""
        query: dict[str, Any] = {"limit": PAGE, "status": status}
        while True:
            page = self._json("GET", params=query)
            yield from page["data"]
            if not page["has_more"]:
                return
            query["after"] = page["last_id"]

    def cancel(self, job_id: str) -> Job:
        """Cancel a job unless it has ended, and return it."""
        return self._json("DELETE", f"/{job_id}", params={"keep": "true"})

    def delete(self, job_id: str) -> None:
        """Delete a job with its audio and its text; it is cancelled first unless it has ended."""
        self.cancel(job_id)
        self._json("DELETE", f"/{job_id}")

    def transcript(self, job_id: str, format: str = "text") -> str:
        """Return the text of a job as far as it is known; format: json, text, srt, vtt, ass or md."""
        return self._answer("GET", f"/{job_id}/transcript", params={"format": format}).text

    def wait(self, job_id: str, on_change: Callable[[Job], None] = lambda job: None) -> Job:
        """Wait until a job has ended, and return it. A restart of the server does not matter.

        on_change: called with the job now, and after each change
        """
        lost_at: float | None = None
        while True:
            try:
                for job in self._changes(job_id):
                    lost_at = None
                    on_change(job)
                    if job["status"] in FINAL:
                        return job
                problem = JobsError("The events ended before the job.")
            except JobsError as error:
                if error.status is not None and error.status not in LATER:
                    raise
                problem = error
            lost_at = lost_at or time.monotonic()
            if time.monotonic() - lost_at > LOST_SECONDS:
                raise problem
            self._sleep(RETRY_SECONDS)

    def _changes(self, job_id: str) -> Iterator[Job]:
        """Yield the job now and after each change, while the connection lasts."""
        kind = ""
        try:
            with self._http.stream("GET", f"/{job_id}/events") as answer:
                if answer.is_error:
                    answer.read()
                    raise _error(answer)
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        kind = value
                    elif name == "data" and kind == "job":
                        yield json.loads(value)
                    elif name == "data" and kind == "error":
                        told = json.loads(value)
                        is_gone = told["code"] == "job_not_found"
                        raise JobsError(told["message"], 404 if is_gone else None, told["code"])
        except httpx.TransportError as error:
            raise self._no_answer(error) from error

    def _no_answer(self, error: httpx.TransportError) -> JobsError:
        return JobsError(
            f"The server at {self._url} does not answer: {str(error) or type(error).__name__}",
            is_unreachable=isinstance(error, httpx.ConnectError | httpx.ConnectTimeout),
        )

    def _json(self, method: str, path: str = "", **request: Any) -> dict[str, Any]:
        content: dict[str, Any] = self._answer(method, path, **request).json()
        return content

    def _answer(self, method: str, path: str = "", *, rewind: Any = None, **request: Any) -> httpx.Response:
        """Return the answer to a request; send it again if it may succeed later.

        rewind: a file that is sent
        """
        for rest in reversed(range(TRIES)):
            if rewind is not None:
                rewind.seek(0)
            wait = RETRY_SECONDS
            try:
                answer = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                problem = self._no_answer(error)
                problem.__cause__ = error
            else:
                if not answer.is_error:
                    return answer
                problem = _error(answer)
                if answer.status_code not in LATER:
                    raise problem
                after = answer.headers.get("retry-after", "")
                wait = min(float(after), MAX_RETRY_SECONDS) if after.isdecimal() else RETRY_SECONDS
            if rest == 0:
                raise problem
            self._sleep(wait)
        raise AssertionError("unreachable")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, brackets without an IPv6 address
        return False


def _error(answer: httpx.Response) -> JobsError:
    try:
        error = answer.json()["error"]
        return JobsError(error["message"], answer.status_code, error["code"])
    except (ValueError, KeyError, TypeError):
        return JobsError(f"The server answers with status {answer.status_code}.", answer.status_code)

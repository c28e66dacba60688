"""Submit requests of POST /v1/listen with a `callback` as jobs; the result is posted to that address."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Final

import orjson
from fastapi import Request
from starlette.responses import JSONResponse

from audio.codecs import Encoding
from audio.wav_header import header
from jobs.job import JobTranscript
from server.errors import invalid
from server.http.upload import IN_MEMORY, Body, Upload, media_type_of
from server.protocols.deepgram.file_body import JSON, store, url_in
from server.protocols.deepgram.job_result import job_options, report_of
from server.protocols.deepgram.options import parse_options
from server.protocols.job_endpoint import JobEndpoint, check_address

if TYPE_CHECKING:
    from jobs.callbacks import CallbackFormat

PROTOCOL: Final = "deepgram"  # the format of the callback
REQUEST_HEADER: Final = "dg-request-id"


def callback_formats() -> dict[str, "CallbackFormat"]:
    """Return how the results of these requests are posted. Its import takes time, so a job comes first."""
    from jobs.callbacks import CallbackFormat, Payload

    def render(transcript: JobTranscript) -> Payload:
        return Payload(orjson.dumps(report_of(transcript)))

    return {PROTOCOL: CallbackFormat(render, needs_text=True)}


class CallbackSubmission(JobEndpoint):
    """Receive a file or a URL, and submit a job that reports its end."""

    protocol = PROTOCOL

    async def submit(self, request: Request) -> JSONResponse:
        """Return the id of the request, which is that of the job. Raises ApiError."""
        async with self._admitted(request) as body:
            query = request.query_params.multi_items()
            options = parse_options(query, self._settings.session_options())
            callback = request.query_params["callback"]
            check_address(callback, "callback")
            if request.query_params.get("callback_method", "post").lower() != "post":
                message = "This server posts results: `callback_method` may be post."
                raise invalid(message, "callback_method")
            presentation = [pair for pair in query if not pair[0].startswith("callback")]
            chosen = job_options(options, presentation, diarizes=self._settings.diarize)
            async with _received_audio(request, body, options.encoding) as (file, url):
                upload = Upload([("url", url), *presentation], file)
                job, _ = await self._submit(
                    request, upload, url=url, options=replace(chosen, callback=callback)
                )
        return JSONResponse({"request_id": job.id}, headers={REQUEST_HEADER: job.id})


@asynccontextmanager
async def _received_audio(
    request: Request, body: Body, encoding: Encoding | None
) -> AsyncIterator[tuple[IO[bytes] | None, str | None]]:
    """Yield the file or the URL of a request. Raises ApiError, ClientDisconnect.

    encoding: of raw samples, which get a header; None if the file has one
    """
    if media_type_of(request) == JSON:
        if encoding is not None:
            raise invalid("A URL with a callback must lead to a file with a header.", "encoding")
        yield None, await url_in(body)
        return
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        await store(body.chunks(body.limit), file, b"" if encoding is None else header(encoding))
        yield file, None

"""Submit requests of POST /v1/listen with a `callback` as jobs; the result is posted to that address."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import orjson
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from audio.wav_header import header
from jobs.job import JobTranscript
from server.errors import ClientError, invalid
from server.http.exception_handlers import http_error_of
from server.http.upload import IN_MEMORY, Body, Upload, media_type_of
from server.protocols.deepgram.file_body import JSON, store, url_in
from server.protocols.deepgram.job_result import job_options, report_of
from server.protocols.deepgram.options import DeepgramOptions, parse_options
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

    def router(self) -> APIRouter:
        """Return no routes: DeepgramFileEndpoint calls `submit`."""
        return APIRouter()

    async def submit(self, request: Request) -> JSONResponse:
        """Return the id of the request, which is that of the job. Raises ApiError."""
        options = self._read_options(request)
        callback = request.query_params["callback"]
        check_address(callback, "callback")
        if request.query_params.get("callback_method", "post").lower() != "post":
            raise invalid("This server posts results: `callback_method` may be post.", "callback_method")
        async with self._received(request) as upload:
            job, _ = await self._submit(
                request,
                upload,
                url=str(upload.fields[0][1]) if upload.file is None else None,
                options=replace(job_options(options, _query_of(request)), callback=callback),
            )
        return JSONResponse({"request_id": job.id}, headers={REQUEST_HEADER: job.id})

    @asynccontextmanager
    async def _file(self, request: Request, body: Body) -> AsyncIterator[Upload]:
        """Yield the file, or the URL as the only field."""
        encoding = self._read_options(request).encoding
        if media_type_of(request) == JSON:
            if encoding is not None:
                raise invalid("A URL with a callback must lead to a file with a header.", "encoding")
            yield Upload([("url", await url_in(body)), *_query_of(request)], None)
            return
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
            await store(body.chunks(body.limit), file, b"" if encoding is None else header(encoding))
            yield Upload(_query_of(request), file)

    def _upload(self, request: Request, body: Body) -> AbstractAsyncContextManager[Upload]:
        return self._file(request, body)

    def _read_options(self, request: Request) -> DeepgramOptions:
        try:
            return parse_options(request.query_params.multi_items(), self._settings.session_options())
        except ClientError as error:
            raise http_error_of(error) from None


def _query_of(request: Request) -> list[tuple[str, str]]:
    """Return the options of the request, which form its result."""
    return [pair for pair in request.query_params.multi_items() if not pair[0].startswith("callback")]

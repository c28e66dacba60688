"""Serve /v1/documents, /v1/summaries and /v1/subtitles: convert and summarize transcripts of clients."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from postprocessing.summary import Summarizer
from server.admission.controller import AdmissionController
from server.errors import ApiError, ClientError, as_rate_limit
from server.http.disconnect import cancel_on_disconnect
from server.http.exception_handlers import http_error_of
from server.http.sse import KEEP_ALIVE, KEEP_ALIVE_SECONDS, EventStream, encoded_event
from server.http.upload import Body, media_type_of
from server.http.url_parameters import check_parameters
from server.protocols.document_formats import DocumentFormat, write_document
from server.protocols.documents import openapi
from server.protocols.documents.request import parse_transcript, read_segments
from server.protocols.openapi_schemas import TYPES
from server.protocols.summary_fields import summary_fields
from server.settings import Settings
from streaming.threads import run_in_thread_to_completion
from transcripts.transcript import Transcript, chapters_fields, passages_of

log = logging.getLogger(__name__)

MAX_BYTES: Final = 8 << 20  # of the JSON: about 20 hours of speech with the times of words
MAX_AT_ONCE: Final = 2  # documents; each needs some hundred MB if it has MAX_BYTES
JSON: Final = (TYPES["json"],)
SUBTITLE_TYPES: Final = (TYPES["text"], TYPES["vtt"], "application/x-subrip")
MAX_SUMMARIES: Final = 8  # at once


class DocumentsEndpoint:
    """Make documents and summaries of transcripts; nothing is stored.

    documents, summaries: the admission of requests
    """

    def __init__(
        self, settings: Settings, documents: AdmissionController, summaries: AdmissionController
    ) -> None:
        self._settings = settings
        self._documents = documents
        self._summaries = summaries

    def router(self) -> APIRouter:
        """Return the routes of transcripts that clients send."""
        router = APIRouter(tags=["documents"], dependencies=[Depends(check_parameters)])

        @router.post("/v1/documents", **openapi.CREATE)
        async def create(request: Request, format: DocumentFormat) -> Response:
            """Return the transcript of the body as a document or as subtitles."""
            return await self._create(request, format)

        @router.post("/v1/summaries", **openapi.SUMMARIZE)
        async def summarize(
            request: Request,
            chapters: Annotated[bool, Query(description="whether its chapters are sent, too")] = False,
        ) -> Response:
            """Send a summary of the transcript of the body as server-sent events, as it is written."""
            return await self._summarize(request, chapters=chapters)

        @router.post("/v1/subtitles", **openapi.READ)
        async def read(
            request: Request,
            speakers: Annotated[
                bool, Query(description="whether names before colons in SubRip are those of speakers")
            ] = False,
        ) -> Response:
            """Return the segments of subtitles in SubRip or WebVTT, in order of time."""
            return await self._read(request, speakers=speakers)

        return router

    async def _read(self, request: Request, *, speakers: bool) -> Response:
        def make(content: bytes) -> Response:
            return Response(orjson.dumps(read_segments(content, speakers=speakers)), media_type=TYPES["json"])

        async with _received(request) as body:
            with self._documents.admit():
                content = await _content(request, body, SUBTITLE_TYPES)
                return await run_in_thread_to_completion(make, content)
        raise AssertionError("unreachable")  # no context here swallows an exception

    async def _create(self, request: Request, format: DocumentFormat) -> Response:
        def make(content: bytes) -> Response:
            given = parse_transcript(content)
            document, media_type = write_document(
                given.transcript, format, given.summary or None, given.chapters
            )
            return Response(document, media_type=media_type)

        async with _received(request) as body:
            with self._documents.admit():
                return await run_in_thread_to_completion(make, await _content(request, body))
        raise AssertionError("unreachable")  # no context here swallows an exception

    async def _summarize(self, request: Request, *, chapters: bool) -> Response:
        async with AsyncExitStack() as stack:
            async with _received(request) as body:
                self._summaries.policy.check_submission(request.scope)
                stack.enter_context(self._summaries.admit())
                content = await _content(request, body)
            async with cancel_on_disconnect(request.receive):
                given = await run_in_thread_to_completion(parse_transcript, content)
            summarizer = Summarizer(self._settings.summary_endpoint())
            events = _summary_events(summarizer, given.transcript, chapters=chapters)
            timeout = self._settings.send_timeout_seconds
            return EventStream(events, stack.pop_all(), headers={}, send_timeout=timeout)
        raise AssertionError("unreachable")  # no context here swallows an exception


@asynccontextmanager
async def _received(request: Request) -> AsyncIterator[Body]:
    """Yield the body of a request. A ClientError inside becomes an ApiError."""
    async with Body(request, MAX_BYTES) as body:
        try:
            yield body
        except ClientError as error:
            raise http_error_of(as_rate_limit(error)) from None


async def _content(request: Request, body: Body, kinds: Collection[str] = JSON) -> bytes:
    """Return the body of a request. Raises ApiError.

    kinds: the media types that are accepted
    """
    if media_type_of(request) not in kinds:
        raise ApiError(415, f"The body must be {' or '.join(kinds)}.")
    content = bytearray()
    async with aclosing(body.chunks(MAX_BYTES)) as chunks:
        async for chunk in chunks:
            content += chunk
    return bytes(content)


async def _summary_events(
    summarizer: Summarizer,
    transcript: Transcript,
    *,
    chapters: bool,
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
) -> AsyncGenerator[bytes, None]:
    """Yield `summary.delta` for each piece that a model writes, and `summary.done` with the summary."""
    texts = [segment.hypothesis.text for segment in transcript.segments]
    pieces: asyncio.Queue[str | None] = asyncio.Queue()  # An answer has a bound (postprocessing/chat.py).

    async def make() -> dict[str, object]:
        summary = await summarizer.summarize(texts, pieces.put_nowait)
        log.info("summary.made method=%s characters=%d", summary.method, len(summary.text))
        fields: dict[str, object] = {"summary": summary_fields(summary)}
        if chapters:
            found = await summarizer.chapters(passages_of(transcript.segments))
            fields["chapters"] = chapters_fields(found)
        return fields

    work = asyncio.ensure_future(make())
    work.add_done_callback(lambda _: pieces.put_nowait(None))
    try:
        while True:
            try:
                async with asyncio.timeout(keep_alive_seconds):
                    piece = await pieces.get()
            except TimeoutError:
                yield KEEP_ALIVE
                continue
            if piece is None:
                break
            yield encoded_event({"type": "summary.delta", "delta": piece})
        yield encoded_event({"type": "summary.done", **work.result()})
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

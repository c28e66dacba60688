"""The REST doors of OpenAI's audio API: docs/rest.md spoken over HTTP."""

import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack, aclosing
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from engine.file_transcriber import FileTranscriber
from server.admission.quotas import UsageMeter
from server.errors import ApiError, invalid
from server.http.disconnect import cancel_on_disconnect
from server.http.request_id import REQUEST_ID
from server.http.sse import EventStream
from server.http.upload import Body, Upload, received
from server.observability.log_config import session_id
from server.protocols.file_endpoint import FileEndpoint
from server.protocols.file_errors import file_errors_as_http
from server.protocols.openai_audio.openapi import TRANSCRIPTION, TRANSLATION
from server.protocols.openai_audio.request import TranscriptionRequest, transcription_of, translation_of
from server.protocols.openai_audio.response import SseTranscript, render
from streaming.options import SessionOptions
from transcripts.transcript import TranscriptSegment

log = logging.getLogger(__name__)

MODEL_HEADER: Final = "x-model"  # of an answer: which model did the work

Read = Callable[[Iterable[tuple[str, object]], SessionOptions], TranscriptionRequest]


class OpenAIAudioEndpoint(FileEndpoint):
    """POST /v1/audio/transcriptions and /v1/audio/translations."""

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/audio", tags=["audio"])

        @router.post("/transcriptions", **TRANSCRIPTION)
        async def transcribe(request: Request) -> Response:
            """Writes down what is said in a file of sound or video."""
            return await self._serve(request, transcription_of)

        @router.post("/translations", **TRANSLATION)
        async def translate(request: Request) -> Response:
            """Writes down in English what is said in a file; with a model that can."""
            return await self._serve(request, translation_of)

        return router

    async def _serve(self, request: Request, read: Read) -> Response:
        session_id.set(request.scope[REQUEST_ID])
        async with AsyncExitStack() as stack:
            body = await stack.enter_async_context(Body(request, self._settings.max_upload_bytes))
            meter = self._admit(stack, request)
            upload = await stack.enter_async_context(received(request, body))
            asked = read(upload.fields, self._settings.session_options())
            async with cancel_on_disconnect(request.receive):
                with self._answered_at_shutdown(), file_errors_as_http():
                    return await self._work(stack, asked, upload, meter)
        raise AssertionError("unreachable")  # no context here swallows an exception

    async def _work(
        self, stack: AsyncExitStack, asked: TranscriptionRequest, upload: Upload, meter: UsageMeter
    ) -> Response:
        file = upload.file or await self._download(stack, asked.url)
        work = self._transcriber(file, meter)
        await work.check()
        models, description = await self._borrow(stack, asked.model)
        if asked.task == "translate" and not description.translates:
            raise invalid(f"The model {description.model} cannot translate.", "model", "unsupported_value")
        log.info("a file for %s: %s", description.model, asked.format)
        headers = {MODEL_HEADER: quote(description.model, safe="/")}
        segments = work.transcribe(models, asked.session)
        if asked.stream:
            events = self._events(asked, work, segments, description.model)
            timeout = self._settings.send_timeout_seconds
            return EventStream(events, stack.pop_all(), headers=headers, send_timeout=timeout)
        async with aclosing(segments):
            async for _ in segments:
                pass
        content, media_type = render(asked, work.transcript("", description.model), work.seconds)
        return Response(content, media_type=media_type, headers=headers)

    async def _events(
        self,
        asked: TranscriptionRequest,
        work: FileTranscriber,
        segments: AsyncGenerator[TranscriptSegment, None],
        model: str,
    ) -> AsyncGenerator[bytes, None]:
        told = SseTranscript(asked)
        try:
            with self._answered_at_shutdown(), file_errors_as_http():
                async with aclosing(segments):
                    async for segment in segments:
                        yield told.segment(segment)
        except ApiError as error:
            log.info("told the client: %s", error)
            yield told.error(error)
        else:
            yield told.done(work.transcript("", model), work.seconds)

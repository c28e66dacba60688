"""Serve the HTTP endpoints of OpenAI's audio API, which docs/rest.md describes."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Final, Protocol
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from engine.file_diarizer import DiarizationOptions
from engine.file_transcriber import FileTranscriber
from server.admission.quotas import UsageMeter
from server.errors import ApiError, invalid
from server.http.disconnect import cancel_on_disconnect
from server.http.paths import deployment_of
from server.http.request_id import REQUEST_ID
from server.http.sse import EventStream
from server.http.upload import Body, Upload, receive_upload
from server.observability.log_config import session_id
from server.protocols.file_endpoint import FileEndpoint
from server.protocols.file_errors import file_errors_as_http
from server.protocols.known_speakers import read_known_speakers
from server.protocols.openai_audio.openapi import TRANSCRIPTION, TRANSLATION
from server.protocols.openai_audio.request import (
    SpeakerFields,
    TranscriptionRequest,
    parse_transcription,
    parse_translation,
)
from server.protocols.openai_audio.response import SseTranscript, render
from streaming.options import SessionOptions
from transcripts.transcript import TranscriptSegment

log = logging.getLogger(__name__)

MODEL_HEADER: Final = "x-model"  # response header with the name of the model that was used
FILTERED_HEADER: Final = "x-filtered"  # ... with the number of segments whose text was removed or shortened

WARNINGS_HEADER: Final = "x-warnings"  # response header with a JSON list, for formats without a field for it


class Read(Protocol):
    """Parse the fields of a request."""

    def __call__(
        self, fields: Iterable[tuple[str, object]], defaults: SessionOptions, *, is_json: bool
    ) -> TranscriptionRequest:
        """Return the checked options; is_json: whether the fields are of JSON. Raises ApiError."""


class OpenAIAudioEndpoint(FileEndpoint):
    """Serve POST /v1/audio/transcriptions and /v1/audio/translations."""

    def router(self) -> APIRouter:
        """Return the routes of the audio API."""
        router = APIRouter(prefix="/v1/audio", tags=["audio"])

        @router.post("/transcriptions", **TRANSCRIPTION)
        async def transcribe(request: Request) -> Response:
            """Transcribe the speech in an audio or video file."""
            return await self._serve(request, parse_transcription)

        @router.post("/translations", **TRANSLATION)
        async def translate(request: Request) -> Response:
            """Transcribe the speech in a file into English, if the model translates or knows only English."""
            return await self._serve(request, parse_translation)

        return router

    async def _serve(self, request: Request, read: Read) -> Response:
        session_id.set(request.scope[REQUEST_ID])
        async with AsyncExitStack() as stack:
            body = await stack.enter_async_context(Body(request, self._settings.max_upload_bytes))
            meter = self._admit(stack, request)
            upload = await stack.enter_async_context(receive_upload(request, body))
            # Azure's path names the model, and its clients need not send the field.
            deployment = deployment_of(request)
            named = [] if deployment is None else [("model", deployment)]
            fields = [*named, *upload.fields]
            options = read(fields, self._settings.session_options(), is_json=upload.is_json)
            async with cancel_on_disconnect(request.receive):
                with self._answered_at_shutdown(), file_errors_as_http():
                    return await self._work(stack, options, upload, meter)
        raise AssertionError("unreachable")  # no context here swallows an exception

    async def _work(
        self, stack: AsyncExitStack, options: TranscriptionRequest, upload: Upload, meter: UsageMeter
    ) -> Response:
        file = upload.file or await self._download(stack, options.url)
        diarization = await _diarization(options.speakers)
        work = self._transcriber(
            file, meter, options.track, options.within, diarization, multichannel=options.multichannel
        )
        await work.check()
        models, description = await self._acquire_models(stack, options.model)
        session = options.session
        if options.task == "translate" and not description.translates:
            if description.languages != ("en",):
                message = f"The model {description.model} cannot translate."
                raise invalid(message, "model", "unsupported_value")
            # What an English-only model writes is English already.
            session = replace(session, asr=replace(session.asr, task="transcribe"))
        if options.speakers is not None and options.speakers.required and models.speakers is None:
            raise invalid("This server does not distinguish speakers.", "diarize", "unsupported_value")
        log.info("file.accepted model=%s format=%s", description.model, options.format)
        headers = {MODEL_HEADER: quote(description.model, safe="/")}
        segments = work.transcribe(models, session)
        if options.stream:
            events = self._events(options, work, segments, description.model)
            timeout = self._settings.send_timeout_seconds
            return EventStream(events, stack.pop_all(), headers=headers, send_timeout=timeout)
        async with aclosing(segments):
            async for _ in segments:
                pass
        transcript = work.transcript("", description.model)
        if transcript.filtered:
            headers[FILTERED_HEADER] = str(len(transcript.filtered))
        if transcript.warnings:
            headers[WARNINGS_HEADER] = json.dumps(transcript.warnings)
        summary = await self._summarize(transcript) if options.summarize else None
        chapters = await self._divide(transcript) if options.chapters else None
        # The cues of a file of hours take seconds.
        content, media_type = await asyncio.to_thread(
            render, options, transcript, work.seconds, summary, chapters
        )
        return Response(content, media_type=media_type, headers=headers)

    async def _events(
        self,
        options: TranscriptionRequest,
        work: FileTranscriber,
        segments: AsyncGenerator[TranscriptSegment, None],
        model: str,
    ) -> AsyncGenerator[bytes, None]:
        sse = SseTranscript(options)
        try:
            with self._answered_at_shutdown(), file_errors_as_http():
                async with aclosing(segments):
                    async for segment in segments:
                        yield sse.segment(segment)
                transcript = work.transcript("", model)
                summary = await self._summarize(transcript) if options.summarize else None
                chapters = await self._divide(transcript) if options.chapters else None
        except ApiError as error:
            log.info("error.sent code=%s message=%s", error.code, error)
            yield sse.error(error)
        else:
            yield sse.done(transcript, work.seconds, summary, chapters)


async def _diarization(fields: SpeakerFields | None) -> DiarizationOptions | None:
    if fields is None:
        return None
    return DiarizationOptions(fields.bounds, await read_known_speakers(fields.known))

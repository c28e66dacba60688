"""Serve files of Deepgram's API at POST /v1/listen, as docs/deepgram.md describes."""

import asyncio
import logging
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from typing import Any, Final
from uuid import NAMESPACE_DNS, uuid5

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from audio.wav_header import header
from engine.engine import Engine
from engine.file_diarizer import DiarizationOptions
from engine.file_transcriber import FileTranscriber
from server.admission.controller import AdmissionController
from server.errors import ApiError, ClientError
from server.http.disconnect import cancel_on_disconnect
from server.http.exception_handlers import http_error_of
from server.http.request_id import REQUEST_ID
from server.http.upload import IN_MEMORY, Body, media_type_of
from server.observability.log_config import session_id
from server.observability.metrics import Metrics
from server.protocols.deepgram.callback_submission import REQUEST_HEADER, CallbackSubmission
from server.protocols.deepgram.file_body import JSON, pieces_of, store, url_in
from server.protocols.deepgram.file_response import FileResult, build_response
from server.protocols.deepgram.live_output import ModelMetadata, timestamp
from server.protocols.deepgram.messages import RequestError, error_code
from server.protocols.deepgram.options import DeepgramOptions, parse_options
from server.protocols.file_endpoint import FileEndpoint
from server.protocols.file_errors import file_errors_as_http
from server.protocols.job_endpoint import JobServices
from server.settings import Settings

log = logging.getLogger(__name__)


PROJECTS_PATH: Final = "/v1/projects"
DEEPGRAM_PATHS: Final = ("/v1/listen", PROJECTS_PATH)  # whose errors have the format of Deepgram
PROJECT: Final = {"project_id": str(uuid5(NAMESPACE_DNS, "stt-server")), "name": "stt-server"}
# By status, for errors that have no code in OpenAI's API.
CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large"}


class DeepgramFileEndpoint(FileEndpoint):
    """Serve POST /v1/listen and GET /v1/projects."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        files: AdmissionController,
        metrics: Metrics,
        services: JobServices,
    ) -> None:
        super().__init__(settings, engine, files, metrics)
        self._submission = CallbackSubmission(services)

    def router(self) -> APIRouter:
        """Return the routes of Deepgram's API over HTTP."""
        router = APIRouter(tags=["listen"])

        @router.post("/v1/listen", response_model=None)
        async def listen(request: Request) -> Response:
            """Transcribe the audio or video in the body, as Deepgram's API does."""
            request_id: str = request.scope[REQUEST_ID]
            session_id.set(request_id)
            if "callback" in request.query_params:
                return await self._submission.submit(request)
            response = await self._respond(request, request_id)
            response.headers[REQUEST_HEADER] = request_id
            return response

        @router.get(PROJECTS_PATH)
        async def projects() -> dict[str, list[dict[str, str]]]:
            """List one project: Deepgram's command line checks its key with this request."""
            return {"projects": [PROJECT]}

        return router

    async def _respond(self, request: Request, request_id: str) -> Response:
        """Return the transcript of the file. Raises ApiError, ClientDisconnect."""
        created = timestamp(datetime.now(UTC))
        async with AsyncExitStack() as stack:
            body = await stack.enter_async_context(Body(request, self._settings.max_upload_bytes))
            options = self._read_options(request)
            meter = self._admit(stack, request)
            with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
                head = b"" if options.encoding is None else header(options.encoding)
                url = await url_in(body) if media_type_of(request) == JSON else None
                digest = "" if url is not None else await store(body.chunks(body.limit), file, head)
                async with cancel_on_disconnect(request.receive):
                    with self._answered_at_shutdown(), file_errors_as_http():
                        if url is not None:
                            digest = await store(pieces_of(await self._download(stack, url)), file, head)
                        diarization = DiarizationOptions() if options.diarized else None
                        transcriber = self._transcriber(
                            file,
                            meter,
                            options.track,
                            options.within,
                            diarization,
                            multichannel=options.multichannel,
                        )
                        model = await self._transcribe(stack, options, transcriber)
                        transcript = transcriber.transcript("", "")
                        summary = await self._summarize(transcript) if options.summarized else None
            result = FileResult(
                request_id,
                digest,
                created,
                transcriber.seconds,
                transcript.segments,
                transcript.filtered,
                transcript.warnings,
                summary,
                transcriber.channels,
            )
            content = await asyncio.to_thread(lambda: orjson.dumps(build_response(options, model, result)))
            return Response(content, media_type="application/json")
        raise AssertionError("unreachable")  # no context here swallows an exception

    def _read_options(self, request: Request) -> DeepgramOptions:
        try:
            return parse_options(
                request.query_params.multi_items(), self._settings.session_options().for_file()
            )
        except ClientError as error:
            raise http_error_of(error) from None

    async def _transcribe(
        self, stack: AsyncExitStack, options: DeepgramOptions, transcriber: FileTranscriber
    ) -> ModelMetadata:
        await transcriber.check()
        models, description = await self._acquire_models(stack, options.model or "")
        log.info("file.accepted model=%s", description.model)
        async with aclosing(transcriber.transcribe(models, options.session)) as segments:
            async for _ in segments:
                pass
        return ModelMetadata.of(description)


def deepgram_error(error: ApiError, scope: Mapping[str, Any]) -> JSONResponse:
    """Return the response for an error, in the format of Deepgram."""
    request_id: str = scope[REQUEST_ID]
    code = error.code or CODES.get(error.status, "invalid_request")
    fields = RequestError(err_code=error_code(code), err_msg=error.message, request_id=request_id)
    return JSONResponse(fields, error.status, {**error.headers, REQUEST_HEADER: request_id})

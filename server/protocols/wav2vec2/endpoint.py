"""Serve GET and POST /wav2vec2: transcribe an upload, or a file of the server, in Vietnamese."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from asr.recognizer import ModelInfo, TranscriptionOptions
from engine.engine import Engine
from engine.file_transcriber import AudioTooLong, FileTranscriber
from jobs.job import JobOptions
from server.admission.controller import AdmissionController
from server.admission.quotas import UsageMeter
from server.errors import ApiError, invalid, missing
from server.http.disconnect import cancel_on_disconnect
from server.http.request_id import REQUEST_ID
from server.http.served_files import open_below
from server.http.upload import Body, Upload, media_type_of, receive_upload
from server.observability.log_config import session_id
from server.observability.metrics import Metrics
from server.protocols.file_endpoint import FileEndpoint
from server.protocols.file_errors import file_errors_as_http
from server.protocols.job_endpoint import JobEndpoint, JobServices
from server.protocols.json_messages import BOOLEANS
from server.protocols.openapi_schemas import STRING, TYPES, Schema, object_of
from server.settings import Settings
from streaming.model_clients import ModelClients
from streaming.threads import run_in_thread_to_completion

log = logging.getLogger(__name__)

PATH: Final = "/wav2vec2"
MODEL: Final = "khanhld/wav2vec2-base-vietnamese-160h"
LANGUAGE: Final = "vi"
MAX_SYNC_SECONDS: Final = 600.0  # of audio that a request may wait for; more needs a job
MAX_FORM_BYTES: Final = 1 << 16  # of a form without a file
FORM: Final = "application/x-www-form-urlencoded"

_TRANSCRIPT: Final = object_of(
    status={"enum": ["success"]}, transcript=STRING, path=STRING, model=STRING, language=STRING
)
_PENDING: Final = object_of(status={"enum": ["pending"]}, transcript=STRING, path=STRING, job=STRING)
_RESPONSES: Final[dict[int | str, Schema]] = {
    200: {"description": "the transcript", "content": {TYPES["json"]: {"schema": _TRANSCRIPT}}},
    202: {"description": "the job, with async=1", "content": {TYPES["json"]: {"schema": _PENDING}}},
}
_QUERY: Final = [
    {"in": "query", "name": "path", "schema": STRING, "description": "file in FILES_DIR"},
    {"in": "query", "name": "async", "schema": STRING, "description": "1: answer with a job (docs/jobs.md)"},
]
_BODY: Final[Schema] = {
    "content": {
        "multipart/form-data": {
            "schema": object_of(("file", "path"), file={"type": "string", "format": "binary"}, path=STRING)
        },
        FORM: {"schema": object_of(path=STRING)},
    }
}


class Wav2Vec2Endpoint(FileEndpoint):
    """Transcribe a file while the client waits, or as a job if it asks for one."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        files: AdmissionController,
        metrics: Metrics,
        services: JobServices,
    ) -> None:
        super().__init__(settings, engine, files, metrics)
        self._jobs = _Submission(services)

    def router(self) -> APIRouter:
        """Return the routes of /wav2vec2."""
        router = APIRouter(tags=["files"])
        parameters: dict[str, Any] = {"parameters": _QUERY}

        @router.get(PATH, response_model=None, responses=_RESPONSES, openapi_extra=parameters)
        async def get(request: Request) -> Response:
            """Transcribe a file of the server."""
            return await self._serve(request)

        body = parameters | {"requestBody": _BODY}

        @router.post(PATH, response_model=None, responses=_RESPONSES, openapi_extra=body)
        async def post(request: Request) -> Response:
            """Transcribe an uploaded file, or a file of the server."""
            return await self._serve(request)

        return router

    async def _serve(self, request: Request) -> Response:
        session_id.set(request.scope[REQUEST_ID])
        if BOOLEANS.get(request.query_params.get("async", "").lower(), False):
            return await self._jobs.submit(request)
        return await self._transcribe(request)

    async def _transcribe(self, request: Request) -> Response:
        async with AsyncExitStack() as stack:
            body = await stack.enter_async_context(Body(request, self._settings.max_upload_bytes))
            meter = self._admit(stack, request)
            source = await stack.enter_async_context(received_file(self._settings, request, body))
            async with cancel_on_disconnect(request.receive):
                with self._answered_at_shutdown(), file_errors_as_http():
                    return await self._work(stack, source, meter)
        raise AssertionError("unreachable")  # no context here swallows an exception

    async def _work(self, stack: AsyncExitStack, source: Upload, meter: UsageMeter) -> Response:
        assert source.file is not None
        work = FileTranscriber(
            source.file,
            max_seconds=min(self._settings.max_file_seconds, MAX_SYNC_SECONDS),
            on_samples_read=meter.count,
            on_event=self._metrics.observe_event,
        )
        session = self._settings.session_options().for_file()
        session = replace(session, asr=TranscriptionOptions(language=LANGUAGE))
        try:
            await work.check()
            models, description = await self._acquire_best(stack)
            log.info("file.accepted model=%s", description.model)
            async with aclosing(work.transcribe(models, session)) as segments:
                async for _ in segments:
                    pass
        except AudioTooLong as error:
            raise ApiError(413, f"{error} Send async=1 for a job.", code="audio_too_long") from error
        return JSONResponse(
            {
                "status": "success",
                "transcript": work.transcript("", description.model).text,
                "path": source.file_name,
                "model": description.model,
                "language": LANGUAGE,
            }
        )

    async def _acquire_best(self, stack: AsyncExitStack) -> tuple[ModelClients, ModelInfo]:
        """Acquire the Vietnamese model, or the default one if it is not configured or cannot be loaded."""
        name = vietnamese_model(self._settings.engine_options().recognizers)
        if name:
            try:
                return await self._acquire_models(stack, name)
            except ApiError as error:
                log.warning("model.replaced name=%s reason=%s", name, error)
        return await self._acquire_models(stack, "")


def vietnamese_model(sources: Mapping[str, str]) -> str:
    """Return the name under which the Vietnamese model is configured; "" if it is not.

    sources: by name, as in ASR_MODEL and ASR_MODELS
    """
    return next((name for name, source in sources.items() if source == MODEL), "")


class _Submission(JobEndpoint):
    """Submit the file of a request as a job."""

    protocol = "wav2vec2"

    async def submit(self, request: Request) -> Response:
        """Return the id of the job. Raises ApiError."""
        name = vietnamese_model(self._settings.engine_options().recognizers)
        options = JobOptions(model=name, asr=TranscriptionOptions(language=LANGUAGE))
        async with (
            self._admitted(request) as body,
            received_file(self._settings, request, body) as source,
        ):
            job, _ = await self._submit(request, source, url=None, options=options)
        content = {"status": "pending", "transcript": "", "path": source.file_name, "job": job.id}
        return JSONResponse(content, 202, headers={"location": f"/v1/jobs/{job.id}"})


@asynccontextmanager
async def received_file(settings: Settings, request: Request, body: Body) -> AsyncIterator[Upload]:
    """Yield the upload of a request, or the file of the server that it names. Raises ApiError.

    file_name: the name of the upload, or the path as the client gave it
    """
    async with AsyncExitStack() as stack:
        upload = Upload([], None)
        if request.method == "POST" and media_type_of(request) == FORM:
            async with aclosing(body.chunks(MAX_FORM_BYTES)) as chunks:
                form = b"".join([chunk async for chunk in chunks])
            upload = Upload(parse_qsl(form.decode("utf-8", "replace")), None)
        elif request.method == "POST" and media_type_of(request):
            upload = await stack.enter_async_context(receive_upload(request, body))
        if upload.file is None:
            path = request.query_params.get("path") or dict(upload.fields).get("path")
            if not isinstance(path, str) or not path:
                raise missing("path")
            if not settings.files_dir:
                message = "This server opens no files of its own (FILES_DIR): send the file itself."
                raise invalid(message, "path", "files_disabled")
            file = await run_in_thread_to_completion(
                open_below, Path(settings.files_dir), path, settings.max_upload_bytes
            )
            upload = Upload(upload.fields, stack.enter_context(file), path)
        yield upload


def wav2vec2_error(error: ApiError, scope: Mapping[str, Any]) -> JSONResponse:
    """Return the response for an error, in the format of this API."""
    content = {
        "status": "error",
        "transcript": "",
        "path": "",
        "error": {"code": error.code, "message": error.message},
    }
    return JSONResponse(content, error.status, error.headers)

"""Test the base of file endpoints with a minimal protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request

from server.admission.controller import AdmissionController
from server.http.exception_handlers import add_exception_handlers
from server.http.request_id import RequestMiddleware
from server.observability.metrics import Metrics
from server.protocols.file_endpoint import FileEndpoint
from tests.server.asgi_calls import NAME, Call, LittleEngine
from tests.server.live_server import free_settings
from tests.streaming.working_models import Recognizer, models


class NamingEndpoint(FileEndpoint):
    """Respond with the name of the model, once `gate` is set and the URL of the query is downloaded."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.gate = asyncio.Event()
        self.gate.set()
        self.working = asyncio.Event()

    def router(self) -> APIRouter:
        router = APIRouter()

        @router.post("/name")
        async def name(request: Request) -> str:
            async with AsyncExitStack() as stack:
                self._admit(stack, request)
                with self._answered_at_shutdown():
                    self.working.set()
                    await self.gate.wait()
                    _, description = await self._acquire_models(stack, "any")
                    return description.model
            raise AssertionError("unreachable")

        @router.post("/download")
        async def download(request: Request) -> None:
            async with AsyncExitStack() as stack:
                await self._download(stack, request.headers.get("x-address"))

        return router


class Rig:
    def __init__(self, engine: LittleEngine, files: AdmissionController, **limits: Any) -> None:
        self.engine = engine
        self.files = files
        self.endpoint = NamingEndpoint(free_settings(fetch_urls=False), engine, files, Metrics(), **limits)
        self._app = FastAPI()
        self._app.add_middleware(RequestMiddleware, metrics=Metrics())
        add_exception_handlers(self._app)
        self._app.include_router(self.endpoint.router())

    async def post(self, path: str = "name", **headers: str) -> Call:
        return await Call(self._app, httpx.Request("POST", f"http://here/{path}", headers=headers)).run()

    async def refusal(self, path: str = "name", **headers: str) -> tuple[int | None, str]:
        call = await self.post(path, **headers)
        return call.status, call.json["error"]["code"]


@asynccontextmanager
async def rig(places: int = 1, **limits: Any) -> AsyncIterator[Rig]:
    async with models(Recognizer()) as shared:
        yield Rig(LittleEngine(shared), AdmissionController(places, "files"), **limits)


async def test_request_acquires_and_releases_the_model() -> None:
    async with rig() as little:
        for _ in range(2):
            call = await little.post()
            assert (call.status, call.body) == (200, f'"{NAME}"'.encode())
        assert len(little.files) == 0


async def test_request_is_refused_when_the_server_is_full() -> None:
    async with rig(places=0) as little:
        assert await little.refusal() == (503, "server_overloaded")


async def test_request_waits_a_bounded_time_for_its_model() -> None:
    async with rig(load_seconds=0.001) as little:
        little.engine.gate.clear()
        assert await little.refusal() == (503, "models_not_ready")


async def test_work_cancelled_by_shutdown_is_answered() -> None:
    async with rig() as little:
        little.endpoint.gate.clear()
        running = asyncio.create_task(little.refusal())
        await little.endpoint.working.wait()
        await little.files.drain(0.0)
        assert await running == (503, "server_restarting")


async def test_other_cancellation_is_not_answered() -> None:
    async with rig() as little:
        little.endpoint.gate.clear()
        running = asyncio.create_task(little.post())
        await little.endpoint.working.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(little.files) == 0


async def test_download_needs_a_url_and_permission() -> None:
    async with rig() as little:
        assert await little.refusal("download") == (400, "missing_required_parameter")
        headers = {"x-address": "http://there/a.wav"}
        assert await little.refusal("download", **headers) == (400, "remote_content_error")

"""Test the main loop of the server, without a socket."""

import asyncio
import signal

import uvicorn

from server.lifecycle.uvicorn_server import UvicornServer
from tests.waiting import until


def quiet_server(tick_seconds: float) -> UvicornServer:
    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("no request is made")

    server = UvicornServer(uvicorn.Config(app, log_config=None), tick_seconds)
    server.config.load()
    return server


async def test_signal_ends_the_loop_between_two_ticks() -> None:
    server = quiet_server(tick_seconds=3600.0)
    running = asyncio.create_task(server.main_loop())
    await until(lambda: server.server_state.default_headers)  # The first tick is over.
    server.handle_exit(signal.SIGTERM, None)
    await running


async def test_date_header_is_updated_until_the_end() -> None:
    server = quiet_server(tick_seconds=0.001)
    running = asyncio.create_task(server.main_loop())
    for _ in range(2):
        server.server_state.default_headers = []
        await until(lambda: server.server_state.default_headers)
        assert server.server_state.default_headers[0][0] == b"date"
    server.handle_exit(signal.SIGTERM, None)
    await running

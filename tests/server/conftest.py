"""One server for the tests that do not stop it."""

from collections.abc import Iterator

import pytest

from tests.server.live_server import Client, Server, free_settings, serve


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with serve(free_settings()) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """All events wanted."""
    with Client(f"{server.ws}?events=all") as connected:
        yield connected


@pytest.fixture
def quiet_client(server: Server) -> Iterator[Client]:
    """As version 1 speaks: no events wanted."""
    with Client(server.ws) as connected:
        yield connected

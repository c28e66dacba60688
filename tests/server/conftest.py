"""Provide one server for all tests that do not stop it."""

from collections.abc import Iterator

import pytest

from tests.server.live_server import Client, Server, free_settings, serve


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with serve(free_settings()) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """Connect with a subscription to all events."""
    with Client(f"{server.ws}?events=all") as connected:
        yield connected


@pytest.fixture
def quiet_client(server: Server) -> Iterator[Client]:
    """Connect without a subscription to events, as version 1 of the protocol does."""
    with Client(server.ws) as connected:
        yield connected

"""Test what is said of an address at which the server cannot listen."""

import socket

import pytest

from server.lifecycle.listening import problem_of_address
from tests.server.server_process import free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", ""])
def test_free_port_has_no_problem_and_stays_free(host: str) -> None:
    port = free_port()
    assert problem_of_address(host, port) is None
    assert problem_of_address(host, port) is None
    assert problem_of_address(host, 0) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_taken_port_is_named(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        problem = problem_of_address(host, port)
    assert problem is not None
    assert problem.startswith(f"PORT={port}: address already in use.")
    assert "set PORT to another port" in problem


def test_port_of_closed_connections_is_free() -> None:
    """Connections that wait for late packets (TIME_WAIT) do not hold the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            client.recv(1)
    assert problem_of_address("127.0.0.1", port) is None


def test_unknown_host_is_named() -> None:
    problem = problem_of_address("no.such.host.invalid", 5001)
    assert problem is not None
    assert problem.startswith("HOST=no.such.host.invalid: ")

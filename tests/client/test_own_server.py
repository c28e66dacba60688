"""Test where the clients look for the server of their checkout."""

from pathlib import Path

import pytest

from client.own_server import key_for, server_key, server_url, settings


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "http://localhost:5001"),
        ({"PORT": "6000"}, "http://localhost:6000"),
        ({"HOST": "0.0.0.0"}, "http://localhost:5001"),
        ({"HOST": ""}, "http://localhost:5001"),
        ({"HOST": "stt.example", "PORT": "80"}, "http://stt.example:80"),
        ({"HOST": "::1"}, "http://[::1]:5001"),
        ({"SSL_CERTFILE": "a.pem"}, "https://localhost:5001"),
    ],
)
def test_address_is_where_the_server_listens(variables: dict[str, str], url: str) -> None:
    assert server_url(variables) == url
    assert server_url(variables, "ws") == url.replace("http", "ws")


def test_environment_takes_precedence_over_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=6000\nhost=127.0.0.1\n")
    found = settings(tmp_path, {"port": "6001"})
    assert server_url(found) == "http://127.0.0.1:6001"


@pytest.mark.parametrize(
    ("variables", "key"),
    [
        ({}, None),
        ({"API_KEYS": "me:first, second"}, "first"),
        ({"API_KEYS": "first"}, "first"),
        ({"API_KEYS": "me:first", "STT_API_KEY": "mine"}, "mine"),
    ],
)
def test_key_is_the_clients_own_or_the_first_of_the_server(
    variables: dict[str, str], key: str | None
) -> None:
    assert server_key(variables) == key


@pytest.mark.parametrize(
    ("given", "url", "key"),
    [("given", None, "given"), (None, None, "first"), (None, "http://stt.example", None)],
)
def test_server_at_another_address_gets_no_key_of_this_one(
    given: str | None, url: str | None, key: str | None
) -> None:
    assert key_for(given, url, {"API_KEYS": "me:first"}) == key
    assert key_for(None, url, {"API_KEYS": "me:first", "STT_API_KEY": "mine"}) == "mine"

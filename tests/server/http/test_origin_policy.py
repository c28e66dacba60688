"""Test which origins are allowed, and which names mean this machine."""

import pytest

from server.http.origin_policy import OriginPolicy, host_name, is_this_machine


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:5001", "localhost:5001"),
        ("https://stt.example", "stt.example"),
        ("https://STT.example", "stt.EXAMPLE"),
        ("http://[::1]:5001", "[::1]:5001"),
        ("https://app.example", "stt.example"),
    ],
)
def test_own_and_listed_origins_are_allowed(origin: str, host: str) -> None:
    assert OriginPolicy(["https://app.example"]).allow(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil",
        "http://localhost",
        "http://localhost:5002",
        "null",
        "",
        "file://",
    ],
)
def test_other_origins_are_refused(origin: str) -> None:
    assert not OriginPolicy(["https://app.example"]).allow(origin, "localhost:5001")


def test_request_without_a_host_has_no_own_origin() -> None:
    assert not OriginPolicy().allow("null", "")
    assert not OriginPolicy().allow("http://localhost", "")


def test_any_allows_all_origins() -> None:
    assert OriginPolicy(["*"]).allow("https://evil.example", "localhost")
    assert OriginPolicy(["null"]).allow("null", "localhost")


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:5001", "localhost"),
        ("LOCALHOST", "localhost"),
        ("[::1]:5001", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1", None),
        ("a b", None),
        ("a/b", None),
        ("user@host", None),
        ("host:port", None),
        ("", None),
    ],
)
def test_host_name_is_read_from_the_header(host: str, name: str | None) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    "name", ["localhost", "stt.localhost", "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"]
)
def test_loopback_names_mean_this_machine(name: str) -> None:
    assert is_this_machine(name)


@pytest.mark.parametrize(
    "name", ["", "0.0.0.0", "::", "10.0.0.1", "stt.example", "localhost.evil.example", "notlocalhost"]
)
def test_other_names_do_not_mean_this_machine(name: str) -> None:
    assert not is_this_machine(name)

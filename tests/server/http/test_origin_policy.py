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


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:3000",
        "https://app.localhost:8443",
        "http://127.0.0.1:5173",
        "http://127.8.8.8",
        "http://[::1]:3000",
    ],
)
def test_pages_of_this_machine_can_be_allowed(origin: str) -> None:
    assert OriginPolicy(loopback=True).allow(origin, "localhost:5001")
    assert not OriginPolicy().allow(origin, "localhost:5001")


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "file://",
        "app://localhost",
        "http://localhost.evil.example",
        "http://evil.example:3000",
        "http://notlocalhost",
        "http://127.0.0.1.evil.example",
        "http://192.168.1.7:3000",
        "http://localhost:3000@evil.example",
        "http://localhost\n",
    ],
)
def test_other_pages_are_not_pages_of_this_machine(origin: str) -> None:
    assert not OriginPolicy(loopback=True).allow(origin, "localhost:5001")


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

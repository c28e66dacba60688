"""Test downloading a file from a URL, within limits and only from public addresses."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
import trustme

from server.errors import ApiError
from server.http.url_download import Address, Network, download, is_public, target_of
from tests import plain_http
from tests.server.asgi_calls import wav
from tests.server.live_server import Server, free_settings, serve
from tests.streaming.fakes import sound

MIB = 1 << 20
FORM = {"temperature": (None, "0")}  # a form in parts, though without a file


@asynccontextmanager
async def answering(
    *answers: bytes, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, list[str]]]:
    """Run a web server that gives these answers in turn; yield its address and the requests it received."""
    heard: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(answers[len(heard) - 1])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, host, port, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http{'s' if tls else ''}://{host}:{port}", heard


def ok(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content)


def onward(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nlocation: {location}\r\n\r\n".encode()


async def content_of(
    url: str, limit: int = MIB, *, private: bool = True, network: Network | None = None
) -> bytes:
    async with download(url, limit, private=private, network=network) as file:
        return file.read()


async def refusal_of(
    url: str, limit: int = MIB, *, private: bool = True, network: Network | None = None
) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await content_of(url, limit, private=private, network=network)
    return caught.value


OUTSIDE, INSIDE = ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("127.0.0.2")


def is_outside(address: Address) -> bool:
    return address == OUTSIDE


class Names:
    """A resolver that gives these answers in turn, whatever the name is, and the last one for ever."""

    def __init__(self, *answers: Sequence[Address]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        return self._answers[min(len(self.asked), len(self._answers)) - 1]


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def test_file_is_downloaded() -> None:
    async with answering(ok(b"sound")) as (url, heard):
        assert await content_of(f"{url}/a/b.wav?c=d#e") == b"sound"
    assert heard[0].startswith("GET /a/b.wav?c=d HTTP/1.1\r\n")
    assert f"host: {url.removeprefix('http://')}" in heard[0].lower()


async def test_a_body_without_a_length_is_read_to_its_end() -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with answering(chunked, b"HTTP/1.0 200 OK\r\n\r\nabcde") as (url, _):
        assert await content_of(url) == b"abcde"
        assert await content_of(url) == b"abcde"


async def test_redirects_are_followed_but_not_for_ever() -> None:
    async with answering(onward("/other.wav"), ok(b"there")) as (url, heard):
        assert await content_of(f"{url}/one.wav") == b"there"
        assert heard[1].startswith("GET /other.wav ")
    async with answering(*[onward("/")] * 6) as (url, heard):
        assert (await refusal_of(url)).code == "fetch_failed"
        assert len(heard) == 6


async def test_a_redirect_to_another_scheme_is_refused() -> None:
    async with answering(onward("file:///etc/passwd")) as (url, _):
        assert (await refusal_of(url)).code == "invalid_url"


@pytest.mark.parametrize(
    "answer", [ok(b"x" * 1001), b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1001], ids=["declared", "undeclared"]
)
async def test_more_than_the_limit_is_refused(answer: bytes) -> None:
    async with answering(answer) as (url, _):
        assert (await refusal_of(url, 1000)).status == 413


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b"what?\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
    ],
    ids=["missing", "no HTTP", "silent", "cut short"],
)
async def test_failed_download_is_an_error_of_the_url(answer: bytes) -> None:
    async with answering(answer) as (url, _):
        refusal = await refusal_of(url)
        assert (refusal.status, refusal.code, refusal.param) == (400, "fetch_failed", "url")


async def test_refused_connection_is_an_error_of_the_url() -> None:
    async with answering() as (url, _):
        pass
    assert (await refusal_of(url)).code == "fetch_failed"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a.wav",
        "file:///etc/passwd",
        "//example.com/a.wav",
        "http://",
        "http://user:password@example.com/",
        "http://example.com:99999/",
        "http://exämple.com/",
        "http://example.com/a b",
        "http://example.com/\r\nx-header: y",
        "http://example.com/" + "a" * 2000,
    ],
)
def test_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(ApiError) as caught:
        target_of(url)
    assert caught.value.code == "invalid_url"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"]
)
async def test_loopback_is_refused(host: str) -> None:
    async with answering(ok(b"secret")) as (url, heard):
        port = url.rpartition(":")[2]
        assert (await refusal_of(f"http://{host}:{port}/", private=False)).code == "invalid_url"
        assert heard == []


async def test_redirect_to_loopback_is_refused() -> None:
    async with answering(ok(b"secret")) as (inside, heard), answering(onward(inside)) as (url, _):
        assert (await refusal_of(url, private=False)).code == "invalid_url"
        assert heard == []


async def test_redirect_from_public_to_private_is_refused() -> None:
    network = Network(is_public=is_outside)
    async with (
        answering(ok(b"secret"), host=str(INSIDE)) as (inside, heard),
        answering(ok(b"sound"), onward(inside)) as (url, _),
    ):
        assert await content_of(url, private=False, network=network) == b"sound"
        assert (await refusal_of(url, private=False, network=network)).code == "invalid_url"
        assert heard == []


async def test_redirect_to_a_private_name_is_refused() -> None:
    names = Names([OUTSIDE], [INSIDE])
    network = Network(resolve=names, is_public=is_outside)
    async with answering(onward("http://inside.test/"), ok(b"secret")) as (url, heard):
        url = f"http://outside.test:{port_of(url)}/"
        assert (await refusal_of(url, private=False, network=network)).code == "invalid_url"
        assert len(heard) == 1
    assert names.asked == ["outside.test", "inside.test"]


@pytest.mark.parametrize("addresses", [[OUTSIDE, INSIDE], [INSIDE, OUTSIDE]])
async def test_name_with_one_private_address_is_refused(addresses: list[Address]) -> None:
    network = Network(resolve=Names(addresses), is_public=is_outside)
    async with answering(ok(b"secret")) as (url, heard):
        url = f"http://both.test:{port_of(url)}/"
        assert (await refusal_of(url, private=False, network=network)).code == "invalid_url"
        assert heard == []


async def test_connection_goes_to_the_checked_address() -> None:
    """A second lookup would lead inside."""
    names = Names([OUTSIDE], [INSIDE])
    network = Network(resolve=names, is_public=is_outside)
    async with answering(ok(b"public")) as (url, heard):
        port = port_of(url)
        async with answering(ok(b"secret"), host=str(INSIDE), port=port) as (_, secrets):
            assert await content_of(f"http://moves.test:{port}/", private=False, network=network) == b"public"
    assert (len(heard), secrets, names.asked) == (1, [], ["moves.test"])
    assert f"\r\nhost: moves.test:{port}\r\n" in heard[0].lower()


async def test_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would resolve the name again, and it may reach the network inside."""
    async with answering(ok(b"direct")) as (url, _), answering(ok(b"proxy")) as (proxy, heard):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("ALL_PROXY", proxy)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert await content_of(url) == b"direct"
        assert heard == []


async def test_target_is_requested_as_it_is_written() -> None:
    target = "/a/../b//c%2f'[|]?sign=a+b%20c&d={e}"
    async with answering(ok(b"")) as (url, heard):
        await content_of(url + target)
    assert heard[0].startswith(f"GET {target} HTTP/1.1\r\n")


async def test_certificate_is_checked_for_the_name() -> None:
    authority, ssl_context = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(ssl_context)
    certified = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("files.test").configure_cert(certified)
    network = Network(resolve=Names([OUTSIDE]), ssl_context=lambda: ssl_context)
    async with answering(ok(b"sound"), tls=certified) as (url, heard):
        port = port_of(url)
        assert await content_of(f"https://files.test:{port}/a", network=network) == b"sound"
        for name in ("other.test", "127.0.0.1"):
            refusal = await refusal_of(f"https://{name}:{port}/", network=network)
            assert (refusal.code, "certificate" in refusal.message.lower()) == ("fetch_failed", True)
        unknown = Network(resolve=Names([OUTSIDE]))
        assert (await refusal_of(f"https://files.test:{port}/", network=unknown)).code == "fetch_failed"
        assert len(heard) == 1


@pytest.mark.parametrize(
    "network", [Network(idle_seconds=0.05), Network(total_seconds=0.05)], ids=["idle", "whole"]
)
async def test_download_that_stalls_is_given_up(network: Network) -> None:
    over = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
        await over.wait()
        writer.close()

    async with await asyncio.start_server(stall, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        refusal = await refusal_of(f"http://127.0.0.1:{port}/", network=network)
        over.set()
    assert (refusal.code, refusal.message) == ("fetch_failed", "It did not come in time.")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:220:1::1", True),
        ("10.0.0.1", False),
        ("172.16.3.4", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d70e", True),
    ],
)
def test_private_addresses_are_recognised_in_every_form(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


def ask(server: Server, fields: dict[str, str]) -> httpx.Response:
    return plain_http.post(f"{server.url}/v1/audio/transcriptions", data=fields, files=FORM, timeout=60)


async def test_downloaded_file_is_transcribed_like_an_upload() -> None:
    settings = free_settings(fetch_urls=True, fetch_private=True)
    content = wav(sound((True, 16_000), (False, 16_000)))
    with serve(settings) as server:
        async with answering(ok(content), ok(b"none")) as (url, _):
            fields = {"url": f"{url}/speech.wav", "model": "whisper-1"}
            answer = await asyncio.to_thread(ask, server, fields)
            assert (answer.status_code, answer.json()["usage"]["seconds"]) == (200, 2)
            refused = await asyncio.to_thread(ask, server, fields)
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_audio")


def test_urls_are_refused_by_default(server: Server) -> None:
    answer = ask(server, {"url": "http://127.0.0.1:1/", "model": "whisper-1"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "url")
    assert "does not download" in answer.json()["error"]["message"]

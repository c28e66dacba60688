"""Test downloading a file from a URL, within limits and only from public addresses."""

import asyncio
import ipaddress
import ssl
from collections.abc import Sequence

import pytest
import trustme

from downloads.address import target_of
from downloads.download import download, name_of
from downloads.errors import AddressRefused, DownloadError, FileTooLarge, NotAudio
from downloads.network import Network
from downloads.public_addresses import Address, is_public
from tests.downloads.web_servers import answer, answering, ok, onward

MIB = 1 << 20


async def content_of(
    url: str, limit: int = MIB, *, private: bool = True, network: Network | None = None
) -> bytes:
    async with download(url, limit, private=private, network=network) as file:
        return file.read()


async def refusal_of(
    url: str, limit: int = MIB, *, private: bool = True, network: Network | None = None
) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
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
    "content", [ok(b"x" * 1001), b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1001], ids=["declared", "undeclared"]
)
async def test_more_than_the_limit_is_refused(content: bytes) -> None:
    async with answering(content) as (url, _):
        refusal = await refusal_of(url, 1000)
        assert isinstance(refusal, FileTooLarge)
        assert (refusal.limit, refusal.is_transient) == (1000, False)


@pytest.mark.parametrize(
    ("response", "transient"),
    [
        (answer(404), False),
        (answer(403), False),
        (answer(429), True),
        (answer(503), True),
        (b"what?\r\n\r\n", True),
        (b"", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", True),
    ],
    ids=["missing", "forbidden", "too many", "unavailable", "no HTTP", "silent", "cut short"],
)
async def test_failure_says_whether_a_retry_can_help(response: bytes, transient: bool) -> None:
    async with answering(response) as (url, _):
        refusal = await refusal_of(url)
        assert (refusal.code, refusal.is_transient) == ("fetch_failed", transient)


async def test_failure_says_how_long_the_sender_asks_to_wait() -> None:
    async with answering(answer(429, retry_after="7"), answer(503)) as (url, _):
        assert (await refusal_of(url)).retry_after == 7.0
        assert (await refusal_of(url)).retry_after is None


@pytest.mark.parametrize(
    ("media_type", "page"),
    [("text/html; charset=utf-8", True), ("application/xhtml+xml", True), ("image/png", False)],
)
async def test_what_is_no_audio_is_refused(media_type: str, page: bool) -> None:
    async with answering(answer(200, b"<html>", content_type=media_type)) as (url, _):
        refusal = await refusal_of(url)
        assert isinstance(refusal, NotAudio)
        assert (refusal.code, refusal.is_page, refusal.is_transient) == ("not_audio", page, False)


async def test_bytes_are_reported_while_they_come() -> None:
    reports: list[tuple[int, int | None]] = []
    async with (
        answering(ok(b"x" * 3000)) as (url, _),
        download(url, MIB, private=True, on_bytes=lambda *report: reports.append(report)) as file,
    ):
        assert len(file.read()) == 3000
    assert reports[-1] == (3000, 3000)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.test/one/two%20three.mp3?key=x", "two three.mp3"),
        ("https://a.test/", ""),
        ("https://a.test/..%2Fetc%00%2fpasswd", "..etcpasswd"),
        ("https://a.test/" + "a" * 300, "a" * 200),
    ],
)
def test_file_is_named_by_its_address(url: str, name: str) -> None:
    assert name_of(url) == name


async def test_refused_connection_is_an_error_of_the_url() -> None:
    async with answering() as (url, _):
        pass
    refusal = await refusal_of(url)
    assert (refusal.code, refusal.is_transient) == ("fetch_failed", True)


async def test_name_that_does_not_resolve_may_resolve_later() -> None:
    async def fail(host: str, port: int) -> Sequence[Address]:
        raise OSError("no such name")

    refusal = await refusal_of("http://nowhere.test/", network=Network(resolve=fail))
    assert (refusal.code, refusal.is_transient) == ("fetch_failed", True)


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
    with pytest.raises(DownloadError) as caught:
        target_of(url)
    assert caught.value.code == "invalid_url"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1"]
)
async def test_loopback_is_refused(host: str) -> None:
    async with answering(ok(b"secret")) as (url, heard):
        refusal = await refusal_of(f"http://{host}:{port_of(url)}/", private=False)
        assert isinstance(refusal, AddressRefused)
        assert (refusal.code, refusal.is_transient) == ("invalid_url", False)
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
            assert not refusal.is_transient
        unknown = Network(resolve=Names([OUTSIDE]))
        assert (await refusal_of(f"https://files.test:{port}/", network=unknown)).code == "fetch_failed"
        assert len(heard) == 1


@pytest.mark.parametrize(
    ("network", "message", "transient"),
    [
        (Network(idle_seconds=0.05), "It did not come in time.", True),
        (Network(total_seconds=0.05), "It took more than 0.05 s.", False),
    ],
    ids=["idle", "whole"],
)
async def test_download_that_stalls_is_given_up(network: Network, message: str, transient: bool) -> None:
    over = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
        await over.wait()
        writer.close()

    async with await asyncio.start_server(stall, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        refusal = await refusal_of(f"http://127.0.0.1:{port}/", network=network)
        over.set()
    assert (refusal.message, refusal.is_transient) == (message, transient)


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
        ("::ffff:169.254.169.254", False),
        ("::ffff:0:127.0.0.1", False),
        ("::127.0.0.1", False),
        ("::1", False),
        ("64:ff9b:1::1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("fec0::1", False),
        ("fd00:ec2::254", False),
        ("168.63.129.16", False),
        ("100.100.100.200", False),
        ("192.0.0.192", False),
        ("127.1.2.3", False),
        ("0.0.0.0", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d70e", True),
    ],
)
def test_private_addresses_are_recognised_in_every_form(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public

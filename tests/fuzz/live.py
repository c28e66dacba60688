"""Send malformed messages and requests to a running server, and check the server afterwards."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Final
from urllib.parse import urlsplit

import orjson

from bench.load.fast_ws_client import HandshakeError, LoadSocket, Opcode, encode, open_socket
from bench.load.process_monitor import usage_of
from tests.fuzz import malformed
from tests.fuzz.seeds import ENDPOINTS, POSTS, Endpoint
from tests.server.live_server import Client, dones, spoken
from tests.server.server_process import Program
from tests.waiting import until

CONCURRENT: Final = 24  # connections
MAX_BURST: Final = 200  # messages over one connection
CHECK_EVERY: Final = 8  # messages between two checks whether the connection is closed
REQUEST_SHARE: Final = 0.4  # of the connections: plain HTTP requests
TOO_LARGE_SHARE: Final = 0.002  # of the bursts: those that end with a message above the limit
OPEN_SECONDS: Final = 0.5  # a connection that the server leaves open is closed after this time
TIMEOUT_SECONDS: Final = 40.0  # the server waits 30 s for a missing body
WARM_UP_SHARE: Final = 0.25  # of the messages, before memory is first measured
SETTLE_SECONDS: Final = 12.0  # for sessions to end and for their memory to be freed, before it is measured
FAULTS: Final = frozenset({"internal_error"})
SETTINGS: Final = {"LOG_LEVEL": "warning", "RESUME_SECONDS": "1", "MAX_SESSIONS": "500"}


@dataclass(slots=True)
class FuzzResult:
    """Hold what was sent and what came back.

    sent: messages and requests; answers: by type, code or status; faults: those that a client saw
    rss: bytes of memory after the warm-up and at the end
    """

    sent: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    rss: tuple[int, int] = (0, 0)
    seconds: float = 0.0
    log: str = ""

    @property
    def total(self) -> int:
        return self.sent.total()

    @property
    def growth(self) -> float:
        """The relative growth of memory."""
        before, after = self.rss
        return after / before - 1

    @property
    def complaints(self) -> list[str]:
        """Return the lines of the server's log that should not be there."""
        signs = ("Traceback (most recent call last)", " ERROR ", " CRITICAL ")
        return [line for line in self.log.splitlines() if any(sign in line for sign in signs)]


async def send_malformed(
    server: Program, messages: int, seed: int, settle_seconds: float = SETTLE_SECONDS
) -> FuzzResult:
    """Send to all endpoints of the server until the requested number is reached.

    settle_seconds: for sessions to end. Memory is freed later than they end, so `FuzzResult.growth` is
        meaningful only with the default.
    """
    result = FuzzResult()
    began = time.monotonic()
    said = await asyncio.to_thread(_good_client, server)
    await _send_until(server, result, round(messages * WARM_UP_SHARE), seed)
    before = await _settled(server, settle_seconds)
    await _send_until(server, result, messages, seed + 1)
    result.rss = before, await _settled(server, settle_seconds)
    result.seconds = time.monotonic() - began
    if await asyncio.to_thread(_good_client, server) != said:
        result.faults.append("a good client heard something else than before")
    result.log = server.log
    return result


async def _send_until(server: Program, result: FuzzResult, messages: int, seed: int) -> None:
    async def thrower(number: int) -> None:
        chance = Random(f"fuzz {seed}/{number}")
        while result.total < messages:
            if chance.random() < REQUEST_SHARE:
                await _send_request(server, chance, result)
            else:
                await _send_burst(server, chance, result)

    async with asyncio.TaskGroup() as group:
        for number in range(CONCURRENT):
            group.create_task(thrower(number))


async def _settled(server: Program, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return usage_of(server.process.pid).rss


def _good_client(server: Program) -> list[tuple[str, int, int]]:
    with Client(server.ws) as client:
        client.talk(spoken())
        return [(m["transcript"], m["start_ms"], m["end_ms"]) for m in dones(client.end())]


async def _send_burst(server: Program, chance: Random, result: FuzzResult) -> None:
    endpoint = chance.choice(ENDPOINTS)
    url = f"{server.url.replace('http', 'ws')}{endpoint.path}?{malformed.query(chance, endpoint)}"

    def hear(text: bytes, arrival: float) -> None:
        message = orjson.loads(text)
        error = message.get("error") or {}
        code = error.get("code") if isinstance(error, dict) else None
        result.answers[f"{endpoint.path} {code or message.get('type')}"] += 1
        if code in FAULTS:
            result.faults.append(f"{endpoint.path}: {message}")

    result.sent["handshakes"] += 1
    try:
        socket = await open_socket(url, hear)
    except HandshakeError as error:
        result.answers[f"{endpoint.path} handshake: {error}"] += 1
        if " 500" in str(error):
            result.faults.append(f"{url}: {error}")
        return
    await _burst(socket, endpoint, chance, result)


async def _burst(socket: LoadSocket, endpoint: Endpoint, chance: Random, result: FuzzResult) -> None:
    for number in range(chance.randint(1, MAX_BURST)):
        socket.write(malformed.frame(chance, endpoint))
        result.sent[f"frames at {endpoint.path}"] += 1
        if number % CHECK_EVERY == 0:
            await asyncio.sleep(0)
        await until(lambda: socket.is_writable or socket.closed.done())
        if socket.closed.done():
            break
    result.sent[f"frames at {endpoint.path}"] += 1
    await _end(socket, endpoint, chance, result)


async def _end(socket: LoadSocket, endpoint: Endpoint, chance: Random, result: FuzzResult) -> None:
    if chance.random() < TOO_LARGE_SHARE:
        socket.write(malformed.too_large())
    elif chance.random() < 0.5:
        socket.write(malformed.last_frame(chance, endpoint))
    else:
        socket.write(encode(Opcode.TEXT, orjson.dumps(endpoint.end)))
        socket.write(encode(Opcode.CLOSE, (1000).to_bytes(2, "big")))
    if chance.random() < 0.3:
        socket.abort()
    try:
        code = await asyncio.wait_for(asyncio.shield(socket.closed), OPEN_SECONDS)
    except TimeoutError:  # the server rightly waits for the rest of a frame
        result.answers[f"{endpoint.path} left open"] += 1
        socket.abort()
        code = await socket.closed
    result.answers[f"{endpoint.path} closed {code}"] += 1
    if code == 1011:
        result.faults.append(f"{endpoint.path}: closed with 1011")


async def _send_request(server: Program, chance: Random, result: FuzzResult) -> None:
    result.sent["requests"] += 1
    data = (
        malformed.no_request(chance)
        if chance.random() < 0.2
        else malformed.request(chance, chance.choice(POSTS))
    )
    address = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(data if chance.random() < 0.9 else data[: chance.randint(0, len(data))])
        if chance.random() < 0.2:  # does not wait for the response
            return
        writer.write_eof()
        status = await asyncio.wait_for(reader.readline(), TIMEOUT_SECONDS)
    except OSError:
        status = b"reset"
    except TimeoutError:
        status = b"no answer"
        result.faults.append(f"no answer in {TIMEOUT_SECONDS:.0f} s to {data[:300]!r}")
    finally:
        writer.transport.abort()
    result.answers[f"request: {status.strip().decode('latin-1')[:40]}"] += 1
    if b" 500" in status:
        result.faults.append(f"500 to {data[:600]!r}")


def report(result: FuzzResult) -> str:
    rows = {
        "sent": result.total,
        **{f"  {name}": count for name, count in sorted(result.sent.items())},
        "seconds": round(result.seconds),
        "a second": round(result.total / max(result.seconds, 1e-9)),
        "memory after the warm-up, MB": round(result.rss[0] / 2**20, 1),
        "memory at the end, MB": round(result.rss[1] / 2**20, 1),
        "growth, %": round(100 * result.growth, 2),
        "complaints in the log": len(result.complaints),
        "faults": len(result.faults),
        **{f"  {name}": count for name, count in result.answers.most_common(60)},
    }
    lines = [f"{name:60} {value}" for name, value in rows.items()]
    return "\n".join([*lines, *result.faults[:10], *result.complaints[:20], *_around(result)])


def _around(result: FuzzResult) -> list[str]:
    """Return the log around the first unexpected line."""
    log = result.log.splitlines()
    first = log.index(result.complaints[0]) if result.complaints else len(log)
    return log[max(0, first - 3) : first + 60]

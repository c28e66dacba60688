"""Live: what is malformed, thrown at a server that runs; and what became of the server."""

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
from tests.fuzz.seeds import DOORS, POSTS, Door
from tests.server.live_server import Client, dones, spoken
from tests.server.server_process import Program
from tests.waiting import until

AT_ONCE: Final = 24  # connections
LONGEST_BURST: Final = 200  # messages over one connection
LOOK_EVERY: Final = 8  # messages, between looks at whether it is closed
REQUESTS: Final = 0.4  # of the connections: those without a WebSocket
TOO_LARGE: Final = 0.002  # of the bursts: those that end in a message above the limit
OPEN_SECONDS: Final = 0.5  # that a line which the server does not close is left open
PATIENCE: Final = 40.0  # seconds: a body that does not come is waited for 30
WARM: Final = 0.25  # of the messages: after them memory is looked at first
SETTLE_SECONDS: Final = 12.0  # for what is left to end, and for its memory to be given back (server/trim.py)
FAULTS: Final = frozenset({"internal_error"})
SETTINGS: Final = {"LOG_LEVEL": "warning", "RESUME_SECONDS": "1", "MAX_SESSIONS": "500"}


@dataclass(slots=True)
class Findings:
    """thrown: messages and requests; answers: by type, code or status; faults: that a client has seen.

    rss: bytes after the warm-up, and at the end
    """

    thrown: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    rss: tuple[int, int] = (0, 0)
    seconds: float = 0.0
    log: str = ""

    @property
    def total(self) -> int:
        return self.thrown.total()

    @property
    def growth(self) -> float:
        """Of memory, as a share."""
        before, after = self.rss
        return after / before - 1

    @property
    def complaints(self) -> list[str]:
        """Lines of the server's log that should not be there."""
        signs = ("Traceback (most recent call last)", " ERROR ", " CRITICAL ")
        return [line for line in self.log.splitlines() if any(sign in line for sign in signs)]


async def throw(server: Program, messages: int, seed: int) -> Findings:
    """At all doors of the server, until so many are thrown."""
    findings = Findings()
    began = time.monotonic()
    said = await asyncio.to_thread(_good_client, server)
    await _throw_until(server, findings, round(messages * WARM), seed)
    before = await _settled(server)
    await _throw_until(server, findings, messages, seed + 1)
    findings.rss = before, await _settled(server)
    findings.seconds = time.monotonic() - began
    if await asyncio.to_thread(_good_client, server) != said:
        findings.faults.append("a good client heard something else than before")
    findings.log = server.log
    return findings


async def _throw_until(server: Program, findings: Findings, messages: int, seed: int) -> None:
    async def thrower(number: int) -> None:
        chance = Random(f"fuzz {seed}/{number}")
        while findings.total < messages:
            if chance.random() < REQUESTS:
                await _throw_request(server, chance, findings)
            else:
                await _throw_burst(server, chance, findings)

    async with asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(thrower(number))


async def _settled(server: Program) -> int:
    await asyncio.sleep(SETTLE_SECONDS)
    return usage_of(server.process.pid).rss


def _good_client(server: Program) -> list[tuple[str, int, int]]:
    with Client(server.ws) as client:
        client.talk(spoken())
        return [(m["transcript"], m["start_ms"], m["end_ms"]) for m in dones(client.end())]


async def _throw_burst(server: Program, chance: Random, findings: Findings) -> None:
    door = chance.choice(DOORS)
    url = f"{server.url.replace('http', 'ws')}{door.path}?{malformed.query(chance, door)}"

    def hear(text: bytes, arrival: float) -> None:
        message = orjson.loads(text)
        error = message.get("error") or {}
        code = error.get("code") if isinstance(error, dict) else None
        findings.answers[f"{door.path} {code or message.get('type')}"] += 1
        if code in FAULTS:
            findings.faults.append(f"{door.path}: {message}")

    findings.thrown["handshakes"] += 1
    try:
        socket = await open_socket(url, hear)
    except HandshakeError as error:
        findings.answers[f"{door.path} handshake: {error}"] += 1
        if " 500" in str(error):
            findings.faults.append(f"{url}: {error}")
        return
    await _burst(socket, door, chance, findings)


async def _burst(socket: LoadSocket, door: Door, chance: Random, findings: Findings) -> None:
    for number in range(chance.randint(1, LONGEST_BURST)):
        socket.write(malformed.frame(chance, door))
        findings.thrown[f"frames at {door.path}"] += 1
        if number % LOOK_EVERY == 0:
            await asyncio.sleep(0)
        await until(lambda: socket.is_writable or socket.closed.done())
        if socket.closed.done():
            break
    findings.thrown[f"frames at {door.path}"] += 1
    await _end(socket, door, chance, findings)


async def _end(socket: LoadSocket, door: Door, chance: Random, findings: Findings) -> None:
    if chance.random() < TOO_LARGE:
        socket.write(malformed.too_large())
    elif chance.random() < 0.5:
        socket.write(malformed.last_frame(chance, door))
    else:
        socket.write(encode(Opcode.TEXT, orjson.dumps(door.end)))
        socket.write(encode(Opcode.CLOSE, (1000).to_bytes(2, "big")))
    if chance.random() < 0.3:
        socket.abort()
    try:
        code = await asyncio.wait_for(asyncio.shield(socket.closed), OPEN_SECONDS)
    except TimeoutError:  # half a frame is waited for, as it should be
        findings.answers[f"{door.path} left open"] += 1
        socket.abort()
        code = await socket.closed
    findings.answers[f"{door.path} closed {code}"] += 1
    if code == 1011:
        findings.faults.append(f"{door.path}: closed with 1011")


async def _throw_request(server: Program, chance: Random, findings: Findings) -> None:
    findings.thrown["requests"] += 1
    data = (
        malformed.no_request(chance)
        if chance.random() < 0.2
        else malformed.request(chance, chance.choice(POSTS))
    )
    address = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(data if chance.random() < 0.9 else data[: chance.randint(0, len(data))])
        if chance.random() < 0.2:  # and does not wait
            return
        writer.write_eof()
        status = await asyncio.wait_for(reader.readline(), PATIENCE)
    except OSError:
        status = b"reset"
    except TimeoutError:
        status = b"no answer"
        findings.faults.append(f"no answer in {PATIENCE:.0f} s to {data[:300]!r}")
    finally:
        writer.transport.abort()
    findings.answers[f"request: {status.strip().decode('latin-1')[:40]}"] += 1
    if b" 500" in status:
        findings.faults.append(f"500 to {data[:600]!r}")


def report(findings: Findings) -> str:
    rows = {
        "thrown": findings.total,
        **{f"  {name}": count for name, count in sorted(findings.thrown.items())},
        "seconds": round(findings.seconds),
        "a second": round(findings.total / max(findings.seconds, 1e-9)),
        "memory after the warm-up, MB": round(findings.rss[0] / 2**20, 1),
        "memory at the end, MB": round(findings.rss[1] / 2**20, 1),
        "growth, %": round(100 * findings.growth, 2),
        "complaints in the log": len(findings.complaints),
        "faults": len(findings.faults),
        **{f"  {name}": count for name, count in findings.answers.most_common(60)},
    }
    lines = [f"{name:60} {value}" for name, value in rows.items()]
    return "\n".join([*lines, *findings.faults[:10], *findings.complaints[:20], *_around(findings)])


def _around(findings: Findings) -> list[str]:
    """The log around the first complaint, which alone says little."""
    log = findings.log.splitlines()
    first = log.index(findings.complaints[0]) if findings.complaints else len(log)
    return log[max(0, first - 3) : first + 60]

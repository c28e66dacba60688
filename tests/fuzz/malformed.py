"""Make random messages, frames and requests that are slightly or completely malformed."""

import base64
import copy
import json
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import quote

from bench.load.fast_ws_client import FIN, MASK, MASKED, Opcode, encode, mask
from tests.fuzz.seeds import SOUND, Endpoint, Message, Post

MAX_RANDOM_BYTES = 4_000
DEEPEST = 5_000
HUGE = "9" * 400
TOO_LARGE = 2 << 20  # bytes; above the limit of a message of the native protocol

Spoil = Callable[[Random, str], str]


def spoilt_value(chance: Random) -> Any:
    """Return a value that few fields accept."""
    number = chance.choice(
        (0, -1, 0.5, 1e308, -1e-320, 2**31, 2**63, 2**64, -(2**63), float("nan"), float("inf"))
    )
    text = chance.choice(
        ("", " ", "\x00", "\ud800", "é" * 50, "all", "pcm16", "../../etc/passwd", "%s%n", "1e5")
    )
    made = "".join(chr(chance.randint(1, 0x2FF)) for _ in range(chance.randint(0, 60)))
    data = base64.b64encode(chance.randbytes(chance.randint(0, MAX_RANDOM_BYTES))).decode()
    nested: Any = chance.choice(([], {}, [[]], [{}], {"a": {"b": []}}, [None] * 50, {"": ""}))
    return chance.choice(
        (None, True, False, number, number, text, text, made, data, nested, "x" * MAX_RANDOM_BYTES)
    )


def spoilt_object(chance: Random, message: Message) -> Message:
    """Return a copy in which some values or their names are replaced."""
    spoilt = copy.deepcopy(message)
    for _ in range(chance.randint(1, 3)):
        holder, key = chance.choice(list(_places(spoilt)) or [(spoilt, "type")])
        match chance.randrange(5):
            case 0 if isinstance(holder, dict):
                holder.pop(key, None)
            case 1 if isinstance(holder, dict):
                holder[str(spoilt_value(chance))[:100]] = holder.pop(key, None)
            case _:
                holder[key] = spoilt_value(chance)
    return spoilt


def _places(value: Any) -> "list[tuple[Any, Any]]":
    """Return the positions at which a value can be replaced."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in ((value, key), *_places(inner))]


def _cut(chance: Random, text: str) -> str:
    return text[: chance.randint(0, len(text))]


def _flip(chance: Random, text: str) -> str:
    at = chance.randrange(len(text) or 1)
    return text[:at] + chr(chance.randint(0, 0xFF)) + text[at + 1 :]


def _insert(chance: Random, text: str) -> str:
    at = chance.randint(0, len(text))
    return (
        text[:at]
        + chance.choice(('"', "{", "}", "[", "]", ",", ":", "\\", "\x00", HUGE, "\\ud800"))
        + text[at:]
    )


def _repeat(chance: Random, text: str) -> str:
    return text * chance.randint(2, 4)


def _nest(chance: Random, text: str) -> str:
    depth = chance.randint(2, DEEPEST)
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}")))
    return opening * depth + text + closing * (depth if chance.random() < 0.5 else 0)


def _number(chance: Random, text: str) -> str:
    """Replace the first number by an invalid or a very long one."""
    digits = next((at for at, sign in enumerate(text) if sign.isdigit()), len(text))
    return (
        text[:digits]
        + chance.choice((HUGE, "1e9999", "-", "0x10", "00", "NaN", "-Infinity"))
        + text[digits + 1 :]
    )


SPOILS: tuple[Spoil, ...] = (_cut, _flip, _insert, _repeat, _nest, _number)


def text(chance: Random, endpoint: Endpoint) -> bytes:
    """Return the payload of a text frame as UTF-8."""
    message = chance.choice(endpoint.messages)
    said = json.dumps(spoilt_object(chance, message) if chance.random() < 0.7 else message)
    if chance.random() < 0.4:
        said = chance.choice(SPOILS)(chance, said)
    return said.encode("utf-8", "replace")


def sound(chance: Random) -> bytes:
    """Return the payload of a binary frame."""
    return chance.choice(
        (b"", b"\x00", chance.randbytes(chance.randint(0, MAX_RANDOM_BYTES)), b"\xff" * 401, b"RIFF" * 20)
    )


def frame(chance: Random, endpoint: Endpoint) -> bytes:
    """Return a message after which the connection may continue."""
    kind = chance.random()
    if kind < 0.8:
        return encode(Opcode.TEXT, text(chance, endpoint))
    if kind < 0.9:
        return encode(Opcode.BINARY, sound(chance))
    if kind < 0.93:
        return encode(chance.choice((Opcode.PING, Opcode.PONG)), chance.randbytes(chance.randint(0, 125)))
    return _in_pieces(chance, text(chance, endpoint))


def _in_pieces(chance: Random, said: bytes) -> bytes:
    """Split one message into several frames with pings between them."""
    cut = chance.randint(0, len(said))
    first = bytearray(encode(Opcode.TEXT, said[:cut]))
    first[0] &= ~FIN
    return bytes(first) + encode(Opcode.PING, b"?") + encode(Opcode.CONTINUATION, said[cut:])


def last_frame(chance: Random, endpoint: Endpoint) -> bytes:
    """Return bytes that end a WebSocket connection."""
    said = text(chance, endpoint)
    whole = encode(Opcode.TEXT, said)
    invalid = (b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80")
    return chance.choice(
        (
            lambda: encode(Opcode.TEXT, said[: chance.randint(0, len(said))] + chance.choice(invalid)),
            lambda: whole[: chance.randint(1, len(whole))],  # a part of a frame
            lambda: bytes((FIN | chance.randint(3, 7), MASKED)) + MASK,  # an unknown opcode
            lambda: bytes((FIN | 0x70 | Opcode.TEXT, MASKED)) + MASK,  # reserved bits
            lambda: bytes((FIN | Opcode.TEXT, 5)) + b"hello",  # an unmasked frame
            lambda: bytes((FIN | Opcode.PING, MASKED | 126, 1, 0)) + MASK + bytes(256),  # a too long ping
            lambda: encode(Opcode.CONTINUATION, said),  # without a first frame
            lambda: encode(Opcode.CLOSE, chance.randbytes(chance.randint(0, 125))),
            lambda: bytes((FIN | Opcode.BINARY, MASKED | 127)) + b"\x7f" + b"\xff" * 7 + MASK,  # 2^63 bytes
            lambda: chance.randbytes(chance.randint(1, MAX_RANDOM_BYTES)),
        )
    )()


def too_large() -> bytes:
    return encode(Opcode.BINARY, bytes(TOO_LARGE))


def query(chance: Random, endpoint: Endpoint) -> str:
    """Return the query of the handshake, mostly valid so that connections open."""
    names = chance.sample(list(endpoint.query), chance.randint(0, 2))
    pairs = {name: endpoint.query[name] for name in names if name not in ("resume", "ack")}
    if chance.random() < 0.1:
        pairs[chance.choice(list(endpoint.query))] = str(spoilt_value(chance))[:500]
    return "&".join(f"{name}={quote(value.encode('utf-8', 'replace'))}" for name, value in pairs.items())


def request(chance: Random, post: Post) -> bytes:
    """Return a complete but invalid request."""
    fields = spoilt_object(chance, post.fields)
    if post.form:
        body, kind = _form(chance, fields)
    else:
        said = json.dumps(fields)
        if chance.random() < 0.4:
            said = chance.choice(SPOILS)(chance, said)
        body, kind = said.encode("utf-8", "replace"), "application/json"
    if chance.random() < 0.05:
        kind = chance.choice(
            ("", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "a" * 200)
        )
    return head(post.path, kind, str(len(body))) + body


def _form(chance: Random, fields: Message) -> tuple[bytes, str]:
    edge = "edge" if chance.random() < 0.9 else "e" * chance.randint(1, 300)
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    content = chance.choice(
        (base64.b64decode(SOUND), b"", b"RIFF\x00\x00\x00\x00WAVEfmt ", chance.randbytes(500))
    )
    file = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = (
        "".join(parts).encode("utf-8", "replace") + file.encode() + content + f"\r\n--{edge}--\r\n".encode()
    )
    if chance.random() < 0.5:
        at = chance.randrange(len(body))
        body = chance.choice(
            (body[:at], body[:at] + chance.randbytes(5) + body[at:], body[:at] + body[at + 5 :])
        )
    return body, f"multipart/form-data; boundary={edge}"


def head(path: str, kind: str, length: str) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}", f"Content-Length: {length}")
    return "\r\n".join((*lines, "Connection: close", "", "")).encode("latin-1", "replace")


def no_request(chance: Random) -> bytes:
    """Return bytes that are not HTTP, or almost HTTP."""
    return chance.choice(
        (
            lambda: chance.randbytes(chance.randint(1, MAX_RANDOM_BYTES)),
            lambda: b"GET " + chance.randbytes(40) + b" HTTP/1.1\r\n\r\n",
            lambda: b"POST /v1/listen HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
            lambda: b"POST /v1/listen HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            lambda: b"GET /ws/stt HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\r\n",
            lambda: b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
            lambda: mask(b"GET / HTTP/1.1\r\n\r\n"),
        )
    )()

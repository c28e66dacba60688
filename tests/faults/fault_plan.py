"""Script: what goes wrong in one session, by its seed."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    CUT = "cut"  # the line breaks
    HALF_FRAME = "half frame"  # it breaks in the middle of a message
    LEAVE = "leave"  # the client closes it in order, but not for good
    DEAF = "deaf"  # it is read no further, and then breaks: much was sent that was not heard
    FORGETFUL = "forgetful"  # it breaks, and the client comes back with a number lower than it has seen
    FUTURE = "future"  # the client comes back with a number that was never told, then with its own
    STRANGER = "stranger"  # another asks for the session with a wrong token or number, while it goes on
    TAKEOVER = "takeover"  # a second connection takes over; on the first one more bytes come late
    RACE = "race"  # several connections resume at once
    STUMBLE = "stumble"  # it breaks, and several attempts to come back break too
    SLOW = "slow"  # the client reads nothing for a while
    GLUT = "glut"  # it asks for megabytes and reads nothing, for longer than it is waited for
    KILL_RECOGNIZER = "kill recognizer"
    KILL_SERVER = "kill server"


LINE = tuple(fault for fault in Fault if not fault.startswith("kill"))
GLUTS = 0.03  # of all faults: they are dear


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault, and when: once so much sound was sent or so many messages were heard on this connection.

    seconds: of a pause; count: of attempts or numbers, at least 1
    """

    fault: Fault
    after_ms: int
    after_messages: int
    seconds: float
    count: int


@dataclass(frozen=True, slots=True)
class Script:
    """How a session goes.

    chunks_ms: lengths of messages, from and to; binary: frames rather than JSON
    pace: times real time; 0 is as fast as it goes
    library: the session is led by client/ rather than by the client of these tests
    cuts: bytes after which its connections are cut, one after the other
    """

    troubles: tuple[Trouble, ...]
    chunks_ms: tuple[int, int]
    binary: bool
    pace: float
    receive_buffer: int | None
    library: bool
    cuts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rates:
    """One session of so many kills; 0 is none."""

    recognizer: int
    server: int


def script(seed: int, number: int, ms: int, rates: Rates) -> Script:
    """ms: how long the session's sound is."""
    chance = Random(f"script {seed}/{number}")
    troubles = [_trouble(chance, _fault(chance), ms) for _ in range(chance.randint(1, 4))]
    kill = _kill(number, rates)
    if kill is not None:
        troubles.insert(chance.randint(0, len(troubles)), _trouble(chance, kill, ms))
    slow = any(trouble.fault in (Fault.SLOW, Fault.GLUT) for trouble in troubles)
    return Script(
        troubles=tuple(troubles),
        chunks_ms=chance.choice(((5, 20), (20, 20), (20, 200), (100, 100), (500, 900))),
        binary=chance.random() < 0.5,
        pace=chance.choice((0, 0, 30, 8)),
        receive_buffer=4096 if slow else None,
        library=kill is None and chance.random() < 0.12,
        cuts=tuple(chance.randint(300, 120_000) for _ in range(chance.randint(1, 4))),
    )


def _fault(chance: Random) -> Fault:
    return Fault.GLUT if chance.random() < GLUTS else chance.choice([f for f in LINE if f is not Fault.GLUT])


def _kill(number: int, rates: Rates) -> Fault | None:
    if rates.server and number % rates.server == rates.server - 1:
        return Fault.KILL_SERVER
    if rates.recognizer and number % rates.recognizer == rates.recognizer // 2:
        return Fault.KILL_RECOGNIZER
    return None


def _trouble(chance: Random, fault: Fault, ms: int) -> Trouble:
    after_ms = chance.randint(0, ms) if chance.random() < 0.8 else ms + 1  # behind the end of the stream
    return Trouble(
        fault=fault,
        after_ms=after_ms,
        after_messages=chance.choice((1, 2, 5, 20, 1_000)),
        seconds=chance.choice((0.0, 0.0, 0.05, 0.3)),
        count=chance.randint(1, 3),
    )

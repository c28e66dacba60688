"""Draw the faults of one session from its seed."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """List what can go wrong in a session."""

    CUT = "cut"  # the connection breaks
    HALF_FRAME = "half frame"  # it breaks in the middle of a message
    LEAVE = "leave"  # the client closes normally and resumes
    DEAF = "deaf"  # the client stops reading, then the connection breaks with unread messages
    FORGETFUL = "forgetful"  # it breaks, and the client resumes with a lower number than it has seen
    FUTURE = "future"  # the client resumes with a number that was never sent, then with its own
    STRANGER = "stranger"  # another client tries to resume the session with a wrong token or number
    TAKEOVER = "takeover"  # a second connection takes over while the first one still sends
    RACE = "race"  # several connections resume at once
    STUMBLE = "stumble"  # it breaks, and so do several attempts to resume
    SLOW = "slow"  # the client reads nothing for a while
    GLUT = "glut"  # it requests megabytes and does not read until the server gives up
    KILL_RECOGNIZER = "kill recognizer"
    KILL_SERVER = "kill server"


LINE = tuple(fault for fault in Fault if not fault.startswith("kill"))
GLUTS = 0.03  # share of all faults; they take long


@dataclass(frozen=True, slots=True)
class Trouble:
    """Describe a fault and when it happens.

    It is due once `after_ms` of audio were sent or `after_messages` messages received on this connection.
    seconds: length of a pause; count: of attempts or numbers, at least 1
    """

    fault: Fault
    after_ms: int
    after_messages: int
    seconds: float
    count: int


@dataclass(frozen=True, slots=True)
class Script:
    """Describe how a session is run.

    chunks_ms: least and greatest length of a message; binary: binary frames rather than JSON
    pace: multiple of real time; 0 is as fast as possible
    library: whether client/ runs the session rather than the client of these tests
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
    """Hold N for each process that one in N sessions kills; 0 is never."""

    recognizer: int
    server: int


def script(seed: int, number: int, ms: int, rates: Rates) -> Script:
    """Draw the script of a session whose audio has `ms` milliseconds."""
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
    after_ms = chance.randint(0, ms) if chance.random() < 0.8 else ms + 1  # after the end of the stream
    return Trouble(
        fault=fault,
        after_ms=after_ms,
        after_messages=chance.choice((1, 2, 5, 20, 1_000)),
        seconds=chance.choice((0.0, 0.0, 0.05, 0.3)),
        count=chance.randint(1, 3),
    )

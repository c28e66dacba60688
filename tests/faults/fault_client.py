"""A client of the bare protocol that runs one session with the faults of its script."""

import asyncio
import base64
import json
import random
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.faults.fault_plan import Fault, Script, Trouble
from tests.faults.protocol_checker import Heard, Outcome, Wrong
from tests.faults.scenario import Command, Play

TIMEOUT_SECONDS = 240.0  # for one session with all its resumes
RETRY_SECONDS = (0.02, 0.3)  # least and greatest wait between attempts
NORMAL = 1000
BROKEN = 1006
SLOW_CLOSE = 4013
TAKEN_OVER = 4009
UNKNOWN = 4000
LATER = frozenset({1012, 1013})  # the server stops or starts, and the client retries
GLUT = json.dumps({"type": "session.update", "session": {"hotwords": ["x" * 100] * 600}})
GLUT_MESSAGES = 70  # with answers of 62 KB: more than the 4 MB that the system holds for a connection
GLUT_SECONDS = 2.5
END = json.dumps({"type": "end_of_stream"})

Kill = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class World:
    """Hold what the sessions share.

    url: of the server; kill_*: kill one of its processes; survives: whether sessions survive the server's end
    met: counts of faults by name
    """

    url: str
    kill_recognizer: Kill
    kill_server: Kill
    survives: bool = False
    met: Counter[str] = field(default_factory=Counter)


class Caller:
    """Run one session over as many connections as its faults need."""

    def __init__(self, world: World, play: Play, script: Script, seed: int) -> None:
        self.heard = Heard()
        self._world = world
        self._play = play
        self._script = script
        self._chance = random.Random(f"caller {seed}")
        self._at = 0  # ms of audio sent over all connections
        self._kept_ms = 0  # of audio, which the server reported at the last resume
        self._due: list[Command] = []  # to be sent on this connection
        self._ended = False
        self._closed: int | None = None  # the code with which this connection was closed

    async def run(self) -> Outcome:
        """Run the session to its end and return its outcome. Raises Wrong."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._live()
        except TimeoutError:
            said = f"{self._at} of {self._play.ms} ms, {'and the end' if self._ended else 'not the end'}"
            last = self.heard.messages[-1:]
            raise Wrong(f"{self.heard.session} goes on for ever: said {said}; last heard: {last}") from None
        return self.heard.outcome()

    async def _live(self) -> None:
        line = await self._open()
        for trouble in self._script.troubles:
            line = await self._talk_on(line, trouble)
            if self.heard.is_over:
                break
            self._world.met[trouble.fault] += 1
            line = await self._suffer(trouble, line)
        while not self.heard.is_over:
            line = await self._talk_on(line, None)
        await line.close()

    # talking

    async def _talk_on(self, line: ClientConnection, trouble: Trouble | None) -> ClientConnection:
        """Send and receive until the fault is due or the session is over, and resume where necessary."""
        while not self.heard.is_over:
            self._closed = None
            due = asyncio.Event()
            listener = asyncio.create_task(self._listen(line, trouble, due))
            talker = asyncio.create_task(self._talk(line, trouble, due))
            waiter = asyncio.create_task(due.wait())
            try:
                await asyncio.wait((listener, waiter), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (waiter, talker, listener):
                    task.cancel()
                await asyncio.wait((waiter, talker, listener))
            for task in (talker, listener):
                if not task.cancelled() and task.exception() is not None:
                    await task
            if due.is_set() or self.heard.is_over:
                return line
            line = await self._after_close(line)
        return line

    async def _listen(self, line: ClientConnection, trouble: Trouble | None, due: asyncio.Event) -> None:
        count = 0
        try:
            while True:
                self.heard.take(await line.recv(decode=False))
                count += 1
                if trouble is not None and count >= trouble.after_messages:
                    due.set()
        except websockets.ConnectionClosed as closed:
            self._closed = closed.rcvd.code if closed.rcvd else BROKEN

    async def _talk(self, line: ClientConnection, trouble: Trouble | None, due: asyncio.Event) -> None:
        first = self._at
        try:
            while not self._ended:
                if trouble is not None and self._at - first >= trouble.after_ms:
                    due.set()
                    await asyncio.Event().wait()
                await self._say_next(line)
            if trouble is not None:
                await asyncio.sleep(trouble.seconds)
                due.set()
        except websockets.ConnectionClosed:
            pass  # the listener stores the close code

    async def _say_next(self, line: ClientConnection) -> None:
        """Send the next message. It counts as sent at once, so that a cancelled send is not repeated."""
        if self._due and self._due[0].at_ms <= self._at:
            await line.send(self._due.pop(0).text)
        elif self._at == self._play.ms:
            self._ended = True
            await line.send(END)
        else:
            start, self._at = self._at, self._until(self._at)
            await line.send(self._message(start, self._at))
            ms = self._at - start
            await asyncio.sleep(ms / 1000 / self._script.pace if self._script.pace else 0)

    def _until(self, ms: int) -> int:
        """Return the end of the message that begins at `ms`."""
        until = ms + self._chance.randint(*self._script.chunks_ms)
        return min(until, self._due[0].at_ms if self._due else self._play.ms)

    def _message(self, start_ms: int, end_ms: int) -> str | bytes:
        sound = self._play.between(start_ms, end_ms)
        if self._script.binary:
            return sound
        return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode()})

    # coming back

    async def _after_close(self, line: ClientConnection) -> ClientConnection:
        """Resume after the server closed the connection or ended."""
        if self._closed not in self._breaks():
            raise Wrong(f"the line was closed with {self._closed}: {line.close_reason!r}")
        self._world.met[f"closed {self._closed}"] += 1
        return await self._open()

    def _breaks(self) -> set[int]:
        """Return the close codes that this session must expect."""
        slow = {SLOW_CLOSE, BROKEN} if self._script.receive_buffer else set()  # the close may stay unread
        return slow | ({BROKEN, *LATER} if self._world.survives else set())

    async def _open(self, ack: int | None = None) -> ClientConnection:
        """Connect and resume the session, or begin a new one if the token never arrived."""
        while True:
            try:
                if self.heard.token is None:
                    line = await self._dial(self._play.query)
                    self._go_on_from(0)
                    return line
                line = await self._dial(self._resume(self.heard.seq if ack is None else ack))
                await self._welcome(Reading(line))
                return line
            except (OSError, websockets.InvalidHandshake, websockets.ConnectionClosed) as error:
                await self._not_yet(error)

    async def _not_yet(self, error: Exception) -> None:
        """Wait before another attempt. Raises Wrong if the error is permanent."""
        if not self._is_for_now(error):
            raise Wrong(f"cannot come back: {error!r}") from error
        await asyncio.sleep(self._chance.uniform(*RETRY_SECONDS))

    def _is_for_now(self, error: Exception) -> bool:
        if isinstance(error, websockets.InvalidStatus):
            return error.response.status_code == 503
        if isinstance(error, websockets.ConnectionClosed) and error.rcvd is not None:
            return error.rcvd.code in LATER
        return self._world.survives

    async def _dial(self, query: str) -> ClientConnection:
        options: dict[str, Any] = {}
        if self._script.receive_buffer is not None:
            options["sock"] = await _little_socket(self._world.url, self._script.receive_buffer)
        return await connect(
            f"{self._world.url}?{query}",
            compression=None,
            max_size=None,
            ping_interval=None,
            proxy=None,
            max_queue=4,
            close_timeout=2,
            **options,
        )

    def _resume(self, ack: int, token: str | None = None) -> str:
        return urlencode({"resume": token or self.heard.token, "ack": ack})

    async def _welcome(self, line: "Reading") -> None:
        """Receive session.resumed and the missed messages. Raises ConnectionClosed and Wrong."""
        resumed = json.loads(await line.next())
        if resumed["type"] == "error" and resumed["error"]["retryable"]:
            await line.next()  # raises ConnectionClosed with the matching code
        if resumed["type"] != "session.resumed":
            raise Wrong(f"session.resumed was due, and {resumed} came")
        if resumed["session_id"] != self.heard.session:
            raise Wrong(f"not our session: {resumed}")
        kept_ms = max(self._kept_ms, self.heard.acknowledged_ms)
        if not kept_ms <= resumed["received_ms"] <= self._play.ms:
            raise Wrong(f"{kept_ms} ms need not be said again: {resumed}")
        self._kept_ms = resumed["received_ms"]
        for _ in range(resumed["replayed"]):
            self.heard.take(await line.next())
        self._go_on_from(resumed["received_ms"])

    def _go_on_from(self, ms: int) -> None:
        """Continue from `ms`. Repeat the commands there unless their replies arrived."""
        self._at, self._ended = ms, False
        self._due = [c for c in self._play.commands if c.at_ms >= ms and not self._was_answered(c)]

    def _was_answered(self, command: Command) -> bool:
        return command.type == "marker" and self.heard.has_answer("marker", command.id)

    # faults

    async def _suffer(self, trouble: Trouble, line: ClientConnection) -> ClientConnection:
        """Apply the fault and return the connection on which the session continues."""
        match trouble.fault:
            case Fault.CUT | Fault.FORGETFUL | Fault.STUMBLE | Fault.HALF_FRAME:
                return await self._cut(trouble, line)
            case Fault.LEAVE:
                await line.close(1001)
            case Fault.DEAF:
                await self._say_on(line, trouble.seconds)
                line.transport.abort()
            case Fault.FUTURE:
                line.transport.abort()
                await self._ask_in_vain(trouble.count)
            case Fault.STRANGER:
                await self._ask_in_vain(trouble.count)
                return line
            case Fault.TAKEOVER:
                return await self._take_over(trouble, line)
            case Fault.RACE:
                return await self._race(trouble, line)
            case Fault.SLOW:
                await self._say_on(line, 0.2 + trouble.seconds * trouble.count * 3)
                return line
            case Fault.GLUT:
                await self._gorge(line)
                return line
            case Fault.KILL_RECOGNIZER:
                await self._world.kill_recognizer()
                return line
            case Fault.KILL_SERVER:
                await self._world.kill_server()
                line.transport.abort()
        return await self._open()

    async def _cut(self, trouble: Trouble, line: ClientConnection) -> ClientConnection:
        if trouble.fault is Fault.HALF_FRAME and not line.transport.is_closing():
            line.transport.write(b"\x82\xfe\x10\x00half a frame")  # a binary one of 4096 bytes
            await asyncio.sleep(0)
        line.transport.abort()
        await asyncio.sleep(trouble.seconds)
        if trouble.fault is Fault.STUMBLE and self.heard.token is not None:
            for _ in range(trouble.count):
                await self._stumble()
        back = trouble.count if trouble.fault is Fault.FORGETFUL else 0
        return await self._open(max(0, self.heard.seq - back) if self.heard.token else None)

    async def _stumble(self) -> None:
        try:
            line = await self._dial(self._resume(self.heard.seq))
            line.transport.abort()
        except (OSError, websockets.InvalidHandshake, websockets.ConnectionClosed) as error:
            await self._not_yet(error)

    async def _say_on(self, line: ClientConnection, seconds: float) -> None:
        """Send audio without reading."""
        try:
            async with asyncio.timeout(seconds):
                while not self._ended:
                    await self._say_next(line)
                await asyncio.sleep(seconds)
        except (TimeoutError, websockets.ConnectionClosed):
            pass  # the next read reports the close

    async def _gorge(self, line: ClientConnection) -> None:
        """Asks for more than fits between the two, and reads nothing until it must have been given up."""
        with suppress(websockets.ConnectionClosed):
            for _ in range(GLUT_MESSAGES):
                await line.send(GLUT)
            await asyncio.sleep(GLUT_SECONDS)

    async def _ask_in_vain(self, count: int) -> None:
        """With a wrong token or with a number that was never told."""
        if self.heard.token is None:
            return
        future = self.heard.seq + 1_000_000 * count
        for query in (self._resume(future), self._resume(0, token="no-such-session")):
            try:
                line = await self._dial(query)
                refusal = json.loads(await line.recv(decode=False))
                await line.wait_closed()
            except (OSError, websockets.InvalidHandshake, websockets.ConnectionClosed) as error:
                await self._not_yet(error)
                continue
            if refusal["type"] != "error" or line.close_code not in LATER | {UNKNOWN}:
                raise Wrong(f"a stranger was told {refusal}")

    async def _take_over(self, trouble: Trouble, line: ClientConnection) -> ClientConnection:
        """Resume on a new connection while the old one still sends audio."""
        if self.heard.token is None:
            line.transport.abort()
            return await self._open()
        late = asyncio.create_task(self._babble(line))
        try:
            await asyncio.sleep(trouble.seconds)
            new = await self._open()
        finally:
            late.cancel()
            await asyncio.wait((late,))
        await self._bury(Reading(line))
        return new

    async def _babble(self, line: ClientConnection) -> None:
        """Send audio up to the next command, whichever connection owns the session."""
        at, end = self._at, self._due[0].at_ms if self._due else self._play.ms
        try:
            while at < end:
                start, at = at, min(at + 20, end)
                await line.send(self._message(start, at))
                await asyncio.sleep(0)
        except websockets.ConnectionClosed:
            pass  # as is due

    async def _bury(self, old: "Reading") -> None:
        """Read the old connection to its end. Its messages must be known from the new one."""
        await old.read()
        for text in old.texts:
            self.heard.take(text)
        ended = {NORMAL} if self.heard.is_over else set()
        if old.code not in {TAKEN_OVER, *ended, *self._breaks()}:
            raise Wrong(f"a line that was taken over was closed with {old.code}")

    async def _race(self, trouble: Trouble, line: ClientConnection) -> ClientConnection:
        """Resume over several connections at once. The last one that the server accepts keeps the session."""
        line.transport.abort()
        if self.heard.token is None:
            return await self._open()
        query = self._resume(self.heard.seq)
        dials = await asyncio.gather(
            *(self._dial(query) for _ in range(trouble.count + 1)), return_exceptions=True
        )
        lines = [Reading(dial) for dial in dials if not isinstance(dial, BaseException)]
        winner = await self._last_of(lines)
        for loser in lines:
            for text in loser.texts[1:] if loser is not winner else ():
                self.heard.take(text)
        if winner is None:
            return await self._open()
        try:
            await self._welcome(winner)
        except websockets.ConnectionClosed as error:
            await self._not_yet(error)
            return await self._open()
        for text in winner.texts:
            self.heard.take(text)
        return winner.line

    async def _last_of(self, lines: "Sequence[Reading]") -> "Reading | None":
        """Return the connection that stays open, or None if all are closed."""
        reads = {asyncio.create_task(line.read()): line for line in lines}
        waiting = set(reads)
        while len(waiting) > 1:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
            await asyncio.wait((task,))
            if task.cancelled():
                return reads[task]
        return None


class Reading:
    """Read the messages of a connection.

    texts: messages that were read ahead; code: the close code
    """

    def __init__(self, line: ClientConnection) -> None:
        self.line = line
        self.texts: list[bytes] = []
        self.code: int | None = None

    async def next(self) -> bytes:
        """Return the next message. Raises ConnectionClosed."""
        return self.texts.pop(0) if self.texts else await self.line.recv(decode=False)

    async def read(self) -> None:
        """Read ahead until the connection is closed."""
        try:
            while True:
                self.texts.append(await self.line.recv(decode=False))
        except websockets.ConnectionClosed as closed:
            self.code = closed.rcvd.code if closed.rcvd else BROKEN


async def _little_socket(url: str, buffer: int) -> socket.socket:
    """Connect with a receive buffer of `buffer` bytes. Raises OSError."""
    address = urlsplit(url)
    little = socket.socket()
    little.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    little.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(little, (address.hostname, address.port))
    except OSError:
        little.close()
        raise
    return little

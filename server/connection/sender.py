"""Number the messages to a client, keep them for resuming, and send them in order."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Protocol

import orjson

from journal.recorder import JournalRecorder
from server.connection.message_log import MessageLog
from server.connection.protocol import Message, WireProtocol

Record = Callable[[Sequence[Message]], None]
Transmit = Callable[[bytes], Awaitable[None]]  # to the present socket, if there is one


class Follower(Protocol):
    """Observe the messages of a session beside its client. Its methods return at once."""

    def sent(self, number: int, message: Message) -> None:
        """Take a message that is about to be sent; number: its number in the session."""
        ...

    def ended(self, *, suspended: bool) -> None:
        """Note that nothing more is sent; suspended: the session is left to the next server."""
        ...


class MessageSender:
    """Send one session's messages, over all its connections.

    lock: held while messages are sent, so that they leave in the order of their numbers
    follower: observes the messages; None for most sessions
    recorder: records messages before they are sent; None if the session has no journal
    """

    def __init__(
        self, protocol: WireProtocol, log: MessageLog, recorder: JournalRecorder | None = None
    ) -> None:
        self.lock = asyncio.Lock()
        self.follower: Follower | None = None
        self._stopped = False
        self._protocol = protocol
        self._log = log
        self._recorder = recorder

    def stop(self) -> None:
        """Send nothing more: the next server sends what is cut short here, so nothing may follow it."""
        self._stopped = True

    async def send(
        self, messages: Sequence[Message], transmit: Transmit, record: Record | None = None
    ) -> None:
        """Send messages in order.

        record: records the messages in the journal before they are sent, and may record that there are none;
            by default as messages that a replay does not produce again
        """
        recorder = self._recorder
        if recorder is None and not messages:
            return
        async with self.lock:
            if self._stopped:
                return
            numbered, texts = [], []
            for message in messages:
                numbered.append(self._protocol.with_sequence_number(message, self._log.number + 1))
                texts.append(orjson.dumps(numbered[-1]))
                self._log.append(texts[-1])
            if recorder is not None:
                (record or recorder.unrepeatable)(numbered)
                if messages:
                    await recorder.flush()
            if self.follower is not None:
                for number, each in enumerate(numbered, self._log.number - len(numbered) + 1):
                    self.follower.sent(number, each)
            for text in texts:
                await transmit(text)

    async def send_acknowledgements(self, transmit: Transmit) -> None:
        """Acknowledge received audio at every flush tick, or else hand it to the journal. Never returns."""
        async for _ in flush_ticks():
            if messages := self._protocol.acknowledge():
                await self.send(messages, transmit)
            elif self._recorder is not None:
                self._recorder.submit()


FLUSH_SECONDS: Final = 0.9  # at most a second apart, even if the event loop is a little late
GRID_SECONDS: Final = 0.1  # ticks fall on multiples of it, so that all sessions share their wake-ups


def next_flush_tick(now: float) -> float:
    """Return when the next tick is: later than FLUSH_SECONDS - GRID_SECONDS, at most FLUSH_SECONDS away.

    now: seconds, on the clock of the result
    """
    return math.floor(now / GRID_SECONDS) * GRID_SECONDS + FLUSH_SECONDS


async def flush_ticks() -> AsyncIterator[None]:
    """Yield at every tick, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(next_flush_tick(loop.time()) - loop.time())
        yield

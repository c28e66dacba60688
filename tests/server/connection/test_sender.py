"""Test that messages are sent in order of their numbers, and recorded before."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import Clip
from engine.health import Health
from journal.recorder import JournalRecorder
from journal.store import JournalStore
from server.connection.message_log import MessageLog
from server.connection.sender import FLUSH_SECONDS, GRID_SECONDS, MessageSender, flush_ticks, next_flush_tick
from server.protocols.deepgram.live_protocol import DeepgramProtocol
from tests.server.journal_helpers import OPENED, kept
from tests.server.live_server import Message
from tests.waiting import until

HELLO, MARKER = {"type": "hello"}, {"type": "marker"}


class FakeProtocol(DeepgramProtocol):
    """Number messages, and send the acknowledgements that are due."""

    def __init__(self) -> None:
        self.due: list[Message] = []

    def with_sequence_number(self, message: Mapping[str, Any], number: int) -> Mapping[str, Any]:
        return {**message, "seq": number}

    def acknowledge(self) -> list[Message]:
        due, self.due = self.due, []
        return due


class Heard:
    """Record the sent messages as seq and type. slow: yield to the event loop before each"""

    def __init__(self, *, slow: bool = False) -> None:
        self.messages: list[tuple[int, str]] = []
        self.came = asyncio.Event()
        self._slow = slow

    async def send(self, text: bytes) -> None:
        if self._slow:
            await asyncio.sleep(0)
        message = orjson.loads(text)
        self.messages.append((message["seq"], message["type"]))
        self.came.set()


def on_disk(disk: JournalStore) -> JournalRecorder:
    recording = JournalRecorder(disk.open("5f1c"))
    recording.snapshot(OPENED.head, OPENED.number, OPENED.snapshot)
    return recording


async def test_concurrent_messages_are_sent_in_order_of_number() -> None:
    heard, journal = Heard(slow=True), MessageLog(1 << 20)
    sender = MessageSender(FakeProtocol(), journal)
    both = [dict(HELLO), dict(MARKER)]
    await asyncio.gather(*(sender.send([dict(each) for each in both], heard.send) for _ in range(3)))
    assert heard.messages == [(number, both[(number - 1) % 2]["type"]) for number in range(1, 7)]
    assert [orjson.loads(text)["seq"] for text in journal.since(4)] == [5, 6]


async def test_message_is_recorded_and_flushed_before_it_is_sent(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        recording = on_disk(disk)

        async def send(_: bytes) -> None:
            past = kept(tmp_path, "5f1c")
            assert past is not None
            assert [message["seq"] for message, _ in past.messages] == [1]
            assert len(past.tail) == 1

        recording.audio(Clip(np.zeros(100, np.float32), 0))
        await MessageSender(FakeProtocol(), MessageLog(1 << 20), recording).send(
            [dict(HELLO)], send, recording.reply
        )


async def test_record_without_messages_is_not_flushed(tmp_path: Path) -> None:
    heard, recorded = Heard(), list[Sequence[Mapping[str, Any]]]()
    with JournalStore(tmp_path, Health()) as disk:
        sender = MessageSender(FakeProtocol(), MessageLog(0), on_disk(disk))
        await sender.send([], heard.send, recorded.append)
    assert (heard.messages, recorded) == ([], [[]])


async def test_nothing_to_send_takes_no_lock_without_a_journal() -> None:
    heard = Heard()
    sender = MessageSender(FakeProtocol(), MessageLog(0))
    async with sender.lock, asyncio.timeout(20):
        await sender.send([], heard.send)
    assert heard.messages == []


async def test_nothing_is_sent_or_recorded_after_a_stop(tmp_path: Path) -> None:
    heard = Heard()
    with JournalStore(tmp_path, Health()) as disk:
        recording = on_disk(disk)
        sender = MessageSender(FakeProtocol(), MessageLog(1 << 20), recording)
        cut = asyncio.create_task(sender.send([dict(HELLO)], heard.send))
        waiting = asyncio.create_task(sender.send([dict(MARKER)], heard.send))
        await asyncio.sleep(0)  # the first one waits for the disk, the second one for the first
        sender.stop()
        cut.cancel()
        await waiting
        await recording.flush()
        past = kept(tmp_path, "5f1c")
    assert heard.messages == []
    assert past is not None
    assert [message["type"] for message, _ in past.messages] == ["hello"]


async def test_acknowledgements_are_sent_or_only_submitted(tmp_path: Path) -> None:
    heard, protocol = Heard(), FakeProtocol()
    with JournalStore(tmp_path, Health()) as disk:
        recording = on_disk(disk)
        await recording.flush()
        acknowledging = asyncio.create_task(
            MessageSender(protocol, MessageLog(1 << 20), recording).send_acknowledgements(heard.send)
        )
        recording.audio(Clip(np.zeros(100, np.float32), 0))
        await until(lambda: (past := kept(tmp_path, "5f1c")) is not None and bool(past.tail))
        protocol.due = [dict(HELLO)]
        await until(heard.came.is_set)
        acknowledging.cancel()
    assert heard.messages == [(1, "hello")]
    past = kept(tmp_path, "5f1c")
    assert past is not None
    assert (len(past.messages), past.sent) == (1, {})  # a replay does not give it again


@given(st.floats(0, 1e7))
def test_flush_tick_is_soon_and_on_the_shared_grid(now: float) -> None:
    at = next_flush_tick(now)
    assert FLUSH_SECONDS - GRID_SECONDS - 1e-6 < at - now < FLUSH_SECONDS + 1e-6
    assert abs(at / GRID_SECONDS - round(at / GRID_SECONDS)) < 1e-6


@given(st.floats(0, 1e7), st.floats(0, GRID_SECONDS, exclude_max=True))
def test_sessions_of_one_grid_interval_share_flush_ticks(now: float, late: float) -> None:
    first = round(now / GRID_SECONDS) * GRID_SECONDS + GRID_SECONDS / 4
    assert next_flush_tick(first) == next_flush_tick(first + late / 2)


async def test_flush_ticks_repeat() -> None:
    loop = asyncio.get_running_loop()
    came = []
    async with asyncio.timeout(20):
        async for _ in flush_ticks():
            came.append(loop.time())
            if len(came) == 2:
                break
    assert came[1] - came[0] > FLUSH_SECONDS - 2 * GRID_SECONDS

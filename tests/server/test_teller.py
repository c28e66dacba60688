"""What a client is told: in the order of its numbers, and not before it is kept."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson

from audio.clip import Clip
from engine.health import Health
from journal.recorder import JournalRecorder, NullRecorder
from journal.store import JournalStore
from server.listen import ListenDialect
from server.teller import Teller
from stream.journal import Journal
from tests.server.journaled import OPENED, kept
from tests.server.running import Message

HELLO, MARKER = {"type": "hello"}, {"type": "marker"}


class LittleDialect(ListenDialect):
    """Knows numbers, and acknowledges what it is given to."""

    def __init__(self) -> None:
        self.due: list[Message] = []

    def stamp(self, message: Message, number: int) -> None:
        message["seq"] = number

    def acknowledge(self) -> list[Message]:
        due, self.due = self.due, []
        return due


class Heard:
    """What was sent, as seq and type. slow: each takes a while"""

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
    recording.open(OPENED.head, OPENED.number, OPENED.snapshot)
    return recording


async def test_who_is_told_at_the_same_time_hears_it_in_the_order_of_its_numbers() -> None:
    heard, journal = Heard(slow=True), Journal(1 << 20)
    teller = Teller(LittleDialect(), journal, NullRecorder())
    both = [dict(HELLO), dict(MARKER)]
    await asyncio.gather(*(teller.tell([dict(each) for each in both], heard.send) for _ in range(3)))
    assert heard.messages == [(number, both[(number - 1) % 2]["type"]) for number in range(1, 7)]
    assert [orjson.loads(text)["seq"] for text in journal.since(4)] == [5, 6]


async def test_what_is_told_is_kept_first_with_all_that_came_in_before_it(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        recording = on_disk(disk)

        async def send(_: bytes) -> None:
            past = kept(tmp_path, "5f1c")
            assert past is not None
            assert [message["seq"] for message, _ in past.messages] == [1]
            assert len(past.tail) == 1

        recording.sound(Clip(np.zeros(100, np.float32), 0))
        await Teller(LittleDialect(), Journal(1 << 20), recording).tell([dict(HELLO)], send, recording.reply)


async def test_where_there_is_nothing_to_tell_something_may_be_kept_and_nobody_waits() -> None:
    heard, kept_there = Heard(), list[Sequence[Message]]()
    await Teller(LittleDialect(), Journal(0), NullRecorder()).tell([], heard.send, kept_there.append)
    assert (heard.messages, kept_there) == ([], [[]])


async def test_behind_a_message_that_was_cut_short_by_a_stop_nothing_is_told_nor_kept(tmp_path: Path) -> None:
    heard = Heard()
    with JournalStore(tmp_path, Health()) as disk:
        recording = on_disk(disk)
        teller = Teller(LittleDialect(), Journal(1 << 20), recording)
        cut = asyncio.create_task(teller.tell([dict(HELLO)], heard.send))
        waiting = asyncio.create_task(teller.tell([dict(MARKER)], heard.send))
        await asyncio.sleep(0)  # the first one waits for the disk, the second one for the first
        teller.stopped = True
        cut.cancel()
        await waiting
        await recording.safe()
        past = kept(tmp_path, "5f1c")
    assert heard.messages == []
    assert past is not None
    assert [message["type"] for message, _ in past.messages] == ["hello"]


async def test_from_time_to_time_what_came_in_is_acknowledged_or_only_written(tmp_path: Path) -> None:
    heard, dialect = Heard(), LittleDialect()
    with JournalStore(tmp_path, Health()) as disk:
        recording = on_disk(disk)
        await recording.safe()
        acknowledging = asyncio.create_task(
            Teller(dialect, Journal(1 << 20), recording).acknowledge(heard.send)
        )
        recording.sound(Clip(np.zeros(100, np.float32), 0))
        async with asyncio.timeout(20):
            while not (past := kept(tmp_path, "5f1c")) or not past.tail:
                await asyncio.sleep(0.01)
            dialect.due = [dict(HELLO)]
            await heard.came.wait()
        acknowledging.cancel()
    assert heard.messages == [(1, "hello")]
    past = kept(tmp_path, "5f1c")
    assert past is not None
    assert (len(past.messages), past.told) == (1, {})  # a replay does not give it again

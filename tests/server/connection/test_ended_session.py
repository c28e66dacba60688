"""Test that the client of an ended session gets the messages that it missed, without a replay."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio.clip import Clip
from engine.health import Health
from journal.records import AudioRecord, CommandRecord, OutputRecord, Record, RefusalRecord, SnapshotRecord
from journal.store import JournalStore
from server.connection.ended_session import EndedSession
from server.connection.websocket import BoundedWebSocket
from server.errors import ClientError
from server.protocols.native.protocol import NativeEndedMessages
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.snapshot import save
from tests.server.fakes import Line
from tests.server.journal_helpers import files_in, sounding
from tests.server.live_server import Message

HEAD = {"owner": "alice", "commands": 3, "key": "00"}
SAID: list[Message] = [
    {"type": "input_audio_buffer.speech_started", "seq": 5},
    {"type": "session.closed", "seq": 6},
]


def opened(samples: int, number: int, head: Mapping[str, Any] = HEAD) -> SnapshotRecord:
    """Return a snapshot after so many samples and messages."""
    session = Session(SessionOptions())
    session.receive_audio(Clip(sounding(samples).samples, 0))
    session.effects.clear()
    return SnapshotRecord(head, number, save(session))


ENTRIES: list[Record] = [
    opened(1600, 4),
    sounding(160),
    CommandRecord("{}"),
    RefusalRecord(),
    sounding(80),
    OutputRecord("SpeechStarted", SAID[:1]),
    OutputRecord("Closed", SAID[1:]),
]


def left_behind(folder: Path, entries: list[Record]) -> list[Path]:
    with JournalStore(folder, Health()) as disk:
        journal = disk.open("5f1c")
        for entry in entries:
            journal.append(entry)
        journal.close()
    return [folder / "5f1c.1.journal"]


def ended(files: list[Path], disk: JournalStore, most: int = 1 << 20) -> EndedSession:
    return EndedSession("5f1c", "alice", NativeEndedMessages("5f1c"), files, disk, most)


async def told(session: EndedSession, seen: int) -> Line:
    line = Line()
    await session.resume(
        BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 20, send_timeout=60), seen
    )
    return line


async def test_client_of_an_ended_session_gets_missed_messages(tmp_path: Path) -> None:
    files = left_behind(tmp_path, ENTRIES)
    with JournalStore(tmp_path, Health()) as disk:
        session = ended(files, disk)
        assert session.owner == "alice"
        line = await told(session, seen=5)
        again = await told(session, seen=4)
    welcome, missed = line.heard
    assert missed == SAID[1]
    assert (welcome["type"], welcome["session_id"]) == ("session.resumed", "5f1c")
    assert (welcome["received_ms"], welcome["received_messages"]) == (115, 5)
    assert (welcome["seq"], welcome["replayed"]) == (5, 1)
    assert line.close == (1000, "")
    assert again.heard[1:] == SAID


async def test_audio_of_a_final_is_restored(tmp_path: Path) -> None:
    final = {"type": "response.audio_transcript.done", "audio": None}
    sound = AudioRecord(np.full(4, 0.5, np.float32))
    files = left_behind(
        tmp_path, [opened(0, 0), sound, OutputRecord("Final", [final], sound=(1, 3)), OutputRecord("Closed")]
    )
    with JournalStore(tmp_path, Health()) as disk:
        line = await told(ended(files, disk), seen=0)
    assert line.heard[1]["audio"] == "AEAAQA=="  # two samples of 0x4000


@pytest.mark.parametrize(("seen", "most"), [(3, 1 << 20), (7, 1 << 20), (4, 10)])
async def test_resume_after_unknown_messages_is_refused(tmp_path: Path, seen: int, most: int) -> None:
    files = left_behind(tmp_path, ENTRIES)
    with JournalStore(tmp_path, Health()) as disk, pytest.raises(ClientError) as refused:
        await told(ended(files, disk, most), seen)
    assert refused.value.code == "resume_unknown"


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"nonsense")])
async def test_session_with_missing_or_damaged_files_is_unknown(tmp_path: Path, damage: Any) -> None:
    (file,) = files = left_behind(tmp_path, ENTRIES)
    damage(file)
    with JournalStore(tmp_path, Health()) as disk, pytest.raises(ClientError) as refused:
        await told(ended(files, disk), 5)
    assert refused.value.code == "resume_unknown"


async def test_disconnect_while_messages_are_sent_is_no_error(tmp_path: Path) -> None:
    files = left_behind(tmp_path, ENTRIES)
    line = Line()
    with JournalStore(tmp_path, Health()) as disk:
        session = ended(files, disk)
        websocket = await line.accepted()
        line.transport.abort()
        await session.resume(BoundedWebSocket(websocket, max_message_bytes=1 << 20, send_timeout=60), 5)
    assert (line.heard, line.close) == ([], None)


async def test_forgotten_session_leaves_no_files(tmp_path: Path) -> None:
    files = left_behind(tmp_path, ENTRIES)
    with JournalStore(tmp_path, Health()) as disk:
        assert disk.size > 0
        ended(files, disk).forget()
    assert (files_in(tmp_path), disk.size) == ([], 0)

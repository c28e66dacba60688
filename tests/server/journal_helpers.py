"""Helpers for tests of journals: records, files, and a full disk."""

import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from audio.clip import Clip
from journal.records import AudioRecord, SnapshotRecord
from journal.replay import ReplayedSession, replay_journal
from journal.segment_files import name_of, number_of
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.snapshot import save
from tests.server.live_server import Message

CHUNK_MS = 100
OPENED = SnapshotRecord({}, 0, save(Session(SessionOptions())))


def sounding(samples: int, seed: int = 0) -> AudioRecord:
    """Return noise that 16-bit samples represent exactly."""
    noise = np.random.default_rng(seed).integers(-32768, 32768, samples, np.int16)
    return AudioRecord(noise.astype(np.float32) / np.float32(32768))


def opened_after(sound: AudioRecord) -> SnapshotRecord:
    """Return a snapshot of a session that has received this audio and detected nothing in it yet."""
    session = Session(SessionOptions())
    session.receive_audio(Clip(sound.samples, 0))
    session.effects.clear()
    return SnapshotRecord({}, 0, save(session))


def files_in(folder: Path) -> list[str]:
    """Return the names of the journal files."""
    return sorted(path.name for path in folder.glob("*.journal"))


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.journal"))


def kept(folder: Path, name: str) -> ReplayedSession | None:
    """Replay the journal of a session from its files."""
    files = [path for path in folder.glob("*.journal") if name_of(path) == name]
    return replay_journal([path.read_bytes() for path in sorted(files, key=number_of)])


def seeds(past: ReplayedSession | None) -> list[int]:
    """Return the seeds of the audio to be replayed, which `sounding` made of 100 samples each."""
    assert past is not None
    known = {sounding(100, seed).samples.tobytes(): seed for seed in range(100)}
    sounds = [
        entry.samples for entry in past.tail if isinstance(entry, AudioRecord)
    ]  # replay joins adjacent records
    return [known[part.tobytes()] for samples in sounds for part in samples.reshape(-1, 100)]


@contextmanager
def full_disk(most: int) -> Iterator[None]:
    """Limit the size of every file that this process writes, in bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def chunks_of(pcm: bytes) -> list[bytes]:
    """Split PCM16 at 16 kHz into messages of CHUNK_MS."""
    size = 32 * CHUNK_MS
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def rest_of(items: Sequence[str | bytes], greeting: Message) -> list[str | bytes]:
    """Return the audio chunks and commands that the server does not have yet."""
    ms: float = greeting.get("received_ms", 0)
    commands: int = greeting.get("received_messages", 0)
    rest = list(items)
    while rest and (commands > 0 if isinstance(rest[0], str) else ms > 0):
        item = rest.pop(0)
        if isinstance(item, str):
            commands -= 1
        else:
            ms -= len(item) / 32
    assert (ms, commands) == (0, 0), "The server has more than the client sent."
    return rest

"""Little journals: what is written into them, what is found in them, and a disk that is full."""

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
    """Noise that two bytes a sample can say."""
    noise = np.random.default_rng(seed).integers(-32768, 32768, samples, np.int16)
    return AudioRecord(noise.astype(np.float32) / np.float32(32768))


def opened_after(sound: AudioRecord) -> SnapshotRecord:
    """The beginning of a session that has received so much and judged nothing of it."""
    session = Session(SessionOptions())
    session.receive_audio(Clip(sound.samples, 0))
    return SnapshotRecord({}, 0, save(session))


def files_in(folder: Path) -> list[str]:
    """Names of the journals' files."""
    return sorted(path.name for path in folder.glob("*.journal"))


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.journal"))


def kept(folder: Path, name: str) -> ReplayedSession | None:
    """What the files tell of a session."""
    files = [path for path in folder.glob("*.journal") if name_of(path) == name]
    return replay_journal([path.read_bytes() for path in sorted(files, key=number_of)])


def seeds(past: ReplayedSession | None) -> list[int]:
    """Of the sounds that are to be played once more, as `sounding` made them of 100 samples each."""
    assert past is not None
    known = {sounding(100, seed).samples.tobytes(): seed for seed in range(100)}
    sounds = [
        entry.samples for entry in past.tail if isinstance(entry, AudioRecord)
    ]  # neighbours are one by now
    return [known[part.tobytes()] for samples in sounds for part in samples.reshape(-1, 100)]


@contextmanager
def full_disk(most: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def chunks_of(pcm: bytes) -> list[bytes]:
    """PCM16 at 16 kHz, in messages of CHUNK_MS."""
    size = 32 * CHUNK_MS
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def rest_of(items: Sequence[str | bytes], greeting: Message) -> list[str | bytes]:
    """What a client has still to say: chunks of sound and commands, behind those that the server has."""
    ms: float = greeting.get("received_ms", 0)
    commands: int = greeting.get("received_messages", 0)
    rest = list(items)
    while rest and (commands > 0 if isinstance(rest[0], str) else ms > 0):
        item = rest.pop(0)
        if isinstance(item, str):
            commands -= 1
        else:
            ms -= len(item) / 32
    assert (ms, commands) == (0, 0), "the server has what was not said"
    return rest

"""Recovery: what the files of a journal tell of a session that was cut off with its server."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from audio.clip import Samples
from audio.sample_buffer import SampleBuffer
from journal.framing import read_frames
from journal.records import (
    CLOSED,
    AudioRecord,
    CommandRecord,
    DamagedRecord,
    EndRecord,
    OutputRecord,
    ReconnectRecord,
    Record,
    RefusalRecord,
    SnapshotRecord,
    TakeoverRecord,
    decoded,
)
from streaming.local_agreement import pieces
from streaming.snapshot import RestorePoint, UtteranceState
from streaming.utterance import RecordedResult

LONGEST: Final = 1 << 32  # samples of a journal's sound


@dataclass(frozen=True, slots=True)
class ReplayedSession:
    """head: of the newest file; begun: from where the session is played once more, with `tail`
    told: how many events of each kind were told after that, and are not to be told again
    messages: the latest that were told, up to `number`, each with the sound that was in it, if that is there
    refused: messages that changed nothing
    intact: bytes of the newest file up to which it is whole
    in_vain: servers that took it up since its client was there
    """

    head: Mapping[str, Any]
    begun: RestorePoint
    tail: Sequence[AudioRecord | CommandRecord | EndRecord]
    told: Counter[str]
    messages: Sequence[tuple[Mapping[str, Any], Samples | None]]
    number: int
    refused: int
    intact: int
    in_vain: int = 0

    @property
    def is_over(self) -> bool:
        """Everything had been told."""
        return self.told[CLOSED] > 0


def replay_journal(files: Sequence[bytes]) -> ReplayedSession | None:
    """files: a session's, oldest first. None where no file has a beginning.

    The last file with a beginning counts: one is begun before the one before it is let go of.
    """
    read = [entries for entries in (list(_entries(data)) for data in files) if entries]
    begun = [entries for entries in read if isinstance(entries[0][0], SnapshotRecord)]
    if not begun:
        return None
    told = _Retold()
    for entries in begun:
        for entry, _ in entries:
            told.take(entry)
    return _recovered(begun[-1], told)


def _entries(data: bytes) -> Iterator[tuple[Record, int]]:
    """Each with the place behind it; up to the first that is damaged."""
    for record in read_frames(data):
        try:
            yield decoded(record.kind, record.payload), record.end
        except DamagedRecord:
            return


def _recovered(entries: Sequence[tuple[Record, int]], told: "_Retold") -> ReplayedSession:
    opened = entries[0][0]
    assert isinstance(opened, SnapshotRecord)
    since = [entry for entry, _ in entries[1:]]
    kinds = Counter(entry.kind for entry in since if isinstance(entry, OutputRecord) and entry.kind)
    concluded: dict[int, RecordedResult | str] = {}
    promised: dict[int, Sequence[str]] = {}
    for entry in since:
        if isinstance(entry, OutputRecord) and entry.conclusion is not None:
            concluded[entry.utterance] = entry.conclusion
        elif isinstance(entry, OutputRecord) and entry.stable:
            promised[entry.utterance] = pieces(entry.stable)
    return ReplayedSession(
        head=opened.head,
        begun=RestorePoint(opened.snapshot, opened.memory, concluded, promised),
        tail=[entry for entry in since if isinstance(entry, AudioRecord | CommandRecord | EndRecord)],
        told=kinds,
        messages=told.messages,
        number=told.number,
        refused=sum(isinstance(entry, RefusalRecord) for entry in since),
        intact=entries[-1][1],
        in_vain=_taken_up_in_vain(since),
    )


def _taken_up_in_vain(entries: Sequence[Record]) -> int:
    servers = 0
    for entry in reversed(entries):
        if isinstance(entry, AudioRecord | CommandRecord | RefusalRecord | ReconnectRecord):
            break
        servers += isinstance(entry, TakeoverRecord)
    return servers


class _Retold:
    """The messages of all files."""

    def __init__(self) -> None:
        self.number = 0
        self.messages: list[tuple[Mapping[str, Any], Samples | None]] = []
        self._sound: SampleBuffer | None = None
        self._waiting: list[tuple[UtteranceState, Samples]] = []

    def take(self, entry: Record) -> None:
        if isinstance(entry, SnapshotRecord):
            self._open(entry)
        elif isinstance(entry, AudioRecord) and self._sound is not None:
            self._sound.append(entry.samples)
        elif isinstance(entry, OutputRecord):
            self.number += len(entry.messages)
            sound = None if entry.sound is None else self._between(*entry.sound)
            self.messages += [(message, sound) for message in entry.messages]

    def _open(self, opened: SnapshotRecord) -> None:
        state, sound = opened.snapshot
        if opened.number != self.number:  # files between are gone
            self.messages.clear()
            self.number = opened.number
        if self._sound is None or self._sound.end != state.received:
            self._sound = SampleBuffer(LONGEST)
            self._sound.skip_to(state.sound_from)
            self._sound.append(sound[len(sound) - (state.received - state.sound_from) :])
        first = 0
        for each in state.waiting:
            if isinstance(each, UtteranceState):
                self._waiting.append((each, sound[first : first + each.length]))
                first += each.length

    def _between(self, start: int, end: int) -> Samples | None:
        for utterance, sound in self._waiting:
            if (utterance.start, utterance.end) == (start, end):
                return sound
        try:
            return self._sound.read(start, end) if self._sound else None
        except IndexError:
            return None

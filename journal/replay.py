"""Read the files of a journal to restore a session whose server ended."""

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
    InputRecord,
    OutputRecord,
    ReconnectRecord,
    Record,
    RefusalRecord,
    SnapshotRecord,
    TakeoverRecord,
    decode_record,
)
from streaming.local_agreement import pieces
from streaming.snapshot import RestorePoint, UtteranceState
from streaming.utterance import RecordedResult

MAX_AUDIO_SAMPLES: Final = 1 << 32  # of one journal


@dataclass(frozen=True, slots=True)
class ReplayedSession:
    """Hold what a journal knows of a session.

    head: data of the protocol, from the newest file
    begun: state from which the session is replayed, with the input in `tail`
    sent: number of events of each kind that were sent after that state; a replay does not send them again
    messages: the latest sent messages, up to sequence number `number`, each with its audio if available
    refused: number of messages that changed nothing
    intact: length in bytes of the undamaged part of the newest file
    failed_takeovers: number of servers that continued the session since its client was last connected
    """

    head: Mapping[str, Any]
    begun: RestorePoint
    tail: Sequence[InputRecord]
    sent: Counter[str]
    messages: Sequence[tuple[Mapping[str, Any], Samples | None]]
    number: int
    refused: int
    intact: int
    failed_takeovers: int = 0

    @property
    def is_over(self) -> bool:
        """Return whether all events of the session had been sent."""
        return self.sent[CLOSED] > 0


def replay_journal(files: Sequence[bytes]) -> ReplayedSession | None:
    """Read the journal of a session; return None if no file begins with a snapshot.

    files: contents of the files, oldest first. The session continues from the last file that begins with a
    snapshot, because a new file is begun before the older one is deleted.
    """
    read = [entries for entries in (list(_entries(data)) for data in files) if entries]
    begun = [entries for entries in read if isinstance(entries[0][0], SnapshotRecord)]
    if not begun:
        return None
    sent = _SentMessages()
    for entries in begun:
        for entry, _ in entries:
            sent.take(entry)
    return _recovered(begun[-1], sent)


def _entries(data: bytes) -> Iterator[tuple[Record, int]]:
    """Yield each record with the offset of its end, up to the first damaged one."""
    for record in read_frames(data):
        try:
            yield decode_record(record.kind, record.payload), record.end
        except DamagedRecord:
            return


def _recovered(entries: Sequence[tuple[Record, int]], sent: "_SentMessages") -> ReplayedSession:
    opened = entries[0][0]
    assert isinstance(opened, SnapshotRecord)
    since = [entry for entry, _ in entries[1:]]
    kinds = Counter(entry.kind for entry in since if isinstance(entry, OutputRecord) and entry.kind)
    results: dict[int, RecordedResult | str] = {}
    stable_words: dict[int, Sequence[str]] = {}
    for entry in since:
        if isinstance(entry, OutputRecord) and entry.result is not None:
            results[entry.utterance] = entry.result
        elif isinstance(entry, OutputRecord) and entry.stable:
            stable_words[entry.utterance] = pieces(entry.stable)
    return ReplayedSession(
        head=opened.head,
        begun=RestorePoint(opened.snapshot, opened.detector_state, results, stable_words),
        tail=[entry for entry in since if isinstance(entry, InputRecord)],
        sent=kinds,
        messages=sent.messages,
        number=sent.number,
        refused=sum(isinstance(entry, RefusalRecord) for entry in since),
        intact=entries[-1][1],
        failed_takeovers=_failed_takeovers(since),
    )


def _failed_takeovers(entries: Sequence[Record]) -> int:
    servers = 0
    for entry in reversed(entries):
        if isinstance(entry, AudioRecord | CommandRecord | RefusalRecord | ReconnectRecord):
            break
        servers += isinstance(entry, TakeoverRecord)
    return servers


class _SentMessages:
    """Collect the messages that were sent, from all files, with their audio."""

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
        if opened.number != self.number:  # files in between were deleted
            self.messages.clear()
            self.number = opened.number
        if self._sound is None or self._sound.end != state.received:
            self._sound = SampleBuffer(MAX_AUDIO_SAMPLES)
            self._sound.skip_to(state.sound_from)
            self._sound.append(sound[len(sound) - (state.received - state.sound_from) :])
        sounds = opened.snapshot.closed_sounds()
        for each in state.waiting:
            if isinstance(each, UtteranceState):
                self._waiting.append((each, sounds[each.number][1]))

    def _between(self, start: int, end: int) -> Samples | None:
        for utterance, sound in self._waiting:
            if (utterance.start, utterance.end) == (start, end):
                return sound
        try:
            return self._sound.read(start, end) if self._sound else None
        except IndexError:
            return None

"""Recording: what is kept of a session on disk, as it goes along, so that it survives the server."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from audio.clip import Clip
from journal.records import (
    REPLY,
    AudioRecord,
    CommandRecord,
    EndRecord,
    OutputRecord,
    ReconnectRecord,
    RefusalRecord,
    SnapshotRecord,
    output_record,
    quantize_pcm16,
)
from journal.session_journal import SessionJournal
from streaming.events import Event
from streaming.snapshot import Snapshot
from vad.detector_input import DetectorState
from vad.segmenter import Reason

# A snapshot is small in a pause, and has the whole utterance in it else.
LONG_ENOUGH: Final = 1 << 20  # bytes of a file after which the next one begins in a pause
TOO_LONG: Final = 4 << 20  # and after which it begins wherever it can
MOST_UNWRITTEN: Final = 4 << 20  # bytes of sound


class NullRecorder:
    """Keeps nothing: of a session that nobody can take up again after the server."""

    has_room = True
    replaying = False  # what comes in now has come in before

    def sound(self, clip: Clip) -> Clip:
        """What comes in; returns it as it will be heard, here and when it is played once more."""
        return clip

    def command(self, text: str) -> None:
        """A message that is no sound."""

    def refuse(self) -> None:
        """A message that changes nothing."""

    def end(self, reason: Reason) -> None:
        """No more sound comes in."""

    def tell(self, event: Event, messages: Sequence[Mapping[str, Any]]) -> None:
        """What goes out to tell of an event; that may be nothing."""

    def reply(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Record messages that a replay of the client's messages produces again."""

    def complain(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Record messages that a replay does not produce again."""

    async def come_back(self) -> None:
        """The client that had been cut off is there again. Waits until all is kept, for it will be told how
        much came in, and lets go of that."""

    def is_due(self, speaking: bool) -> bool:
        """It is time for a snapshot."""
        return False

    def open(
        self, head: Mapping[str, Any], number: int, snapshot: Snapshot, memory: DetectorState | None = None
    ) -> None:
        """The session as it stands: the beginning of a new file."""

    def write(self) -> None:
        """All of it is kept soon; nobody waits for it."""

    async def safe(self) -> None:
        """Waits until all of it is kept."""

    async def close(self) -> None:
        """The server stops; another one goes on with it. Waits until all of it is kept."""

    def delete(self) -> None:
        """The session is over, and nobody can come back to it."""

    @property
    def lasts(self) -> bool:
        """The session goes on after the end of this server."""
        return False


class JournalRecorder(NullRecorder):
    """Of one session, in a Log. It loses all where the disk fails; the session goes on without."""

    def __init__(self, log: SessionJournal) -> None:
        self.replaying = False  # what comes in now is in the log already
        self._log = log
        self._due = False

    @property
    def has_room(self) -> bool:  # type: ignore[override]
        return self._log.unwritten < MOST_UNWRITTEN or self._log.lost

    @property
    def lasts(self) -> bool:
        return not self._log.lost

    def sound(self, clip: Clip) -> Clip:
        heard = AudioRecord(clip.samples, True) if clip.is_pcm16 else quantize_pcm16(clip.samples)
        if not self.replaying:
            self._log.append(heard)
        return clip if clip.is_pcm16 else Clip(heard.samples, clip.start, heard.is_pcm16)

    def command(self, text: str) -> None:
        if not self.replaying:
            self._log.append(CommandRecord(text))

    def refuse(self) -> None:
        if not self.replaying:
            self._log.append(RefusalRecord())

    def end(self, reason: Reason) -> None:
        if not self.replaying:
            self._log.append(EndRecord(reason))

    def tell(self, event: Event, messages: Sequence[Mapping[str, Any]]) -> None:
        entry = output_record(event, messages)
        if entry.kind or entry.messages:
            self._log.append(entry)

    def reply(self, messages: Sequence[Mapping[str, Any]]) -> None:
        if messages:
            self._log.append(OutputRecord(REPLY, messages))

    def complain(self, messages: Sequence[Mapping[str, Any]]) -> None:
        if messages:
            self._log.append(OutputRecord(None, messages))

    async def come_back(self) -> None:
        self._log.append(ReconnectRecord())
        await self.safe()

    def is_due(self, speaking: bool) -> bool:
        if self._due or self.replaying or self._log.lost:
            return False
        self._due = self._log.size >= (TOO_LONG if speaking else LONG_ENOUGH)
        return self._due

    def open(
        self, head: Mapping[str, Any], number: int, snapshot: Snapshot, memory: DetectorState | None = None
    ) -> None:
        self._due = False
        self._log.append(SnapshotRecord(head, number, snapshot, memory))

    def write(self) -> None:
        self._log.submit()

    async def safe(self) -> None:
        if not self._log.lost:
            await self._log.flush()

    async def close(self) -> None:
        await self.safe()
        self._log.close()

    def delete(self) -> None:
        self._log.delete()

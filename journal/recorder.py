"""Record a session in its journal as it goes along, so that another server can continue it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from audio.clip import Clip
from journal.records import (
    NAMED,
    REPLY,
    AudioRecord,
    CommandRecord,
    EndRecord,
    NoAudioRecord,
    OutputRecord,
    ReconnectRecord,
    RefusalRecord,
    SnapshotRecord,
    output_record,
    quantize_pcm16,
)
from journal.session_journal import SessionJournal
from streaming.driver import StreamDriver
from streaming.events import Event
from streaming.options import SessionOptions
from streaming.snapshot import Snapshot
from vad.detector_input import DetectorState
from vad.segmenter import Reason

# A snapshot taken in a pause is small; one taken during speech holds the whole utterance.
PAUSE_SNAPSHOT_BYTES: Final = 1 << 20  # size of a file after which the next file begins in a pause
FORCED_SNAPSHOT_BYTES: Final = 4 << 20  # size of a file after which the next file begins wherever it can
MAX_UNWRITTEN_BYTES: Final = 4 << 20  # audio that may wait for the disk


class JournalRecorder:
    """Record one session's input and output in its journal.

    If the disk fails the journal is lost; the session continues without it.

    replaying: the session is being restored from this journal, so its input is not recorded a second time
    """

    def __init__(self, log: SessionJournal, *, replaying: bool = False) -> None:
        self._log = log
        self._replaying = replaying
        self._snapshot_pending = False

    def finish_replay(self) -> None:
        """Record the input from now on: the journal's own input has been replayed."""
        self._replaying = False

    @property
    def has_capacity(self) -> bool:
        """Whether little enough audio waits for the disk."""
        return self._log.unwritten < MAX_UNWRITTEN_BYTES or self._log.lost

    @property
    def is_durable(self) -> bool:
        """Whether another server can continue the session."""
        return not self._log.lost

    def audio(self, clip: Clip) -> Clip:
        """Record audio from the client; return it quantized, as every replay of the journal has it."""
        record = AudioRecord(clip.samples, True) if clip.is_pcm16 else quantize_pcm16(clip.samples)
        if not self._replaying:
            self._log.append(record)
        return clip if clip.is_pcm16 else Clip(record.samples, clip.start, record.is_pcm16)

    def command(self, text: str) -> None:
        """Record a message of the client that is not audio."""
        if not self._replaying:
            self._log.append(CommandRecord(text))

    def refusal(self) -> None:
        """Record that a message of the client was refused and changed nothing."""
        if not self._replaying:
            self._log.append(RefusalRecord())

    def no_audio(self) -> None:
        """Record that no audio comes for now; the live stream ends its utterance here, and a replay must."""
        if not self._replaying:
            self._log.append(NoAudioRecord())

    def end(self, reason: Reason) -> None:
        """Record that no more audio is accepted."""
        if not self._replaying:
            self._log.append(EndRecord(reason))

    def output(self, event: Event, messages: Sequence[Mapping[str, Any]]) -> None:
        """Record the messages sent for an event; there may be none."""
        record = output_record(event, messages)
        if record.kind or record.messages:
            self._log.append(record)

    def reply(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Record messages that a replay of the client's messages produces again."""
        if messages:
            self._log.append(OutputRecord(REPLY, messages))

    def named(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Record that clips of known speakers were read, with the errors about them; there may be none."""
        self._log.append(OutputRecord(NAMED, messages))

    def unrepeatable(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Record messages that a replay does not produce again."""
        if messages:
            self._log.append(OutputRecord(None, messages))

    async def reconnect(self) -> None:
        """Record that the client is connected again, and wait until everything so far is written.

        The client then receives the amount of audio that arrived, and discards that audio.
        """
        self._log.append(ReconnectRecord())
        await self.flush()

    def is_snapshot_due(self, speaking: bool) -> bool:
        """Return whether a snapshot should begin a new file; True once for each file."""
        if self._snapshot_pending or self._replaying or self._log.lost:
            return False
        self._snapshot_pending = self._log.size >= (
            FORCED_SNAPSHOT_BYTES if speaking else PAUSE_SNAPSHOT_BYTES
        )
        return self._snapshot_pending

    def snapshot(
        self,
        head: Mapping[str, Any],
        number: int,
        snapshot: Snapshot,
        detector_state: DetectorState | None = None,
    ) -> None:
        """Begin a new file with the session's state.

        head: the wire protocol's state
        number: number of the latest message
        detector_state: the voice detector's state
        """
        self._snapshot_pending = False
        self._log.append(SnapshotRecord(head, number, snapshot, detector_state))

    def submit(self) -> None:
        """Hand what was recorded to the writing thread without waiting for it."""
        self._log.submit()

    async def flush(self) -> None:
        """Wait until everything that was recorded is written."""
        if not self._log.lost:
            await self._log.flush()

    async def close(self) -> None:
        """Write everything and leave the journal for the next server."""
        await self.flush()
        self._log.close()

    def delete(self) -> None:
        """Delete the journal: the session has ended and its client can no longer resume it."""
        self._log.delete()


class RecordedStream:
    """Record the input of a stream on its way: audio and the end go into the journal first.

    Wire protocols use it in place of the driver. What they read from text messages is recorded as that text.
    """

    def __init__(self, driver: StreamDriver, recorder: JournalRecorder) -> None:
        self._driver = driver
        self._recorder = recorder

    @property
    def channels(self) -> Sequence["RecordedStream"]:
        """The streams of the channels: this one alone."""
        return (self,)

    @property
    def received(self) -> int:
        """Samples received so far."""
        return self._driver.received

    @property
    def input_ended(self) -> bool:
        """Whether no more audio is accepted."""
        return self._driver.input_ended

    @property
    def accepts_turn_model(self) -> bool:
        """Whether the endpointing may depend on a model of the end of a turn."""
        return self._driver.accepts_turn_model

    def receive_audio(self, clip: Clip) -> None:
        """Record the next samples of the stream and pass them on, quantized as the journal has them."""
        self._driver.receive_audio(self._recorder.audio(clip))

    def commit(self) -> None:
        """End the open utterance here."""
        self._driver.commit()

    def clear(self) -> None:
        """Drop the open utterance."""
        self._driver.clear()

    def mark(self, marker: str) -> None:
        """Report the marker once everything before it is recognized."""
        self._driver.mark(marker)

    def note(self, note: object) -> None:
        """Return the note among the events at this place of the stream."""
        self._driver.note(note)

    def update(self, options: SessionOptions) -> None:
        """Change the options from here on."""
        self._driver.update(options)

    def end(self, reason: Reason) -> None:
        """Record the end of the audio and end the stream."""
        self._recorder.end(reason)
        self._driver.end(reason)

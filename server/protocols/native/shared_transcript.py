"""Keep the text of a shared session for those who follow it: the latest finals and the open partial. Pure."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Protocol

import orjson

from server.connection.protocol import Message
from server.connection.sender import Follower
from server.protocols.native.share_links import ShareLinks

MAX_EVENTS: Final = 1_000  # finals that a reader receives at first
MAX_BYTES: Final = 1 << 20  # of them together
PARTIAL_FIELDS: Final = ("item_id", "text", "stable_chars", "start_ms", "speaker")
FINAL: Final = "response.audio_transcript.done"
# One of these is in each message, as JSON, that is kept. Quotes in a text are escaped, so no text has them.
KEPT: Final = (
    b'"type":"%s"' % FINAL.encode(),
    b'"code":"transcription_failed"',
    b'"type":"speakers.revised"',
)


class SharedEvent(NamedTuple):
    """Hold an event for all readers; number: that of the session's message; encoded: as it is sent."""

    number: int
    encoded: bytes


class SharedTranscript:
    """Follow a session, and give each reader the events after the last one that it has.

    There is no queue for a reader: a slow one gets the newest partial, and the finals that are still kept.

    dropped: number of the newest message of the session that its log no longer holds; kept: the ones after it
    is_over: nothing follows; is_suspended: the next server continues the session
    """

    def __init__(self, dropped: int = 0, kept: Sequence[bytes] = ()) -> None:
        self.is_over = False
        self.is_suspended = False
        self._number = dropped  # of the newest message
        self._dropped = dropped  # number of the newest message that may have held text which is not kept
        self._events: deque[SharedEvent] = deque()
        self._size = 0  # bytes in them
        self._partial: SharedEvent | None = None
        self._open_item: str | None = None  # the utterance of the partial
        self._readers: set[Callable[[], None]] = set()
        texts = [
            (number, text)
            for number, text in enumerate(kept, dropped + 1)
            if any(mark in text for mark in KEPT)
        ]
        if len(texts) > MAX_EVENTS:
            self._dropped = texts[-MAX_EVENTS - 1][0]
        for number, text in texts[-MAX_EVENTS:]:
            self.sent(number, orjson.loads(text))
        self._number = dropped + len(kept)

    @property
    def readers(self) -> int:
        """Return the number of readers."""
        return len(self._readers)

    @contextmanager
    def reading(self, wake: Callable[[], None]) -> Iterator[None]:
        """Count a reader while the context lasts; wake: called after each change, unique to the reader."""
        self._readers.add(wake)
        try:
            yield
        finally:
            self._readers.discard(wake)

    def sent(self, number: int, message: Message) -> None:
        """Take a message that the session sends; one that was taken before is ignored."""
        if number <= self._number:
            return
        self._number = number
        match message["type"]:
            case "transcript.partial":
                fields = {name: message[name] for name in PARTIAL_FIELDS if name in message}
                self._open_item = message["item_id"]
                self._partial = _event(number, "partial", fields)
            case "response.audio_transcript.done":
                self._keep(number, "final", _final(message), message["item_id"])
            case "speakers.revised":
                items = [{name: item[name] for name in ("item_id", "speaker")} for item in message["items"]]
                self._keep(number, "speakers", {"items": items}, None)
            case "error" if "item_id" in message:
                self._keep(number, "dropped", {"item_id": message["item_id"]}, message["item_id"])
            case "input_audio_buffer.cleared" if self._partial is not None:
                self._keep(number, "dropped", {"item_id": self._open_item}, self._open_item)
            case _:
                return
        self.wake()

    def ended(self, *, suspended: bool) -> None:
        """Note that the session sends nothing more; suspended: the next server continues it."""
        self.is_over = True
        self.is_suspended = suspended
        self.wake()

    def first(self, last_event_id: str | None) -> int:
        """Return the number after which a reader begins.

        last_event_id: as the reader gives it; what is no number of this session counts as none
        """
        if last_event_id is None or not (last_event_id.isascii() and last_event_id.isdecimal()):
            return 0
        number = int(last_event_id[:20])
        return number if number <= self._number else 0

    def after(self, number: int) -> SharedEvent | None:
        """Return the first event after a number, or None.

        It is `gap` if finals after the number are no longer kept.
        """
        if number < self._dropped:
            return _event(self._dropped, "gap", {})
        place = bisect_right(self._events, number, key=lambda event: event.number)
        event = self._events[place] if place < len(self._events) else None
        partial = self._partial
        if partial is not None and partial.number > number and (event is None or partial < event):
            return partial
        return event

    def _keep(self, number: int, name: str, fields: Mapping[str, object], item: str | None) -> None:
        if item is not None and item == self._open_item:
            self._partial = self._open_item = None
        self._events.append(_event(number, name, fields))
        self._size += len(self._events[-1].encoded)
        while len(self._events) > MAX_EVENTS or self._size > MAX_BYTES:
            oldest = self._events.popleft()
            self._size -= len(oldest.encoded)
            self._dropped = oldest.number

    def wake(self) -> None:
        """Let every reader look for what has changed."""
        for wake in self._readers:
            wake()


class FollowedSession(Protocol):
    """Describe what sharing needs of a session; owner: name of the key that began it."""

    owner: str | None

    def kept_messages(self) -> tuple[int, list[bytes]]:
        """Return the messages that are kept, and the number of the newest one before them."""
        ...

    def follow(self, follower: Follower) -> None:
        """Let a follower observe all messages from here on, and the end."""
        ...


class ShareableSession:
    """Hold a session that its owner may share. Its text is kept from the first time that it is asked for."""

    def __init__(self, session: FollowedSession) -> None:
        self.owner = session.owner
        self.links = ShareLinks()
        self._session = session
        self._transcript: SharedTranscript | None = None

    @property
    def is_shared(self) -> bool:
        """Return whether the text was asked for."""
        return self._transcript is not None

    def transcript(self) -> SharedTranscript:
        """Return the text for readers. At first it has what the session holds for a client that resumes."""
        if self._transcript is None:
            self._transcript = SharedTranscript(*self._session.kept_messages())
            self._session.follow(self._transcript)
        return self._transcript


def _final(message: Mapping[str, Any]) -> dict[str, object]:
    fields = {name: message[name] for name in ("item_id", "start_ms", "end_ms", "language")}
    speaker = {"speaker": message["speaker"]} if "speaker" in message else {}
    return {"text": message["transcript"], **fields, **speaker}


def _event(number: int, name: str, fields: Mapping[str, object]) -> SharedEvent:
    return SharedEvent(
        number, b"id: %d\nevent: %s\ndata: %s\n\n" % (number, name.encode(), orjson.dumps(fields))
    )

"""Check the order of the events of /v1/realtime."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Message = Mapping[str, Any]

TRANSCRIPTION = "conversation.item.input_audio_transcription."


@dataclass
class Heard:
    """Hold the events of one item."""

    told: list[str] = field(default_factory=list)
    text: str = ""
    over: bool = False


class Reader:
    """Raise AssertionError at a message that contradicts docs/realtime.md.

    live: deltas may come before their item is committed; beta: events have the names of the beta protocol
    """

    def __init__(self, *, live: bool = False, beta: bool = False) -> None:
        self.items: dict[str, Heard] = {}
        self.committed: list[str] = []
        self.transcripts: dict[str, str] = {}
        self.replies: list[tuple[str, Any]] = []
        self._live = live
        self._open: str | None = None
        self._count = 0
        self._due = [f"conversation.item.{name}" for name in (("created",) if beta else ("added", "done"))]
        self._expected: list[str] = []  # what must come next, of the item that was committed last

    def hear(self, message: Message) -> None:
        self._count += 1
        type_, item_id = message["type"], message.get("item_id") or message.get("item", {}).get("id")
        if self._count == 1:
            assert type_ in ("session.created", "transcription_session.created")
            return
        if self._expected:
            assert (type_, item_id) == (self._expected.pop(0), self.committed[-1])
            assert message["previous_item_id"] == self._before(item_id)
            return
        assert type_ not in self._due
        if type_ == "input_audio_buffer.speech_started":
            assert item_id not in self.items
            assert self._open is None
            self._open = item_id
            self._item(item_id).told.append("started")
        elif type_ == "input_audio_buffer.speech_stopped":
            assert item_id == self._open
            assert self._item(item_id).told == ["started"]
            self._item(item_id).told.append("stopped")
        elif type_ == "input_audio_buffer.committed":
            self._commit(item_id, message)
        elif type_ == "input_audio_buffer.cleared":
            self._open = None
            self.replies.append((type_, None))
        elif type_.startswith(TRANSCRIPTION):
            self._transcription(type_.removeprefix(TRANSCRIPTION), item_id, message)
        elif type_ == "error":
            assert message["message"] == message["error"]["message"]
            self.replies.append((type_, message["error"]["event_id"]))
        else:
            self.replies.append((type_, item_id))

    def end(self) -> None:
        """Check that every committed item has ended."""
        assert self._expected == []
        assert [item_id for item_id in self.committed if not self.items[item_id].over] == []

    def _item(self, item_id: str) -> Heard:
        return self.items.setdefault(item_id, Heard())

    def _before(self, item_id: str) -> str | None:
        place = self.committed.index(item_id)
        return self.committed[place - 1] if place else None

    def _commit(self, item_id: str, message: Message) -> None:
        assert item_id not in self.committed
        self.committed.append(item_id)
        assert message["previous_item_id"] == self._before(item_id)
        assert self._open in (None, item_id)
        self._open = None
        self._item(item_id)
        self._expected = list(self._due)

    def _transcription(self, kind: str, item_id: str, message: Message) -> None:
        item = self._item(item_id)
        assert message["content_index"] == 0
        assert not item.over
        first = next((each for each in self.committed if not self.items[each].over), None)
        if kind == "delta":
            assert item_id == first or (self._live and first is None and item_id not in self.committed)
            assert message["delta"] != ""
            item.text += message["delta"]
            return
        assert item_id == first
        item.over = True
        if kind == "completed":
            assert message["transcript"] == item.text
            assert message["usage"]["type"] == "duration"
            assert message["usage"]["seconds"] > 0
            self.transcripts[item_id] = item.text
        else:
            assert kind == "failed"
            assert all(isinstance(message["error"][name], str) for name in ("type", "code", "param"))

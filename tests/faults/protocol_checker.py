"""Check the messages of one session over all its connections, and sum them up."""

import json
import zlib
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]

FINAL = "response.audio_transcript.done"
SPEECH = ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped")


class Wrong(Exception):
    """The server broke a guarantee of the protocol."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what must not depend on faults.

    told: finals, failures and markers in their order; speech: starts and ends of utterances
    closed: the sums of session.closed
    """

    told: tuple[tuple[object, ...], ...]
    speech: tuple[tuple[object, ...], ...]
    closed: tuple[int, ...]

    def difference(self, expected: "Outcome") -> str | None:
        for name in ("told", "speech", "closed"):
            ours, theirs = getattr(self, name), getattr(expected, name)
            if ours != theirs:
                lines = (f"  {side} {row}" for side, rows in (("was", ours), ("due", theirs)) for row in rows)
                return "\n".join([f"{name} differs:", *lines])
        return None


@dataclass(slots=True)
class Heard:
    """Collect the messages of a session. Raises Wrong for a message that contradicts earlier ones."""

    session: str = ""
    token: str | None = None
    acknowledged_ms: int = 0
    messages: list[Message] = field(default_factory=list)
    again: int = 0  # messages that arrived more than once
    _texts: list[bytes] = field(default_factory=list)

    @property
    def seq(self) -> int:
        """The sequence number of the newest message."""
        return len(self.messages)

    @property
    def is_over(self) -> bool:
        return bool(self.messages) and self.messages[-1]["type"] == "session.closed"

    def take(self, text: bytes) -> Message:
        """Check and store a new message, or compare a repeated one."""
        message: Message = json.loads(text)
        seq = message["seq"]
        if seq == 0 and message["type"] == "error" and message["error"]["retryable"]:
            return message  # there is no session yet: the server is starting
        if not 0 < seq <= self.seq + 1:
            raise Wrong(f"message {seq} came behind {self.seq}: {message}")
        if seq <= self.seq:
            self.again += 1
            if text != self._texts[seq - 1]:
                raise Wrong(f"message {seq} was {self._texts[seq - 1]!r:.300}, and is {text!r:.300}")
            return message
        if self.is_over:
            raise Wrong(f"{message} came behind session.closed")
        self.messages.append(message)
        self._texts.append(text)
        self._learn(message)
        return message

    def _learn(self, message: Message) -> None:
        match message["type"]:
            case "session.created":
                self.session, self.token = message["session_id"], message["resume_token"]
            case "input_audio_buffer.acknowledged":
                if message["received_ms"] < self.acknowledged_ms:
                    raise Wrong(f"{message} came behind {self.acknowledged_ms} ms")
                self.acknowledged_ms = message["received_ms"]

    def has_answer(self, type_: str, id: object = None) -> bool:
        return any(m["type"] == type_ and (id is None or m["id"] == id) for m in self.messages)

    def outcome(self) -> Outcome:
        """Sum up a session that is over.

        Raises Wrong for stable words that changed, and for utterances out of order.
        """
        if not self.is_over:
            raise Wrong("session.closed never came")
        self._check_partials()
        last = self.messages[-1]
        sums = tuple(last[name] for name in ("received_ms", "speech_ms", "non_speech_ms", "dropped_ms"))
        if abs(sums[0] - sum(sums[1:])) > 2:  # each is rounded
            raise Wrong(f"the sums do not agree: {last}")
        return Outcome(tuple(self._told()), tuple(self._speech()), (*sums, last["segments"]))

    def _told(self) -> list[tuple[object, ...]]:
        told: list[tuple[object, ...]] = []
        markers = set()
        for message in self.messages:
            match message["type"]:
                case "response.audio_transcript.done":
                    told.append(self._final(message))
                case "error":
                    told.append(("failed", self._number(message), message["start_ms"], message["end_ms"]))
                case "marker" if message["id"] not in markers:  # a repeated request is answered twice
                    markers.add(message["id"])
                    told.append(("marker", message["id"]))
        numbers: list[Any] = [row[1] for row in told if row[0] != "marker"]
        if numbers != sorted(set(numbers)):
            raise Wrong(f"utterances came as {numbers}")
        return told

    def _final(self, message: Message) -> tuple[object, ...]:
        before = message["previous_item_id"]
        number = self._number(message)
        if (before and int(before.rpartition("_")[2])) != (number - 1 or None):
            raise Wrong(f"{message['item_id']} came behind {before}")
        sound = zlib.crc32(message["audio"].encode()) if "audio" in message else None
        names = ("transcript", "start_ms", "end_ms", "reason", "guard", "language", "confidence")
        return ("final", number, *(message[name] for name in names), sound, message.get("words") is not None)

    def _speech(self) -> list[tuple[object, ...]]:
        return [
            (m["type"], self._number(m), m.get("audio_start_ms"), m.get("audio_end_ms"), m.get("reason"))
            for m in self.messages
            if m["type"] in SPEECH
        ]

    def _number(self, message: Message) -> int:
        """Return the number of the utterance. Raises Wrong."""
        name, _, number = (message.get("item_id") or "").rpartition("_")
        if name != f"item_{self.session}":
            raise Wrong(f"not of this session, or not of an utterance: {message}")
        return int(number)

    def _check_partials(self) -> None:
        stable: dict[str, str] = {}
        for message in self.messages:
            text = message.get("text" if message["type"] == "transcript.partial" else "transcript")
            if text is None or message.get("guard"):
                continue
            told = stable.get(message["item_id"], "")
            if not text.startswith(told):
                raise Wrong(f"{told!r} was stable, and then came {message}")
            stable[message["item_id"]] = text[: message.get("stable_chars", 0)] or told

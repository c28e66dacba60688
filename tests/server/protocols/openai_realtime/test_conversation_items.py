"""Items: what a client may ask for once more, within bounds."""

import base64

import numpy as np

from audio.codecs import Encoding, Format
from server.protocols.openai_realtime.conversation_items import (
    MAX_AUDIO_BYTES,
    MAX_ITEMS,
    ConversationItem,
    ConversationItems,
)

SECOND = np.full(16_000, 0.5, np.float32)


def completed(items: ConversationItems, *names: str, seconds: int = 1) -> None:
    for name in names:
        items.add(ConversationItem(name))
        items.complete(name, f"text of {name}", np.tile(SECOND, seconds))


def sounds(items: ConversationItems, name: str) -> bool:
    item = items.get(name)
    assert item is not None
    return item.samples is not None


def test_an_item_is_told_with_its_sound_in_the_encoding_of_the_session() -> None:
    items = ConversationItems()
    completed(items, "a")
    item = items.get("a")
    assert item is not None
    (content,) = item.as_message(Encoding(Format.PCM16, 24_000))["content"]
    assert content["transcript"] == "text of a"
    assert content["audio"] is not None
    assert len(base64.b64decode(content["audio"])) == 2 * 24_000
    assert "audio" not in item.as_message()["content"][0]


def test_of_too_many_items_the_oldest_is_forgotten() -> None:
    items = ConversationItems()
    for number in range(MAX_ITEMS + 3):
        items.add(ConversationItem(str(number)))
    assert len(items) == MAX_ITEMS
    assert items.get("2") is None
    assert items.get("3") is not None


def test_of_too_much_sound_the_oldest_is_forgotten_and_its_text_is_kept() -> None:
    items = ConversationItems()
    fitting = MAX_AUDIO_BYTES // 32_000
    names = [str(number) for number in range(fitting + 1)]
    completed(items, *names)
    assert [name for name in names if not sounds(items, name)] == ["0"]
    assert items.audio_bytes <= MAX_AUDIO_BYTES
    forgotten = items.get("0")
    assert forgotten is not None
    assert forgotten.as_message(Encoding())["content"] == [
        {"type": "input_audio", "transcript": "text of 0", "audio": None}
    ]


def test_the_latest_keeps_its_sound_however_long_it_is() -> None:
    items = ConversationItems()
    completed(items, "a", "b", seconds=60)
    assert sounds(items, "b")
    assert not sounds(items, "a")
    completed(items, "c")
    assert sounds(items, "c")
    assert not sounds(items, "b")


def test_what_was_deleted_is_gone_with_its_sound_and_is_not_completed() -> None:
    items = ConversationItems()
    completed(items, "a")
    assert items.delete("a")
    assert not items.delete("a")
    items.complete("a", "late", SECOND)
    assert (len(items), items.audio_bytes, items.get("a")) == (0, 0, None)

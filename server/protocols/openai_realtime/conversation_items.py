"""Keep the latest conversation items of a Realtime session, which the client may retrieve."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np
import pybase64
from numpy.typing import NDArray

from audio.clip import Samples
from audio.codecs import Encoding
from audio.encoder import encode
from server.protocols.openai_realtime.messages import InputAudioContent, ItemFields

MAX_ITEMS: Final = 1_000
MAX_AUDIO_BYTES: Final = 1 << 20  # bytes of 16-bit samples; about half a minute


@dataclass(slots=True)
class ConversationItem:
    """Hold a committed part of the audio and its transcript.

    transcript: None until it is known, and if the transcription failed
    samples: int16 (n,) at 16 kHz; None for silence, before the transcript is known, and once dropped
    """

    id: str
    transcript: str | None = None
    samples: NDArray[np.int16] | None = None

    def as_message(self, encoding: Encoding | None = None) -> ItemFields:
        """Return OpenAI's conversation item, with its audio if an encoding is given."""
        content = InputAudioContent(type="input_audio", transcript=self.transcript)
        if encoding is not None:
            content["audio"] = self._audio(encoding)
        return ItemFields(
            id=self.id,
            object="realtime.item",
            type="message",
            status="completed",
            role="user",
            content=[content],
        )

    def _audio(self, encoding: Encoding) -> str | None:
        if self.samples is None:
            return None
        scaled = self.samples.astype(np.float32) / np.float32(32768)
        return pybase64.b64encode_as_string(encode(scaled, encoding))


class ConversationItems:
    """Keep the latest MAX_ITEMS items by their ids, and the audio of some of them.

    The audio of the latest item is always kept, and that of earlier items as long as all of it fits into
    MAX_AUDIO_BYTES.
    """

    def __init__(self) -> None:
        self._items: OrderedDict[str, ConversationItem] = OrderedDict()
        self._items_with_audio: OrderedDict[str, ConversationItem] = OrderedDict()
        self.audio_bytes = 0  # of all samples that are kept

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: ConversationItem) -> None:
        self._items[item.id] = item
        if len(self._items) > MAX_ITEMS:
            self.delete(next(iter(self._items)))

    def complete(self, item_id: str, transcript: str, samples: Samples | None) -> None:
        """Add the transcript and audio of an item; do nothing if the item is no longer kept.

        samples: float32 (n,) at 16 kHz; None for silence
        """
        item = self.get(item_id)
        if item is None:
            return
        item.transcript = transcript
        if samples is None:
            return
        item.samples = np.rint(samples * 32768).clip(-32768, 32767).astype(np.int16)
        self.audio_bytes += item.samples.nbytes
        self._items_with_audio[item_id] = item
        while self.audio_bytes > MAX_AUDIO_BYTES and len(self._items_with_audio) > 1:
            self._drop_audio(next(iter(self._items_with_audio)))

    def get(self, item_id: str) -> ConversationItem | None:
        return self._items.get(item_id)

    def delete(self, item_id: str) -> bool:
        """Delete an item and its audio; return False if there is no such item."""
        if self._items.pop(item_id, None) is None:
            return False
        if item_id in self._items_with_audio:
            self._drop_audio(item_id)
        return True

    def _drop_audio(self, item_id: str) -> None:
        item = self._items_with_audio.pop(item_id)
        if item.samples is not None:
            self.audio_bytes -= item.samples.nbytes
        item.samples = None

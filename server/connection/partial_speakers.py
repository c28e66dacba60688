"""Name who probably speaks in the open utterance of a stream, for its partials."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from audio.clip import Samples, samples_from_ms
from streaming.errors import SpeakersUnavailable
from streaming.events import PartialTranscript
from streaming.stream_speakers import StreamSpeakers

HEARD: Final = samples_from_ms(1_500)  # of an utterance in which its speaker is searched


class PartialSpeakers:
    """Search the beginning of each utterance for its speaker, once it is HEARD long.

    A partial never waits for the search: the partials after it have the result. One search runs at a time.
    """

    def __init__(self) -> None:
        self._utterance = 0  # of the search
        self._search: asyncio.Task[str | None] | None = None

    def labelled(
        self,
        partial: PartialTranscript,
        speakers: StreamSpeakers,
        beginning_of: Callable[[int, int], Samples | None],
    ) -> PartialTranscript:
        """Return the partial with its speaker: None while unknown and for a new voice.

        beginning_of: as `Session.beginning_of`
        """
        if partial.utterance != self._utterance:
            self.close()
            samples = beginning_of(partial.utterance, HEARD) if speakers.knows_voices else None
            if samples is None:
                return partial
            self._utterance = partial.utterance
            self._search = asyncio.create_task(_likely(speakers, samples), name="speaker of a partial")
        if self._search is None or not self._search.done():
            return partial
        return replace(partial, speaker=self._search.result())

    def close(self) -> None:
        """End the search."""
        if self._search is not None:
            self._search.cancel()
        self._search = None


async def _likely(speakers: StreamSpeakers, samples: Samples) -> str | None:
    try:
        return await speakers.likely(samples)
    except SpeakersUnavailable:  # The log says it when the final comes.
        return None

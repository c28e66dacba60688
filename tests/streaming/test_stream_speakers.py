"""Test the speakers of finals, with two voices that a rule tells apart."""

import json
from dataclasses import replace

import numpy as np
import pytest

from asr.recognizer import Hypothesis, Word
from audio.clip import Clip, Samples
from batching.batcher import BULK
from diarization.chunks import ChunkSpeakers
from diarization.reference_clips import ReferenceClipError
from diarization.speaker_history import SpeakerChange
from streaming.errors import SpeakersUnavailable
from streaming.events import FinalTranscript
from streaming.stream_speakers import ReferenceClip, StreamSpeakers
from tests.diarization.voices import RuleClient
from tests.server.asgi_calls import wav
from vad.segmenter import Reason

SECOND = 16_000


def voice(level: float, seconds: float) -> Samples:
    return np.full(round(seconds * SECOND), level, np.float32)


def final(samples: Samples, start: float = 0.0) -> FinalTranscript:
    """Return a final with a word for each half second."""
    first = round(start * SECOND)
    edges = range(first, first + len(samples) - SECOND // 2 + 1, SECOND // 2)
    words = tuple(Word(f"w{edge}", edge, edge + SECOND // 2) for edge in edges)
    text = " ".join(word.text for word in words)
    return FinalTranscript(1, Clip(samples, first), Reason.SILENCE, Hypothesis(text, words))


def speakers_of(event: FinalTranscript) -> list[str | None]:
    return [word.speaker for word in event.hypothesis.words]


async def test_speaker_keeps_the_label_for_the_whole_stream() -> None:
    speakers = StreamSpeakers(RuleClient())
    levels = [-0.5, 0.5, 0.5, -0.5]
    labelled = [await speakers.label(final(voice(level, 3), 10.0 * n)) for n, level in enumerate(levels)]
    assert [each.speaker for each in labelled] == ["A", "B", "B", "A"]
    assert [set(speakers_of(each)) for each in labelled] == [{"A"}, {"B"}, {"B"}, {"A"}]


async def test_words_of_one_utterance_may_have_two_speakers() -> None:
    both = await StreamSpeakers(RuleClient()).label(
        final(np.concatenate([voice(0.5, 2), voice(-0.5, 4)]), 7.0)
    )
    assert speakers_of(both) == ["A"] * 4 + ["B"] * 8
    assert both.speaker == "B"


async def test_text_and_times_stay_the_same() -> None:
    plain = final(voice(0.5, 12), 3.0)
    labelled = await StreamSpeakers(RuleClient()).label(plain)
    assert labelled.hypothesis.text == plain.hypothesis.text
    assert [(w.text, w.start, w.end) for w in labelled.hypothesis.words] == [
        (w.text, w.start, w.end) for w in plain.hypothesis.words
    ]


async def test_utterance_without_a_voice_or_text_has_no_speaker() -> None:
    speakers, client = StreamSpeakers(RuleClient()), RuleClient()
    assert (await speakers.label(final(voice(0.01, 2)))).speaker is None
    silent = FinalTranscript(1, Clip(voice(0.5, 2)), Reason.SILENCE, Hypothesis(""))
    assert await StreamSpeakers(client).label(silent) is silent
    assert client.chunks == 0


async def test_restored_stream_knows_its_speakers() -> None:
    before = StreamSpeakers(RuleClient())
    for level in (0.5, -0.5):
        await before.label(final(voice(level, 3)))
    saved = json.loads(json.dumps(before.saved()))
    after = StreamSpeakers.restored(RuleClient(), saved)
    assert (await after.label(final(voice(-0.5, 3)))).speaker == "B"


@pytest.mark.parametrize(
    "saved", [{"voices": []}, {"voices": [[1.0]], "seconds": [1]}, {"voices": [], "seconds": [1]}]
)
def test_damaged_state_is_refused(saved: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        StreamSpeakers.restored(RuleClient(), saved)


async def test_unusable_model_is_reported() -> None:
    with pytest.raises(SpeakersUnavailable):
        await StreamSpeakers(RuleClient(broken=True)).label(final(voice(0.5, 2)))


async def test_speaker_of_a_clip_is_called_by_its_name() -> None:
    speakers = StreamSpeakers(RuleClient())
    await speakers.enrol(ReferenceClip("Ann", wav(voice(-0.5, 2))))
    levels = (0.5, -0.5)
    labelled = [await speakers.label(final(voice(level, 3), 10.0 * n)) for n, level in enumerate(levels)]
    assert [each.speaker for each in labelled] == ["A", "Ann"]


async def test_clip_without_speech_is_refused() -> None:
    with pytest.raises(ReferenceClipError, match="no speech"):
        await StreamSpeakers(RuleClient()).enrol(ReferenceClip("Ann", wav(voice(0.01, 2))))


async def test_restored_stream_corrects_what_was_said_before() -> None:
    before = StreamSpeakers(RuleClient())
    before.keep_history(True)
    told = await before.label(final(voice(-0.5, 3)))
    after = StreamSpeakers.restored(RuleClient(), json.loads(json.dumps(before.saved())))
    assert await after.revise() == []
    await after.enrol(ReferenceClip("Ann", wav(voice(-0.5, 2))))
    words = tuple((word.start, word.end, "Ann") for word in told.hypothesis.words)
    assert await after.revise() == [SpeakerChange(1, "Ann", words)]


async def test_nothing_is_corrected_without_a_history() -> None:
    speakers = StreamSpeakers(RuleClient())
    speakers.keep_history(True)
    speakers.keep_history(False)
    await speakers.label(final(voice(-0.5, 3)))
    await speakers.enrol(ReferenceClip("Ann", wav(voice(-0.5, 2))))
    assert await speakers.revise() == []


class OverlapClient(RuleClient):
    """Hear two voices at once in the second half of each chunk."""

    async def analyse(self, chunk: Samples, /, priority: int = BULK) -> ChunkSpeakers:
        found = await super().analyse(chunk, priority)
        active = found.active.copy()
        active[len(active) // 2 :, :2] = True
        return replace(found, active=active)


async def test_overlapping_speech_is_marked() -> None:
    labelled = await StreamSpeakers(OverlapClient()).label(final(voice(0.5, 4)))
    assert [word.overlap for word in labelled.hypothesis.words] == [False] * 4 + [True] * 4
    assert labelled.overlap
    alone = await StreamSpeakers(RuleClient()).label(final(voice(0.5, 4)))
    assert not alone.overlap
    assert not any(word.overlap for word in alone.hypothesis.words)

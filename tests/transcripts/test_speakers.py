"""Test that each word gets a speaker, and that segments are split where the speaker changes."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis, Word
from audio.clip import SAMPLE_RATE
from diarization.overlap import Overlaps
from diarization.turns import Turn
from tests.examples import examples
from transcripts.speakers import with_speakers
from transcripts.transcript import Transcript, TranscriptSegment, json_of

S = SAMPLE_RATE


def segment(text: str, start: float, step: float = 0.5) -> TranscriptSegment:
    """Return a segment whose words follow one another without pauses, `step` seconds each."""
    words = tuple(
        Word(word, round((start + n * step) * S), round((start + (n + 1) * step) * S))
        for n, word in enumerate(text.split())
    )
    return TranscriptSegment(round(start * S), words[-1].end, Hypothesis(text, words))


def turn(start: float, end: float, speaker: int) -> Turn:
    return Turn(round(start * S), round(end * S), speaker)


def said(segments: list[TranscriptSegment]) -> list[tuple[str | None, str]]:
    return [(each.speaker, each.hypothesis.text) for each in segments]


def test_segment_is_split_where_the_speaker_changes() -> None:
    parts = with_speakers([segment("How are you? Fine, thanks.", 0)], [turn(0, 1.5, 0), turn(1.5, 2.5, 1)])
    assert said(parts) == [("A", "How are you?"), ("B", "Fine, thanks.")]
    assert [(part.start / S, part.end / S) for part in parts] == [(0, 1.5), (1.5, 2.5)]
    assert [word.speaker for part in parts for word in part.hypothesis.words] == ["A"] * 3 + ["B"] * 2


def test_labels_name_the_speakers() -> None:
    parts = with_speakers([segment("yes no", 0)], [turn(0, 0.5, 1), turn(0.5, 1, 0)], ["Ann", "Bob"])
    assert said(parts) == [("Bob", "yes"), ("Ann", "no")]


def test_word_outside_all_turns_belongs_to_the_nearest() -> None:
    parts = with_speakers([segment("one", 2.0), segment("two", 3.5)], [turn(0, 1.5, 0), turn(4.2, 6, 1)])
    assert said(parts) == [("A", "one"), ("B", "two")]


def test_word_far_from_all_turns_belongs_to_the_speaker_before() -> None:
    parts = with_speakers([segment("one", 0), segment("two", 9)], [turn(0, 1, 0), turn(12, 13, 1)])
    assert said(parts) == [("A", "one"), ("A", "two")]


def test_word_in_overlapping_speech_stays_with_the_speaker_before() -> None:
    both = [turn(0, 2, 1), turn(1, 2, 0)]
    assert said(with_speakers([segment("a b c d", 0)], both)) == [("B", "a b c d")]


def test_segment_without_times_of_words_has_one_speaker() -> None:
    whole = TranscriptSegment(0, 4 * S, Hypothesis("no times"))
    parts = with_speakers([whole], [turn(0, 1, 0), turn(1, 4, 1)])
    assert parts == [replace(whole, speaker="B")]


def test_without_turns_nothing_changes() -> None:
    whole = segment("as it was", 0)
    assert with_speakers([whole], []) == [whole]


def test_json_names_the_speakers_only_if_they_are_known() -> None:
    plain = segment("yes", 0)
    assert '"speaker"' not in json_of(Transcript("f", "m", (plain,)))
    known = json_of(Transcript("f", "m", tuple(with_speakers([plain], [turn(0, 1, 0)]))))
    assert known.count('"speaker":"A"') == 2


turns = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 10), st.integers(0, 3)).map(
        lambda each: turn(each[0] / 2, (each[0] + each[1]) / 2, each[2])
    ),
    max_size=8,
)


@examples(100)
@given(counts=st.lists(st.integers(1, 8), min_size=1, max_size=4), turns=turns)
def test_words_texts_and_times_stay_the_same(counts: list[int], turns: list[Turn]) -> None:
    segments = [
        segment(" ".join(f"w{n}." for n in range(count)), 5.0 * at) for at, count in enumerate(counts)
    ]
    parts = with_speakers(segments, turns)
    assert " ".join(part.hypothesis.text for part in parts) == " ".join(s.hypothesis.text for s in segments)
    bare = [replace(word, speaker=None) for part in parts for word in part.hypothesis.words]
    assert bare == [word for each in segments for word in each.hypothesis.words]
    assert all(part.start < part.end for part in parts)
    assert all(first.end <= second.start for first, second in pairwise(parts))
    for part in parts:
        assert {word.speaker for word in part.hypothesis.words} == {part.speaker}
        assert (part.speaker is None) == (not turns)


def test_more_speakers_than_labels_raise() -> None:
    with pytest.raises(IndexError):
        with_speakers([segment("one", 0)], [turn(0, 1, 1)], ["only"])


def test_words_and_segments_in_overlapping_speech_are_marked() -> None:
    parts = with_speakers(
        [segment("one two three", 0), segment("four", 9)],
        [turn(0, 1.5, 0), turn(0.9, 1.6, 1), turn(9, 10, 0)],
        overlaps=Overlaps.of([(round(0.9 * S), round(1.5 * S))]),
    )
    document = json.loads(json_of(Transcript("f", "m", tuple(parts))))
    assert [each.get("overlap") for each in document["segments"]] == [True, None]
    assert [word.get("overlap") for word in document["segments"][0]["words"]] == [None, None, True]


def test_segment_without_words_is_marked_as_a_whole() -> None:
    bare = replace(segment("one two", 0), hypothesis=Hypothesis("one two"))
    overlaps = Overlaps.of([(0, S)])
    assert with_speakers([bare], [turn(0, 1, 0)], overlaps=overlaps)[0].is_overlap
    assert not with_speakers([bare], [turn(0, 1, 0)])[0].is_overlap

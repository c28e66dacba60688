"""Test the comparison of word times with a reference."""

from asr.recognizer import Word
from audio.clip import Clip
from bench.accuracy.word_timestamps import Aligner, Offset, offsets, spoken, summary
from tests.asr.spoken import SENTENCES, sentence


def test_only_words_that_both_have_are_compared_and_by_their_order() -> None:
    reference = [Word("good", 0, 160), Word("morning", 160, 320), Word("all", 320, 480)]
    heard = [Word("Good,", 160, 320), Word("mourning", 0, 9), Word("all.", 480, 640)]
    assert list(offsets(reference, heard)) == [Offset(10, 10), Offset(10, 10)]


def test_a_summary_says_how_far_off_and_how_often_within_the_tolerance() -> None:
    told = summary([-100.0, 10.0, 20.0, 30.0, 80.0])
    assert told == {"median_ms": 20.0, "p90_ms": 100.0, "within": 0.8}


def test_known_words_are_found_in_their_order_inside_the_clip() -> None:
    clip: Clip = sentence(0)
    words = spoken(SENTENCES[0][2])
    found = Aligner().align(clip, words)
    assert found is not None
    assert [word.text for word in found] == words
    edges = [edge for word in found for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert edges[-1] <= len(clip.samples) + 160


def test_a_word_that_is_in_no_dictionary_gives_no_reference() -> None:
    assert Aligner().align(sentence(0), ["zzyzxq"]) is None

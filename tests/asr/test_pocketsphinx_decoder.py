"""The result for a clip does not depend on earlier calls."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.pocketsphinx_decoder import LEAD_SAMPLES, MIN_SECTION_SAMPLES, PIECE_SAMPLES, SphinxDecoder, pcm16
from asr.recognizer import Word
from audio.clip import SAMPLE_RATE, Clip
from tests.asr.spoken import SENTENCES, beginning, sentence, two_sentences
from tests.examples import examples

pytestmark = pytest.mark.slow  # a real model

Said = tuple[Word, ...]

BRIEF = LEAD_SAMPLES + 4 * PIECE_SAMPLES + 321  # samples


@pytest.fixture(scope="module")
def sphinx() -> SphinxDecoder:
    return SphinxDecoder()


@pytest.fixture(scope="module")
def brief() -> Clip:
    return beginning(sentence(0), BRIEF)


@pytest.fixture(scope="module")
def long() -> Clip:
    """Return a clip longer than a section, with a pause."""
    return two_sentences()


def alone(clip: Clip) -> Said:
    """Decode with a new decoder."""
    return SphinxDecoder().finish(clip)


@pytest.fixture(scope="module")
def said_in_brief(brief: Clip) -> Said:
    return alone(brief)


@pytest.fixture(scope="module")
def said_at_length(long: Clip) -> Said:
    return alone(long)


@pytest.fixture(scope="module")
def said_in_lead(long: Clip) -> Said:
    return alone(beginning(long, LEAD_SAMPLES))


def text(words: Said) -> str:
    return " ".join(word.text for word in words)


@given(lengths=st.lists(st.integers(0, BRIEF), max_size=4).map(sorted))
@examples(5)
def test_what_was_followed_before_does_not_change_the_end(
    sphinx: SphinxDecoder, brief: Clip, said_in_brief: Said, lengths: list[int]
) -> None:
    for length in lengths:
        sphinx.follow(beginning(brief, length))
    assert sphinx.finish(brief) == said_in_brief
    sphinx.reset()


@given(steps=st.lists(st.tuples(st.integers(0, 112_320), st.booleans()), max_size=12).map(sorted))
@examples(5)
def test_nor_does_it_in_a_long_clip_that_was_finished_on_the_way(
    sphinx: SphinxDecoder,
    long: Clip,
    said_at_length: Said,
    said_in_lead: Said,
    steps: list[tuple[int, bool]],
) -> None:
    """Decoding continues after each finish; a shorter clip starts again."""
    for length, finished in steps:
        hear = sphinx.finish if finished else sphinx.follow
        hear(beginning(long, length))
    assert sphinx.finish(long) == said_at_length
    assert sphinx.finish(beginning(long, LEAD_SAMPLES)) == said_in_lead


def test_an_end_before_the_lead_is_over_does_not_change_what_comes(
    sphinx: SphinxDecoder, brief: Clip, said_in_brief: Said
) -> None:
    early = beginning(brief, LEAD_SAMPLES - 1)
    sphinx.reset()
    assert sphinx.follow(early) == ""
    assert sphinx.finish(early) == alone(early) != ()
    assert sphinx.finish(brief) == said_in_brief


def test_another_clip_under_way_is_forgotten(sphinx: SphinxDecoder, brief: Clip, said_in_brief: Said) -> None:
    """A reset, another start or a shorter length begins a new clip."""
    other = beginning(sentence(1), LEAD_SAMPLES).samples
    sphinx.follow(Clip(other, brief.start + 1))
    assert sphinx.finish(brief) == said_in_brief
    sphinx.follow(beginning(sentence(0), BRIEF + PIECE_SAMPLES))
    assert sphinx.finish(brief) == said_in_brief
    sphinx.follow(Clip(other, brief.start))
    sphinx.reset()
    assert sphinx.finish(brief) == said_in_brief


def test_what_was_said_so_far_grows_with_the_clip(sphinx: SphinxDecoder, brief: Clip) -> None:
    sphinx.reset()
    assert sphinx.follow(beginning(brief, LEAD_SAMPLES - 1)) == ""
    assert sphinx.follow(beginning(brief, LEAD_SAMPLES)).startswith("good morning")
    assert sphinx.stable_text == ""
    assert sphinx.follow(brief).startswith("good morning and")
    sphinx.finish(brief)
    assert sphinx.follow(brief).startswith("good morning and")


def test_a_long_clip_is_decoded_in_stretches(sphinx: SphinxDecoder, long: Clip, said_at_length: Said) -> None:
    """All words on both sides of the pause are there, and partials keep those of the first section."""
    first, second = SENTENCES[0][2], SENTENCES[1][2]
    assert len(long.samples) > 2 * MIN_SECTION_SAMPLES
    assert text(said_at_length) == f"{first} {second}"
    edges = [edge for word in said_at_length for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    sphinx.reset()
    assert sphinx.follow(long).startswith(f"{first} she opened the window")
    assert sphinx.stable_text == first


@pytest.mark.parametrize(
    "length", [0, 1, PIECE_SAMPLES - 1, PIECE_SAMPLES, PIECE_SAMPLES + 1, LEAD_SAMPLES, LEAD_SAMPLES + 1]
)
def test_silence_of_any_length_says_nothing(sphinx: SphinxDecoder, length: int) -> None:
    silence = Clip(np.zeros(length, np.float32))
    assert sphinx.follow(silence) == ""
    assert sphinx.finish(silence) == ()


def test_samples_become_16_bits_and_louder_than_full_scale_is_clipped() -> None:
    loud = np.array([0, 0.5, -0.5, 1, -1, 7, -7], dtype=np.float32)
    assert np.frombuffer(pcm16(loud), "<i2").tolist() == [0, 16384, -16384, 32767, -32767, 32767, -32767]


def test_the_lead_and_a_stretch_are_whole_pieces() -> None:
    assert (
        LEAD_SAMPLES % PIECE_SAMPLES
        == MIN_SECTION_SAMPLES % PIECE_SAMPLES
        == SAMPLE_RATE % PIECE_SAMPLES
        == 0
    )

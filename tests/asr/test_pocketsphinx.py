"""PocketSphinx on the synthesized sentences of the repository, and on real speech if available."""

import json
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asr.pocketsphinx import ABANDONED_AFTER, MAX_FOLLOWED, PocketSphinx
from asr.pocketsphinx_decoder import LEAD_SAMPLES
from asr.recognizer import Hypothesis, RecognitionRequest, TranscriptionOptions, Word
from audio.clip import SAMPLE_RATE, Clip, samples_from_ms
from tests.asr.spoken import ROOT, SENTENCES, beginning, margins, read, sentence
from tests.examples import examples

pytestmark = pytest.mark.slow  # a real model

SPEECH = ROOT.parent / "shared" / "audio" / "english_misc"
WORDS = TranscriptionOptions(words=True)
BRIEF = 32_000  # samples; longer than the lead


@pytest.fixture(scope="module")
def recognizer() -> PocketSphinx:
    return PocketSphinx()


@pytest.fixture(scope="module")
def heard(recognizer: PocketSphinx) -> list[Hypothesis]:
    """Decode all three sentences once for many tests."""
    return recognizer.transcribe(
        [RecognitionRequest(sentence(number), WORDS) for number in range(len(SENTENCES))]
    )


@pytest.fixture(scope="module")
def heard_in_brief(recognizer: PocketSphinx) -> list[Hypothesis]:
    """Decode the beginnings of the first two sentences."""
    clips = [beginning(sentence(number), BRIEF) for number in range(2)]
    return recognizer.transcribe([RecognitionRequest(clip, WORDS) for clip in clips])


@pytest.fixture(scope="module")
def beginnings() -> list[Clip]:
    """Nine tenths of a second of speech each, and the pre-roll."""
    return [Clip(sentence(number).samples[: SAMPLE_RATE * 12 // 10]) for number in range(len(SENTENCES))]


def test_it_says_what_it_is(recognizer: PocketSphinx) -> None:
    assert (recognizer.family, recognizer.device, recognizer.dtype) == ("pocketsphinx", "cpu", "float32")
    assert recognizer.languages == ("en",)
    assert recognizer.incremental


def test_synthesised_sentences_are_understood(heard: list[Hypothesis]) -> None:
    assert [each.text for each in heard] == [text for _, _, text in SENTENCES]
    assert all(each.language == "en" for each in heard)


def test_words_lie_where_they_were_spoken(heard: list[Hypothesis]) -> None:
    for number, each in enumerate(heard):
        clip = sentence(number)
        assert " ".join(word.text for word in each.words) == each.text
        edges = [edge for word in each.words for edge in (word.start, word.end)]
        assert edges == sorted(edges)
        assert all(clip.start <= edge <= clip.end for edge in edges)
        loud = clip.start + np.flatnonzero(np.abs(clip.samples) > 0.01)
        assert edges[0] == pytest.approx(loud[0], abs=samples_from_ms(80))
        assert edges[-1] == pytest.approx(loud[-1], abs=samples_from_ms(80))


def test_confidence_is_a_share(heard: list[Hypothesis]) -> None:
    for each in heard:
        for confidence in (each.confidence, *(word.confidence for word in each.words)):
            assert confidence is not None
            assert 0 <= confidence <= 1


def test_confidence_falls_in_noise(recognizer: PocketSphinx, heard: list[Hypothesis]) -> None:
    clip = sentence(0)
    hiss = np.random.default_rng(0).normal(0, 0.03, len(clip.samples)).astype(np.float32)
    (noisy,) = recognizer.transcribe([RecognitionRequest(Clip(clip.samples + hiss))])
    clean = heard[0].confidence
    assert clean is not None
    assert noisy.confidence is not None
    assert noisy.confidence < clean


def test_the_answer_does_not_depend_on_what_was_decoded_before(
    recognizer: PocketSphinx, beginnings: list[Clip]
) -> None:
    """The confidences are equal in forward order, in reverse order and with a new decoder."""
    requests = [RecognitionRequest(clip, WORDS) for clip in beginnings[:2]]
    forwards = recognizer.transcribe(requests)
    assert recognizer.transcribe(requests[::-1])[::-1] == forwards
    assert PocketSphinx().transcribe(requests[1:]) == forwards[1:]


def test_the_clips_start_moves_the_words_and_nothing_else(
    recognizer: PocketSphinx, beginnings: list[Clip]
) -> None:
    samples = beginnings[0].samples
    here, there = recognizer.transcribe([RecognitionRequest(Clip(samples, at), WORDS) for at in (0, 123_457)])
    assert here.text == there.text != ""
    assert [moved(word, 123_457) for word in here.words] == list(there.words)


def moved(word: Word, by: int) -> Word:
    return Word(word.text, word.start + by, word.end + by, word.confidence)


def test_language_prompt_and_the_wish_for_words_do_not_change_the_text(
    recognizer: PocketSphinx, beginnings: list[Clip]
) -> None:
    wishes = (TranscriptionOptions(), TranscriptionOptions(language="vi", prompt="xin chào"), WORDS)
    plain, asked, worded = recognizer.transcribe(
        [RecognitionRequest(beginnings[0], options) for options in wishes]
    )
    assert (asked.text, asked.confidence) == (plain.text, plain.confidence)
    assert asked.ignored == ("language", "prompt")
    assert plain.words == ()
    assert (worded.text, worded.confidence) == (plain.text, plain.confidence)
    assert plain.language == "en"


@given(length=st.integers(0, 2 * SAMPLE_RATE // 10), seed=st.integers(0, 2**16))
@example(length=0, seed=0)
@example(length=SAMPLE_RATE // 10, seed=0)
@examples(40)
def test_tiny_clips_are_answered(recognizer: PocketSphinx, length: int, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.1, length).astype(np.float32)
    (heard,) = recognizer.transcribe([RecognitionRequest(Clip(noise), WORDS)])
    assert (heard.confidence is None) == (heard.text == "")
    assert all(0 <= word.start <= word.end <= length for word in heard.words)


def test_less_than_a_tenth_of_a_second_says_nothing(recognizer: PocketSphinx) -> None:
    (heard,) = recognizer.transcribe([RecognitionRequest(Clip(sentence(0).samples[8000 : 8000 + 1599]))])
    assert heard.text == ""
    assert heard.confidence is None


def test_no_clips_give_no_hypotheses(recognizer: PocketSphinx) -> None:
    assert recognizer.transcribe([]) == []


def test_neither_torch_nor_transformers_is_imported() -> None:
    source = "import sys, asr.pocketsphinx; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    told = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == "[]"
    assert told.stderr == ""


@pytest.mark.skipif(not SPEECH.exists(), reason="needs ../shared/audio/english_misc")
def test_real_speech_is_understood_in_part(recognizer: PocketSphinx) -> None:
    """Half of the words are right and in order; pauses divide the clip into sections."""
    manifest = (SPEECH / "manifest.jsonl").read_text().splitlines()
    (row,) = (row for row in map(json.loads, manifest) if row["file"] == "files/jfk.wav")
    (heard,) = recognizer.transcribe([RecognitionRequest(read(SPEECH / row["file"]), WORDS)])
    edges = [edge for word in heard.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    spoken = row["text"].lower().replace(",", "").replace(".", "").split()
    assert len(set(spoken) & set(heard.text.split())) >= len(set(spoken)) / 2


def grown(clip: Clip, cuts: list[int], name: str) -> list[RecognitionRequest]:
    """Return the requests of an utterance: growing partials, then the whole clip."""
    partials = [
        RecognitionRequest(Clip(clip.samples[:cut], clip.start), WORDS, name, partial=True)
        for cut in sorted(cuts)
    ]
    return [*partials, RecognitionRequest(clip, WORDS, name)]


@examples(6)
@given(
    st.lists(st.integers(0, BRIEF), max_size=6),
    st.lists(st.integers(0, BRIEF), max_size=6),
    st.randoms(use_true_random=False),
)
def test_partials_before_it_and_other_utterances_in_between_do_not_change_the_answer(
    recognizer: PocketSphinx,
    heard_in_brief: list[Hypothesis],
    first: list[int],
    second: list[int],
    chance: random.Random,
) -> None:
    clips = [beginning(sentence(number), BRIEF) for number in range(2)]
    queues = [grown(clips[0], first, "a/0"), grown(clips[1], second, "b/1")]
    finals = {}
    while any(queues):
        queue = chance.choice([queue for queue in queues if queue])
        request = queue.pop(0)
        (answer,) = recognizer.transcribe([request])
        if not request.partial:
            finals[request.utterance] = answer
    assert finals == {"a/0": heard_in_brief[0], "b/1": heard_in_brief[1]}


def test_an_utterance_that_goes_on_after_an_eager_answer_is_heard_whole(
    recognizer: PocketSphinx, heard: list[Hypothesis]
) -> None:
    clip = sentence(2)
    early = RecognitionRequest(Clip(clip.samples[:30_000], clip.start), WORDS, "c/0")
    recognizer.transcribe(grown(clip, [26_000, 28_000], "c/0")[:-1])
    recognizer.transcribe([early])
    assert recognizer.transcribe(grown(clip, [34_000], "c/0"))[-1] == heard[2]


def test_a_partial_shows_the_words_so_far_and_nothing_else(recognizer: PocketSphinx) -> None:
    request = RecognitionRequest(beginning(sentence(0), 32_000), WORDS, "d/0", partial=True)
    (partial,) = recognizer.transcribe([request])
    assert partial.text.startswith("good morning")
    assert partial == Hypothesis(partial.text, language="en", stable_chars=0)


def test_no_partial_is_of_less_than_the_lead_nor_of_a_clip_without_a_name(recognizer: PocketSphinx) -> None:
    short = RecognitionRequest(beginning(sentence(0), LEAD_SAMPLES - 1), utterance="d/1", partial=True)
    nameless = RecognitionRequest(beginning(sentence(0), LEAD_SAMPLES), partial=True)
    assert [each.text for each in recognizer.transcribe([short, nameless])] == ["", ""]


@pytest.mark.parametrize("number", range(len(SENTENCES)))
@pytest.mark.parametrize(("before", "behind"), [(200, 300), (400, 96)])
def test_every_word_is_right_whatever_the_margins(
    recognizer: PocketSphinx, number: int, before: int, behind: int
) -> None:
    """It holds for a growing clip, whose answer is that of the whole clip; margins are in milliseconds."""
    clip = margins(number, before, behind)
    cuts = list(range(SAMPLE_RATE, len(clip.samples), SAMPLE_RATE // 5))
    *_, followed = recognizer.transcribe(grown(clip, cuts, f"m/{number} {before} {behind}"))
    assert followed.text == SENTENCES[number][2]
    if number == 0:  # the shortest; the tests above compare both for random cuts
        assert recognizer.transcribe([RecognitionRequest(clip, WORDS)]) == [followed]


def test_more_utterances_than_decoders_get_no_partials_but_their_finals(heard: list[Hypothesis]) -> None:
    recognizer = PocketSphinx()
    clip = sentence(0)
    short = Clip(clip.samples[:28_000], clip.start)
    partials = [RecognitionRequest(short, WORDS, f"e/{n}", partial=True) for n in range(MAX_FOLLOWED + 1)]
    texts = [each.text for each in recognizer.transcribe(partials)]
    assert all(texts[:MAX_FOLLOWED])
    assert texts[MAX_FOLLOWED] == ""
    assert recognizer.transcribe([RecognitionRequest(clip, WORDS, f"e/{MAX_FOLLOWED}")]) == [heard[0]]


def test_an_utterance_that_nobody_asks_about_any_more_gives_its_decoder_up() -> None:
    recognizer = PocketSphinx()
    short = Clip(sentence(0).samples[:25_000])
    recognizer.transcribe(
        [RecognitionRequest(short, WORDS, f"f/{n}", partial=True) for n in range(MAX_FOLLOWED)]
    )
    others = [RecognitionRequest(Clip(short.samples[:100]), WORDS) for _ in range(ABANDONED_AFTER + 1)]
    recognizer.transcribe(others)
    (late,) = recognizer.transcribe([RecognitionRequest(short, WORDS, "f/late", partial=True)])
    assert late.text != ""

"""Whisper on CTranslate2 with real weights and real speech."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import median

import jiwer
import numpy as np
import pytest

from asr.ctranslate2_whisper import Ctranslate2Whisper
from asr.recognizer import Hypothesis, PreviousUtterance, RecognitionRequest, TranscriptionOptions
from asr.timed_tokens import TokenDecoder
from asr.whisper_vocabulary import WhisperVocabulary, build_tokenizer
from audio.clip import SAMPLE_RATE, Clip
from bench.accuracy.corpus import ManifestEntry, read_manifest
from bench.accuracy.word_timestamps import measure, summary
from tests.asr import families
from tests.asr.real_weights import ctranslate2_weights

AUDIO = Path(__file__).parents[3] / "shared" / "audio"
TINY, BASE = "whisper-tiny.en", "whisper-base"
pytestmark = pytest.mark.slow


@cache
def recognizer(name: str) -> Ctranslate2Whisper:
    return Ctranslate2Whisper.load(ctranslate2_weights(name), device="cpu")


def entry(name: str) -> ManifestEntry:
    if not AUDIO.is_dir():
        pytest.skip(f"{AUDIO} is absent")
    return next(
        entry
        for kind in ("english_misc", "multilingual", "librispeech")
        for entry in read_manifest(AUDIO / kind)
        if entry.path.name == name
    )


@cache
def heard(weights: str) -> Hypothesis:
    """Return the answer for the famous sentence, decoded once for many tests."""
    (answer,) = recognizer(weights).transcribe(
        [RecognitionRequest(Clip(entry("jfk.wav").read()), families.WORDS)]
    )
    return answer


def plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter == " ")


@pytest.mark.parametrize("weights", [TINY, BASE])
def test_famous_sentence_is_recognized(weights: str) -> None:
    answer = heard(weights)
    assert jiwer.wer(plain(entry("jfk.wav").text), plain(answer.text)) < 0.1
    assert answer.language == "en"


def test_text_continues_the_utterance_before() -> None:
    """The sentence goes on after a pause, so it has no capital there."""
    samples, cut = entry("jfk.wav").read(), round(3.2 * SAMPLE_RATE)
    clip = Clip(samples[cut:], cut)
    previous = PreviousUtterance(Clip(samples[:cut]), "And so, my fellow Americans,", "en")
    # With two beams tiny.en writes no capital without the utterance before either.
    plainly = Ctranslate2Whisper.load(ctranslate2_weights(TINY), device="cpu", final_beams=1)
    continued, alone = plainly.transcribe(
        [
            RecognitionRequest(clip, families.WORDS, previous=previous),
            RecognitionRequest(clip, families.WORDS),
        ]
    )
    assert plain(continued.text) == plain(alone.text)
    assert (continued.text[:7], alone.text[:7]) == ("ask not", "Ask not")
    places = [place for word in continued.words for place in (word.start, word.end)]
    assert places == sorted(places)
    assert clip.start <= places[0]
    assert places[-1] <= clip.end
    later = [here.start - there.start for here, there in zip(continued.words, alone.words, strict=True)]
    assert abs(median(later)) < 0.05 * SAMPLE_RATE


@pytest.mark.parametrize("weights", [TINY, BASE])
def test_words_end_where_they_are_heard(weights: str) -> None:
    """A pause follows each "ask" after 3.7 and 8.5 s. The pause before it may be counted to it."""
    asks = [word.end / SAMPLE_RATE for word in heard(weights).words if plain(word.text) == "ask"]
    assert asks == [pytest.approx(3.7, abs=0.1), pytest.approx(8.5, abs=0.1)]


@pytest.mark.parametrize("weights", [TINY, BASE])
def test_words_start_where_a_forced_alignment_has_them(weights: str) -> None:
    """With the published heads, 72 % (tiny.en) and 75 % (base) of these words start within 80 ms."""
    if not AUDIO.is_dir():
        pytest.skip(f"{AUDIO} is absent")
    found = measure(recognizer(weights), read_manifest(AUDIO / "librispeech")[1::40])
    assert summary([offset.start for offset in found])["within"] > 0.82


@pytest.mark.parametrize("name", ["jfk.wav", "french.aiff", "living_room_light_en.wav"])
def test_language_is_detected(name: str) -> None:
    speech = entry(name)
    (answer,) = recognizer(BASE).transcribe([RecognitionRequest(Clip(speech.read()))])
    assert answer.language == ("fr" if name.startswith("french") else "en")
    assert answer.language_probability is not None
    assert answer.language_probability > 0.5


def test_language_is_detected_among_the_allowed_ones() -> None:
    clip = Clip(entry("jfk.wav").read()[: 3 * SAMPLE_RATE])
    allowed = TranscriptionOptions(languages=("de", "fr"))
    both = TranscriptionOptions(languages=("en", "fr"))
    restricted, free = recognizer(BASE).transcribe(
        [RecognitionRequest(clip, allowed), RecognitionRequest(clip, both)]
    )
    assert restricted.language in allowed.languages
    assert free.language == "en"
    assert (restricted.ignored, free.ignored) == ((), ())


def test_french_is_translated() -> None:
    clip = Clip(entry("french.aiff").read())
    options = TranscriptionOptions(language="fr", task="translate")
    said, translated = recognizer(BASE).transcribe(
        [RecognitionRequest(clip, TranscriptionOptions(language="fr")), RecognitionRequest(clip, options)]
    )
    assert "dict" in said.text.lower()
    assert translated.text != said.text
    assert translated.language == "fr"
    assert recognizer(BASE).translates


def test_hotword_is_spelled_as_given() -> None:
    clip = Clip(entry("1272-128104-0000.mp3").read())
    hot = TranscriptionOptions(hotwords=("Kwilter", "gospel"))
    plainly, hotly = recognizer(TINY).transcribe([RecognitionRequest(clip), RecognitionRequest(clip, hot)])
    assert "Quilter" in plainly.text
    assert "Kwilter" in hotly.text


@pytest.mark.parametrize("weights", [TINY, BASE])
def test_short_clips_are_not_repeated(weights: str) -> None:
    """Without encoded silence at the end, the text of many of these clips begins again and again."""
    if not AUDIO.is_dir():
        pytest.skip(f"{AUDIO} is absent")
    entries = sorted(read_manifest(AUDIO / "librispeech"), key=lambda entry: entry.seconds)[:12]
    requests = [RecognitionRequest(Clip(entry.read()), partial=True) for entry in entries]
    before = recognizer(weights).decoded_again
    for speech, answer in zip(entries, recognizer(weights).transcribe(requests), strict=True):
        assert len(answer.text.split()) <= len(speech.text.split()) + 3
    assert recognizer(weights).decoded_again == before


@pytest.mark.parametrize("weights", [TINY, BASE])
def test_tokenizer_can_be_rebuilt_from_vocabulary(weights: str) -> None:
    vocabulary = WhisperVocabulary.load(ctranslate2_weights(weights))
    tokens = vocabulary.convert_ids_to_tokens(range(len(vocabulary)))
    rebuilt = WhisperVocabulary(tokens, build_tokenizer(tokens))
    text = "Hello, world's  größte<|endoftext|> Łódź 東京タワー  — it's 1,234.56 \n two  spaces"
    ids = vocabulary.encode_text(text)
    assert rebuilt.encode_text(text) == ids
    assert TokenDecoder(rebuilt).decode_text(ids) == TokenDecoder(vocabulary).decode_text(ids)


@pytest.mark.parametrize("weights", [TINY, BASE])
def test_batched_speech_equals_single_speech(weights: str) -> None:
    samples = entry("jfk.wav").read()
    cuts = [samples[: round(seconds * SAMPLE_RATE)] for seconds in (2.2, 4.4, 7.6)]
    requests = [RecognitionRequest(Clip(np.ascontiguousarray(cut)), families.WORDS) for cut in cuts]
    together = recognizer(weights).transcribe(requests)
    for request, answer in zip(requests, together, strict=True):
        families.assert_same(answer, *recognizer(weights).transcribe([request]))


def test_partial_of_uncertain_language_takes_the_likely_one() -> None:
    """Some beginnings of this German sentence are of uncertain language; the processor decides which."""
    samples = entry("living_room_light_de.wav").read()
    begin = int(np.flatnonzero(np.abs(samples) > 0.05 * np.abs(samples).max())[0]) - SAMPLE_RATE // 5
    speech, base = samples[max(0, begin) :], recognizer(BASE)
    requests = [RecognitionRequest(Clip(speech[: SAMPLE_RATE * ms // 1_000])) for ms in range(300, 800, 50)]
    finals = base.transcribe(requests)
    request = next(
        request
        for request, final in zip(requests, finals, strict=True)
        if not final.is_language_sure and final.text
    )
    partial = replace(request, partial=True)
    unknown, likely, given = base.transcribe(
        [
            partial,
            replace(partial, likely_language="de"),
            replace(partial, options=TranscriptionOptions(language="de")),
        ]
    )
    assert unknown.text == ""
    assert (likely.text, likely.language) == (given.text, "de")
    assert likely.text


def test_certain_language_is_kept_against_the_likely_one() -> None:
    clip = Clip(entry("living_room_light_de.wav").read())
    plainly, likely = recognizer(BASE).transcribe(
        [RecognitionRequest(clip), RecognitionRequest(clip, likely_language="en")]
    )
    assert likely == plainly
    assert likely.language == "de"

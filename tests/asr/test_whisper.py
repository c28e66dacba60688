"""Languages, prompts and times of Whisper, with real weights if available."""

import json
import wave
from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch

from asr.recognizer import RecognitionRequest, TranscriptionOptions
from asr.seq2seq import Seq2Seq
from asr.whisper import run_encoder
from asr.windows import AudioContext, split_windows
from audio.clip import SAMPLE_RATE, Clip
from tests.asr import families, tiny
from tests.asr.real_weights import transformers_weights

SHARED = Path(__file__).parents[3] / "shared"
ENGLISH = SHARED / "audio" / "english_misc"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("whisper")
    return {
        "en": tiny.whisper(root / "en"),
        "all": tiny.whisper(root / "all", languages=("en", "de", "fr")),
    }


def load(folder: Path, audio_context: AudioContext = "full") -> Seq2Seq:
    return Seq2Seq.load(folder, device="cpu", dtype="float32", audio_context=audio_context)


@pytest.fixture(scope="module")
def english(folders: dict[str, Path]) -> Seq2Seq:
    return load(folders["en"])


@pytest.fixture(scope="module")
def multilingual(folders: dict[str, Path]) -> Seq2Seq:
    return load(folders["all"])


def test_an_english_model_claims_english(english: Seq2Seq) -> None:
    assert english.languages == ("en",)
    requests = [
        RecognitionRequest(tiny.babble(1), TranscriptionOptions(language=language))
        for language in (None, "en", "de")
    ]
    answers = english.transcribe(requests)
    assert [answer.language for answer in answers] == ["en", "en", "en"]
    assert [answer.ignored for answer in answers] == [(), (), ("language",)]
    assert [answer.language_probability for answer in answers] == [None, None, None]


def test_a_multilingual_model_claims_its_languages(multilingual: Seq2Seq) -> None:
    assert set(multilingual.languages) == {"en", "de", "fr"}


def test_a_multilingual_model_translates_and_an_english_one_does_not(
    multilingual: Seq2Seq, english: Seq2Seq
) -> None:
    assert (multilingual.translates, english.translates) == (True, False)


def test_the_language_asked_for_is_the_language_answered(multilingual: Seq2Seq) -> None:
    requests = [
        RecognitionRequest(tiny.babble(1), TranscriptionOptions(language=language))
        for language in ("fr", "en", "de")
    ]
    answers = multilingual.transcribe(requests)
    assert [answer.language for answer in answers] == ["fr", "en", "de"]
    assert len({answer.text for answer in answers}) > 1


def test_without_a_known_language_the_likeliest_is_told(multilingual: Seq2Seq) -> None:
    clip = tiny.babble(1)
    requests = [
        RecognitionRequest(clip),
        RecognitionRequest(clip, TranscriptionOptions(language="tlh")),
        RecognitionRequest(clip, TranscriptionOptions(language="fr")),
    ]
    detected, unknown, french = multilingual.transcribe(requests)
    assert detected.language in multilingual.languages
    assert unknown.ignored == ("language",)
    assert replace(unknown, ignored=()) == detected
    assert french.language == "fr"


def test_likely_language_is_taken_instead_of_an_uncertain_one(multilingual: Seq2Seq) -> None:
    request = RecognitionRequest(tiny.babble(20, 1))
    (detected,) = multilingual.transcribe([request])
    assert not detected.is_language_sure
    other = next(language for language in multilingual.languages if language != detected.language)
    likely, given = multilingual.transcribe(
        [
            replace(request, likely_language=other),
            replace(request, options=TranscriptionOptions(language=other)),
        ]
    )
    assert (likely.language, likely.text) == (other, given.text)
    assert likely.language_probability is not None
    assert detected.language_probability is not None
    assert likely.language_probability < detected.language_probability


def test_the_language_is_detected_among_those_that_are_allowed(multilingual: Seq2Seq) -> None:
    clip = tiny.babble(20, 1)
    (free,) = multilingual.transcribe([RecognitionRequest(clip)])
    others = tuple(language for language in multilingual.languages if language != free.language)
    restricted, alone, given, unknown = multilingual.transcribe(
        [
            RecognitionRequest(clip, options)
            for options in (
                TranscriptionOptions(languages=(*others, "tlh")),
                TranscriptionOptions(languages=others[:1]),
                TranscriptionOptions(language=others[0]),
                TranscriptionOptions(languages=("tlh",)),
            )
        ]
    )
    assert restricted.language in others
    assert (restricted.language_probability or 0) >= 0.5  # of two
    assert (alone.language, alone.text, alone.language_probability) == (others[0], given.text, 1.0)
    assert (restricted.ignored, unknown.ignored) == ((), ("languages",))
    assert unknown.language == free.language


def test_a_detected_language_has_a_probability_and_a_given_one_has_none(multilingual: Seq2Seq) -> None:
    clip = tiny.babble(1)
    detected, given = multilingual.transcribe(
        [RecognitionRequest(clip), RecognitionRequest(clip, TranscriptionOptions(language="de"))]
    )
    assert detected.language_probability is not None
    assert 1 / 3 <= detected.language_probability <= 1  # the likeliest of three
    assert given.language_probability is None


def test_a_translation_is_another_text_in_a_multilingual_model(
    multilingual: Seq2Seq, english: Seq2Seq
) -> None:
    requests = [
        RecognitionRequest(tiny.babble(1), TranscriptionOptions(task=task))
        for task in ("transcribe", "translate")
    ]
    said, translated = multilingual.transcribe(requests)
    assert said.text != translated.text
    assert (said.language, said.ignored) == (translated.language, translated.ignored)
    same, ignorant = english.transcribe(requests)
    assert (ignorant.text, ignorant.ignored) == (same.text, ("task",))


@pytest.mark.parametrize("prompt", [None, "the speech stream"])
def test_no_speech_is_as_likely_as_the_model_itself_has_it(
    prompt: str | None, folders: dict[str, Path]
) -> None:
    """The probability is read at the start of the transcript, with and without a prompt."""
    clip = tiny.babble(1)
    (answer,) = load(folders["en"]).transcribe(
        [RecognitionRequest(clip, TranscriptionOptions(prompt=prompt))]
    )
    processor, model = tiny.parts(folders["en"], "AutoModelForSpeechSeq2Seq")
    ids = processor.tokenizer.convert_tokens_to_ids(["<|startofprev|>", "<|startoftranscript|>"])
    before = [ids[0], *processor.tokenizer.encode(f" {prompt}", add_special_tokens=False)] if prompt else []
    with torch.inference_mode():
        features = processor(clip.samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        logits = model(**features, decoder_input_ids=torch.tensor([[*before, ids[1]]])).logits[0, -1]
    token = processor.tokenizer.convert_tokens_to_ids("<|nospeech|>")
    assert answer.no_speech_probability == pytest.approx(logits.softmax(-1)[token].item(), rel=1e-3)


def test_there_is_speech_in_a_long_clip_if_there_is_some_in_a_window_of_it(english: Seq2Seq) -> None:
    clip = Clip(np.concatenate([tiny.babble(28, 1).samples, tiny.silence(4).samples]))
    whole, *parts = english.transcribe([RecognitionRequest(part) for part in (clip, *split_windows(clip))])
    likely = [part.no_speech_probability or 0 for part in parts]
    assert len(set(likely)) == 2
    assert whole.no_speech_probability == pytest.approx(min(likely), rel=1e-3)


def test_hotwords_stand_in_front_of_the_prompt(english: Seq2Seq) -> None:
    families.assert_hotwords_precede_the_prompt(english)


def test_hotwords_leave_room_for_the_prompt(english: Seq2Seq) -> None:
    clip = tiny.babble(1)
    many = ("stream",) * 500
    alone, together = english.transcribe(
        [
            RecognitionRequest(clip, TranscriptionOptions(hotwords=many)),
            RecognitionRequest(clip, TranscriptionOptions(hotwords=many, prompt="the clip")),
        ]
    )
    assert alone.text != together.text


def test_a_temperature_draws_the_same_text_again(english: Seq2Seq) -> None:
    clip = tiny.babble(1)
    plain, drawn, again = english.transcribe(
        [RecognitionRequest(clip), *[RecognitionRequest(clip, TranscriptionOptions(temperature=1.0))] * 2]
    )
    assert drawn.text != plain.text
    families.assert_same(drawn, again)
    assert drawn.avg_log_prob is not None
    assert plain.avg_log_prob is not None
    assert drawn.avg_log_prob < plain.avg_log_prob  # of the model's own odds, not of the sampler


def test_an_encoder_run_by_hand_says_what_it_says_itself(folders: dict[str, Path]) -> None:
    processor, model = tiny.parts(folders["en"], "AutoModelForSpeechSeq2Seq")
    mel = processor(tiny.babble(3).samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")["input_features"]
    with torch.inference_mode():
        assert torch.equal(run_encoder(model.get_encoder(), mel), model.get_encoder()(mel).last_hidden_state)
        assert run_encoder(model.get_encoder(), mel[..., :640]).shape == (1, 320, 32)


def test_a_short_context_batched_is_the_lone_one(folders: dict[str, Path]) -> None:
    families.assert_batched_equals_alone(load(folders["en"], "short"), seed=1, rows=4)


def test_only_a_text_that_ran_on_is_heard_again_in_full(folders: dict[str, Path]) -> None:
    """The network ends the text of the longer clip in a short context only."""
    requests = [RecognitionRequest(tiny.babble(seconds, 0), families.WORDS) for seconds in (0.5, 4.0)]
    full, short = (load(folders["all"], each).transcribe(requests) for each in ("full", "short"))
    families.assert_same(short[0], full[0])
    assert len(short[1].text) < len(full[1].text)


def test_a_clip_of_nearly_a_window_has_no_shorter_context(folders: dict[str, Path]) -> None:
    request = RecognitionRequest(tiny.babble(29), TranscriptionOptions(temperature=1.0))
    (full,), (short,) = (load(folders["en"], each).transcribe([request]) for each in ("full", "short"))
    families.assert_same(short, full)


def test_a_prompt_changes_what_is_written(english: Seq2Seq) -> None:
    clip = tiny.babble(1)
    plain, prompted = english.transcribe(
        [RecognitionRequest(clip), RecognitionRequest(clip, TranscriptionOptions(prompt="the speech stream"))]
    )
    assert plain.text != prompted.text


def test_a_blank_prompt_is_none(english: Seq2Seq) -> None:
    clip = tiny.babble(1)
    plain, blank = english.transcribe(
        [RecognitionRequest(clip), RecognitionRequest(clip, TranscriptionOptions(prompt="  "))]
    )
    assert plain == blank


def test_control_tokens_in_a_prompt_are_dropped(english: Seq2Seq) -> None:
    families.assert_control_tokens_in_a_prompt_are_dropped(english)


def test_a_prompt_of_any_length_leaves_half_the_context_for_the_text(english: Seq2Seq) -> None:
    (answer,) = english.transcribe(
        [RecognitionRequest(tiny.babble(1), TranscriptionOptions(prompt="the speech stream " * 500))]
    )
    assert answer.text


def test_words_tell_the_text_and_lie_in_the_clip(english: Seq2Seq) -> None:
    families.assert_words_tell_the_text_and_lie_in_the_clip(english)


def real(name: str) -> tuple[Clip, str]:
    """16 kHz mono 16-bit PCM and its reference."""
    with wave.open(str(ENGLISH / "files" / name)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(
            np.float32
        ) / np.float32(32768)
    rows = [json.loads(line) for line in (ENGLISH / "manifest.jsonl").read_text().splitlines()]
    return Clip(samples), next(row["text"] for row in rows if row["file"] == f"files/{name}")


def plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter == " ")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whisper tiny.en in transformers' format."""
    if not ENGLISH.is_dir():
        pytest.skip(f"{ENGLISH} is absent")
    return transformers_weights("whisper-tiny.en", tmp_path_factory.mktemp("whisper-tiny.en"))


@pytest.fixture(scope="module")
def trained(weights: Path) -> Seq2Seq:
    return Seq2Seq.load(weights, device="cpu", local_files_only=True)


@pytest.mark.slow
def test_a_famous_sentence_is_understood(trained: Seq2Seq) -> None:
    clip, reference = real("jfk.wav")
    (answer,) = trained.transcribe([RecognitionRequest(clip, families.WORDS)])
    assert jiwer.wer(plain(reference), plain(answer.text)) < 0.1
    assert answer.language == "en"


@pytest.mark.slow
def test_a_short_context_understands_it_as_well(weights: Path) -> None:
    clip, reference = real("jfk.wav")
    short = Seq2Seq.load(weights, device="cpu", local_files_only=True, audio_context="short")
    (answer,) = short.transcribe([RecognitionRequest(clip)])
    assert jiwer.wer(plain(reference), plain(answer.text)) < 0.1


@pytest.mark.slow
def test_words_lie_where_they_are_heard(trained: Seq2Seq) -> None:
    """In the speech there are pauses: 2.3 to 3.3 s before the first ask, 7.7 to 8.2 s before the second."""
    clip, _ = real("jfk.wav")
    (answer,) = trained.transcribe([RecognitionRequest(clip, families.WORDS)])
    asks = [word.start / SAMPLE_RATE for word in answer.words if plain(word.text) == "ask"]
    assert asks == [pytest.approx(3.35, abs=0.2), pytest.approx(8.3, abs=0.2)]

"""Whisper on CTranslate2 with tiny networks, compared with the same networks in torch."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asr import model_registry
from asr.ctranslate2_whisper import Ctranslate2Whisper, compute_type
from asr.errors import ModelUnavailable, UnsupportedModel
from asr.recognizer import PreviousUtterance, RecognitionRequest, TranscriptionOptions
from asr.seq2seq import Seq2Seq
from asr.whisper_vocabulary import WhisperVocabulary, build_tokenizer
from asr.windows import WINDOW, AudioContext, split_windows
from audio.clip import SAMPLE_RATE, Clip
from tests.asr import families, tiny

PLAIN = TranscriptionOptions()
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("ctranslate2")
    torch = tiny.whisper(root / "torch")
    return {"torch": torch, "en": tiny.ctranslate2_whisper(root / "en", torch)}


def load(folder: Path, audio_context: AudioContext = "full", **options: Any) -> Ctranslate2Whisper:
    """Load without retries: random networks write loops."""
    return Ctranslate2Whisper.load(
        folder, device="cpu", dtype="float32", audio_context=audio_context, retries_loops=False, **options
    )


@pytest.fixture(scope="module")
def english(folders: dict[str, Path]) -> Ctranslate2Whisper:
    return load(folders["en"])


@pytest.fixture(scope="module")
def multilingual(folders: dict[str, Path]) -> Ctranslate2Whisper:
    return load(folders["en"])


@pytest.mark.parametrize("prompt", [None, "the speech stream"])
def test_text_and_probabilities_equal_those_of_torch(prompt: str | None, folders: dict[str, Path]) -> None:
    """Torch follows the most likely token."""
    theirs = Seq2Seq.load(folders["torch"], device="cpu", dtype="float32", fallback_temperatures=())
    ours = load(folders["en"], final_beams=1)
    options = TranscriptionOptions(prompt=prompt)
    requests = [RecognitionRequest(tiny.babble(0.5 + seed, seed), options) for seed in range(3)]
    for one, other in zip(ours.transcribe(requests), theirs.transcribe(requests), strict=True):
        families.assert_same(one, other)


def test_final_is_at_least_as_likely_as_a_partial(english: Ctranslate2Whisper) -> None:
    """It is the best of several texts, and not only that of the most likely tokens."""
    options = TranscriptionOptions(language="en")
    finals = [RecognitionRequest(tiny.babble(0.5 + seed, seed), options) for seed in range(8)]
    better = 0
    for request in finals:
        (final,) = english.transcribe([request])
        (partial,) = english.transcribe([replace(request, partial=True)])
        assert final.avg_log_prob is not None
        assert partial.avg_log_prob is not None
        assert final.avg_log_prob >= partial.avg_log_prob - 1e-4
        better += final.avg_log_prob > partial.avg_log_prob + 1e-4
    assert better


def test_batched_result_equals_single_result(english: Ctranslate2Whisper) -> None:
    families.assert_batched_equals_alone(english, seed=0, rows=4)


def test_batched_short_context_equals_single_result(folders: dict[str, Path]) -> None:
    families.assert_batched_equals_alone(load(folders["en"], "short"), seed=1, rows=4)


def test_short_and_silent_clips_are_answered(english: Ctranslate2Whisper) -> None:
    families.assert_short_and_silent_clips_are_answered(english)


def test_words_tell_text_and_lie_in_clip(english: Ctranslate2Whisper) -> None:
    families.assert_words_tell_the_text_and_lie_in_the_clip(english)


def test_english_model_reports_english(english: Ctranslate2Whisper) -> None:
    requests = [
        RecognitionRequest(tiny.babble(1), TranscriptionOptions(language=language))
        for language in (None, "en", "de")
    ]
    answers = english.transcribe(requests)
    assert english.languages == ("en",)
    assert not english.translates
    assert [answer.language for answer in answers] == ["en", "en", "en"]
    assert [answer.ignored for answer in answers] == [(), (), ("language",)]


def test_hotwords_precede_the_prompt(english: Ctranslate2Whisper) -> None:
    families.assert_hotwords_precede_the_prompt(english)


def test_long_prompt_leaves_room_for_text(english: Ctranslate2Whisper) -> None:
    long = TranscriptionOptions(prompt="the speech stream " * 500)
    (answer,) = english.transcribe([RecognitionRequest(tiny.babble(1), long)])
    assert answer.text


def test_control_tokens_in_prompt_are_dropped(english: Ctranslate2Whisper) -> None:
    families.assert_control_tokens_in_a_prompt_are_dropped(english)


def test_long_clip_is_transcribed_in_windows(english: Ctranslate2Whisper) -> None:
    clip = Clip(np.concatenate([tiny.babble(28, 1).samples, tiny.silence(4).samples]))
    whole, *parts = english.transcribe([RecognitionRequest(part) for part in (clip, *split_windows(clip))])
    assert len(parts) == 2
    assert whole.text == " ".join(part.text for part in parts)


def test_clip_of_a_whole_window_has_words_to_its_end(english: Ctranslate2Whisper) -> None:
    clip = tiny.babble(WINDOW / SAMPLE_RATE)
    (answer,) = english.transcribe([RecognitionRequest(clip, families.WORDS)])
    assert answer.words
    assert answer.words[-1].end <= clip.end


def test_faulty_short_text_is_decoded_in_full_context(folders: dict[str, Path]) -> None:
    """The random network never ends a text, so each short one is decoded again, and the result is that of
    full context."""
    requests = [RecognitionRequest(tiny.babble(1 + seed, seed), families.WORDS) for seed in range(2)]
    short = load(folders["en"], "short")
    for one, other in zip(short.transcribe(requests), load(folders["en"]).transcribe(requests), strict=True):
        families.assert_same(one, other)
    assert short.decoded_again == 2


def test_faulty_partial_is_not_decoded_again(folders: dict[str, Path]) -> None:
    short = load(folders["en"], "short")
    (answer,) = short.transcribe([RecognitionRequest(tiny.babble(2), families.WORDS, partial=True)])
    assert answer.text
    assert short.decoded_again == 0


def test_no_requests_get_no_hypotheses(english: Ctranslate2Whisper) -> None:
    assert english.transcribe([]) == []


def test_registry_loads_folder_as_ctranslate2(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASR_MODEL_CACHE", str(tmp_path))
    description = model_registry.load(str(folders["en"]), device="cpu").description
    assert (description.family, description.dtype, description.device) == ("ctranslate2", "int8", "cpu")
    assert (description.languages, description.translates) == (("en",), False)


def test_model_without_tokenizer_file_takes_prompts(folders: dict[str, Path], tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "vocabulary.json"):
        (tmp_path / name).symlink_to(folders["en"] / name)
    request = RecognitionRequest(tiny.babble(1), TranscriptionOptions(prompt="the speech stream"))
    (ours,), (theirs,) = (load(folder).transcribe([request]) for folder in (tmp_path, folders["en"]))
    families.assert_same(ours, theirs)


def test_folder_without_vocabulary_is_unavailable(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelUnavailable, match=r"neither vocabulary.json nor vocabulary.txt"):
        WhisperVocabulary.load(tmp_path)


def test_damaged_weights_are_unsupported(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.bin").write_bytes(b"no weights")
    with pytest.raises(UnsupportedModel, match=tmp_path.name):
        model_registry.load(str(tmp_path), device="cpu")


def test_number_formats_depend_on_the_device() -> None:
    assert (compute_type("cpu"), compute_type("cpu", "float32")) == ("int8", "float32")
    assert (compute_type("cuda:1"), compute_type("cuda", "int8")) == ("float16", "int8_float16")
    with pytest.raises(ValueError, match="'bfloat16' is not one of auto, int8, float32"):
        compute_type("cpu", "bfloat16")


def test_short_context_is_the_same_with_kept_silence(folders: dict[str, Path], tmp_path: Path) -> None:
    requests = [RecognitionRequest(tiny.babble(1 + seed, seed)) for seed in range(2)]
    expected = load(folders["en"], "short").transcribe(requests)
    for _ in range(2):  # The first load writes the file, the second one reads it.
        recognizer = load(folders["en"], "short", cache=tmp_path)
        assert recognizer.transcribe(requests) == expected
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_process_of_model_imports_no_torch(folders: dict[str, Path], tmp_path: Path) -> None:
    source = f"""
import sys
import numpy as np
from asr import model_registry
from asr.recognizer import RecognitionRequest, TranscriptionOptions, warm_up
from audio.clip import Clip
loaded = model_registry.load({str(folders["en"])!r}, device="cpu")
warm_up(loaded)
sound = np.sin(np.arange(16_000, dtype=np.float32))
loaded.transcribe([RecognitionRequest(Clip(sound), TranscriptionOptions(words=True, temperature=0.5))])
print(sorted({{"torch", "transformers"}} & sys.modules.keys()))
"""
    told = subprocess.run(
        [sys.executable, "-c", source],
        cwd=ROOT,
        env=os.environ | {"ASR_MODEL_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert told.stdout.strip() == "[]", told.stderr


def test_sampled_text_has_its_own_log_prob(english: Ctranslate2Whisper) -> None:
    hot = TranscriptionOptions(temperature=1.0)
    plain, drawn = english.transcribe([RecognitionRequest(tiny.babble(1), each) for each in (PLAIN, hot)])
    assert drawn.text != plain.text
    assert drawn.ignored == ()
    assert drawn.avg_log_prob is not None
    assert plain.avg_log_prob is not None
    assert drawn.avg_log_prob < plain.avg_log_prob


def test_loop_is_decoded_again_without_repetitions(folders: dict[str, Path]) -> None:
    recognizer = Ctranslate2Whisper.load(folders["en"], device="cpu", dtype="float32", audio_context="full")
    request = RecognitionRequest(tiny.babble(4, 2))
    (plain,) = load(folders["en"]).transcribe([request])
    first, second = (recognizer.transcribe([request])[0] for _ in range(2))
    assert (plain.compression_ratio or 0) > 2.4
    assert 0 < (first.compression_ratio or 0) < 2.4
    assert first == second
    assert recognizer.decoded_again == 2


class ScriptedModel:
    """Write a text from a script for each text before: ids of both are those of a tiny vocabulary.

    heard: number of frames of each row that was encoded
    """

    n_mels = 80

    def __init__(self, vocabulary: WhisperVocabulary, replies: dict[str, str], language: str = "") -> None:
        self.is_multilingual = bool(language)
        self.heard: list[int] = []
        self._vocabulary = vocabulary
        self._replies = replies
        self._language = language

    def encode(self, features: Any) -> Any:
        self.heard.append(features.shape[-1])
        return features

    def detect_language(self, encoded: Any) -> list[list[tuple[str, float]]]:
        return [[(f"<|{self._language}|>", 0.95), ("<|en|>", 0.05)]]

    def generate(self, encoded: Any, prefixes: list[list[int]], **options: Any) -> list[Any]:
        return [self._continued(prefix) for prefix in prefixes]

    def _continued(self, prefix: list[int]) -> Any:
        before = [token for token in prefix if token < self._vocabulary.end]
        reply = self._vocabulary.encode_text(self._replies[self._vocabulary.decode(before).strip()])
        ids = [*before, *reply]
        score = -0.5 * (len(reply) + 1) / max(1, len(ids))
        return SimpleNamespace(sequences_ids=[ids], scores=[score], no_speech_prob=0.1)

    def align(self, encoded: Any, start: list[int], ids: list[list[int]], frames: list[int]) -> list[Any]:
        return [
            SimpleNamespace(
                alignments=[(place, 10 * place) for place in range(len(row) + 1)],
                text_token_probs=[0.5] * len(row),
            )
            for row in ids
        ]


def scripted(
    folders: dict[str, Path], replies: dict[str, str], language: str = ""
) -> tuple[Ctranslate2Whisper, ScriptedModel]:
    text = WhisperVocabulary.load(folders["en"])
    languages = ("en", language) if language else ()
    control = ("endoftext", "startoftranscript", *languages, "translate", "transcribe", "notimestamps")
    tokens = [*text.convert_ids_to_tokens(range(text.end)), *(f"<|{name}|>" for name in control)]
    vocabulary = WhisperVocabulary(tokens, build_tokenizer(tokens))
    model = ScriptedModel(vocabulary, replies, language)
    return Ctranslate2Whisper(model, vocabulary, device="cuda", dtype="float32"), model


def following(text: str, language: str | None = "en") -> RecognitionRequest:
    """Return a request for 2 s of sound, 3 s after the start of the text before."""
    before = PreviousUtterance(tiny.babble(3, 1, start=16_000), text, language)
    return RecognitionRequest(tiny.babble(2, 2, start=64_000), families.WORDS, previous=before)


def test_clip_continues_the_text_before(folders: dict[str, Path]) -> None:
    """Its words lie in its own sound, and the score is that of its own tokens."""
    recognizer, model = scripted(folders, {"the speech": "the stream of sound"})
    (answer,) = recognizer.transcribe([following("the speech")])
    assert answer.text == "the stream of sound"
    assert [word.text for word in answer.words] == ["the", "stream", "of", "sound"]
    assert all(64_000 <= word.start <= word.end <= 96_000 for word in answer.words)
    assert answer.avg_log_prob == pytest.approx(-0.5)
    assert len(model.heard) == 1


@pytest.mark.parametrize(
    "continued",
    ["", ".", "the speech", "the of the of the of the of the of the of"],
)
def test_faulty_continuation_is_decoded_alone(continued: str, folders: dict[str, Path]) -> None:
    recognizer, model = scripted(folders, {"the speech": continued, "": "the stream"})
    (answer,) = recognizer.transcribe([following("the speech")])
    assert answer.text == "the stream"
    assert len(model.heard) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"partial": True},
        {"options": TranscriptionOptions(temperature=0.5)},
        {"clip": tiny.babble(29, 0, 64_000)},
    ],
)
def test_partials_sampled_and_long_clips_are_decoded_alone(
    options: dict[str, Any], folders: dict[str, Path]
) -> None:
    recognizer, _ = scripted(folders, {"": "the stream"})
    (answer,) = recognizer.transcribe([replace(following("the speech"), **options)])
    assert answer.text == "the stream"


@pytest.mark.parametrize(("language", "text"), [("en", "alone"), ("de", "joined"), (None, "alone")])
def test_only_text_in_the_detected_language_is_continued(
    language: str | None, text: str, folders: dict[str, Path]
) -> None:
    texts = {"joined": "the stream of", "alone": "the sound"}
    recognizer, _ = scripted(folders, {"the speech": texts["joined"], "": texts["alone"]}, "de")
    (answer,) = recognizer.transcribe([following("the speech", language)])
    assert (answer.text, answer.language, answer.language_probability) == (texts[text], "de", 0.95)


def test_text_that_begins_again_is_decoded_alone(folders: dict[str, Path]) -> None:
    replies = {"the speech stream of sound": "the speech stream of clip", "": "the clip"}
    recognizer, _ = scripted(folders, replies)
    (answer,) = recognizer.transcribe([following("the speech stream of sound")])
    assert answer.text == "the clip"


def test_clips_that_continue_are_answered_beside_others(folders: dict[str, Path]) -> None:
    recognizer, _ = scripted(folders, {"the speech": "the stream", "the clip": "of", "": "the sound"})
    plain = RecognitionRequest(tiny.babble(2))
    answers = recognizer.transcribe([plain, following("the speech"), plain, following("the clip")])
    assert [answer.text for answer in answers] == ["the sound", "the stream", "the sound", "of"]

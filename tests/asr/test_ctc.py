"""CTC recognition with tiny networks."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby, product
from pathlib import Path
from typing import Any

import pytest
import torch

from asr.ctc import BONUS_NATS, Ctc, best_path
from asr.hotword_boosting import PhraseTree
from asr.recognizer import RecognitionRequest, TranscriptionOptions
from audio.clip import Clip
from tests.asr import families, tiny

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "wav2vec2-group": lambda folder: tiny.waveform_ctc(folder, "Wav2Vec2", "group"),
    "wav2vec2-layer": lambda folder: tiny.waveform_ctc(folder, "Wav2Vec2", "layer"),
    "hubert-group": lambda folder: tiny.waveform_ctc(folder, "Hubert", "group"),
    "hubert-layer": lambda folder: tiny.waveform_ctc(folder, "Hubert", "layer"),
    "hubert-batch-norm": lambda folder: tiny.waveform_ctc(
        folder, "Hubert", "layer", conv_pos_batch_norm=True
    ),
    "wavlm-group": lambda folder: tiny.waveform_ctc(folder, "WavLM", "group"),
    "data2vec": lambda folder: tiny.waveform_ctc(folder, "Data2VecAudio", "layer"),
    "parakeet": tiny.parakeet_ctc,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("ctc")
    return {name: build(root / name) for name, build in BUILDERS.items()}


@pytest.fixture(scope="module", params=list(BUILDERS))
def recognizer(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Ctc:
    return Ctc.load(folders[request.param], device="cpu", dtype="float32")


@pytest.mark.parametrize("seed", range(2))
def test_a_batched_result_is_the_lone_one(recognizer: Ctc, seed: int) -> None:
    families.assert_batched_equals_alone(recognizer, seed)


def test_short_and_silent_clips_are_answered(recognizer: Ctc) -> None:
    families.assert_short_and_silent_clips_are_answered(recognizer)


def test_words_tell_the_text_and_lie_in_the_clip(recognizer: Ctc) -> None:
    families.assert_words_tell_the_text_and_lie_in_the_clip(recognizer)


def test_only_word_times_and_hotwords_are_honoured(recognizer: Ctc) -> None:
    families.assert_only_word_times_are_honoured(recognizer)


def test_it_says_what_it_is(recognizer: Ctc) -> None:
    assert (recognizer.family, recognizer.device, recognizer.dtype) == ("ctc", "cpu", "float32")
    assert recognizer.languages == ()


def test_no_requests_get_no_answers(recognizer: Ctc) -> None:
    assert recognizer.transcribe([]) == []


def test_words_are_told_only_when_asked_for(recognizer: Ctc) -> None:
    (answer,) = recognizer.transcribe([RecognitionRequest(tiny.babble(1), TranscriptionOptions())])
    assert answer.words == ()


def test_a_clip_gives_the_same_text_wherever_it_lies_in_the_stream(recognizer: Ctc) -> None:
    here, there = tiny.babble(1, start=0), tiny.babble(1, start=10**9)
    first, second = recognizer.transcribe(
        [RecognitionRequest(here, families.WORDS), RecognitionRequest(there, families.WORDS)]
    )
    assert first.text == second.text
    assert [word.start + 10**9 for word in first.words] == [word.start for word in second.words]


@pytest.mark.parametrize("name", ["wav2vec2-group", "hubert-layer", "wavlm-group"])
def test_letters_are_those_of_transformers_own_decoding(name: str, folders: dict[str, Path]) -> None:
    """If the tokenizer dropped blanks before it merged repeats, the text would be helo."""
    clip = tiny.babble(1.5)
    (answer,) = Ctc.load(folders[name], device="cpu", dtype="float32").transcribe([RecognitionRequest(clip)])
    processor, model = tiny.parts(folders[name], "AutoModelForCTC")
    ids = _logits(model, processor, clip).argmax(-1)[0]
    assert answer.text == " ".join(processor.decode(ids).split())


def test_parakeet_pieces_are_those_of_its_own_generate(folders: dict[str, Path]) -> None:
    clip = tiny.babble(2)
    (answer,) = Ctc.load(folders["parakeet"], device="cpu", dtype="float32").transcribe(
        [RecognitionRequest(clip)]
    )
    processor, model = tiny.parts(folders["parakeet"], "AutoModelForCTC")
    ids = model.generate(**processor([clip.samples], sampling_rate=16_000))
    assert answer.text == " ".join(processor.batch_decode(ids, skip_special_tokens=True)[0].split())


def test_the_words_of_a_char_vocabulary_lie_on_frames_of_20_ms(folders: dict[str, Path]) -> None:
    recognizer = Ctc.load(folders["wav2vec2-layer"], device="cpu", dtype="float32")
    (answer,) = recognizer.transcribe([RecognitionRequest(tiny.babble(2), families.WORDS)])
    assert answer.words
    assert all(word.start % 320 == 0 and word.end % 320 == 0 for word in answer.words)


def _logits(model: Any, processor: Any, clip: Clip) -> Any:
    with torch.inference_mode():
        return model(**processor(clip.samples, sampling_rate=16_000, return_tensors="pt")).logits


BLANK, SPACE = 0, 1
LETTERS = "-|ABCDEFGHIKLMNOQRSTU"
WORD = frozenset(range(2, len(LETTERS)))


def tree(*words: str) -> PhraseTree:
    """Return a tree of whole words in LETTERS."""
    return PhraseTree([(SPACE, *map(LETTERS.index, word)) for word in words], inside=WORD, space=SPACE)


def heard(*frames: str | dict[str, float]) -> torch.Tensor:
    """Log-probabilities. A frame is the one letter that is heard there, or letters with their logits."""
    logits = torch.full((len(frames), len(LETTERS)), -20.0)
    for row, frame in zip(logits, frames, strict=True):
        for letter, logit in (frame if isinstance(frame, dict) else {frame: 0.0}).items():
            row[LETTERS.index(letter)] = logit
    return logits.log_softmax(-1)


def written(labels: Sequence[int]) -> str:
    return "".join(LETTERS[label] for label, _ in groupby(labels) if label != BLANK)


def score(log_probs: torch.Tensor, labels: Sequence[int], boosted: PhraseTree) -> float:
    """Compute the score that best_path maximizes."""
    state, earned = boosted.start, 0
    for label, _ in groupby(labels):
        if label != BLANK:
            state, more = boosted.advance(state, label)
            earned += more
    acoustic = sum(float(row[label]) for row, label in zip(log_probs, labels, strict=True))
    return acoustic + BONUS_NATS * (earned + boosted.finish(state))


# Quilter, heard as kilter.
KILTER = heard(
    {"K": 0, "Q": -2}, {"-": 0, "U": -2}, "-", "I", "L", "-", "T", {"E": 0, "-": -1}, "-", "R", "R", "|"
)


def test_a_rare_word_that_narrowly_loses_wins_when_it_is_boosted() -> None:
    assert written(best_path(KILTER, tree(), BLANK)) == "KILTER|"
    assert written(best_path(KILTER, tree("QUILTER", "OTHER"), BLANK)) == "QUILTER|"


def test_a_word_that_is_not_said_does_not_appear() -> None:
    said = heard("S", "O", "|", "-", "-", "I", "S", "-", "|", "H", "E")
    assert written(best_path(said, tree("QUILTER", "SO", "ISLE", "HER"), BLANK)) == "SO|IS|HE"


def test_a_false_start_is_taken_back() -> None:
    """The first letters match a phrase, but the rest of the word does not follow."""
    kind = heard({"K": 0, "Q": -1}, {"-": 0, "U": -1}, "I", "N", "D", "|", "M", "A", "N")
    assert written(best_path(kind, tree("QUILTER"), BLANK)) == "KIND|MAN"


def test_a_word_cut_off_at_the_end_of_the_clip_is_no_phrase() -> None:
    cut = heard({"K": 0, "Q": -1}, {"-": 0, "U": -1}, "I", "L")
    assert written(best_path(cut, tree("QUILTER"), BLANK)) == "KIL"
    assert written(best_path(cut, tree("QUIL"), BLANK)) == "QUIL"


def test_a_longer_word_that_begins_like_a_phrase_is_not_boosted() -> None:
    said = heard({"O": 0, "A": -1}, "R", "T", "I", "S", "T")
    assert written(best_path(said, tree("ART"), BLANK)) == "ORTIST"


def test_a_safe_path_is_kept_however_many_phrases_are_begun() -> None:
    """Five ambiguous letters match phrases that all need one more letter."""
    letter: list[str | dict[str, float]] = [{"A": 0, "B": -0.5}, "-"]
    doubt = heard(*letter * 5, "|", "C")
    begun = ["".join(letters) + "D" for letters in product("AB", repeat=5)]
    assert written(best_path(doubt, tree(*begun), BLANK)) == "AAAAA|C"


@pytest.mark.parametrize("seed", range(20))
def test_the_best_path_is_the_best_of_all_that_there_are(seed: int) -> None:
    frames, vocabulary = 5, 3
    generator = torch.Generator().manual_seed(seed)
    log_probs = torch.randn(frames, vocabulary, generator=generator).log_softmax(-1)
    boosted = PhraseTree([(1, 2), (2, 1, 2), (2, 2)] if seed % 2 else [(1, 1)])
    best = max(
        product(range(vocabulary), repeat=frames), key=lambda labels: score(log_probs, labels, boosted)
    )
    assert tuple(best_path(log_probs, boosted, BLANK)) == best


@pytest.mark.parametrize("seed", range(20))
def test_the_best_path_scores_no_less_than_the_likeliest_tokens(seed: int) -> None:
    """The score holds although many paths are pruned."""
    generator = torch.Generator().manual_seed(seed)
    log_probs = (2 * torch.randn(40, len(LETTERS), generator=generator)).log_softmax(-1)
    words = [
        "".join(LETTERS[2 + letter] for letter in torch.randint(0, 19, (4,), generator=generator))
        for _ in range(99)
    ]
    boosted = tree(*words)
    found = score(log_probs, best_path(log_probs, boosted, BLANK), boosted)
    assert found >= score(log_probs, log_probs.argmax(-1).tolist(), boosted) - 1e-4


@pytest.mark.parametrize("name", ["wav2vec2-group", "parakeet"])
def test_without_phrases_the_best_path_is_that_of_the_likeliest_tokens(
    name: str, folders: dict[str, Path]
) -> None:
    processor, model = tiny.parts(folders[name], "AutoModelForCTC")
    log_probs = _logits(model, processor, tiny.babble(2)).log_softmax(-1)[0]
    assert best_path(log_probs, PhraseTree([]), model.config.pad_token_id) == log_probs.argmax(-1).tolist()


def test_no_frames_have_an_empty_path() -> None:
    assert best_path(torch.zeros(0, 5), tree("ART"), BLANK) == []


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory: pytest.TempPathFactory) -> Ctc:
    """The best tokens have similar probabilities."""
    folder = tiny.parakeet_ctc(tmp_path_factory.mktemp("doubtful") / "parakeet")
    _, model = tiny.parts(folder, "AutoModelForCTC")
    with torch.no_grad():
        model.ctc_head.weight.mul_(0.1)
    model.save_pretrained(folder)
    return Ctc.load(folder, device="cpu", dtype="float32")


def test_a_hotword_is_written_more_often_and_with_the_networks_own_confidence(doubtful: Ctc) -> None:
    clip = tiny.babble(2)
    plain, boosted = doubtful.transcribe(
        [
            RecognitionRequest(clip, options)
            for options in (families.WORDS, replace(families.WORDS, hotwords=("speech",)))
        ]
    )
    assert boosted.text.split().count("speech") > plain.text.split().count("speech")
    assert boosted.ignored == ()
    assert [word.text for word in boosted.words] == boosted.text.split()
    assert boosted.avg_log_prob is not None
    assert plain.avg_log_prob is not None
    assert boosted.avg_log_prob < plain.avg_log_prob < 0


def test_hotwords_of_one_clip_do_not_leak_into_others(doubtful: Ctc) -> None:
    requests = [
        RecognitionRequest(tiny.babble(2, row), TranscriptionOptions(words=True, hotwords=hot))
        for row, hot in enumerate([(), ("speech", "of the"), ("sound",), (), ("łódź",), ("the", "łódź")])
    ]
    together = doubtful.transcribe(requests)
    assert [each.ignored for each in together] == [(), (), (), (), ("hotwords",), ("hotwords",)]
    for request, answer in zip(requests, together, strict=True):
        families.assert_same(answer, doubtful.transcribe([request])[0])

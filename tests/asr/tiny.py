"""Tiny models of each family with random weights from a fixed seed, saved to a folder like published ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from ctranslate2.converters import TransformersConverter
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from asr.ctranslate2_conversion import converted
from asr.ctranslate2_converter import convert
from audio.clip import SAMPLE_RATE, Clip

_: Any = transformers  # the boundary: transformers is typed in part
HIDDEN: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
PIECES = (
    "▁the",
    "▁of",
    "▁speech",
    "▁stream",
    "▁clip",
    "▁sound",
    "ing",
    "s",
    "er",
    ".",
    ",",
    "▁",
    "e",
    "t",
    "o",
)


def babble(seconds: float, seed: int = 0, start: int = 0) -> Clip:
    """Return audio with a new tone and noise every 150 ms, so that outputs of a random network differ."""
    rng = np.random.default_rng(seed)
    count = round(seconds * SAMPLE_RATE)
    place = np.arange(count) // (SAMPLE_RATE * 3 // 20)
    pitch, loud = rng.uniform(100, 6000, len(place) or 1), rng.uniform(0.01, 0.3, len(place) or 1)
    tone = np.sin(2 * np.pi * pitch[place] * np.arange(count) / SAMPLE_RATE)
    sound = loud[place] * (tone + 0.3 * rng.standard_normal(count))
    return Clip(sound.astype(np.float32), start)


def silence(seconds: float, start: int = 0) -> Clip:
    return Clip(np.zeros(round(seconds * SAMPLE_RATE), dtype=np.float32), start)


def parts(folder: Path, auto: str) -> tuple[Any, Any]:
    """The processor and the model as transformers itself loads them; auto: AutoModelForCTC …"""
    return _.AutoProcessor.from_pretrained(folder), getattr(_, auto).from_pretrained(folder).eval()


def waveform_ctc(folder: Path, name: str, norm: str, **extra: Any) -> Path:
    """name: Wav2Vec2, Hubert, WavLM …; norm: group or layer."""
    torch.manual_seed(0)
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOINSHRDLU'"]
    folder.mkdir(parents=True)
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({letter: index for index, letter in enumerate(letters)}))
    config = getattr(_, f"{name}Config")(
        **HIDDEN,
        vocab_size=len(letters),
        conv_dim=(16,) * 7,
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        pad_token_id=0,
        **extra,
    )
    model = getattr(_, f"{name}ForCTC")(config)
    _sharpen(model.lm_head)
    _untrain(model.lm_head, 1, 2, 3)
    tokenizer = _.Wav2Vec2CTCTokenizer(str(vocabulary))
    return _save(folder, model, _.Wav2Vec2Processor(_raw_features(do_normalize=True), tokenizer))


def parakeet_ctc(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = _pieces(["<unk>", *PIECES], pad="<pad>")
    config = _.ParakeetCTCConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        encoder_config=_fast_conformer("Parakeet"),
    )
    model = _.ParakeetForCTC(config)
    _sharpen(model.encoder.subsampling.linear)
    _sharpen(model.ctc_head, 10)
    _untrain(model.ctc_head, 0)
    processor = _.ParakeetProcessor(_.ParakeetFeatureExtractor(), tokenizer, decoder_type="ctc")
    return _save(folder, model, processor)


def transducer(folder: Path, head: str, *, kind: str = "Parakeet", blank_bias: float = 0) -> Path:
    """head: TDT or RNNT; kind: Parakeet or NemotronAsrStreaming (RNNT); blank_bias: how taciturn it is."""
    torch.manual_seed(0)
    tokenizer = _pieces(["<unk>", "<pad>", *PIECES, "<blank>"], pad="<pad>")
    blank = len(tokenizer) - 1
    config = getattr(_, f"Parakeet{head}Config" if kind == "Parakeet" else f"{kind}Config")(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        blank_token_id=blank,
        decoder_hidden_size=32,
        encoder_config=_fast_conformer(kind),
        max_symbols_per_step=3,
    )
    model = getattr(_, f"{kind}For{head}")(config)
    model.generation_config.decoder_start_token_id = blank
    # The durations of a TDT model lie behind the vocabulary, and generate() would take them for tokens.
    model.generation_config.suppress_tokens = list(range(blank + 1, model.joint.head.out_features))
    _sharpen(model.encoder.subsampling.linear)
    _sharpen(model.decoder.decoder_projector)
    _sharpen(model.joint.head, 5)
    _untrain(model.joint.head, 0, 1)
    with torch.no_grad():
        model.joint.head.bias[blank] += blank_bias
    return _save(
        folder, model, getattr(_, f"{kind}Processor")(getattr(_, f"{kind}FeatureExtractor")(), tokenizer)
    )


def whisper(folder: Path, *, languages: tuple[str, ...] = ()) -> Path:
    """languages: of a multilingual one; none is English only. Two alignment heads."""
    torch.manual_seed(0)
    tokenizer = _byte_pairs((" the", " speech", " stream", " clip", " sound", "ing"), languages)
    end, start = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|startoftranscript|>"])
    config = _.WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_mel_bins=80,
        init_std=0.2,
        tie_word_embeddings=False,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
    )
    model = _.WhisperForConditionalGeneration(config)
    generation = model.generation_config
    generation._from_model_config = False  # or loading would derive it anew
    generation.return_timestamps = False
    generation.is_multilingual = bool(languages)
    if languages:  # transformers takes a model that has these, even empty, for a multilingual one
        generation.lang_to_id = {
            f"<|{name}|>": tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in languages
        }
        generation.task_to_id = {"transcribe": tokenizer.convert_tokens_to_ids("<|transcribe|>")}
    generation.no_timestamps_token_id = tokenizer.convert_tokens_to_ids("<|notimestamps|>")
    generation.alignment_heads = [[0, 0], [1, 1]]
    generation.begin_suppress_tokens = [end]
    pieces = tokenizer.convert_ids_to_tokens(list(range(256)))
    generation.suppress_tokens = [
        i for i, piece in enumerate(pieces) if not (piece.isascii() and piece.islower())
    ]
    return _save(folder, model, _.WhisperProcessor(_.WhisperFeatureExtractor(), tokenizer))


def moonshine(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = _pieces(["<unk>", "<s>", "</s>", *PIECES], pad="</s>", kind="PreTrainedTokenizerFast")
    config = _.MoonshineConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        encoder_num_hidden_layers=2,
        decoder_num_hidden_layers=2,
        encoder_num_attention_heads=2,
        decoder_num_attention_heads=2,
        tie_word_embeddings=False,
        initializer_range=0.2,
    )
    model = _.MoonshineForConditionalGeneration(config)
    return _save(folder, model, _.Wav2Vec2Processor(_raw_features(do_normalize=False), tokenizer))


def moonshine_streaming(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = _pieces(["<unk>", "<s>", "</s>", *PIECES], pad="</s>", kind="PreTrainedTokenizerFast")
    encoder = _.MoonshineStreamingEncoderConfig(
        **HIDDEN, num_key_value_heads=2, sliding_windows=((16, 4), (16, 0)), initializer_range=0.2
    )
    config = _.MoonshineStreamingConfig(
        **HIDDEN,
        num_key_value_heads=2,
        encoder_config=encoder,
        vocab_size=len(tokenizer),
        initializer_range=0.2,
        decoder_start_token_id=1,
    )
    model = _.MoonshineStreamingForConditionalGeneration(config)
    return _save(folder, model, _.MoonshineStreamingProcessor(_raw_features(do_normalize=False), tokenizer))


def _save(folder: Path, model: Any, processor: Any) -> Path:
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _sharpen(layer: Any, factor: float = 100) -> None:
    """Spread the random logits, so that rounding does not swap the best two."""
    with torch.no_grad():
        layer.weight.mul_(factor)


def _untrain(layer: Any, *ids: int) -> None:
    """Suppress control tokens that occur in no transcript."""
    with torch.no_grad():
        layer.bias[list(ids)] -= 1000


def _raw_features(**options: Any) -> Any:
    return _.Wav2Vec2FeatureExtractor(sampling_rate=SAMPLE_RATE, return_attention_mask=True, **options)


def _fast_conformer(kind: str) -> Any:
    return getattr(_, f"{kind}EncoderConfig")(**HIDDEN, subsampling_conv_channels=8, initializer_range=0.2)


def _pieces(vocabulary: list[str], *, pad: str, kind: str = "ParakeetTokenizer") -> Any:
    """A sentencepiece-like tokenizer. A pad token not in the vocabulary, CTC's blank, goes to its end."""
    if pad not in vocabulary:
        vocabulary = [*vocabulary, pad]
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    inner = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    ends = {"bos_token": "<s>", "eos_token": "</s>"} if "<s>" in ids else {}
    return getattr(_, kind)(tokenizer_object=inner, unk_token="<unk>", pad_token=pad, **ends)


def _byte_pairs(words: tuple[str, ...], languages: tuple[str, ...]) -> Any:
    """A byte-level BPE tokenizer that knows the words, with Whisper's control tokens behind them."""
    vocabulary = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = []
    for word in (word.replace(" ", "Ġ") for word in words):
        for length in range(1, len(word)):
            merges.append((word[:length], word[length]))
            vocabulary.append(word[: length + 1])
    ids = {piece: index for index, piece in enumerate(dict.fromkeys(vocabulary))}
    ids["<|endoftext|>"] = len(ids)
    tokenizer = _.WhisperTokenizer(vocab=ids, merges=merges)
    controls = [
        "startoftranscript",
        *languages,
        "translate",
        "transcribe",
        "startofprev",
        "nospeech",
        "notimestamps",
    ]
    names = [f"<|{name}|>" for name in controls]
    tokenizer.add_special_tokens({"additional_special_tokens": names})
    return tokenizer


def ctranslate2_whisper(folder: Path, source: Path) -> Path:
    """Convert a Whisper into CTranslate2's format, as faster-whisper users have it."""
    converter = TransformersConverter(str(source), copy_files=["tokenizer.json"])
    return Path(converter.convert(str(folder)))


def convert_here(source: Path, made: Path) -> None:
    """Put a converted Whisper into the cache of ASR_MODEL_CACHE, in this process.

    The program that converts takes five seconds to import torch and transformers.
    made: a folder that does not exist
    """
    convert(source, made)
    converted(source, program=("-c", f"import shutil, sys; shutil.copytree({str(made)!r}, sys.argv[2])"))

"""Write models of published sizes with random weights, to measure speed without downloading a model.

A decoder writes tokens until it writes its end token, so its weights decide how long it runs. `chain` sets
the weights so that the decoder always writes a given sequence. Every engine that loads the folder takes the
same steps.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as tokenizer_models

from audio.clip import SAMPLE_RATE

_: Any = transformers  # transformers is only partly typed
TOKENS: Final = 24  # written by a decoder, without the end token: typical of 5 s of speech
EMBEDDING_SCALE: Final = 1000.0  # large against what the attention layers add to an embedding
WORDS: Final = tuple(f"▁word{number}" for number in range(TOKENS))


def chain(embedding: torch.Tensor, head: torch.Tensor, ids: Sequence[int]) -> None:
    """Set the weights so that a decoder whose input is ids[n] writes ids[n + 1].

    embedding, head: (vocabulary, hidden), not tied. A residual network passes its input on. The large input
    dominates what the layers add to it, and the last normalisation keeps the direction of the input.
    """
    with torch.no_grad():
        directions = torch.nn.functional.normalize(torch.randn(len(ids), embedding.shape[1]), dim=1)
        directions -= directions.mean(
            dim=1, keepdim=True
        )  # a LayerNorm keeps the direction of a vector with mean 0
        embedding[list(ids)] = EMBEDDING_SCALE * directions
        head[list(ids[1:])] = directions[:-1]


def whisper(folder: Path, **sizes: Any) -> Path:
    """Write a Whisper model, by default of the size of whisper-tiny.en.

    sizes: arguments of WhisperConfig
    """
    torch.manual_seed(0)
    shape = {
        "d_model": 384,
        "encoder_layers": 4,
        "decoder_layers": 4,
        "encoder_attention_heads": 6,
        "decoder_attention_heads": 6,
        "encoder_ffn_dim": 1536,
        "decoder_ffn_dim": 1536,
        "vocab_size": 51864,
    } | sizes
    tokenizer = _byte_level(WORDS)
    words = tokenizer.convert_tokens_to_ids([word.replace("▁", "Ġ") for word in WORDS])
    end, start, silent = tokenizer.convert_tokens_to_ids(
        ["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"]
    )
    special = {"pad_token_id": end, "bos_token_id": end, "eos_token_id": end, "decoder_start_token_id": start}
    model = _.WhisperForConditionalGeneration(
        _.WhisperConfig(**shape, **special, num_mel_bins=80, tie_word_embeddings=False)
    )
    decoder = model.model.decoder
    chain(decoder.embed_tokens.weight, model.proj_out.weight, [start, silent, *words, end])
    generation = model.generation_config
    generation._from_model_config = False  # otherwise loading derives it again
    generation.return_timestamps = False
    generation.is_multilingual = False
    generation.no_timestamps_token_id = silent
    generation.begin_suppress_tokens = [end]
    generation.suppress_tokens = []
    return _save(folder, model, _.WhisperProcessor(_.WhisperFeatureExtractor(), tokenizer))


def moonshine(folder: Path, **sizes: Any) -> Path:
    """Write a Moonshine model, by default of the size of moonshine-tiny.

    sizes: arguments of MoonshineConfig
    """
    torch.manual_seed(0)
    tokenizer = _pieces(["<unk>", "<s>", "</s>", *WORDS], pad="</s>", kind="PreTrainedTokenizerFast")
    model = _.MoonshineForConditionalGeneration(_.MoonshineConfig(**sizes, tie_word_embeddings=False))
    ids = tokenizer.convert_tokens_to_ids(["<s>", *WORDS, "</s>"])
    chain(model.model.decoder.embed_tokens.weight, model.proj_out.weight, ids)
    features = _.Wav2Vec2FeatureExtractor(
        sampling_rate=SAMPLE_RATE, return_attention_mask=True, do_normalize=False
    )
    return _save(folder, model, _.Wav2Vec2Processor(features, tokenizer))


def wav2vec2(folder: Path, **sizes: Any) -> Path:
    """Write a wav2vec 2.0 model, by default of the size of wav2vec2-base. Its text does not affect its speed.

    sizes: arguments of Wav2Vec2Config
    """
    torch.manual_seed(0)
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
    tokenizer = _wav2vec2_tokenizer(folder, letters)
    model = _.Wav2Vec2ForCTC(_.Wav2Vec2Config(**sizes, vocab_size=len(letters), pad_token_id=0))
    features = _.Wav2Vec2FeatureExtractor(sampling_rate=SAMPLE_RATE, return_attention_mask=True)
    return _save(folder, model, _.Wav2Vec2Processor(features, tokenizer))


def parakeet(folder: Path, **sizes: Any) -> Path:
    """Write a Parakeet CTC model, by default with 110 million parameters (17 layers of 512).

    sizes: arguments of ParakeetEncoderConfig
    """
    torch.manual_seed(0)
    vocabulary = ["<unk>", *WORDS, *(f"▁x{number}" for number in range(1024 - 1 - len(WORDS)))]
    tokenizer = _pieces(vocabulary, pad="<pad>", kind="ParakeetTokenizer")
    shape = {
        "hidden_size": 512,
        "num_hidden_layers": 17,
        "num_attention_heads": 8,
        "intermediate_size": 2048,
    } | sizes
    encoder = _.ParakeetEncoderConfig(**shape)
    config = _.ParakeetCTCConfig(
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, encoder_config=encoder
    )
    processor = _.ParakeetProcessor(_.ParakeetFeatureExtractor(), tokenizer, decoder_type="ctc")
    return _save(folder, _.ParakeetForCTC(config), processor)


SHAPES: Final[dict[str, Callable[[Path], Path]]] = {
    "whisper-tiny": whisper,
    "moonshine-tiny": moonshine,
    "wav2vec2-base": wav2vec2,
    "parakeet-ctc-110m": parakeet,
}


def _save(folder: Path, model: Any, processor: Any) -> Path:
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _wav2vec2_tokenizer(folder: Path, letters: Sequence[str]) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({letter: index for index, letter in enumerate(letters)}))
    return _.Wav2Vec2CTCTokenizer(str(vocabulary))


def _pieces(vocabulary: Sequence[str], *, pad: str, kind: str) -> Any:
    """Return a tokenizer of whole words in the manner of SentencePiece.

    A pad token that the vocabulary lacks is added at its end.
    """
    ids = {piece: index for index, piece in enumerate(dict.fromkeys((*vocabulary, pad)))}
    inner = Tokenizer(tokenizer_models.WordLevel(ids, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    ends = {"bos_token": "<s>", "eos_token": "</s>"} if "<s>" in ids else {}
    return getattr(_, kind)(tokenizer_object=inner, unk_token="<unk>", pad_token=pad, **ends)


def _byte_level(words: Sequence[str]) -> Any:
    """Return a tokenizer like that of an English Whisper model, with a few words and its control tokens."""
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(word.replace("▁", "Ġ") for word in words)]
    ids = {piece: index for index, piece in enumerate(pieces)}
    end = "<|endoftext|>"
    tokenizer = _.WhisperTokenizer(vocab=ids | {end: len(ids)}, merges=[], pad_token=end)
    names = (
        *("startoftranscript", "translate", "transcribe", "startoflm"),
        *("startofprev", "nospeech", "notimestamps"),
    )
    tokenizer.add_special_tokens({"additional_special_tokens": [f"<|{name}|>" for name in names]})
    return tokenizer

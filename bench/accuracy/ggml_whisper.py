"""Write a Whisper model of transformers in the file format of whisper.cpp.

    python -m bench.accuracy.ggml_whisper FOLDER FILE

The format: a magic number, eleven int32 of sizes, the mel filters as float32, the vocabulary as bytes, then
each tensor with its shape (innermost first), name and values. Matrices are float16, as in the files that the
project distributes; vectors, positions and the biases of convolutions are float32.
"""

import argparse
import json
import re
import struct
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from transformers import WhisperFeatureExtractor

MAGIC: Final = 0x67676D6C
FLOAT32: Final = 0
FLOAT16: Final = 1
POSITIONS: Final = ("encoder.positional_embedding", "decoder.positional_embedding")
# The names of transformers, part by part, in those of OpenAI's checkpoints, which whisper.cpp expects.
_RENAMED: Final = (
    (r"^model\.", ""),
    (r"\.layers\.", ".blocks."),
    (r"self_attn_layer_norm", "attn_ln"),
    (r"encoder_attn_layer_norm", "cross_attn_ln"),
    (r"final_layer_norm", "mlp_ln"),
    (r"self_attn", "attn"),
    (r"encoder_attn", "cross_attn"),
    (r"q_proj", "query"),
    (r"k_proj", "key"),
    (r"v_proj", "value"),
    (r"out_proj", "out"),
    (r"\bfc1\b", "mlp.0"),
    (r"\bfc2\b", "mlp.2"),
    (r"embed_positions\.weight", "positional_embedding"),
    (r"embed_tokens", "token_embedding"),
    (r"encoder\.layer_norm", "encoder.ln_post"),
    (r"decoder\.layer_norm", "decoder.ln"),
)


def byte_of_character() -> dict[str, int]:
    """Return the byte for which each character stands in the vocabulary of a byte-level tokenizer.

    Printable characters of Latin-1 stand for themselves; those from U+0100 on for the other bytes, in order.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    shifted = {chr(0x100 + number): byte for number, byte in enumerate(others)}
    return {chr(byte): byte for byte in printable} | shifted


def tensor_name(name: str) -> str:
    """Return the name that whisper.cpp has for a tensor of transformers."""
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def write_model(source: Path, target: Path) -> None:
    """Convert the model in the folder `source`. Raises FileNotFoundError if a file of it is missing."""
    config = json.loads((source / "config.json").read_text())
    extractor = WhisperFeatureExtractor.from_pretrained(source)
    filters = np.ascontiguousarray(np.asarray(extractor.mel_filters, np.float32).T)
    tokens = json.loads((source / "vocab.json").read_text())
    byte_of = byte_of_character()
    with target.open("wb") as file:
        file.write(struct.pack("<I", MAGIC))
        sizes = (
            config["vocab_size"],
            config["max_source_positions"],
            config["d_model"],
            config["encoder_attention_heads"],
            config["encoder_layers"],
            config["max_target_positions"],
            config["d_model"],
            config["decoder_attention_heads"],
            config["decoder_layers"],
            config["num_mel_bins"],
            FLOAT16,
        )
        file.write(struct.pack("<11i", *sizes))
        file.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        file.write(struct.pack("<i", len(tokens)))
        for text, _ in sorted(tokens.items(), key=lambda item: item[1]):
            word = bytes(byte_of[character] for character in text)
            file.write(struct.pack("<i", len(word)) + word)
        for name, values in load_file(source / "model.safetensors").items():
            if name != "proj_out.weight":  # the same as the embedding of tokens
                _write_tensor(file, tensor_name(name), values)


def _write_tensor(file: BinaryIO, name: str, values: NDArray[np.generic]) -> None:
    if re.fullmatch(r"encoder\.conv[12]\.bias", name):
        values = values[:, np.newaxis]
    is_exact = values.ndim < 2 or name in POSITIONS or name.endswith("bias")
    kind, dtype = (FLOAT32, np.float32) if is_exact else (FLOAT16, np.float16)
    encoded = name.encode()
    file.write(struct.pack("<3i", values.ndim, len(encoded), kind))
    file.write(struct.pack(f"<{values.ndim}i", *reversed(values.shape)))
    file.write(encoded + np.ascontiguousarray(values, dtype).tobytes())


def main() -> None:
    """Convert a model."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy.ggml_whisper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="a folder with a Whisper model of transformers")
    parser.add_argument("target", type=Path, help="the file to write")
    options = parser.parse_args()
    write_model(options.source, options.target)


if __name__ == "__main__":
    main()

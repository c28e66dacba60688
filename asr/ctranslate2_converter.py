"""Convert a Whisper of transformers for CTranslate2: `python -m asr.ctranslate2_converter SOURCE TARGET`.

This program imports torch and transformers, so asr.ctranslate2_conversion runs it in a process of its own. It
ends when its standard input ends: a conversion does not outlive the process that waits for it.
"""

import gc
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

_COPIED: Final = ("tokenizer.json", "preprocessor_config.json")


def convert(source: Path, target: Path) -> None:
    """Convert the model in a folder into a new folder.

    The weights are read and written as float16, which halves the memory and the file; the number format is
    chosen when the model is loaded. Raises ValueError if weights are missing, and what transformers and
    CTranslate2 raise.
    """
    from ctranslate2.converters import TransformersConverter  # It takes seconds.

    class CompleteModelConverter(TransformersConverter):  # type: ignore[misc]
        def load_model(self, model_class: Any, folder: str, **options: Any) -> Any:
            """Return the model; transformers would fill up missing weights with random numbers."""
            model, info = model_class.from_pretrained(folder, output_loading_info=True, **options)
            if missing := sorted(info["missing_keys"]):
                names = ", ".join(missing[:3])
                raise ValueError(f"it has no weights for {names} ({len(missing)} missing in all)")
            return model

    copied = [name for name in _COPIED if (source / name).is_file()]
    converter = CompleteModelConverter(
        str(source), copy_files=copied, load_as_float16=True, low_cpu_mem_usage=True
    )
    converter.convert(str(target), quantization="float16")


def _exit_with_parent() -> None:
    os.read(0, 1)  # Not through sys.stdin, whose lock this thread would hold when the program ends.
    os._exit(1)


if __name__ == "__main__":
    gc.disable()  # Imports make millions of objects and no garbage; looking for it takes a second.
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    convert(*map(Path, sys.argv[1:]))

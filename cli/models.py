"""Run the commands `models` and `pull`: list the known models, and download one."""

from typing import Final

from asr import model_hub
from asr.model_registry import KNOWN_MODELS, KnownModel
from cli.console import OK

HUB_SECONDS: Final = 5.0

_TITLES: Final = ("model", "family", "languages", "size", "WER %", "licence", "here", "note")


def print_models() -> int:
    """Print a table of the known models; return the exit code."""
    rows = [_TITLES, *map(_row, KNOWN_MODELS)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"\ncache: {model_hub.cache_folder()}")
    return OK


def pull(model_id: str) -> int:
    """Download a model into the cache and print where it is; return the exit code. Raises AsrError."""
    print(model_hub.download(model_id, HUB_SECONDS))
    return OK


def _row(model: KnownModel) -> tuple[str, ...]:
    return (
        model.id,
        model.family,
        _languages(model.languages),
        f"{model.parameters_m} M" if model.parameters_m else "-",
        f"{model.wer:.1f}" if model.wer else "-",
        model.licence,
        _presence(model),
        model.note,
    )


def _languages(codes: tuple[str, ...]) -> str:
    if not codes:
        return "about 100"
    return " ".join(codes) if len(codes) <= 3 else str(len(codes))


def _presence(model: KnownModel) -> str:
    if model.family == model.id:
        return "built in"
    folder = model_hub.cached_snapshot(model.id)
    if folder is None:
        return "-"
    weights = any(path.suffix in (".safetensors", ".bin") for path in folder.iterdir())
    return "cached" if weights else "in part"

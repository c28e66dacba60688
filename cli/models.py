"""Run the commands `models` and `pull`: list the known models, and download them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from asr import model_hub
from asr.artifact_catalogue import Artifact, HubRepository
from asr.artifacts import ArtifactStore
from asr.default_model import chosen_default
from asr.model_registry import AUTO, AUTO_ON_CUDA, KNOWN_MODELS, KnownModel, load
from cli.console import OK

HUB_SECONDS: Final = 5.0

_TITLES: Final = ("model", "family", "languages", "size", "WER %", "licence", "here", "note")
_ARTIFACT_TITLES: Final = ("name", "default", "size", "licence", "here", "sources", "what it is")


def print_models() -> int:
    """Print tables of the known models, and of what can be pulled by name; return the exit code."""
    _print_table([_TITLES, *map(_row, KNOWN_MODELS)])
    print(f"\ncache of the hub: {model_hub.cache_folder()}\n")
    store = ArtifactStore.from_environment()
    default = chosen_default(store)
    _print_table(
        [_ARTIFACT_TITLES, *(_artifact_row(store, artifact, default) for artifact in store.catalogue)]
    )
    print(f"\ncache: {store.cache}")
    if default is None:
        print("default on a CPU: not chosen yet; the first start, or `pull auto`, measures this machine")
    return OK


def pull(names: Sequence[str], *, verify: bool = False) -> int:
    """Download models and print where they are; return the exit code.

    names: auto, names of the catalogue, or ids of the hub with a slash
    verify: hash the files again, even if they did not change since they were last hashed

    Raises AsrError.
    """
    for name in names:
        print(_pull(name, verify=verify))
    return OK


def choose_default() -> str:
    """Download the model that `auto` means on this machine if need be, and return its name and the reason.

    Raises ModelUnavailable.
    """
    from asr.download_progress import reporter

    with reporter() as shown:
        chosen = load(AUTO, reporter=shown, may_fall_back=False).description
    return f"{chosen.model}: {chosen.reason}" if chosen.reason else chosen.model


def fetch(name: str, *, verify: bool = False) -> Path:
    """Return the folder of a model of the catalogue; download it if need be, with progress on stderr.

    verify: hash the files again, even if they did not change since they were last hashed

    Raises ModelUnavailable.
    """
    store = ArtifactStore.from_environment()
    if found := store.find(name, verify=verify):
        return found
    from asr.download_progress import reporter

    with reporter() as shown:
        return store.fetch(name, shown)


def _pull(name: str, *, verify: bool) -> Path | str:
    if name == AUTO:
        return choose_default()
    return model_hub.download(name, HUB_SECONDS) if "/" in name else fetch(name, verify=verify)


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _artifact_row(store: ArtifactStore, artifact: Artifact, default: str | None) -> tuple[str, ...]:
    sources = (source for variant in artifact.variants for source in variant.sources)
    kinds = dict.fromkeys(
        "hub" if isinstance(source, HubRepository) else "package index" for source in sources
    )
    found = store.find(artifact.name)
    return (
        artifact.name,
        "on a CPU" if artifact.name == default else "-",
        f"{artifact.variants[-1].size / 1e6:.0f} MB",
        artifact.licence,
        str(found) if found else "-",
        ", ".join(kinds),
        artifact.summary,
    )


def _row(model: KnownModel) -> tuple[str, ...]:
    return (
        model.id,
        model.family,
        _languages(model.languages),
        f"{model.parameters_m} M" if model.parameters_m else "-",
        f"{model.wer:.1f}" if model.wer else "-",
        model.licence,
        _presence(model),
        "; ".join(filter(None, ["default on CUDA" if model.id == AUTO_ON_CUDA else "", model.note])),
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

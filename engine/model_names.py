"""Catalogue: the names by which clients may ask for recognizers, and what each of them is."""

import re
from pathlib import PurePath
from typing import Final

_PAIR: Final = re.compile(r"([\w.-]+)=(.+)")


def catalogue(default: str, more: str) -> dict[str, str]:
    """Names to sources, the default first.

    default: one entry; more: entries with commas. An entry is a source (what asr.model_registry.load is asked for) or
    name=source; without a name of its own a path is called by its last part, anything else by itself.

    Raises ValueError if two sources have the same name.
    """
    sources: dict[str, str] = {}
    for entry in [default, *filter(None, map(str.strip, more.split(",")))]:
        name, source = _named(entry)
        if sources.setdefault(name, source) != source:
            raise ValueError(f"both {sources[name]} and {source} are called {name}: say name=source")
    return sources


def _named(entry: str) -> tuple[str, str]:
    pair = _PAIR.fullmatch(entry)
    if pair:
        return pair[1], pair[2]
    is_path = entry.startswith((".", "~")) or PurePath(entry).is_absolute()
    return (PurePath(entry).name or entry if is_path else entry), entry

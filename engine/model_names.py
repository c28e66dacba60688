"""Parse the configured recognizers into names and sources."""

import re
from pathlib import PurePath
from typing import Final

_PAIR: Final = re.compile(r"([\w.-]+)=(.+)")
_HALF_PAIR: Final = re.compile(r"=.*|[\w.-]+=")


def model_sources(default: str, more: str) -> dict[str, str]:
    """Return the sources by name, the default first.

    default: one entry
    more: entries separated by commas
    An entry is a source (see asr.model_registry.load) or name=source. Without a name, a path is named by its
    last part, and any other source by itself.

    Raises ValueError if two sources have the same name, or an entry has no source or no name before `=`.
    """
    sources: dict[str, str] = {}
    for entry in [default, *filter(None, map(str.strip, more.split(",")))]:
        name, source = _named(entry)
        if sources.setdefault(name, source) != source:
            raise ValueError(
                f"{sources[name]} and {source} have the same name {name}; write name=source for one of them"
            )
    return sources


def _named(entry: str) -> tuple[str, str]:
    pair = _PAIR.fullmatch(entry)
    if pair:
        return pair[1], pair[2]
    if not entry or _HALF_PAIR.fullmatch(entry):
        raise ValueError(f"{entry!r} names no model: write a model, or name=model")
    is_path = entry.startswith((".", "~")) or PurePath(entry).is_absolute()
    return (PurePath(entry).name or entry if is_path else entry), entry

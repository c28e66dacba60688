"""Warn of variables that look like settings but are none, which would be ignored without a word."""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

# Prefixes that no other program uses. Other unknown variables of the environment may belong to any program.
OWN_PREFIXES: Final = ("ASR_", "VAD_", "ENDPOINTING_")
NOT_SETTINGS: Final = frozenset({"ASR_MODEL_DIR", "ASR_MODEL_CACHE"})  # asr/artifacts.py reads them


def names_of(fields: Mapping[str, FieldInfo]) -> frozenset[str]:
    """Return the names of the variables that settings are read from, in upper case."""
    names: set[str] = set()
    for name, field in fields.items():
        alias = field.validation_alias
        names.update(map(str, alias.choices) if isinstance(alias, AliasChoices) else [name])
    return frozenset(name.upper() for name in names)


def warnings(known: Collection[str], environment: Iterable[str], env_file: Iterable[str]) -> Iterator[str]:
    """Yield a warning for each unknown variable. Case does not matter.

    known: names of all settings
    env_file: names in `.env`, which is read for the settings alone; one that is in the environment, too, may
        be meant for another program
    """
    in_environment = {name.upper() for name in environment}
    for name in sorted({name.upper() for name in env_file} - in_environment - set(known)):
        yield f".env: {_unknown(name, known)}"
    for name in sorted(in_environment - set(known) - NOT_SETTINGS):
        if name.startswith(OWN_PREFIXES):
            yield _unknown(name, known)


def _unknown(name: str, known: Collection[str]) -> str:
    if name in NOT_SETTINGS:
        return f"{name} is read from the environment only (docs/models.md)."
    nearest = difflib.get_close_matches(name, sorted(known), 1, cutoff=0.7)
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    return f"{name} is no setting and is ignored (docs/settings.md).{hint}"

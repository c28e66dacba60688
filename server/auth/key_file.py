"""Read and write the file of hashed API keys.

The server reads it whenever it changes; the command line writes it.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from server.auth.api_keys import NAME, ApiKey, check_different
from server.validation import path_of, sentence_of

Signature = tuple[int | None, ...]  # modification time, size and inode of the file, or an errno


class KeyFileError(Exception):
    """The file of keys cannot be read, or its content is invalid."""


def _check_name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise ValueError("it may have 1 to 64 letters, digits, dots, dashes and underscores")
    return name


def _check_digest(digest: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError("it must be a SHA-256 of 64 hexadecimal digits")
    return digest


class KeyEntry(BaseModel):
    """Encode one key: its name, the SHA-256 of its secret in hex, and its quotas as in ApiKey."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, AfterValidator(_check_name)]
    sha256: Annotated[str, AfterValidator(_check_digest)]
    expires_at: AwareDatetime | None = None
    max_sessions: int | None = Field(None, ge=1)
    audio_seconds_per_hour: float | None = Field(None, gt=0)

    def key(self) -> ApiKey:
        """Return the entry as an API key."""
        expires_at = None if self.expires_at is None else self.expires_at.timestamp()
        digest = bytes.fromhex(self.sha256)
        return ApiKey(self.name, digest, expires_at, self.max_sessions, self.audio_seconds_per_hour)


class KeyEntries(BaseModel):
    """Encode the whole file."""

    model_config = ConfigDict(extra="forbid")

    keys: list[KeyEntry]


class KeyFile:
    """Watch a file of keys that other processes change while the server runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: Signature = ()

    def changed(self) -> list[ApiKey] | None:
        """Return the keys if the file has changed since the last call, else None. Reads from disk.

        Raises KeyFileError, once for each state of the file.
        """
        signature = self._signature()
        if signature == self._seen:
            return None
        self._seen = signature
        return keys_of(read(self.path), self.path)

    def _signature(self) -> Signature:
        try:
            status = os.stat(self.path)
        except OSError as error:
            return (error.errno,)
        return status.st_mtime_ns, status.st_size, status.st_ino


def read(path: Path) -> KeyEntries:
    """Return the content of a file. Raise KeyFileError if it cannot be read or is invalid."""
    try:
        return KeyEntries.model_validate_json(path.read_bytes())
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        raise KeyFileError(f"{path}: {problem_of(fault)}") from None


def problem_of(fault: Mapping[str, Any]) -> str:
    """Return what is wrong with a file or a key, with the path of the faulty field in it."""
    return ": ".join(filter(None, [path_of(fault), sentence_of(fault)]))


def keys_of(entries: KeyEntries, path: Path) -> list[ApiKey]:
    """Return the keys of a file. Raise KeyFileError if two have the same name or the same secret."""
    keys = [entry.key() for entry in entries.keys]
    try:
        check_different(keys)
    except ValueError as error:
        raise KeyFileError(f"{path}: {error}") from None
    return keys


def write(path: Path, entries: KeyEntries) -> None:
    """Replace the file in one step, so that a server never reads half of it."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(entries.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")
    if path.exists():
        shutil.copymode(path, new)
    os.replace(new, path)


def add(path: Path, entry: KeyEntry) -> None:
    """Add a key, and create the file if it does not exist. Raise KeyFileError."""
    entries = read(path) if path.exists() else KeyEntries(keys=[])
    if any(each.name == entry.name for each in entries.keys):
        raise KeyFileError(f"{path}: there is already a key {entry.name}; revoke it first")
    entries.keys.append(entry)
    keys_of(entries, path)
    write(path, entries)


def revoke(path: Path, name: str) -> None:
    """Remove a key. Raise KeyFileError if there is none of that name."""
    entries = read(path)
    kept = [entry for entry in entries.keys if entry.name != name]
    if len(kept) == len(entries.keys):
        raise KeyFileError(f"{path}: there is no key {name}")
    write(path, KeyEntries(keys=kept))

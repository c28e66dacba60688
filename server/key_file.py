"""The file of hashed keys: read by the server whenever it changes, written by this command line.

python -m server.key_file new NAME --file keys.json --expires 30d --sessions 20
python -m server.key_file list --file keys.json
python -m server.key_file revoke NAME --file keys.json
"""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from server.keys import NAME, Key, check_different, digest_of, new_secret

UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

Signature = tuple[int | None, ...]  # of a state of the file


class KeyFileError(Exception):
    """The file cannot be read, or holds what is no list of keys."""


class Entry(BaseModel):
    """One key as it is written: a name, the SHA-256 of the key in hex, and what Key has."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=f"^{NAME}$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    expires_at: AwareDatetime | None = None
    max_sessions: int | None = Field(None, ge=1)
    audio_seconds_per_hour: float | None = Field(None, gt=0)

    def key(self) -> Key:
        expires_at = None if self.expires_at is None else self.expires_at.timestamp()
        digest = bytes.fromhex(self.sha256)
        return Key(self.name, digest, expires_at, self.max_sessions, self.audio_seconds_per_hour)


class Entries(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    keys: list[Entry]


class KeyFile:
    """A file that others change while the server runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: Signature = ()

    def changed(self) -> list[Key] | None:
        """The keys, where the file is not the one that was looked at before; else None. Reads from disk.

        Raises KeyFileError, once for each state of the file.
        """
        signature = self._signature()
        if signature == self._seen:
            return None
        self._seen = signature
        return keys_of(read(self.path))

    def _signature(self) -> Signature:
        try:
            status = os.stat(self.path)
        except OSError as error:
            return (error.errno,)
        return status.st_mtime_ns, status.st_size, status.st_ino


def read(path: Path) -> Entries:
    """Raises KeyFileError."""
    try:
        return Entries.model_validate_json(path.read_bytes())
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        raise KeyFileError(f"{path}: {'.'.join(map(str, fault['loc'])) or 'all'}: {fault['msg']}") from None


def keys_of(entries: Entries) -> list[Key]:
    """Raises KeyFileError where two are called the same, or are the same."""
    keys = [entry.key() for entry in entries.keys]
    try:
        check_different(keys)
    except ValueError as error:
        raise KeyFileError(str(error)) from None
    return keys


# The command line


def write(path: Path, entries: Entries) -> None:
    """In one step, so that a server never reads the half of it."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(entries.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")
    if path.exists():
        shutil.copymode(path, new)
    os.replace(new, path)


def add(path: Path, entry: Entry) -> None:
    """Raises KeyFileError."""
    entries = read(path) if path.exists() else Entries(keys=[])
    entries.keys.append(entry)
    keys_of(entries)
    write(path, entries)


def revoke(path: Path, name: str) -> None:
    """Raises KeyFileError."""
    entries = read(path)
    kept = [entry for entry in entries.keys if entry.name != name]
    if len(kept) == len(entries.keys):
        raise KeyFileError(f"{path}: there is no key {name}")
    write(path, Entries(keys=kept))


def expiry(text: str) -> datetime:
    """`30d`, `12h`, `4w` from now on, or a time in ISO 8601. Raises ValueError, as argparse wants it."""
    length = re.fullmatch(r"([0-9]{1,4})([hdw])", text)
    if length:
        return datetime.now(UTC).replace(microsecond=0) + int(length[1]) * UNITS[length[2]]
    return datetime.fromisoformat(text).astimezone(UTC)


def arguments(command: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m server.key_file", description="Makes and revokes keys.")
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="make a key: it is printed once, and its hash is kept")
    new.add_argument("--expires", type=expiry, help="30d, 12h, 4w, or a time as 2030-01-31T12:00+00:00")
    new.add_argument("--sessions", type=int, help="sessions that it may have open at once")
    new.add_argument("--audio-seconds-per-hour", type=float, help="sound that it may send in an hour")
    gone = commands.add_parser("revoke", help="take a key away: its sessions end within seconds")
    for each in (new, gone):
        each.add_argument("name")
    for each in (new, gone, commands.add_parser("list", help="names, limits and expiries")):
        each.add_argument("--file", type=Path, required=True)
    return parser.parse_args(command)


def run(asked: argparse.Namespace) -> None:
    """Raises KeyFileError, ValidationError."""
    if asked.command == "new":
        secret = new_secret()
        entry = Entry(
            name=asked.name,
            sha256=digest_of(secret).hex(),
            expires_at=asked.expires,
            max_sessions=asked.sessions,
            audio_seconds_per_hour=asked.audio_seconds_per_hour,
        )
        add(asked.file, entry)
        print(secret)
    elif asked.command == "revoke":
        revoke(asked.file, asked.name)
    else:
        for entry in read(asked.file).keys:
            told = entry.model_dump(mode="json", exclude_none=True, exclude={"name", "sha256"})
            print(entry.name, *(f"{name}={value}" for name, value in told.items()))


def main(command: Sequence[str] | None = None) -> int:
    try:
        run(arguments(command))
    except KeyFileError as error:
        print(error, file=sys.stderr)
    except ValidationError as error:
        fault = error.errors()[0]
        print(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}", file=sys.stderr)
    else:
        return 0
    return 2


if __name__ == "__main__":
    sys.exit(main())

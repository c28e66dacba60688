"""`keys new|list|revoke`: the file of hashed keys that the server reads."""

import argparse

from pydantic import ValidationError

from cli.console import OK, UNUSABLE, complain
from server.auth.api_keys import digest_of, new_secret
from server.auth.key_file import KeyEntry, KeyFileError, add, read, revoke


def run(asked: argparse.Namespace) -> int:
    """Run one of the commands; return the exit code."""
    try:
        if asked.command == "new":
            _new(asked)
        elif asked.command == "revoke":
            revoke(asked.file, asked.name)
        else:
            _list(asked)
    except KeyFileError as error:
        complain(str(error))
        return UNUSABLE
    except ValidationError as error:
        fault = error.errors()[0]
        complain(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}")
        return UNUSABLE
    return OK


def _new(asked: argparse.Namespace) -> None:
    secret = new_secret()
    entry = KeyEntry(
        name=asked.name,
        sha256=digest_of(secret).hex(),
        expires_at=asked.expires,
        max_sessions=asked.sessions,
        audio_seconds_per_hour=asked.audio_seconds_per_hour,
    )
    add(asked.file, entry)
    print(secret)


def _list(asked: argparse.Namespace) -> None:
    for entry in read(asked.file).keys:
        limits = entry.model_dump(mode="json", exclude_none=True, exclude={"name", "sha256"})
        print(entry.name, *(f"{name}={value}" for name, value in limits.items()))

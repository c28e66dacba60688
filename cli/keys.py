"""Run the commands `keys new|list|revoke` on the file of hashed keys that the server reads."""

import argparse

from pydantic import ValidationError

from cli.console import OK, UNUSABLE, print_error
from server.auth.api_keys import digest_of, new_secret
from server.auth.key_file import KeyEntry, KeyFileError, add, problem_of, read, revoke


def run(args: argparse.Namespace) -> int:
    """Run one of the commands; return the exit code."""
    try:
        if args.command == "new":
            _new(args)
        elif args.command == "revoke":
            revoke(args.file, args.name)
        else:
            _list(args)
    except KeyFileError as error:
        print_error(str(error))
        return UNUSABLE
    except ValidationError as error:
        print_error(problem_of(error.errors()[0]))
        return UNUSABLE
    return OK


def _new(args: argparse.Namespace) -> None:
    secret = new_secret()
    entry = KeyEntry(
        name=args.name,
        sha256=digest_of(secret).hex(),
        expires_at=args.expires,
        max_sessions=args.sessions,
        audio_seconds_per_hour=args.audio_seconds_per_hour,
    )
    add(args.file, entry)
    print(secret)


def _list(args: argparse.Namespace) -> None:
    for entry in read(args.file).keys:
        limits = entry.model_dump(mode="json", exclude_none=True, exclude={"name", "sha256"})
        print(entry.name, *(f"{name}={value}" for name, value in limits.items()))

"""The commands that write the file of keys."""

import json
import time
from pathlib import Path

import pytest

from cli.__main__ import expiry, main
from server.auth.api_keys import digest_of
from server.auth.key_file import KeyFile

HASH = digest_of("a key").hex()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_new_key_is_printed_once_and_only_its_hash_is_kept(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--file", str(path)]
    assert main(["keys", "new", "alice", *where, "--expires", "30d", "--sessions", "3"]) == 0
    secret = capsys.readouterr().out.strip()
    assert secret not in path.read_text()
    (key,) = KeyFile(path).changed() or []
    assert (key.name, key.digest, key.max_sessions) == ("alice", digest_of(secret), 3)
    assert key.expires_at is not None
    assert abs(key.expires_at - time.time() - 30 * 86_400) < 60
    assert main(["keys", "new", "bob", *where, "--audio-seconds-per-hour", "60"]) == 0
    capsys.readouterr()
    assert main(["keys", "list", *where]) == 0
    alice, bob = capsys.readouterr().out.splitlines()
    assert alice.startswith("alice expires_at=")
    assert bob == "bob audio_seconds_per_hour=60.0"
    assert main(["keys", "revoke", "alice", *where]) == 0
    assert [key.name for key in KeyFile(path).changed() or []] == ["bob"]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["new", "bob"], "keys.json: there is already a key bob; revoke it first"),
        (["new", "b o b"], "name: it may have 1 to 64 letters"),
        (["new", "carol", "--sessions", "0"], "max_sessions: it must be at least 1"),
        (["revoke", "carol"], "there is no key carol"),
    ],
)
def test_failed_command_is_reported_and_changes_nothing(
    path: Path, capsys: pytest.CaptureFixture[str], command: list[str], problem: str
) -> None:
    path.write_text(json.dumps({"keys": [{"name": "bob", "sha256": HASH}]}))
    before = path.read_text()
    assert main(["keys", *command, "--file", str(path)]) == 2
    told = capsys.readouterr()
    assert problem in told.err
    assert told.out == ""
    assert path.read_text() == before


def test_an_expiry_may_be_a_date_too() -> None:
    assert expiry("2030-01-31T12:00+02:00").isoformat() == "2030-01-31T10:00:00+00:00"
    with pytest.raises(ValueError, match="soon"):
        expiry("soon")

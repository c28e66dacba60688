"""Test reading the file of hashed keys."""

import json
from pathlib import Path

import pytest

from server.auth.api_keys import ApiKey, digest_of
from server.auth.key_file import KeyFile, KeyFileError

HASH = digest_of("a key").hex()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def write(path: Path, *entries: object) -> None:
    path.write_text(json.dumps({"keys": entries}))


def test_file_is_read_again_only_if_it_has_changed(path: Path) -> None:
    write(path, {"name": "alice", "sha256": HASH})
    file = KeyFile(path)
    assert file.changed() == [ApiKey("alice", digest_of("a key"))]
    assert file.changed() is None
    limits = {"max_sessions": 3, "audio_seconds_per_hour": 7200, "expires_at": "1970-01-01T01:00:00+01:00"}
    write(path, {"name": "alice", "sha256": HASH, **limits})
    assert file.changed() == [ApiKey("alice", digest_of("a key"), 0.0, 3, 7200.0)]
    write(path)
    assert file.changed() == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"keys\.json: it is not valid JSON: EOF"),
        ("[]", r"keys\.json: it must be an object"),
        ('{"keys": [{"name": "a"}]}', "keys.0.sha256: it is missing"),
        (f'{{"keys": [{{"name": "a b", "sha256": "{HASH}"}}]}}', "keys.0.name"),
        ('{"keys": [{"name": "a", "sha256": "0"}]}', "keys.0.sha256"),
        (
            f'{{"keys": [{{"name": "a", "sha256": "{HASH}", "key": "a key"}}]}}',
            "keys.0.key: it is not a known field",
        ),
        (f'{{"keys": [{{"name": "a", "sha256": "{HASH}", "expires_at": "2030-01-01"}}]}}', "expires_at"),
        (f'{{"keys": [{{"name": "a", "sha256": "{HASH}", "max_sessions": 0}}]}}', "max_sessions"),
        (
            f'{{"keys": [{", ".join(2 * [json.dumps({"name": "a", "sha256": HASH})])}]}}',
            "two keys have the name a",
        ),
    ],
)
def test_broken_file_is_reported_once_until_it_changes(path: Path, text: str, problem: str) -> None:
    path.write_text(text)
    file = KeyFile(path)
    with pytest.raises(KeyFileError, match=problem) as refused:
        file.changed()
    assert "a key" not in str(refused.value)
    assert file.changed() is None
    write(path, {"name": "alice", "sha256": HASH})
    assert file.changed() == [ApiKey("alice", digest_of("a key"))]


def test_missing_file_is_reported_once(path: Path) -> None:
    file = KeyFile(path)
    with pytest.raises(KeyFileError, match="No such file"):
        file.changed()
    assert file.changed() is None
    write(path)
    assert file.changed() == []
    path.unlink()
    with pytest.raises(KeyFileError, match="No such file"):
        file.changed()
    assert file.changed() is None

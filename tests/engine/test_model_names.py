"""Names of recognizers."""

import pytest

from engine.model_names import model_sources


@pytest.mark.parametrize(
    ("entry", "name", "source"),
    [
        ("pocketsphinx", "pocketsphinx", "pocketsphinx"),
        ("org/model-1", "org/model-1", "org/model-1"),
        ("/models/whisper-tiny", "whisper-tiny", "/models/whisper-tiny"),
        ("./whisper-tiny/", "whisper-tiny", "./whisper-tiny/"),
        (".", ".", "."),
        ("en=/models/whisper-tiny", "en", "/models/whisper-tiny"),
        ("large.v3=org/model", "large.v3", "org/model"),
        ("/models/a=b", "a=b", "/models/a=b"),
    ],
)
def test_an_entry_is_a_source_or_has_a_name(entry: str, name: str, source: str) -> None:
    assert model_sources(entry, "") == {name: source}


def test_the_default_comes_first_then_the_others_in_their_order() -> None:
    names = model_sources("auto", " free, de=/x , ,a/b")
    assert list(names.items()) == [("auto", "auto"), ("free", "free"), ("de", "/x"), ("a/b", "a/b")]


def test_the_same_twice_is_once() -> None:
    assert model_sources("auto", "free,auto,free") == {"auto": "auto", "free": "free"}


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="/a/tiny and /b/tiny have the same name tiny"):
        model_sources("/a/tiny", "/b/tiny")

"""Languages by code and by name."""

import pytest

from asr.languages import NAMES, code_of, name_of


def test_a_name_leads_back_to_a_code_of_that_name() -> None:
    for code, name in NAMES.items():
        found = code_of(name)
        assert found is not None
        assert NAMES[found] == name
        assert code_of(code) == code


@pytest.mark.parametrize(
    ("asked", "code"), [("en", "en"), ("EN", "en"), ("pt-BR", "pt"), ("zh_TW", "zh"), ("English", "en")]
)
def test_a_language_is_known_by_code_region_and_name(asked: str, code: str) -> None:
    assert code_of(asked) == code


@pytest.mark.parametrize("asked", ["", "xx", "klingon", "e n", "-"])
def test_what_is_no_language_has_no_code(asked: str) -> None:
    assert code_of(asked) is None


def test_the_name_is_lower_case_and_unknown_where_it_is() -> None:
    assert (name_of("de"), name_of("pt-BR"), name_of(None), name_of("xx")) == (
        "german",
        "portuguese",
        "unknown",
        "unknown",
    )

"""Languages by code and by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.languages import NAMES, choose_language, code_of, codes_of, name_of
from asr.recognizer import Hypothesis


def test_a_name_leads_back_to_a_code_of_that_name() -> None:
    for code, name in NAMES.items():
        found = code_of(name)
        assert found is not None
        assert NAMES[found] == name
        assert code_of(code) == code


@pytest.mark.parametrize(
    ("asked", "code"),
    [("en", "en"), ("EN", "en"), ("pt-BR", "pt"), ("zh_TW", "zh"), ("English", "en"), ("fil-PH", "tl")],
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


def test_codes_are_listed_once() -> None:
    assert codes_of(["en-US", "German", "de"]) == ["en", "de"]
    with pytest.raises(ValueError, match="klingon"):
        codes_of(["en", "klingon"])


@pytest.mark.parametrize(
    ("likely", "allowed", "chosen"),
    [
        (None, ("de", "fr"), ("de", 0.75)),
        ("fr", ("de", "fr"), ("fr", 0.25)),
        ("es", ("fr",), ("fr", 1.0)),
        ("en", ("xx",), ("en", 0.5)),
        (None, (), ("en", 0.5)),
    ],
)
def test_the_language_is_one_of_the_allowed(
    likely: str | None, allowed: tuple[str, ...], chosen: tuple[str, float]
) -> None:
    detected = {"en": 0.5, "de": 0.3, "fr": 0.1, "es": 0.1}
    language, probability = choose_language(detected, likely, allowed)
    assert language == chosen[0]
    assert probability == pytest.approx(chosen[1])


def test_an_allowed_language_without_probability_is_chosen() -> None:
    assert choose_language({"en": 1.0, "de": 0.0}, "en", ("de",)) == ("de", 0.0)


@pytest.mark.parametrize(
    ("detected", "likely", "chosen"),
    [
        ({"en": 0.96, "de": 0.04}, "de", ("en", 0.96)),
        ({"en": 0.94, "de": 0.05}, "de", ("de", 0.05)),
        ({"en": 0.6, "fr": 0.37, "de": 0.03}, "de", ("en", 0.6)),
        ({"en": 0.6, "fr": 0.36, "de": 0.04}, "de", ("de", 0.04)),
        ({"en": 0.5, "de": 0.01}, "de", ("en", 0.5)),
        ({"en": 0.49, "de": 0.01}, "de", ("de", 0.01)),
        ({"en": 0.49, "de": 0.4}, "en", ("en", 0.49)),
        ({"en": 0.3, "de": 0.01}, "de", ("de", 0.01)),
        ({"en": 0.3, "de": 0.2}, None, ("en", 0.3)),
        ({"en": 0.3, "de": 0.2}, "xx", ("en", 0.3)),
    ],
)
def test_likely_language_is_chosen_unless_another_is_certain(
    detected: dict[str, float], likely: str | None, chosen: tuple[str, float]
) -> None:
    assert choose_language(detected, likely) == chosen


@given(
    st.lists(st.floats(0.001, 1000), min_size=4, max_size=4),
    st.sampled_from((None, "en", "de", "fr")),
    st.sampled_from(("en", "de", "fr")),
)
def test_a_text_that_may_not_be_in_a_language_stays_if_that_is_likely(
    weights: list[float], before: str | None, now: str
) -> None:
    detected = dict(zip(("en", "de", "fr", "es"), (each / sum(weights) for each in weights), strict=True))
    language, probability = choose_language(detected, before)
    said = Hypothesis("Oui.", language=language, language_probability=probability)
    if not said.may_be_in(now):
        assert choose_language(detected, now)[0] == language

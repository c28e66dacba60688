"""Test that errors of pydantic become sentences without its internals."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticKnownError
from pydantic_core._pydantic_core import list_all_errors

from server.validation import UNKNOWN, path_of, sentence_of


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    number: int = 0


class Model(BaseModel):
    inner: Inner = Inner()
    colour: Colour = Colour.RED
    mode: Literal["a", "b", "c"] = "a"
    share: float = Field(0.5, ge=0, lt=1, allow_inf_nan=False)
    name: str = Field("x", pattern="^[a-z]$", max_length=3)
    names: list[Annotated[str, Field(min_length=1)]] = Field([], max_length=2)
    on: bool = False
    even: int = 0

    @field_validator("even")
    @classmethod
    def _is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("it must be even")
        return value


def fault(values: dict[str, Any]) -> ErrorDetails:
    with pytest.raises(ValidationError) as refused:
        Model.model_validate(values)
    return refused.value.errors()[0]


@pytest.mark.parametrize(
    ("values", "path", "sentence"),
    [
        ({"inner": 5}, "inner", "it must be an object"),
        ({"inner": {"number": "five"}}, "inner.number", "it must be a whole number"),
        ({"inner": {"number": 1.5}}, "inner.number", "it must be a whole number"),
        ({"colour": "green"}, "colour", "it must be 'red' or 'blue'"),
        ({"mode": "d"}, "mode", "it must be 'a', 'b' or 'c'"),
        ({"share": -1}, "share", "it must be at least 0"),
        ({"share": 1}, "share", "it must be less than 1"),
        ({"share": float("nan")}, "share", "it must be a finite number"),
        ({"name": "Y"}, "name", UNKNOWN),
        ({"name": 5}, "name", "it must be a string"),
        ({"name": "long"}, "name", "it has more than 3 characters"),
        ({"names": "a"}, "names", "it must be a list"),
        ({"names": ["a", ""]}, "names.1", "it is empty"),
        ({"names": ["a", "b", "c"]}, "names", "it has more than 2 entries"),
        ({"on": "perhaps"}, "on", "it must be true or false"),
        ({"even": 1}, "even", "it must be even"),
    ],
)
def test_sentence_says_what_is_allowed(values: dict[str, Any], path: str, sentence: str) -> None:
    found = fault(values)
    assert (path_of(found), sentence_of(found)) == (path, sentence)


@pytest.mark.parametrize("kind", [each["type"] for each in list_all_errors()])
def test_no_kind_of_error_shows_internals(kind: str) -> None:
    example = next(each for each in list_all_errors() if each["type"] == kind)
    context = {name: value or "INTERNAL" for name, value in (example.get("example_context") or {}).items()}
    shown = {"error", "expected", "expected_tags", "gt", "ge", "lt", "le", "min_length", "max_length"}
    sentence = sentence_of({"type": kind, "loc": (), "msg": "INTERNAL", "ctx": context})
    if not shown & context.keys():
        assert "INTERNAL" not in sentence
    assert sentence.startswith(("it", "INTERNAL"))
    assert "{" not in sentence


def test_unknown_kind_of_error_has_a_sentence() -> None:
    error = PydanticKnownError("uuid_parsing", {"error": "INTERNAL"})
    assert sentence_of({"type": "new_kind", "loc": (), "msg": error.message()}) == UNKNOWN

"""Turn the errors of pydantic into plain sentences, for clients and for settings; read whole numbers. Pure.

pydantic's own messages name classes and regular expressions.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

WHOLE: Final = "it must be a whole number"
NUMBER: Final = "it must be a number"
STRING: Final = "it must be a string"
BOOLEAN: Final = "it must be true or false"
OBJECT: Final = "it must be an object"
TIME: Final = "it must be a time such as 2030-01-31T12:00:00Z"
CHOICE: Final = "it must be {expected}"
UNKNOWN: Final = "it is not valid"

# By pydantic's type of error, with the values of its context in braces.
SENTENCES: Final[Mapping[str, str]] = {
    "missing": "it is missing",
    "extra_forbidden": "it is not a known field",
    "json_invalid": "it is not valid JSON: {error}",
    "json_type": STRING,
    "literal_error": CHOICE,
    "enum": CHOICE,
    "union_tag_invalid": "its type must be one of {expected_tags}",
    "union_tag_not_found": "it must be an object that has a type",
    "model_type": OBJECT,
    "model_attributes_type": OBJECT,
    "dict_type": OBJECT,
    "mapping_type": OBJECT,
    "dataclass_type": OBJECT,
    "list_type": "it must be a list",
    "tuple_type": "it must be a list",
    "none_required": "it must be null",
    "bool_type": BOOLEAN,
    "bool_parsing": BOOLEAN,
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_parsing_size": WHOLE,
    "int_from_float": WHOLE,
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "finite_number": "it must be a finite number",
    "greater_than": "it must be greater than {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "less_than": "it must be less than {lt}",
    "less_than_equal": "it must be at most {le}",
    "string_type": STRING,
    "string_unicode": STRING,
    "string_too_short": "it has fewer than {min_length} characters",
    "string_too_long": "it has more than {max_length} characters",
    "too_short": "it has fewer than {min_length} entries",
    "too_long": "it has more than {max_length} entries",
    "datetime_type": TIME,
    "datetime_parsing": TIME,
    "datetime_from_date_parsing": TIME,
    "datetime_object_invalid": TIME,
    "timezone_aware": "it must have a time zone, as 2030-01-31T12:00:00Z has",
}


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]  # JSON of some languages has only floats: 16000.0


def sentence_of(fault: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, without its name and the final period.

    fault: one of the `errors()` of a ValidationError. The text of a ValueError that a validator raised is
        returned as it is.
    """
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return str(context["error"])
    if kind == "string_too_short" and context["min_length"] == 1:
        return "it is empty"
    sentence = SENTENCES.get(kind, UNKNOWN)
    return sentence.format_map({name: _plain(value) for name, value in context.items()})


def path_of(fault: Mapping[str, Any]) -> str:
    """Return the path of a faulty value, such as session.vad.threshold; "" for the whole."""
    return ".".join(map(str, fault["loc"]))


def _plain(value: object) -> object:
    """Return a whole number without its decimal point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value

"""Say what is wrong with settings without showing a secret."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import AliasChoices, SecretStr, ValidationError
from pydantic_settings import BaseSettings

from server.validation import sentence_of

PASSWORD: Final = re.compile(r"//[^/@\s]*@")  # user and password in a URL


def problems_of(error: ValidationError, settings: type[BaseSettings]) -> list[str]:
    """Return a line for each problem: `NAME=value: what is wrong`.

    settings: the class that was read. Values of its SecretStr fields are not shown, nor is any value that
        does not belong to a single field.
    """
    return [_problem(fault, settings) for fault in error.errors(include_url=False)]


def _problem(fault: Mapping[str, Any], settings: type[BaseSettings]) -> str:
    if not fault["loc"]:  # Several settings contradict each other; the input is all of them.
        return sentence_of(fault)
    name, value = str(fault["loc"][0]), fault["input"]
    shown = _without_password(str(value)) if _may_show(name, value, settings) else "…"
    return f"{name.upper()}={shown}: {sentence_of(fault)}"


def _may_show(name: str, value: object, settings: type[BaseSettings]) -> bool:
    if not isinstance(value, str | int | float):
        return False
    for field_name, field in settings.model_fields.items():
        alias = field.validation_alias
        names = [field_name, *(alias.choices if isinstance(alias, AliasChoices) else [])]
        if name in names:
            return field.annotation is not SecretStr
    return False


def _without_password(value: str) -> str:
    return PASSWORD.sub("//…@", value)

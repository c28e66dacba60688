"""Define summaries and who writes them, apart from the client, which takes long to import."""

from dataclasses import dataclass, field
from typing import Literal

Method = Literal["model", "extractive"]


@dataclass(frozen=True, slots=True)
class SummaryEndpoint:
    """Name an OpenAI-compatible endpoint.

    url: base URL, such as http://localhost:11434/v1
    api_key: "" if the endpoint needs none
    """

    url: str
    model: str
    api_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Summary:
    """Hold a summary.

    method: whether a model wrote it, or sentences were chosen
    model: the model that wrote it; None for chosen sentences
    reason: why sentences were chosen although there is an endpoint; None if they were not
    """

    text: str
    method: Method
    model: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """Hold a piece of a transcript; start, end: seconds of the recording."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """Hold a chapter; start: second of the recording."""

    start: float
    title: str


@dataclass(frozen=True, slots=True)
class Chapters:
    """Hold the chapters of a recording.

    items: in order of time; empty if there are none
    model: the model that wrote them; None if there are none
    reason: why there are none; None if there are some
    """

    items: tuple[Chapter, ...]
    model: str | None = None
    reason: str | None = None

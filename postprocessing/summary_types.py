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

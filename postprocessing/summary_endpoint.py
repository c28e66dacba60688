"""Name the endpoint of a language model; apart from its client, which takes long to import."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SummaryEndpoint:
    """Name an OpenAI-compatible endpoint.

    url: base URL, such as http://localhost:11434/v1
    api_key: "" if the endpoint needs none
    """

    url: str
    model: str
    api_key: str = field(default="", repr=False)

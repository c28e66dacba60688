"""Define the settings of summaries: the language model that writes them."""

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from postprocessing.summary_types import SummaryEndpoint


class SummarySettings(BaseSettings):
    """Configure who writes summaries of files (docs/summaries.md). The command line reads only these."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True)

    summary_url: str = Field(
        "",
        description="Base URL of an OpenAI-compatible endpoint, such as http://localhost:11434/v1, that "
        "summarizes transcripts on request. It receives the text of these files. Empty: sentences of the "
        "transcript are chosen instead.",
    )
    summary_model: str = Field("", description="Name of the model at SUMMARY_URL, which is required with it.")
    summary_api_key: SecretStr = Field(
        SecretStr(""), description="Key that is sent to SUMMARY_URL, if the endpoint needs one."
    )

    @field_validator("summary_url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError("it must begin with http:// or https:// and name a host")
        return url

    @model_validator(mode="after")
    def _url_has_model(self) -> Self:
        if self.summary_url and not self.summary_model:
            raise ValueError("SUMMARY_URL needs SUMMARY_MODEL")
        return self

    def summary_endpoint(self) -> SummaryEndpoint | None:
        """Return the endpoint that summarizes transcripts; None if there is none."""
        if not self.summary_url:
            return None
        return SummaryEndpoint(self.summary_url, self.summary_model, self.summary_api_key.get_secret_value())

"""Define the settings of logs and traces."""

from importlib.util import find_spec
from typing import Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings

from server.observability.log_config import LogFormat


class ObservabilitySettings(BaseSettings):
    """Configure what the server reports about itself."""

    trace_endpoint: str = Field(
        "",
        validation_alias=AliasChoices("trace_endpoint", "otel_exporter_otlp_endpoint"),
        description="URL of an OpenTelemetry collector (OTLP over HTTP) for traces; needs the extra `trace`. "
        "OTEL_EXPORTER_OTLP_ENDPOINT is read as well. Empty: no traces.",
    )
    trace_sample_ratio: float = Field(
        1.0, ge=0, le=1, description="Fraction of the sessions that are traced."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="Least severe level that is logged: debug, info, warning or error.",
    )
    log_format: LogFormat = Field(LogFormat.TEXT, description="Format of log lines: text or json.")

    @field_validator("trace_endpoint")
    @classmethod
    def _can_be_traced(cls, endpoint: str) -> str:
        if endpoint and (
            urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname
        ):
            raise ValueError("it must begin with http:// or https:// and name a host")
        if endpoint and not _is_installed("opentelemetry.exporter.otlp.proto.http"):
            raise ValueError("traces need the packages of the extra `trace`: poetry install -E trace")
        return endpoint


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # raised if a parent package is missing
        return False

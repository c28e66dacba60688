"""Define the settings of the network: where the server listens, and which clients it serves."""

import os
import re
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from server.auth.api_keys import MIN_SECRET_LENGTH, keys_of_text

# As browsers send them; pages without an origin of their own send null.
ORIGIN: Final = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+")


class NetworkSettings(BaseSettings):
    """Configure addresses, TLS, keys, tokens and origins (docs/security.md)."""

    host: str = Field("localhost", description="Address to listen on.")
    port: int = Field(5001, ge=0, le=65535, description="TCP port to listen on; 0 chooses a free one.")
    ssl_certfile: str = Field("", description="PEM file with the certificate; with it the server uses TLS.")
    ssl_keyfile: str = Field(
        "", description="PEM file with the private key, if SSL_CERTFILE does not contain it."
    )

    api_keys: SecretStr = Field(
        SecretStr(""),
        description="API keys that are accepted, separated by commas: name:key or just the key, each with at "
        f"least {MIN_SECRET_LENGTH} characters.",
    )
    api_keys_file: str = Field(
        "",
        description="JSON file of hashed API keys, which `./entrypoint.sh keys` writes. It is read again "
        "when it changes.",
    )
    auth_without_keys: Literal["loopback", "everyone"] = Field(
        "loopback",
        description="Which clients are served without API keys: loopback (this machine only) or everyone who "
        "reaches the port.",
    )
    token_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret that signs short-lived tokens, at least 32 characters. Empty: it is made at "
        "start, so tokens end with the process.",
    )
    share_sessions: bool = Field(
        False,
        description="Let clients of /ws/stt make links with which others read their live transcripts.",
    )
    origins: str = Field(
        "",
        description="Web origins that are accepted in addition to the server's own, separated by commas: "
        "https://app.example; * accepts all.",
    )
    metrics_open: bool = Field(
        False, description="Serve /metrics without an API key where keys are required elsewhere."
    )
    max_connections: int = Field(
        10_000,
        ge=1,
        description="Maximum number of TCP connections, idle ones included; further ones are closed at once.",
    )

    @field_validator("ssl_certfile", "ssl_keyfile")
    @classmethod
    def _file_exists(cls, path: str) -> str:
        if path and not os.path.isfile(path):
            raise ValueError("the file does not exist")
        return path

    @field_validator("api_keys")
    @classmethod
    def _keys_are_valid(cls, keys: SecretStr) -> SecretStr:
        keys_of_text(keys.get_secret_value())
        return keys

    @field_validator("token_secret")
    @classmethod
    def _secret_is_long(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value()) < 32:
            raise ValueError("it must have at least 32 characters")
        return secret

    @property
    def has_keys(self) -> bool:
        """Return whether clients must present a key, even if the file of keys is empty."""
        return bool(self.api_keys.get_secret_value() or self.api_keys_file)

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: str) -> str:
        for origin in _entries(origins):
            if not ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin such as https://app.example:8080, a scheme, a host and "
                    "perhaps a port, in lower case, and no path"
                )
        return origins

    @model_validator(mode="after")
    def _key_has_certificate(self) -> Self:
        if self.ssl_keyfile and not self.ssl_certfile:
            raise ValueError("SSL_KEYFILE needs SSL_CERTFILE")
        return self

    def allowed_origins(self) -> list[str]:
        """Return the origins that are accepted in addition to the server's own."""
        return _entries(self.origins)


def _entries(origins: str) -> list[str]:
    return [origin.strip() for origin in origins.split(",") if origin.strip()]

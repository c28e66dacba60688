"""AccessSettings: where the server listens, and who may come in. The first part of Settings."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from server.auth.api_keys import SHORTEST, keys_of_text


class AccessSettings(BaseSettings):
    """docs/security.md says what each is for."""

    host: str = Field("localhost", description="address to listen on")
    port: int = Field(5001, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one")
    ssl_certfile: str = Field("", description="PEM file with the certificate; with it the server speaks TLS")
    ssl_keyfile: str = Field("", description="PEM file with its key, where that is not in the same file")

    api_keys: SecretStr = Field(
        SecretStr(""),
        description="keys that may come in, with commas: name:key, or bare keys; each of at least "
        f"{SHORTEST} characters",
    )
    api_keys_file: str = Field(
        "",
        description="JSON file of hashed keys, which `./entrypoint.sh keys` writes; read again when it "
        "changes",
    )
    without_keys: Literal["loopback", "everyone"] = Field(
        "loopback",
        description="who may come in where there are no keys: loopback (this machine only) or everyone who "
        "reaches the port",
    )
    token_secret: SecretStr = Field(
        SecretStr(""),
        description="what signs the short-lived tokens, at least 32 characters; empty: made at start, so "
        "that they end with the process",
    )
    origins: str = Field(
        "",
        description="pages of browsers that may come beside the server's own, with commas: "
        "https://app.example; * for all",
    )
    metrics_open: bool = Field(False, description="/metrics needs no key, where there are keys")
    max_connections: int = Field(
        10_000, ge=1, description="TCP connections at once, idle ones included; more are closed at once"
    )

    @field_validator("ssl_certfile", "ssl_keyfile")
    @classmethod
    def _file_is_there(cls, path: str) -> str:
        if path and not Path(path).is_file():
            raise ValueError("there is no such file")
        return path

    @field_validator("api_keys")
    @classmethod
    def _keys_are_keys(cls, keys: SecretStr) -> SecretStr:
        keys_of_text(keys.get_secret_value())
        return keys

    @field_validator("token_secret")
    @classmethod
    def _cannot_be_guessed(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value()) < 32:
            raise ValueError("it has less than 32 characters")
        return secret

    @property
    def has_keys(self) -> bool:
        """Whether a key is asked for, though the file of keys may be empty."""
        return bool(self.api_keys.get_secret_value() or self.api_keys_file)

    def allowed_origins(self) -> list[str]:
        return [origin.strip() for origin in self.origins.split(",") if origin.strip()]

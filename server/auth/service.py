"""Keep the API keys, the tokens and the authenticator of one server up to date."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from server.auth.access_tokens import AccessTokens
from server.auth.api_keys import ApiKey, ApiKeys, check_different, keys_of_text
from server.auth.authenticator import Authenticator, TokenVerifier
from server.auth.key_file import KeyFile, KeyFileError
from server.auth.share_tokens import ShareTokens
from server.observability.metrics import Metrics

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 1.0  # between two checks of the file and of the open connections


class AuthService:
    """Hold the API keys, the tokens and the authenticator, and reload the file of keys when it changes.

    keys: as in the setting API_KEYS; key_file: path, or empty; token_secret: signs tokens, or empty
    verifiers: further kinds of short-lived secrets that the authenticator accepts besides the tokens

    Without keys and without a file of keys, clients need no key.

    Raises KeyFileError if the file cannot be read.
    """

    def __init__(
        self, keys: str, key_file: str, token_secret: str, metrics: Metrics, *verifiers: TokenVerifier
    ) -> None:
        self._metrics = metrics
        self._configured = keys_of_text(keys)
        self._file = KeyFile(Path(key_file)) if key_file else None
        self._keys = ApiKeys(self._all(self._file.changed() if self._file else None))
        required = self._keys if keys or key_file else None
        self.tokens = AccessTokens(token_secret, required)
        self.share_tokens = ShareTokens(token_secret, required)
        self.authenticator = Authenticator(required, self.tokens, *verifiers)
        metrics.keys.set_function(lambda: len(self._keys))

    async def watch(self) -> None:
        """Reload the file of keys when it changes; close connections of revoked keys, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self.check()

    async def check(self) -> None:
        """Reload the keys once. If the file cannot be read, the keys stay as they are."""
        try:
            changed = await asyncio.to_thread(self._file.changed) if self._file else None
            if changed is not None:
                self._keys.replace(self._all(changed))
                log.info("keys.reloaded count=%d", len(self._keys))
        except KeyFileError as error:
            self._metrics.key_file_errors.inc()
            log.error("keys.reload_failed error=%s", error)
        revoked = self.authenticator.revoked()
        if revoked:
            log.info("keys.revoked connections=%d", len(revoked))
            await asyncio.gather(*(close() for close in revoked))

    def _all(self, from_file: list[ApiKey] | None) -> list[ApiKey]:
        """Return the keys of the settings and the file. Raise KeyFileError if two are the same."""
        keys = [*self._configured, *(from_file or ())]
        try:
            check_different(keys)
        except ValueError as error:
            raise KeyFileError(f"API_KEYS and the file of keys: {error}") from None
        return keys

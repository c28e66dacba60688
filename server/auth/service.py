"""Keep the API keys, the tokens and the authenticator of one server up to date."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from server.auth.access_tokens import AccessTokens
from server.auth.api_keys import ApiKey, ApiKeys, check_different, keys_of_text
from server.auth.authenticator import Authenticator, TokenVerifier
from server.auth.key_file import KeyFile, KeyFileError
from server.observability.metrics import Metrics

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0  # between two looks at the file, and at who is in


class AuthService:
    """Hold the API keys, the tokens and the authenticator, and reload the file of keys when it changes.

    keys: as in the setting API_KEYS; key_file: path, or empty; token_secret: signs tokens, or empty
    verifiers: further kinds of short-lived secrets that the authenticator accepts, beside the tokens

    Without keys and without a file of keys, clients need no key. Raises KeyFileError.
    """

    def __init__(
        self, keys: str, key_file: str, token_secret: str, metrics: Metrics, *verifiers: TokenVerifier
    ) -> None:
        self._metrics = metrics
        self._own = keys_of_text(keys)
        self._file = KeyFile(Path(key_file)) if key_file else None
        self._keys = ApiKeys(self._all(self._file.changed() if self._file else None))
        required = self._keys if keys or key_file else None
        self.tokens = AccessTokens(token_secret, required)
        self.gate = Authenticator(required, self.tokens, *verifiers)
        metrics.keys.set_function(lambda: len(self._keys))

    async def watch(self) -> None:
        """Reads the file of keys when it changes, and sends away whose key is gone; until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """A file that cannot be read leaves the keys as they were."""
        try:
            changed = await asyncio.to_thread(self._file.changed) if self._file else None
            if changed is not None:
                self._keys.replace(self._all(changed))
                log.info("%d keys are known now", len(self._keys))
        except KeyFileError as error:
            self._metrics.key_file_errors.inc()
            log.error("the keys stay as they were: %s", error)
        unwelcome = self.gate.unwelcome()
        if unwelcome:
            log.info("%d connections are closed: their keys are no longer valid", len(unwelcome))
            await asyncio.gather(*(send_away() for send_away in unwelcome))

    def _all(self, of_the_file: list[ApiKey] | None) -> list[ApiKey]:
        """Raises KeyFileError."""
        keys = [*self._own, *(of_the_file or ())]
        try:
            check_different(keys)
        except ValueError as error:
            raise KeyFileError(f"API_KEYS and the file of keys: {error}") from None
        return keys

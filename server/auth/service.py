"""Reception: keys, tokens and the gate, as the settings want them, kept up to date."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from server.auth.access_tokens import AccessTokens
from server.auth.api_keys import ApiKey, ApiKeys, check_different, keys_of_text
from server.auth.authenticator import Authenticator, TokenVerifier
from server.auth.key_file import KeyFile, KeyFileError
from server.observability.metrics import Metrics
from server.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0  # between two looks at the file, and at who is in


class AuthService:
    """Keys, tokens and the gate of one server.

    mints: further issuers of short-lived secrets that the gate accepts, beside the tokens

    Raises KeyFileError.
    """

    def __init__(self, settings: Settings, metrics: Metrics, *mints: TokenVerifier) -> None:
        self._metrics = metrics
        self._own = keys_of_text(settings.api_keys.get_secret_value())
        self._file = KeyFile(Path(settings.api_keys_file)) if settings.api_keys_file else None
        self._keys = ApiKeys(self._all(self._file.changed() if self._file else None))
        asked_for = self._keys if settings.has_keys else None
        self.tokens = AccessTokens(settings.token_secret.get_secret_value(), asked_for)
        self.gate = Authenticator(asked_for, self.tokens, *mints)
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

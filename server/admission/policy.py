"""Limits: what must hold before a stream may begin, whoever asks and at whichever door."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from server.admission.ip_rate_limit import IpRateLimit
from server.admission.load_shedding import LoadShedder
from server.admission.quotas import Quotas, UsageMeter
from server.auth.api_keys import Principal, caller_of
from server.errors import rate_limited

Scope = Mapping[str, Any]  # of ASGI


class AdmissionPolicy:
    """Shared by all doors. look: has `overload` learn how far behind recognition is now"""

    def __init__(
        self,
        overload: LoadShedder,
        addresses: IpRateLimit,
        accounts: Quotas,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self.overload = overload
        self._addresses = addresses
        self._accounts = accounts
        self._look = look

    def check(self, scope: Scope, *, comes_back: bool = False, turnover: float = 0.0) -> None:
        """Raises ClientError.

        comes_back: to a session that has its place already
        turnover: seconds from one stream that ends to the next, of late
        """
        host, _ = scope.get("client") or (None, None)
        wait = self._addresses.wait(host)
        if wait > 0:
            raise rate_limited("Too many streams are asked for from this address.", wait)
        if comes_back:
            return
        self._look()
        refusal = self._accounts.refusal(caller_of(scope)) or self.overload.refusal(turnover)
        if refusal is not None:
            raise refusal

    def account(self, scope: Scope) -> AbstractContextManager[UsageMeter]:
        """Counts a stream of whoever asks. Entering raises ClientError."""
        return self._accounts.open(caller_of(scope))

    def account_again(self, caller: Principal) -> AbstractContextManager[UsageMeter]:
        """Counts a stream that was let in before, by another server."""
        return self._accounts.open(caller, anyway=True)


def no_limits() -> AdmissionPolicy:
    """But those of a key."""
    endless = float("inf")
    return AdmissionPolicy(LoadShedder(endless), IpRateLimit(endless, burst=1), Quotas())

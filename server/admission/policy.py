"""Check the conditions for opening a stream, in the same way for all endpoints."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from server.admission.ip_rate_limit import IpRateLimit
from server.admission.load_shedding import LoadShedder
from server.admission.quotas import Quotas, UsageMeter
from server.auth.api_keys import Principal, caller_of
from server.errors import rate_limited

Scope = Mapping[str, Any]  # ASGI connection scope


class AdmissionPolicy:
    """Apply the rate limit by address, the quotas of keys and load shedding to new streams.

    All endpoints share one policy.

    update_load: updates the load shedder with the present lag; called before each decision
    """

    def __init__(
        self,
        load_shedder: LoadShedder,
        ip_rate_limit: IpRateLimit,
        quotas: Quotas,
        update_load: Callable[[], None] = lambda: None,
    ) -> None:
        self.load_shedder = load_shedder
        self._ip_rate_limit = ip_rate_limit
        self._quotas = quotas
        self._update_load = update_load

    def check(self, scope: Scope, *, resuming: bool = False, retry_after: float = 0.0) -> None:
        """Raise ClientError if the client of an ASGI scope may not open a stream now.

        resuming: the client resumes a session that is already counted; only the rate limit applies
        retry_after: expected seconds until a stream ends
        """
        self._check_address(scope)
        if resuming:
            return
        self._update_load()
        refusal = self._quotas.refusal(caller_of(scope)) or self.load_shedder.refusal(retry_after)
        if refusal is not None:
            raise refusal

    def check_submission(self, scope: Scope) -> None:
        """Raise ClientError if the client may not submit a job now; the load does not matter: jobs wait."""
        self._check_address(scope)
        refusal = self._quotas.refusal(caller_of(scope))
        if refusal is not None:
            raise refusal

    def charge(self, owner: str, seconds: float) -> None:
        """Count seconds of audio that a job of the key `owner` transcribed."""
        self._quotas.charge(owner, seconds)

    def track_usage(self, scope: Scope) -> AbstractContextManager[UsageMeter]:
        """Count a new stream of the caller. Entering raises ClientError if a quota is used up."""
        return self._quotas.open(caller_of(scope))

    def _check_address(self, scope: Scope) -> None:
        host, _ = scope.get("client") or (None, None)
        wait = self._ip_rate_limit.wait(host)
        if wait > 0:
            raise rate_limited("Too many streams were requested from this address.", wait)

    def track_recovered(self, caller: Principal) -> AbstractContextManager[UsageMeter]:
        """Count a stream that another server process admitted, whatever the quotas."""
        return self._quotas.open(caller, force=True)


def unlimited_policy() -> AdmissionPolicy:
    """Return a policy without limits, except the quotas of keys."""
    unlimited = float("inf")
    return AdmissionPolicy(LoadShedder(unlimited), IpRateLimit(unlimited, burst=1), Quotas())

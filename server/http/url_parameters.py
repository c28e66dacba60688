"""Refuse parameters of a URL that a route does not know, or that contradict each other."""

from collections.abc import Iterable
from typing import Final

from fastapi import Request
from fastapi.routing import APIRoute

from server.errors import invalid

CREDENTIAL: Final = "token"  # parameter of every URL (docs/security.md)


async def check_parameters(request: Request) -> None:
    """Refuse unknown parameters in the URL, and one with different values, as fields are. Raises ApiError.

    A dependency of routers: a client that misspells a parameter must not take the answer for what it asked.
    """
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = [field.alias for field in route.dependant.query_params]
    unknown = next((name for name in request.query_params if name not in (*known, CREDENTIAL)), None)
    if unknown is not None:
        names = f"Known ones: {', '.join(known)}." if known else "None is known here."
        message = f"Unknown parameter '{unknown[:100]}' in the URL. {names}"
        raise invalid(message, unknown[:100], "unknown_parameter")
    name = contradictory_parameter(request.query_params.multi_items())
    if name is not None:
        raise invalid(f"Invalid '{name}': it was sent with different values.", name)


def contradictory_parameter(parameters: Iterable[tuple[str, str]]) -> str | None:
    """Return the name of a parameter that was sent with different values, or None."""
    found: dict[str, str] = {}
    return next((name for name, value in parameters if found.setdefault(name, value) != value), None)

"""Find the server of this checkout, which listens where the environment and `.env` say.

The environment takes precedence, as in the server. Names ignore case.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
ALL_ADDRESSES: Final = ("", "0.0.0.0", "::")
KEY: Final = "STT_API_KEY"  # Environment variable: other users of the machine can read command lines.


def settings(folder: Path = ROOT, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables in `folder`/.env and in the environment, with names in upper case."""
    found: dict[str, str | None] = {}
    try:
        from dotenv import dotenv_values
    except ImportError:  # The package is copied elsewhere, without a server beside it.
        pass
    else:
        found.update(dotenv_values(folder / ".env"))
    found.update(environment)
    return {name.upper(): value or "" for name, value in found.items()}


def server_url(variables: Mapping[str, str], scheme: str = "http") -> str:
    """Return the address of the server, without a path.

    variables: as `settings` returns them
    scheme: http or ws; with a certificate https or wss
    """
    host = variables.get("HOST", "localhost")
    host = "localhost" if host in ALL_ADDRESSES else f"[{host}]" if ":" in host else host
    return (
        f"{scheme}{'s' if variables.get('SSL_CERTFILE') else ''}://{host}:{variables.get('PORT') or '5001'}"
    )


def server_key(variables: Mapping[str, str]) -> str | None:
    """Return the key in STT_API_KEY, or else the first of the server's API_KEYS; None if there is none."""
    first = variables.get("API_KEYS", "").partition(",")[0].strip()
    return variables.get(KEY) or first.rpartition(":")[2] or None


def key_for(given: str | None, url: str | None, variables: Mapping[str, str]) -> str | None:
    """Return the API key to send; None for none.

    given, url: as the command line names them. The keys of `.env` are those of the server beside it, and a
    server at another address gets none of them
    """
    return given or variables.get(KEY) or (None if url else server_key(variables))


START_HINT: Final = "Is the server running? Start it with ./entrypoint.sh or: python main.py"


def key_hint(has_key: bool) -> str:
    """Return what to do after a refusal with 401; has_key: whether a key was sent."""
    problem = "The server does not accept this API key." if has_key else "The server requires an API key."
    return f"{problem} Set {KEY}, or pass --key (docs/security.md)."

"""Build the settings and the app, and run uvicorn; `uvicorn main:app` works as well.

Imports are inside the functions, because the recognizer processes import this file too and need none of them.
"""

import gc
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.settings import Settings

# Set before torch and numpy are imported: spinning threads would take CPU time from the event loop, and the
# detector's products are too small for several threads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def __getattr__(name: str) -> object:
    """Build `app` when it is first read."""
    if name != "app":
        raise AttributeError(name)
    return build_app(read_settings())


def read_settings() -> "Settings":
    """Read the environment and `.env`, and warn of unknown names.

    Exit with 2 and a message if a value is invalid or a name is old.
    """
    from dotenv import dotenv_values
    from pydantic import ValidationError

    from server.settings import Settings
    from server.settings.problems import problems_of
    from server.settings.renamed import refusals
    from server.settings.unknown import names_of, warnings

    try:
        env_file = dotenv_values(".env")
    except UnicodeDecodeError:
        print(".env: this is no text in UTF-8", file=sys.stderr)
        raise SystemExit(2) from None
    refused = list(refusals((*os.environ, *env_file)))
    if refused:
        print("\n".join(refused), file=sys.stderr)
        raise SystemExit(2)
    for warning in warnings(names_of(Settings.model_fields), os.environ, env_file):
        print(f"warning: {warning}", file=sys.stderr)
    try:
        return Settings()
    except ValidationError as error:
        print("\n".join(problems_of(error, Settings)), file=sys.stderr)
        raise SystemExit(2) from None


def build_app(settings: "Settings") -> Any:
    """Return the application. Exit with 2 if the file of keys cannot be read."""
    from server.app import create_app
    from server.auth.key_file import KeyFileError

    try:
        return create_app(settings)
    except KeyFileError as error:
        print(f"API_KEYS_FILE: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def refuse_unprotected_host(settings: "Settings") -> None:
    """Exit with 2 if other machines could connect without a key and the settings do not allow it.

    The app refuses such requests as well. But a server that no client can use should not start.
    """
    from server.http.origin_policy import is_this_machine

    if settings.has_keys or settings.auth_without_keys == "everyone" or is_this_machine(settings.host):
        return
    print(
        f"HOST={settings.host} lets other machines connect, and there are no API keys. Set API_KEYS or "
        "API_KEYS_FILE (docs/security.md), listen on localhost, or set AUTH_WITHOUT_KEYS=everyone.",
        file=sys.stderr,
    )
    raise SystemExit(2)


def refuse_taken_port(settings: "Settings") -> None:
    """Exit with 3, as uvicorn does, and name the setting to change if the server cannot listen there."""
    from server.lifecycle.listening import problem_of_address

    problem = problem_of_address(settings.host, settings.port)
    if problem is not None:
        print(problem, file=sys.stderr)
        raise SystemExit(3)


def main(arguments: Sequence[str] = ()) -> int:
    """Run the server, or with the argument `worker` a worker for jobs, until it is stopped.

    Return 1 if its models could not be loaded. Exit with 2 if a setting or an argument is invalid.
    """
    from argparse import ArgumentParser

    parser = ArgumentParser(
        prog="main.py",
        description="Run the server, or a worker for its jobs. HOST, PORT and all other settings come from "
        "the environment or .env (docs/settings.md).",
    )
    parser.add_argument("command", nargs="?", choices=["worker"], help="work on jobs, without HTTP")
    if parser.parse_args(arguments).command == "worker":
        from server.lifecycle.worker_process import run_worker

        settings = read_settings()
        # It imports the web framework, which only names the formats of callbacks here.
        from server.protocols.deepgram.callback_submission import callback_formats

        return run_worker(settings, callback_formats)
    return serve()


def serve() -> int:
    """Run the server until it is stopped. Return 1 if its models could not be loaded.

    Exit with 2 if a setting is invalid.
    """
    # What is built until the server runs is permanent: collections of garbage would free nothing, and took an
    # eighth of the time.
    gc.disable()
    from uvicorn import Config

    from server.http.uvicorn_protocols import HttpProtocol, WebSocketProtocol
    from server.lifecycle.uvicorn_server import UvicornServer

    settings = read_settings()
    refuse_unprotected_host(settings)
    refuse_taken_port(settings)
    app = build_app(settings)
    # When uvicorn ends, it raises the signal that stopped it again. Treat SIGTERM as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config = Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        ssl_certfile=settings.ssl_certfile or None,
        ssl_keyfile=settings.ssl_keyfile or None,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        limit_concurrency=settings.max_connections,
        server_header=False,
        ws_max_size=22 << 20,
        ws_ping_interval=20.0,
        ws_ping_timeout=60.0,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,  # by then all sessions are over: see server/lifecycle
    )
    gc.enable()
    with suppress(KeyboardInterrupt):
        UvicornServer(config).run()
    return 1 if app.state.engine.error else 0


if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt:  # while packages are imported; later the server handles the signal
        status = 130
    raise SystemExit(status)

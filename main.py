"""Builds the settings and the app, and runs uvicorn; `uvicorn main:app` works as well.

Imports stand inside the functions: the recognizer's process imports this file too, and needs nothing of it.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: threads that spin take the sockets' time


def __getattr__(name: str) -> object:
    """`app`, built when it is asked for."""
    if name != "app":
        raise AttributeError(name)
    from server.app import create_app
    from server.settings import Settings

    return create_app(Settings())


def main() -> int:
    """Runs the server until it is told to stop; 1 if its models could not be loaded."""
    import uvicorn

    from server.app import create_app
    from server.engine import State
    from server.settings import Settings

    settings = Settings()
    app = create_app(settings)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        ws_max_size=22 << 20,
        ws_ping_interval=20.0,
        ws_ping_timeout=60.0,
        ws_per_message_deflate=False,
    )
    return 1 if app.state.engine.state is State.FAILED else 0


if __name__ == "__main__":
    raise SystemExit(main())

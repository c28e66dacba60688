"""Run the server, or another ASGI application, in a thread of this process."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from asr.dummy import NAME
from server.app import create_app
from server.settings import Settings, WorkerKind


def dummy_app(**settings: Any) -> Any:
    """Create the ASGI app with the dummy recognizer in a thread, so that recognition costs nothing.

    settings: changes to the defaults; the environment is not read from a file
    """
    defaults: dict[str, Any] = {"asr_model": NAME, "asr_worker": WorkerKind.THREAD}
    return create_app(Settings(_env_file=None, **(defaults | settings)), on_failure=lambda: None)


@contextmanager
def serving(app: Any, on_thread_start: Callable[[], object] = lambda: None, **options: Any) -> Iterator[str]:
    """Serve the application on a free port and yield its base URL, which ends with a slash.

    on_thread_start: called first in the thread of the event loop; options: of uvicorn.Config
    """
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_config=None, **options))

    def run() -> None:
        on_thread_start()
        server.run()

    thread = threading.Thread(target=run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "The server did not start."
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()

"""Run a process that works on jobs, without HTTP: `./entrypoint.sh worker`."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.engine import Engine
from jobs.errors import JobsUnavailable
from jobs.host import RETRY_SECONDS, JobsHost
from server.lifecycle.graceful_shutdown import SIGNALS
from server.lifecycle.jobs import jobs_host
from server.lifecycle.liveness import show_liveness
from server.observability import log_config
from server.settings import Settings

if TYPE_CHECKING:
    from jobs.callbacks import CallbackFormat

log = logging.getLogger(__name__)

Formats = Callable[[], Mapping[str, "CallbackFormat"]]

OK: Final = 0
FAILED: Final = 1  # the models could not be loaded, or are broken
UNUSABLE: Final = 2  # the settings leave nothing to do


def run_worker(settings: Settings, callback_formats: Formats = dict) -> int:
    """Work on jobs until SIGTERM or Ctrl-C, and return the exit status.

    callback_formats: as in `jobs_host`

    What runs then is given back to the queue; another worker continues after its last complete part.
    """
    log_config.set_up(settings.log_level, settings.log_format)
    if not settings.data_dir:
        return _refuse("DATA_DIR is empty: a worker needs the folder of jobs.")
    if settings.jobs_at_once == 0:
        return _refuse("JOBS_AT_ONCE=0 leaves a worker nothing to do.")
    return asyncio.run(_work(settings, callback_formats))


def _refuse(problem: str) -> int:
    print(problem, file=sys.stderr)
    return UNUSABLE


async def _work(settings: Settings, callback_formats: Formats) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    engine = Engine(
        settings.engine_options(),
        stopping.set,
        prepare=partial(log_config.set_up, settings.log_level, settings.log_format),
    )
    host = jobs_host(settings, engine, callback_formats=callback_formats)
    assert host is not None
    async with AsyncExitStack() as stack:
        alive = show_liveness(
            lambda: host.is_stuck,
            Path(settings.worker_alive_file) if settings.worker_alive_file else None,
            os.environ.get("NOTIFY_SOCKET", ""),
        )
        stack.callback(asyncio.create_task(alive, name="show liveness").cancel)
        await stack.enter_async_context(engine)
        await _unless(stopping, engine.loaded())
        if not stopping.is_set():
            async with host:
                await _unless(stopping, _open(host))
                await stopping.wait()
                log.info("worker.stopping")
    if engine.error is not None:
        log.error("worker.failed reason=%s", engine.error)
        return FAILED
    return OK


async def _unless(stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Wait for work; cancel it when the process is to stop."""
    working, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, stopped):
            task.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)
    if not working.cancelled():
        working.result()


async def _open(host: JobsHost) -> None:
    """Open the database, and start to work; try again until it can be used."""
    while True:
        try:
            await host.jobs()
        except JobsUnavailable as error:
            log.error("jobs.unavailable reason=%s", error)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            log.info("worker.ready")
            return

"""Show a supervisor that a worker is alive: write a file for a probe, and tell systemd (sd_notify(3))."""

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

ALIVE_SECONDS: Final = 5.0  # between two signs of life
NOTIFICATION: Final = b"READY=1\nWATCHDOG=1"


async def show_liveness(
    is_stuck: Callable[[], bool], file: Path | None, notify_socket: str, seconds: float = ALIVE_SECONDS
) -> None:
    """Give signs of life until cancelled. There are none while the worker is stuck or no thread is free.

    file: touched each time; None for no file
    notify_socket: value of NOTIFY_SOCKET; "" without systemd
    """
    while True:
        if not is_stuck():
            try:
                await asyncio.to_thread(_show, file, notify_socket)
            except OSError as error:  # The disk may have space later.
                log.warning("worker.liveness_failed error=%s", error)
        await asyncio.sleep(seconds)


def _show(file: Path | None, notify_socket: str) -> None:
    if file is not None:
        file.touch()
    if notify_socket:
        # A name that begins with @ is in Linux's abstract namespace, which begins with a zero byte.
        address = notify_socket.replace("@", "\0", 1) if notify_socket.startswith("@") else notify_socket
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(NOTIFICATION, address)

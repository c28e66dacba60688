"""Measure the CPU, memory and event loop lag of a server under load."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

import psutil  # type: ignore[import-untyped]

from bench.load.event_loop_lag import fetch_metrics, lag_between, lag_buckets

SAMPLING_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Usage:
    """Hold the use of resources of a process and its children.

    cpu: seconds since they started; rss: resident memory in bytes
    """

    cpu: float
    rss: int


def usage_of(pid: int) -> Usage:
    """Return the usage of a process and its children. Raises psutil.NoSuchProcess."""
    process = psutil.Process(pid)
    cpu, rss = 0.0, 0
    for one in (process, *process.children(recursive=True)):
        try:
            times, memory = one.cpu_times(), one.memory_info()
        except psutil.NoSuchProcess:  # a child may end while it is read
            if one is process:
                raise
            continue
        cpu += times.user + times.system
        rss += memory.rss
    return Usage(cpu, rss)


class ProcessMonitor:
    """Measure a server inside an async with block.

    url: the WebSocket URL; pid: the process to measure, None to measure only the event loop lag
    """

    def __init__(self, url: str, pid: int | None) -> None:
        self._url = url
        self._pid = pid
        self._peak = 0

    async def __aenter__(self) -> "ProcessMonitor":
        self._lag_before = lag_buckets(await asyncio.to_thread(fetch_metrics, self._url))
        self._before = self._usage()
        self._began = time.monotonic()
        self._task = asyncio.create_task(self._watch_peak())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        self._wall = time.monotonic() - self._began
        self._after = self._usage()
        self._lag_after = lag_buckets(await asyncio.to_thread(fetch_metrics, self._url))

    def _usage(self) -> Usage | None:
        return usage_of(self._pid) if self._pid else None

    async def _watch_peak(self) -> None:
        while (usage := self._usage()) is not None:
            self._peak = max(self._peak, usage.rss)
            await asyncio.sleep(SAMPLING_SECONDS)

    def report(self, streams: int, seconds: float) -> dict[str, Any]:
        """Return the figures after the block. Without a pid there is only the event loop lag.

        cpu_share: 1 is one core; cpu_s_per_stream_s: CPU seconds of the server per second of one stream
        """
        figures: dict[str, Any] = {"loop_lag_ms": lag_between(self._lag_before, self._lag_after)}
        if self._before is None or self._after is None:
            return figures
        cpu = self._after.cpu - self._before.cpu
        peak = max(self._peak, self._before.rss, self._after.rss)
        return figures | {
            "cpu_share": round(cpu / self._wall, 3),
            "cpu_s_per_stream_s": round(cpu / (streams * seconds), 6),
            "rss_mb_before": round(self._before.rss / 2**20, 1),
            "rss_mb_peak": round(peak / 2**20, 1),
            "rss_kb_per_stream": round((peak - self._before.rss) / 1024 / streams, 1),
        }

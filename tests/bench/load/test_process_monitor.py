"""Test measuring the CPU and memory of a process."""

import asyncio
import os
import sys

from bench.load.machine import machine
from bench.load.process_monitor import ProcessMonitor, usage_of
from tests.client.fake_server import standin

CHILD = "x = b'x' * 50_000_000; print(len(x), flush=True); input()"
PARENT = f"""
import subprocess, sys
print("alone", flush=True)
input()
subprocess.run([sys.executable, "-c", {CHILD!r}])
"""


async def test_children_count() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    await parent.stdout.readline()
    alone = usage_of(parent.pid)
    parent.stdin.write(b"\n")
    await parent.stdout.readline()
    both = usage_of(parent.pid)
    await parent.communicate(b"\n")
    assert both.rss > alone.rss + 40_000_000
    assert both.cpu > alone.cpu


async def test_a_watch_reports_cpu_and_memory_of_a_pid() -> None:
    async with standin() as server, ProcessMonitor(server.url, os.getpid()) as watch:
        sum(range(100_000))
    report = watch.report(streams=1, seconds=1.0)
    assert report["loop_lag_ms"] is None
    assert report["rss_mb_peak"] > 0
    assert report["cpu_s_per_stream_s"] >= 0


async def test_without_a_pid_there_is_only_the_lag() -> None:
    async with standin() as server, ProcessMonitor(server.url, None) as watch:
        pass
    assert watch.report(1, 1.0) == {"loop_lag_ms": None}


def test_the_machine_is_described() -> None:
    assert machine()["cores"] >= 1

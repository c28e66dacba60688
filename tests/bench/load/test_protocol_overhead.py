"""Test the parts of bench.load.protocol_overhead that need no server."""

import os
import re
import subprocess
import sys

from bench import ROOT
from bench.load.protocol_overhead import ALLOCATOR, answers, free_port, pinned, stop


def test_a_process_is_pinned_and_let_go_again() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    with pinned(core) as is_pinned:
        assert is_pinned
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before


def test_a_free_port_does_not_answer() -> None:
    assert not answers(f"http://127.0.0.1:{free_port()}/ready")


def test_a_process_is_stopped_by_sigterm() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stop(process)
    assert process.poll() is not None


def test_the_allocator_is_that_of_the_entrypoint() -> None:
    script = (ROOT / "entrypoint.sh").read_text()
    exported = dict(re.findall(r'^export (MALLOC_\w+)="\$\{MALLOC_\w+:-(\d+)\}"$', script, re.MULTILINE))
    assert exported == ALLOCATOR

"""python -m tests.faults --sessions 10000 --seed 1: sessions with faults; 1 if one of them broke a promise.

--only N runs a session alone (or several, with commas), with the faults that it had among all.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from tests.faults.run import Plan, report, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="numbers of sessions, with commas")
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--server-every", type=int, default=500, help="one session of so many kills it")
    parser.add_argument("--keep-log", type=Path, help="where the server's log is left")
    options = parser.parse_args()
    only = tuple(map(int, filter(None, options.only.split(","))))
    plan = Plan(
        options.sessions, options.seed, only, server_every=options.server_every, at_once=options.at_once
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        result = uvloop.run(run(plan, Path(folder)))
    print(f"{time.monotonic() - began:.0f} s\n{report(plan, result)}")
    if options.keep_log:
        options.keep_log.write_text(result.log)
    return 1 if result.failures or result.tracebacks else 0


if __name__ == "__main__":
    sys.exit(main())

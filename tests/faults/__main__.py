"""Run sessions with faults against a real server, and check the guarantees of the protocol.

    python -m tests.faults --sessions 10000 --seed 1

`--only N` runs one session alone (or several, separated by commas), with the same faults as in the full run.
The exit status is 1 if a session broke a guarantee or the log has a traceback.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from tests.faults.run import Plan, report, run


def main() -> int:
    """Run the sessions and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="numbers of sessions, separated by commas")
    parser.add_argument("--at-once", type=int, default=64, help="concurrent sessions")
    parser.add_argument("--server-every", type=int, default=500, help="one in N sessions kills the server")
    parser.add_argument("--keep-log", type=Path, help="write the server's log to this file")
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

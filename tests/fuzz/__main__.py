"""python -m tests.fuzz --messages 1000000 --seed 1: malformed messages at a live server.

1 if a client saw a fault of the server, its log complains, or its memory grew by more than 1 %.
"""

import argparse
import sys
from pathlib import Path

import uvloop

from tests.fuzz.live import SETTINGS, report, throw
from tests.server.server_process import MAIN, program

MOST_GROWTH = 0.01


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-log", type=Path, help="where the server's log is left")
    options = parser.parse_args()
    with program(MAIN, **SETTINGS) as server:
        server.ready()
        findings = uvloop.run(throw(server, options.messages, options.seed))
    if options.keep_log:
        options.keep_log.write_text(findings.log)
    print(report(findings))
    return 1 if findings.faults or findings.complaints or findings.growth > MOST_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())

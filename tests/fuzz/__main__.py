"""Send malformed messages and requests to a live server.

    python -m tests.fuzz --messages 1000000 --seed 1

The exit status is 1 if a client saw a fault of the server, its log has an error, or its memory grew by more
than 1 %.
"""

import argparse
import sys
from pathlib import Path

import uvloop

from tests.fuzz.live import SETTINGS, report, send_malformed
from tests.server.server_process import MAIN, program

MAX_MEMORY_GROWTH = 0.01


def main() -> int:
    """Send the messages and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-log", type=Path, help="write the server's log to this file")
    options = parser.parse_args()
    with program(MAIN, **SETTINGS) as server:
        server.ready()
        result = uvloop.run(send_malformed(server, options.messages, options.seed))
    if options.keep_log:
        options.keep_log.write_text(result.log)
    print(report(result))
    return 1 if result.faults or result.complaints or result.growth > MAX_MEMORY_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())

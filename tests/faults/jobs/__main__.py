"""Run jobs while workers are killed and the database fails, and compare each with an undisturbed run.

    python -m tests.faults.jobs --jobs 2000 --workers 4 --seed 1 --database postgres

The exit status is 1 if a job was lost, ended twice, or has another text than without faults.
"""

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.faults.jobs.run import Plan, run
from tests.jobs.databases import running_postgres


def main() -> int:
    """Run the jobs and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.jobs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--poison", type=int, default=5, help="jobs that kill their worker")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--keep-log", type=Path, help="write the log of the workers to this file")
    options = parser.parse_args()
    plan = Plan(options.jobs, options.workers, options.seed, options.faults, options.poison)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(running_postgres()) if options.database == "postgres" else None
        result = asyncio.run(run(plan, folder, postgres))
        if options.keep_log:
            options.keep_log.write_text(result.log)
    print(result.report(plan))
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

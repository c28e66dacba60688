"""Run the server with the additional recognizer of these tests: `python -m tests.faults.server_process`.

The process of a recognizer imports this file too, so that it knows the name.
"""

import os
from pathlib import Path

import main
from asr.model_registry import EMBEDDED
from tests.faults.fingerprint import NAME, Fingerprint

ALIVE = "FAULTS_ALIVE"  # a folder with a file for each recognizer that has answered, named by its pid

EMBEDDED[NAME] = lambda: Fingerprint(Path(os.environ[ALIVE], str(os.getpid())))

if __name__ == "__main__":
    raise SystemExit(main.main())

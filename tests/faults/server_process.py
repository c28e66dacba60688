"""Run the server with the recognizer of these tests beside its own: python -m tests.faults.server_process.

A recognizer's process imports this file too, so that it knows the name.
"""

import os
from pathlib import Path

import main
from asr.model_registry import EMBEDDED
from tests.faults.fingerprint import NAME, Fingerprint

ALIVE = "FAULTS_ALIVE"  # a folder, in which each recognizer that has answered has a file of its pid's name

EMBEDDED[NAME] = lambda: Fingerprint(Path(os.environ[ALIVE], str(os.getpid())))

if __name__ == "__main__":
    raise SystemExit(main.main())

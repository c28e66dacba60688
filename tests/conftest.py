"""Limit torch to one thread that does not spin, for the whole suite.

Tiny models gain nothing from more threads, and lose much while other tests run.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"

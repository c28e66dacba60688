"""For the whole suite: torch with one thread, which does not spin. Tiny models gain nothing from more, and
lose much where other tests run beside them."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"

"""A process that keeps its memory asks the kernel for its arrays once, whichever thread makes them."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

ROUND = 48 << 20
ARRAYS = f"""
import resource, sys, threading
import numpy as np
from jobs.machine import keep_memory
if sys.argv[1] == "keep":
    assert keep_memory()
def make():
    for _ in range(20):
        arrays = [np.ones(3 << 20, dtype=np.uint8) for _ in range({ROUND} // (3 << 20))]
        del arrays
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread = threading.Thread(target=make)
thread.start()
thread.join()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize())
"""


def faulted(how: str) -> int:
    """Return the bytes that the kernel has cleared while the same arrays were made twenty times."""
    done = subprocess.run([sys.executable, "-c", ARRAYS, how], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_arrays_are_made_in_memory_that_was_used_before() -> None:
    assert faulted("keep") < 1.2 * ROUND
    assert faulted("leave") > 1.5 * ROUND

"""What opening a file leaves behind in the process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# As much in small pieces as a large file takes; the last piece keeps the C library from giving back the rest itself.
FREED = """
import json, os, sys
from glulam import _opening
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
pieces = [bytearray(b"x") * 50_000 for _ in range(1_000)]
last = bytearray(b"x") * 50_000
full = resident()
del pieces
freed = resident()
_opening.give_back_memory(_opening.WORTH_GIVING_BACK - 1)
small = resident()
_opening.give_back_memory(_opening.WORTH_GIVING_BACK)
print(json.dumps([full, freed, small, resident()]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's way of keeping memory, and Linux's of telling of it")
def test_memory_that_opening_freed_goes_back_to_the_system():
    """After a large file the process holds what it needs; after a small one it is not worth the time."""
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    full, freed, small, given_back = json.loads(done.stdout)
    assert full - freed < 10_000_000, "the C library gave it back by itself: the test shows nothing"
    assert abs(small - freed) < 1_000_000
    assert full - given_back > 40_000_000

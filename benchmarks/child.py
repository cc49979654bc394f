"""Measuring in child processes: one fresh process a measurement, its result as JSON.

The process that starts the children imports nothing heavy. That is not only for tidiness: Linux
lets a child's ``ru_maxrss`` begin at the peak of the process that started it, so a parent that had
trained models would hide what its children need.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["in_child", "peak_bytes", "resident_bytes"]

ROOT = Path(__file__).parents[1]


def in_child(function: str, python: str = sys.executable, **arguments: Any) -> Any:
    """Call ``module:function`` with JSON arguments in a fresh process; return its JSON result.

    ``python`` is the interpreter, of this environment or a peer's.

    Raises RuntimeError if the process fails; what it wrote to stderr has been seen by then.
    """
    with tempfile.TemporaryDirectory() as directory:
        # A file, not stdout: the libraries print there too, some of them at exit.
        answer = Path(directory) / "answer.json"
        command = [python, "-m", "benchmarks.child", function, json.dumps(arguments), str(answer)]
        status = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode
        if status or not answer.is_file():
            raise RuntimeError(f"{function}: its process ended with status {status} and no result; the reason is above")
        return json.loads(answer.read_text())


def peak_bytes() -> int:
    """Return the largest resident memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_bytes() -> int:
    """Return the resident memory of this process now."""
    status = Path("/proc/self/statm")
    if status.is_file():  # no import, so nothing is added to what is measured
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import psutil

    return int(psutil.Process().memory_info().rss)


def main(function: str, arguments: str, answer: str) -> None:
    """Run one measurement, as the child."""
    module, _, name = function.partition(":")
    result = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    Path(answer).write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Files and small ensembles that the command line's tests share."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from glulam.cli import main

NAMES = [f"x{index}" for index in range(28)]
# One thread: on a busy machine the libraries wait longer for their threads than they work.
MEMBERS = ["--member", "lightgbm:n_estimators=20,n_jobs=1", "--member", "xgboost:n_estimators=20,n_jobs=1"]

BLOCKER = """
import re
import sys

class Blocker:
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
"""
MAIN = """
from glulam.cli import main

code = main(sys.argv[1:])
"""


@dataclass(frozen=True)
class Result:
    """How a run of the command line ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Trained:
    """What ``glulam train`` made of 300 rows."""

    data: Path
    model: Path
    saved: Path


Run = Callable[..., Result]


def csv_text(rows: np.ndarray, names: Sequence[str] = NAMES) -> str:
    """Return rows as CSV; repr gives float32 values that read back the same."""
    lines = [",".join(names), *(",".join(str(value) for value in row) for row in rows.tolist())]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def data(tmp_path_factory, binary) -> Path:
    """Return a CSV of 300 rows: 28 features and the target y."""
    rows, labels = binary
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    lines = csv_text(rows[:300]).splitlines()
    target = ["y", *map(str, labels[:300])]
    path.write_text("".join(f"{line},{label}\n" for line, label in zip(lines, target, strict=True)))
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory, data) -> Trained:
    """Return a LightGBM and XGBoost ensemble that the command line trained."""
    place = tmp_path_factory.mktemp("trained")
    model = place / "ensemble.onnx"
    assert main(["train", str(data), "--target", "y", *MEMBERS, "--out", str(model), "--quiet"]) == 0
    return Trained(data, model, place / "ensemble.trained")


@pytest.fixture
def glulam(capsys) -> Run:
    """Run the command line in this process."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def process() -> Run:
    """Run the command line in a process of its own, without the packages in ``blocked``."""

    def run(*arguments: object, blocked: Sequence[str] = (), after: str = "", **options) -> Result:
        code = f"{BLOCKER}\nsys.meta_path.insert(0, Blocker({set(blocked)!r}))\n{MAIN}\n{after}\nsys.exit(code)"
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def answers() -> Callable[[Path], pa.Table]:
    """Read a predictions file back."""

    def read(path: Path) -> pa.Table:
        return pa.parquet.read_table(path) if path.suffix == ".parquet" else pa.csv.read_csv(path)

    return read

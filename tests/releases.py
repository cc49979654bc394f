"""Hold glulam's tree kernel to the own one of the onnxruntime that is installed here.

That the kernel takes the own one's place is documented by onnxruntime, but nothing that it promises: so each release is
looked at. This needs numpy, onnxruntime, glulam's core on PYTHONPATH, and two folders: what GLULAM_KEEP_EXPORTS made the
tests leave, and what tests/kernel/op_models.py made: ``python tests/releases.py EXPORTS OPERATORS``.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from ctypes import CDLL, c_int64
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from oldest_onnxruntime import IR_OF_SETS, SETS_SINCE, differences, ir_version

import glulam

sys.path.insert(0, str(Path(__file__).parent / "kernel"))

import op_models  # lies in a folder of tests that pytest imports by path

SAMPLE = 150
RELEASE = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
FORMER_SINCE = (1, 25)
"""Operators of trees before ai.onnx.ml 5 keep their modes as text, which a library can read since this release."""

# Names of operators and domains as a file has them: the field's number and type, the length, the text.
FORMER = re.compile(rb'"\x15TreeEnsembleRegressor|"\x16TreeEnsembleClassifier')
PRESENT = re.compile(rb'"\x0cTreeEnsemble')
FUSED = b"\x3a\x09ai.glulam"
# A leaf flag of an attribute's integers: onnxruntime takes any number for true, the kernel what the standard has.
FLAG = re.compile(rb"(nodes_falseleafs(?:\x40\x00)*\x40)\x01")


def expected_kernels(data: bytes) -> int:
    """Return how many operators of a file the kernel is to serve here."""
    if FUSED in data:
        return 1
    return len(PRESENT.findall(data)) + (len(FORMER.findall(data)) if RELEASE >= FORMER_SINCE else 0)


def one_thread() -> Any:
    """Return options of sessions whose trees onnxruntime adds up in the file's order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return options


def outcome(path: Path, library: CDLL) -> str:
    """Return what is wrong with an exported file's answers by the kernel here; nothing if all is well."""
    data = path.read_bytes()
    plain = onnxruntime.InferenceSession(data, one_thread(), providers=["CPUExecutionProvider"])
    options = one_thread()
    glulam.kernel.register(options)
    glulam.kernel.register(options)  # once more does no harm
    before = library.glulam_kernels()
    fast = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    made = library.glulam_kernels() - before
    if made != expected_kernels(data):
        return f"{expected_kernels(data)} of its nodes are the kernel's, which serves {made}"
    with np.load(path.with_suffix(".npz")) as kept:
        rows = kept["features"]
    names = [output.name for output in plain.get_outputs()]
    tolerance = json.loads(plain.get_modelmeta().custom_metadata_map["glulam.parity"])["tolerance"]
    for some in (rows, rows[-1:]):
        want, got = (session.run(None, {"features": some}) for session in (plain, fast))
        if FUSED not in data:
            unlike = [name for name, a, b in zip(names, want, got, strict=True) if not op_models.same([a], [b])]
            said = f"{len(some)} rows: other bits in {', '.join(unlike)}" if unlike else ""
        else:
            pairs = zip(names, map(plain_text, want), map(plain_text, got), strict=True)
            said = next(filter(None, (differences(name, a, b, tolerance) for name, a, b in pairs)), "")
        if said:
            return said
    return ""


def plain_text(values: np.ndarray) -> np.ndarray:
    """Return labels that are text in numpy's own type for it."""
    return values.astype(str) if values.dtype == object else values


def sample(folder: Path) -> list[Path]:
    """Return exported files from all over the folder, without those that are refused here."""
    files = sorted(folder.glob("*.onnx"))
    files = files[:: max(1, len(files) // SAMPLE)]
    return [path for path in files if SETS_SINCE <= RELEASE or ir_version(path.read_bytes()) < IR_OF_SETS]


def check_refusal(operators: Path) -> str:
    """Return what is wrong with how a file is opened that the kernel refuses and onnxruntime takes."""
    logged: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("glulam.kernel").addHandler(handler)
    for path, data in refused_files(operators):
        session = glulam.fast_session(data, one_thread())
        want = onnxruntime.InferenceSession(data, one_thread()).run(None, {"rows": np.load(path.with_suffix(".npy"))})
        if not op_models.same(want, session.run(None, {"rows": np.load(path.with_suffix(".npy"))})):
            return f"{path.name}: other answers from a refused file"
        if len(logged) != 1 or "the kernel refused the file: TreeEnsemble: nodes_falseleafs: 2 at" not in logged[0]:
            return f"{path.name}: expected one line on nodes_falseleafs in the log, got {logged}"
        return ""
    return "no file whose flags could be changed"


def refused_files(operators: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield files that the kernel is to refuse."""
    since = json.loads((operators / "since.json").read_text())
    for path in sorted(operators.glob("*.onnx")):
        data, changed = FLAG.subn(b"\\1\x02", path.read_bytes(), count=1)
        if changed and since[path.stem] <= RELEASE[1]:
            yield path, data


def main(exports: Path, operators: Path) -> int:
    """Check all of it; print what is wrong, and what was looked at. Returns 1 if anything is."""
    reason = glulam.kernel.reason()
    files = sample(exports)
    if reason or not files:
        print(reason or f"{exports}: no files to run; `make test` leaves them there", file=sys.stderr)
        return 1
    library = CDLL(str(glulam.kernel.path()))
    library.glulam_kernels.restype = c_int64
    found = {path.name: outcome(path, library) for path in files}
    found["refusal"] = check_refusal(operators)
    served = next(path for path in files if expected_kernels(path.read_bytes()))
    if glulam.load(served).info()["kernel"] != "glulam":
        found["load"] = f"{served.name} is not served by the kernel: {glulam.load(served).info()['kernel_reason']}"
    wrong = {name: said for name, said in found.items() if said}
    for name, said in wrong.items():
        print(f"{name}: {said}")
    trees = sum(bool(expected_kernels(path.read_bytes())) for path in files)
    print(
        f"onnxruntime {onnxruntime.__version__}: {len(files)} exported files, {trees} with trees for the kernel; "
        f"{len(wrong)} wrong"
    )
    return int(bool(wrong)) | op_models.compare(operators, str(glulam.kernel.path()))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

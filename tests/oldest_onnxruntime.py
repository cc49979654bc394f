"""Run exported files in the onnxruntime that is installed here, and compare with the newest one's answers.

The tests of the matrix leave files, rows and answers in the folder that GLULAM_KEEP_EXPORTS names.
This needs numpy and onnxruntime alone: ``python tests/oldest_onnxruntime.py FOLDER``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

IR_OF_SETS = 11
SETS_SINCE = (1, 23)
"""onnxruntime before this answers wrongly where trees test for sets; glulam writes such files so that it refuses them."""
REFUSED = "refused, as files with sets are to be"


def ir_version(data: bytes) -> int:
    """Return the version of the file's layout, its first field."""
    assert data[0] == 0x08, "an ONNX file begins with its ir_version"
    return data[1]


def outcome(path: Path, old: bool) -> str:
    """Return what is wrong with a file's answers here; nothing if all is well, REFUSED if it rightly has none."""
    data = path.read_bytes()
    one_thread = onnxruntime.SessionOptions()
    one_thread.intra_op_num_threads = 1  # as the answers were taken: XGBoost's leaves are added in its own order
    try:
        session = onnxruntime.InferenceSession(data, one_thread, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        refused_for_sets = old and ir_version(data) >= IR_OF_SETS and "IR version" in str(error)
        return REFUSED if refused_for_sets else f"does not load: {str(error).splitlines()[0]}"
    if old and ir_version(data) >= IR_OF_SETS:
        return "it has sets, and is not refused"
    kept = np.load(path.with_suffix(".npz"))
    want = {name.removeprefix("out_"): kept[name] for name in kept.files if name.startswith("out_")}
    names = [output.name for output in session.get_outputs()]
    if set(names) != set(want):
        return f"expected the outputs {sorted(want)}, got {names}"
    got = dict(zip(names, session.run(None, {"features": kept["features"]}), strict=True))
    tolerance = json.loads(session.get_modelmeta().custom_metadata_map["glulam.parity"])["tolerance"]
    return next(filter(None, (differences(name, want[name], got[name], tolerance) for name in names)), "")


def differences(name: str, want: np.ndarray, got: np.ndarray, tolerance: float) -> str:
    """Return how an output differs: labels in any way, numbers by more than the tolerance, relative to their size."""
    if want.shape != got.shape:
        return f"{name}: expected {want.shape}, got {got.shape}"
    if want.dtype.kind in "biuUS":
        unlike = np.flatnonzero((got.astype(want.dtype) != want).reshape(len(want), -1).any(axis=1))
        return f"{name}: {unlike.size} of {len(want)} rows differ, the first is {unlike[0]}" if unlike.size else ""
    want, got = want.astype(np.float64), got.astype(np.float64)
    usual = np.median(np.abs(want[np.isfinite(want)])) if np.isfinite(want).any() else 1.0
    size = 1.0 if name == "probabilities" else np.where(np.isfinite(want), np.maximum(np.abs(want), usual), 1.0)
    same = (want == got) | (np.isnan(want) & np.isnan(got))
    with np.errstate(invalid="ignore"):
        far = np.where(same, 0.0, np.abs(want - got)) / np.where(size == 0, 1.0, size)
    worst = float(np.nan_to_num(far, nan=np.inf).max(initial=0.0))
    return f"{name}: differs by {worst:.2e}, allowed {tolerance:g}" if worst > tolerance else ""


def main(folder: Path) -> int:
    """Check every file; print what differs, and how many there were. Returns 1 if anything does, or there are none."""
    version = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
    files = sorted(folder.glob("*.onnx"))
    if not files:
        print(f"{folder}: no files to run; `make test` leaves them there", file=sys.stderr)
        return 1
    found = {path.name: outcome(path, version < SETS_SINCE) for path in files}
    wrong = {name: said for name, said in found.items() if said not in ("", REFUSED)}
    for name, said in wrong.items():
        print(f"{name}: {said}")
    refused = list(found.values()).count(REFUSED)
    print(
        f"onnxruntime {onnxruntime.__version__}: {len(files) - len(wrong) - refused} files answer as with the newest, "
        f"{refused} with sets are refused, {len(wrong)} are wrong"
    )
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

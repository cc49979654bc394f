"""Who answers rows: each opened from the files of one directory, each a function of the rows.

Nothing is imported before it is needed, because the processes whose memory is measured come
through here too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.workload import load_members

__all__ = [
    "GLULAM_FILE",
    "LABELS",
    "OUTPUTS",
    "SKL2ONNX_FILE",
    "Answer",
    "native_probabilities",
    "one_thread",
    "open_contestant",
]

GLULAM_FILE, SKL2ONNX_FILE = "glulam.onnx", "skl2onnx.onnx"
OUTPUTS = ["probabilities", "valid"]
"""What `ProductionEnsemble.predict_proba` asks of the graph: the bare session must do the same work."""

LABELS = {
    "glulam": "glulam, ProductionEnsemble",
    "onnxruntime": "bare onnxruntime, same file",
    "skl2onnx": "skl2onnx VotingClassifier",
    "native": "native libraries, one thread",
    "native_all": "native libraries, all cores",
    "glulam_all": "glulam, all cores",
    "floor": "numpy + onnxruntime alone",
}
Answer = Callable[[Any], Any]


def open_contestant(name: str, directory: str) -> Answer:
    """Return the function that answers float32 rows [n, n_features] with probabilities."""
    folder = Path(directory)
    if name in ("glulam", "glulam_all"):
        import glulam

        profile = "latency" if name == "glulam" else "throughput"
        answer: Answer = glulam.load(folder / GLULAM_FILE, profile=profile).predict_proba
        return answer
    if name == "onnxruntime":
        run = one_thread(folder / GLULAM_FILE).run
        return lambda rows: run(OUTPUTS, {"features": rows})[0]
    if name == "skl2onnx":
        other = one_thread(folder / SKL2ONNX_FILE).run
        return lambda rows: other(["probabilities"], {"features": rows})[0]
    members, weights = load_members(directory)
    for model in members.values():
        model.set_params(n_jobs=1 if name == "native" else -1)
    models, share = list(members.values()), (weights / weights.sum()).tolist()
    return lambda rows: native_probabilities(models, share, rows)


def one_thread(path: Path) -> Any:
    """Return a bare session with the settings of glulam's latency profile."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def native_probabilities(models: list[Any], share: list[float], rows: Any) -> Any:
    """Return what a service without an export answers: the weighted mean of three predict_proba."""
    total = share[0] * models[0].predict_proba(rows)
    for model, part in zip(models[1:], share[1:], strict=True):
        total = total + part * model.predict_proba(rows)
    return total

"""glulam itself, with its kernel and without, and the floor under everyone who calls onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.models import Model
from benchmarks.peers._peer import Answer, Peer

__all__ = ["PEERS", "options", "session"]

FILE = "model.onnx"
NAMES = ("features", "probabilities")
OFF = {"GLULAM_KERNEL": "0"}


def options(threads: int) -> Any:
    """Return session options like those of glulam's latency profile, for so many threads."""
    import onnxruntime

    made = onnxruntime.SessionOptions()
    made.intra_op_num_threads, made.inter_op_num_threads = threads, 1
    made.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    made.log_severity_level = 3
    return made


def session(path: Path, threads: int, *, kernel: bool) -> Any:
    """Return a session on a file: glulam.fast_session, or onnxruntime's own."""
    if kernel:
        import glulam

        return glulam.fast_session(path, options(threads), providers=["CPUExecutionProvider"])
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), options(threads), providers=["CPUExecutionProvider"])


def _export(model: Model, folder: Path) -> None:
    """Export as its user does, proof included: an ensemble, or a member by itself."""
    import joblib

    import glulam

    path = folder / FILE
    if len(model.kinds) > 1:
        joblib.load(model.folder / "ensemble.joblib").export(path, overwrite=True)
    else:
        (estimator,) = model.estimators().values()
        glulam.export(estimator, path, model.rows()[:], overwrite=True)


def _exported(model: Model) -> Path:
    """Return the one file that all of these peers open."""
    return PEERS[0].folder(model) / FILE


def _loaded(model: Model, folder: Path, threads: int) -> Answer:
    import glulam

    profile: Any = "latency" if threads == 1 else "throughput"
    answer: Answer = glulam.load(_exported(model), profile=profile).predict_proba
    return answer


def _run(opened: Any) -> Answer:
    """Ask what predict_proba asks: the check of the rows is part of the work."""
    outputs = ["probabilities"]
    if "valid" in [output.name for output in opened.get_outputs()]:
        outputs.append("valid")
    run = opened.run
    return lambda rows: run(outputs, {"features": rows})[0]


def _fast(model: Model, folder: Path, threads: int) -> Answer:
    return _run(session(_exported(model), threads, kernel=True))


def _builtin(model: Model, folder: Path, threads: int) -> Answer:
    return _run(session(_exported(model), threads, kernel=False))


def _trivial(model: Model, folder: Path) -> None:
    """Write a graph that hands its rows through: what a call of onnxruntime costs when there is nothing to do."""
    from onnx import TensorProto, helper, save

    first, last = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "m"]) for name in NAMES)
    graph = helper.make_graph([helper.make_node("Identity", [NAMES[0]], [NAMES[1]])], "floor", [first], [last])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(folder / FILE))


def _floor(model: Model, folder: Path, threads: int) -> Answer:
    return _run(session(folder / FILE, threads, kernel=False))


ORT = ("numpy", "onnxruntime")
OURS = (*ORT, "glulam.runtime")
PEERS = (
    Peer("glulam", "glulam, predict_proba", _loaded, _export, OURS, ("glulam.exporting", "glulam_exporters.onnx")),
    Peer("glulam_session", "glulam.fast_session, run", _fast, serves_by=OURS),
    Peer("glulam_builtin", "glulam, kernel off", _loaded, serves_by=OURS, variables=OFF),
    Peer("builtin", "onnxruntime, same file", _builtin, serves_by=ORT, variables=OFF),
    Peer("floor", "onnxruntime, empty graph", _floor, _trivial, ORT, variables=OFF),
)

"""What the checks of all kinds share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam.errors import ProofError
from glulam.exporting import Run
from glulam.hookspecs import Exporter
from glulam.interpreter import member_vote
from glulam.program import EnsembleProgram, LoweredMember, OnnxFragment, Task
from glulam.proof import Native, prove

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Plugin = TypeVar("Plugin")

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
"""What members of an ensemble serve; a model alone may serve others of `glulam.program.Task`."""
PRECISIONS = ("float32", "float64")
ROWS = 2_000
"""Rows that a graph or a lowered model is tried on, about."""


class ContractError(AssertionError):
    """A plugin breaks a rule of its interface: who, what was expected, what came, what to do."""


def require(holds: object, problem: str) -> None:
    if not holds:
        raise ContractError(problem)


def instance_of(plugin_class: type[Plugin], interface: type, params: Mapping[str, Any] | None = None) -> Plugin:
    """Return an instance of a plugin's class, which must be complete."""
    problem = plugins._contract_problem(plugin_class, interface)
    if problem:
        raise ContractError(f"{getattr(plugin_class, '__qualname__', plugin_class)}: {problem}")
    try:
        return plugin_class(**(params or {}))
    except TypeError as error:
        raise ContractError(
            f"{plugin_class.__qualname__}: expected to make one with {params or 'no arguments'}: {error}"
        ) from error


def check_probabilities(who: str, scores: Float64, task: Task, allowed: float) -> None:
    odd = rows_with(~np.isfinite(scores))
    require(not odd.any(), f"{who}: expected finite numbers{at(scores, None, odd)}")
    if task == "regression":
        return
    odd = rows_with(scores < 0) | (np.abs(scores.sum(axis=1) - 1) > allowed)
    require(
        not odd.any(),
        f"{who}: expected probabilities, at least 0 and rows that sum to 1{at(scores, None, odd)}; normalise them",
    )


def compare(who: str, expected: Array, got: Array, rows: Array, allowed: float, scale: float = 1.0) -> None:
    """Raise ContractError where two answers differ by more than ``allowed``, relative to numbers above ``scale``."""
    require(expected.shape == got.shape, f"{who}: expected shape {expected.shape}, got {got.shape}")
    difference = np.abs(expected - got) / np.maximum(np.abs(expected), scale)
    # Written so that NaN fails.
    wrong = ~(difference <= allowed).reshape(len(expected), -1).all(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ContractError(
            f"{who}: expected {expected[row].tolist()}, got {got[row].tolist()} in row {row}: {rows[row].tolist()}; "
            f"{np.count_nonzero(wrong)} of {len(wrong)} rows differ, at most by {np.nanmax(difference):.3g}; "
            f"{allowed:g} is allowed"
        )


def rows_with(wrong: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.asarray(wrong.any(axis=1))


def at(values: Array, rows: Array | None, wrong: npt.NDArray[np.bool_]) -> str:
    """Say what came in the first wrong row, if there is one."""
    if not wrong.any():
        return ""
    row = int(np.flatnonzero(wrong)[0])
    shown = "" if rows is None else f": {rows[row].tolist()}"
    return f", got {values[row].tolist()} in row {row}{shown}"


def one_column(columns: npt.NDArray[np.int64]) -> LoweredMember:
    """Return a member that votes what it reads in some features."""
    text = "column (features, columns) => (vote) { vote = Gather <axis = 1> (features, columns) }"
    return LoweredMember(OnnxFragment(text, lambda X: X[:, columns], {"columns": columns}))


def mean_vote(members: int) -> OnnxFragment:
    """Return a vote that is the plain mean."""
    text = (
        "mean (votes, share, axis) => (scores) {"
        " weighted = Mul (votes, share)"
        " scores = ReduceSum <keepdims = 0> (weighted, axis) }"
    )
    constants = {"share": np.array(1 / members), "axis": np.array([1])}
    return OnnxFragment(text, lambda votes: votes.mean(axis=1), constants)


def run_graph(who: str, exporter: Exporter, program: EnsembleProgram, precision: str) -> Run:
    """Export and open a program; what cannot be exported or opened breaks the contract."""
    try:
        data = exporter.export(program, precision=precision)
        require(isinstance(data, bytes), f"{who}: export: expected bytes, got {type(data).__name__}")
        return Run(data)
    except ContractError:
        raise
    except Exception as error:  # onnx and onnxruntime raise types of their own
        raise ContractError(f"{who}: cannot be exported and run: {type(error).__name__}: {error}") from error


def prove_graph(who: str, program: EnsembleProgram, exporter: Exporter, precision: str, training: Float32) -> None:
    """Prove an exported program against the interpreter; mere rounding in float32 is no breach."""

    def vote(index: int, rows: Any) -> Float64:
        with np.errstate(all="ignore"):  # extreme rows overflow
            return member_vote(program.members[index], rows)

    native = Native(vote)
    run = run_graph(who, exporter, program, precision)
    try:
        prove(program, run, native, training, precision=precision, rows=ROWS)
    except ProofError as error:
        if not error.rounding:
            raise ContractError(f"{who}: {error}") from error

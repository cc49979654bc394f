"""Export: lower, assemble, write to memory, prove, describe, and only then write the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from glulam import __version__, plugins
from glulam._files import atomic_file, check_target
from glulam.errors import ConfigError, ProofError, UnsupportedModelError
from glulam.hookspecs import Exporter
from glulam.interpreter import Outputs
from glulam.metadata import Description, json_classes
from glulam.program import EnsembleProgram, LoweredMember
from glulam.proof import ParityReport, prove
from glulam.runtime import ProductionEnsemble, _session_options

if TYPE_CHECKING:
    from glulam._base import Ensemble

__all__ = ["Run", "export", "lower_members", "verify"]

Float32 = npt.NDArray[np.float32]
FEW_LABELS = 1e-3
"""Share of the proof's rows whose labels may hang on float32's last digit before float64 is tried."""


def lower_members(ensemble: Ensemble) -> tuple[LoweredMember, ...]:
    """Lower every member, or raise UnsupportedModelError that names it."""
    lowered = []
    for (name, model), plugin in zip(ensemble.members_.items(), ensemble.plugins_, strict=True):
        try:
            lowered.append(plugin.lower(model, ensemble.schema_))
        except UnsupportedModelError as error:
            raise UnsupportedModelError(f"member {name!r}: {error}") from error
    return tuple(lowered)


class Run:
    """An exported graph in onnxruntime with all its outputs, as the proof wants to ask it."""

    def __init__(self, data: bytes) -> None:
        try:
            self._session = onnxruntime.InferenceSession(
                data, _session_options("latency"), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            raise ConfigError(
                f"onnxruntime {onnxruntime.__version__} does not run this graph: {str(error).splitlines()[0]}; "
                "choose an older opset, or upgrade onnxruntime"
            ) from error
        self.names = [output.name for output in self._session.get_outputs()]

    def raw(self, rows: Float32) -> dict[str, npt.NDArray[Any]]:
        """Return the outputs as onnxruntime gives them."""
        return dict(zip(self.names, self._session.run(None, {"features": rows}), strict=True))

    def __call__(self, rows: Float32) -> Outputs:
        """Return the outputs as float64, with label or value in one place."""
        answers = self.raw(rows)
        if "value" in answers:
            scores = answers["value"].astype(np.float64).reshape(-1, 1)
            label: npt.NDArray[Any] = scores[:, 0]
        else:
            scores = answers["probabilities"].astype(np.float64)
            label = answers["label"]
            label = label.astype(np.str_) if label.dtype == object else label
        valid = answers.get("valid", np.ones(len(rows), dtype=bool))
        return Outputs(label, scores, answers["votes"].astype(np.float64), valid)


def export(
    ensemble: Ensemble,
    path: Path,
    *,
    exporter: str,
    overwrite: bool,
    precision: str,
    proof_rows: int,
    options: Mapping[str, Any],
) -> ParityReport:
    """Export a fitted ensemble; see `EnsembleClassifier.export`."""
    if precision not in ("auto", "float32", "float64"):
        raise ConfigError(f"precision: expected 'auto', 'float32' or 'float64', got {precision!r}")
    if not isinstance(proof_rows, int) or proof_rows < 1_000:
        raise ConfigError(f"proof_rows: expected at least 1,000, got {proof_rows!r}; fewer prove nothing")
    check_target(path, overwrite=overwrite)
    program = ensemble.program()
    writer = plugins.exporter(exporter)
    if precision == "auto":
        data, report = _narrowest(ensemble, program, writer, proof_rows, options)
    else:
        data, report = _proven(ensemble, program, writer, precision, proof_rows, options)
    data = writer.attach(data, _describe(ensemble, program, report, data).to_metadata(data))
    # Open the finished bytes as a user will: metadata and graph must agree.
    ProductionEnsemble(data).warmup(1)
    with atomic_file(path, overwrite=overwrite) as out:
        out.write(data)
    return report


def _narrowest(
    ensemble: Ensemble, program: EnsembleProgram, writer: Exporter, proof_rows: int, options: Mapping[str, Any]
) -> tuple[bytes, ParityReport]:
    """Export in float32, or in float64 where float32 is too narrow or labels hang on its last digit."""
    try:
        narrow = _proven(ensemble, program, writer, "float32", proof_rows, options)
    except ProofError as error:
        if not error.rounding:
            raise
        return _proven(ensemble, program, writer, "float64", proof_rows, options)
    report = narrow[1]
    if report.label_differences <= report.rows * FEW_LABELS:
        return narrow
    # Votes of small forests often lie exactly on the decision; float64 adds up as the library does.
    wide = _proven(ensemble, program, writer, "float64", proof_rows, options)
    return wide if wide[1].label_differences < report.label_differences else narrow


def verify(ensemble: Ensemble, path: Path, *, proof_rows: int = 20_000) -> ParityReport:
    """Prove an exported file again, against the trained ensemble it came from.

    The file must have all outputs. Raises ArtifactError if it is none of glulam's, ConfigError if
    it describes another ensemble, ProofError if it does not give the ensemble's answers.
    """
    model = ProductionEnsemble(path)
    program = ensemble.program()
    info = model.info()
    needed = ["value", "votes"] if program.task == "regression" else ["label", "probabilities", "votes"]
    for what, found, expected in (
        ("members", [member["name"] for member in info["members"]], list(program.names)),
        ("features", model.schema, program.schema),
        ("classes", info["classes"], program.classes.tolist()),
        ("voting", info["voting"], program.voting),
        ("outputs", [name for name in info["outputs"] if name in needed], needed),
    ):
        if found != expected:
            raise ConfigError(f"{path}: {what}: the file has {found}, the trained ensemble {expected}")
    if not info["guards"]:
        program = replace(program, guards=())
    return prove(
        program, Run(path.read_bytes()), ensemble._member_votes, ensemble.proof_rows_,
        precision=info["precision"], rows=proof_rows,
    )  # fmt: skip


def _proven(
    ensemble: Ensemble,
    program: EnsembleProgram,
    writer: Exporter,
    precision: str,
    proof_rows: int,
    options: Mapping[str, Any],
) -> tuple[bytes, ParityReport]:
    """Return exported bytes and their proof.

    The proof needs all outputs. If fewer are wanted, the same graph with all of them is proven,
    and the wanted file must then give the same bits.
    """
    data = writer.export(program, precision=precision, **options)
    guarded = program if options.get("guards", True) else replace(program, guards=())
    whole = data
    if options.get("outputs") is not None:
        whole = writer.export(program, precision=precision, **{k: v for k, v in options.items() if k != "outputs"})
    report = prove(
        guarded, Run(whole), ensemble._member_votes, ensemble.proof_rows_, precision=precision, rows=proof_rows
    )
    if whole is not data:
        rows = ensemble.proof_rows_
        expected, got = Run(whole).raw(rows), Run(data).raw(rows)
        for name, values in got.items():
            if not np.array_equal(values, expected[name]):
                raise ProofError(f"output {name!r} differs between the file with all outputs and the one asked for")
    return data, report


def _describe(ensemble: Ensemble, program: EnsembleProgram, report: ParityReport, data: bytes) -> Description:
    """Return what the file says of itself."""
    outputs = Run(data).names
    members = [
        {"name": name, "plugin": plugin.name, "weight": float(weight), "versions": plugins.versions(plugin)}
        for name, plugin, weight in zip(program.names, ensemble.plugins_, program.weights, strict=True)
    ]
    decision = program.decision
    return Description(
        schema=program.schema,
        ensemble={
            "type": type(ensemble).__name__,
            "task": program.task,
            "glulam": __version__,
            "classes": json_classes(program.classes),
            "members": members,
            "voting": program.voting,
            "decision": {
                "threshold": decision.threshold,
                "min_confidence": decision.min_confidence,
                "abstain_label": decision.abstain_label,
            },
            "validators": [{"name": each.name, "state": each.state()} for each in ensemble.validators_],
            "guards": [guard.name for guard in program.guards] if "valid" in outputs else [],
            "outputs": outputs,
            "precision": report.precision,
        },
        parity=report.to_dict(),
        training=ensemble.training_,
    )

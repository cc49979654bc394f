"""Export: lower, assemble, write to memory, prove, describe, and only then write the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from glulam import __version__, kernel, plugins
from glulam._files import atomic_file, check_target
from glulam.errors import ConfigError, ProofError, UnsupportedModelError
from glulam.hookspecs import Exporter
from glulam.interpreter import Outputs
from glulam.metadata import Description, json_classes
from glulam.program import EnsembleProgram, LoweredMember
from glulam.proof import TOLERANCE, Native, ParityReport, prove
from glulam.runtime import ProductionEnsemble, _session_options

if TYPE_CHECKING:
    from glulam._base import Ensemble

__all__ = ["Run", "Subject", "export", "lower_members", "subject_of", "verify", "write"]

Rows = npt.NDArray[np.floating[Any]]
NEAR = 0.6
"""Share of the tolerance beyond which rows that no proof tried may well exceed it."""
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


@dataclass(frozen=True, slots=True)
class Subject:
    """What is exported: a program, the libraries that it must agree with, and what the file says of it.

    rows
        rows to start the proof from, in the type of the program's rows
    about
        entries of the file's description: type, members, validators, and whether an array holds
        categories by their codes
    """

    program: EnsembleProgram
    native: Native
    rows: Rows
    about: dict[str, Any]
    training: dict[str, Any]


def subject_of(ensemble: Ensemble) -> Subject:
    """Return a fitted ensemble as something to export."""
    program = ensemble.program()
    members = [
        {"name": name, "plugin": plugin.name, "weight": float(weight), "versions": plugins.versions(plugin)}
        for name, plugin, weight in zip(program.names, ensemble.plugins_, program.weights, strict=True)
    ]
    models = list(ensemble.members_.values())
    native = Native(
        ensemble._member_votes, leaves=lambda index, rows: ensemble.plugins_[index].leaves(models[index], rows)
    )
    validators = [{"name": each.name, "state": each.state()} for each in ensemble.validators_]
    about = {"type": type(ensemble).__name__, "members": members, "validators": validators}
    return Subject(program, native, ensemble.proof_rows_, about, ensemble.training_)


class Run:
    """An exported graph in onnxruntime with all its outputs, as the proof wants to ask it.

    ``by_kernel`` lets glulam's tree kernel run what it can; ``uses_kernel`` tells whether there was any.
    """

    def __init__(self, data: bytes, *, by_kernel: bool = False) -> None:
        options, providers = _session_options("latency"), ["CPUExecutionProvider"]
        self.uses_kernel = False
        try:
            if by_kernel:
                self._session, reason = kernel.open_session(data, options, providers=providers)
                self.uses_kernel = reason is None
            else:
                self._session = onnxruntime.InferenceSession(data, options, providers=providers)
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            raise ConfigError(
                f"onnxruntime {onnxruntime.__version__} does not run this graph: {str(error).splitlines()[0]}; "
                "choose an older opset, or upgrade onnxruntime"
            ) from error
        self.names = [output.name for output in self._session.get_outputs()]

    def raw(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """Return the outputs as onnxruntime gives them."""
        return dict(zip(self.names, self._session.run(None, {"features": rows}), strict=True))

    def __call__(self, rows: Rows) -> Outputs:
        """Return the outputs as float64, with label or values in one place."""
        answers = self.raw(rows)
        name = next(each for each in ("value", "probabilities", "decision_function") if each in answers)
        scores = answers.pop(name).astype(np.float64)
        scores = scores[:, None] if scores.ndim == 1 else scores
        if name == "value":
            label: npt.NDArray[Any] = scores[:, 0] if scores.shape[1] == 1 else scores
        else:
            label = answers.pop("label")
            label = label.astype(np.str_) if label.dtype == object else label
        votes = answers.pop("votes").astype(np.float64) if "votes" in answers else scores[:, None, :]
        valid = answers.pop("valid", np.ones(len(rows), dtype=bool))
        return Outputs(label, scores, votes, valid, {key: value.astype(np.float64) for key, value in answers.items()})


def export(
    ensemble: Ensemble,
    path: Path,
    *,
    exporter: str,
    overwrite: bool,
    precision: str,
    proof_rows: int,
    options: Mapping[str, Any],
    reproducible: bool = False,
) -> ParityReport:
    """Export a fitted ensemble; see `EnsembleClassifier.export`.

    With ``reproducible`` the file holds neither the date of the fit nor how long the proof took, so that the same
    ensemble gives the same bytes.
    """
    check_request(path, overwrite=overwrite, precision=precision, proof_rows=proof_rows)
    subject = subject_of(ensemble)
    return write(
        subject, path, exporter=exporter, overwrite=overwrite, precision=precision, proof_rows=proof_rows,
        options=options, reproducible=reproducible,
    )  # fmt: skip


def check_request(path: Path, *, overwrite: bool, precision: str, proof_rows: int) -> None:
    """Raise ConfigError or ArtifactError for what can be known to be wrong before anything is lowered."""
    if precision not in ("auto", "float32", "float64"):
        raise ConfigError(f"precision: expected 'auto', 'float32' or 'float64', got {precision!r}")
    if not isinstance(proof_rows, int) or proof_rows < 1_000:
        raise ConfigError(f"proof_rows: expected at least 1,000, got {proof_rows!r}; fewer prove nothing")
    check_target(path, overwrite=overwrite)


def write(
    subject: Subject,
    path: Path,
    *,
    exporter: str,
    overwrite: bool,
    precision: str,
    proof_rows: int,
    options: Mapping[str, Any],
    reproducible: bool = False,
) -> ParityReport:
    """Export, prove, describe, and only then write the file."""
    writer = plugins.exporter(exporter)
    if precision == "auto":
        data, report, outputs = _narrowest(subject, writer, proof_rows, options)
    else:
        data, report, outputs = _proven(subject, writer, precision, proof_rows, options)
    description = _describe(subject, report, outputs, writer.form(data))
    if reproducible:
        description = _timeless(description)
    data = writer.attach(data, description.to_metadata(data))
    # Open the finished bytes as a user will: metadata and graph must agree.
    ProductionEnsemble(data).warmup(1)
    with atomic_file(path, overwrite=overwrite) as out:
        out.write(data)
    return report


def _narrowest(
    subject: Subject, writer: Exporter, proof_rows: int, options: Mapping[str, Any]
) -> tuple[bytes, ParityReport, list[str]]:
    """Export in float32, or in float64 where float32 is too narrow or labels hang on its last digit."""
    if subject.program.wide_vote or any(member.may_overflow for member in subject.program.members):
        try:
            return _proven(subject, writer, "float64", proof_rows, options)
        except ProofError as first:
            for width in ("float64", "float32"):  # terms that cancel, and libraries that multiply in float32
                try:
                    return _proven(subject, writer, width, proof_rows, options, tolerance=TOLERANCE["float32"])
                except ProofError:
                    continue
            raise first
    try:
        narrow = _proven(subject, writer, "float32", proof_rows, options)
    except ProofError as error:
        if not error.rounding:
            raise
        return _proven(subject, writer, "float64", proof_rows, options)
    report = narrow[1]
    on_edge = report.label_differences > report.rows * FEW_LABELS
    if not on_edge and report.largest_difference <= report.tolerance * NEAR:
        return narrow
    # Votes of small forests often lie exactly on the decision; float64 adds up as the library does.
    wide = _proven(subject, writer, "float64", proof_rows, options)
    if on_edge and wide[1].label_differences < report.label_differences:
        return wide
    return wide if wide[1].largest_difference < report.largest_difference / 2 else narrow


def verify(ensemble: Ensemble, path: Path, *, proof_rows: int = 20_000) -> ParityReport:
    """Prove an exported file again, against the trained ensemble it came from.

    The file must have all outputs. Raises ArtifactError if it is none of glulam's, ConfigError if
    it describes another ensemble, ProofError if it does not give the ensemble's answers.
    """
    model = ProductionEnsemble(path)
    subject = subject_of(ensemble)
    program = subject.program
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
    data = path.read_bytes()
    return prove(
        program, Run(data), subject.native, subject.rows, precision=info["precision"], rows=proof_rows,
        by_kernel=_kernel_run(data),
    )  # fmt: skip


def _kernel_run(data: bytes) -> Run | None:
    """Return a graph as glulam's tree kernel runs it; None where it does not, here or ever."""
    if not kernel.available():
        return None
    run = Run(data, by_kernel=True)
    return run if run.uses_kernel else None


def _proven(
    subject: Subject,
    writer: Exporter,
    precision: str,
    proof_rows: int,
    options: Mapping[str, Any],
    tolerance: float | None = None,
) -> tuple[bytes, ParityReport, list[str]]:
    """Return exported bytes, their proof, and the names of their outputs.

    The proof needs all outputs. If fewer are wanted, the same graph with all of them is proven,
    and the wanted file must then give the same bits.
    """
    program = subject.program
    data = writer.export(program, precision=precision, **options)
    guarded = program if options.get("guards", True) else replace(program, guards=())
    run, by_kernel = Run(data), _kernel_run(data)
    whole, whole_by_kernel = run, by_kernel
    if options.get("outputs") is not None:
        everything = {key: value for key, value in options.items() if key != "outputs"}
        complete = writer.export(program, precision=precision, **everything)
        whole, whole_by_kernel = Run(complete), _kernel_run(complete)
    report = prove(
        guarded, whole, subject.native, subject.rows, precision=precision, rows=proof_rows, tolerance=tolerance,
        by_kernel=whole_by_kernel,
    )  # fmt: skip
    if whole is not run:
        _check_alike(whole, run, subject.rows)
        if by_kernel is not None:
            if whole_by_kernel is None:
                raise ProofError(
                    "the tree kernel runs the file asked for, but not the one with all outputs: not proven"
                )
            _check_alike(whole_by_kernel, by_kernel, subject.rows)
    return data, report, run.names


def _check_alike(whole: Run, run: Run, rows: Rows) -> None:
    """Raise ProofError where a file with fewer outputs does not give the bits of the one with all."""
    expected, got = whole.raw(rows), run.raw(rows)
    for name, values in got.items():
        if not np.array_equal(values, expected[name], equal_nan=values.dtype.kind == "f"):
            raise ProofError(f"output {name!r} differs between the file with all outputs and the one asked for")


def _describe(subject: Subject, report: ParityReport, outputs: list[str], form: str) -> Description:
    """Return what the file says of itself."""
    program = subject.program
    decision = program.decision
    return Description(
        schema=program.schema,
        ensemble={
            "type": subject.about["type"],
            "task": program.task,
            "glulam": __version__,
            "classes": json_classes(program.classes),
            "blocks": list(program.blocks),
            "n_targets": program.n_targets,
            "members": subject.about["members"],
            "voting": program.voting,
            "decision": {
                "threshold": decision.threshold,
                "min_confidence": decision.min_confidence,
                "abstain_label": decision.abstain_label,
            },
            "validators": subject.about["validators"],
            "guards": [guard.name for guard in program.guards] if "valid" in outputs else [],
            "outputs": outputs,
            "precision": report.precision,
            "form": form,
            "rows": program.rows,
            "codes": bool(subject.about.get("codes")),
        },
        parity=report.to_dict(),
        training=subject.training,
    )


def _timeless(description: Description) -> Description:
    """Return a description without dates and durations, which no two runs share."""
    parity = description.parity
    families = [{**family, "seconds": None} for family in parity["families"]]
    return replace(
        description,
        parity={**parity, "families": families, "seconds": None},
        training={**description.training, "fitted": None},
    )

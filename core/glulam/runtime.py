"""ProductionEnsemble: an exported file, opened. numpy and onnxruntime, nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime

from glulam._opening import check_agreement, give_back_memory, open_model, read
from glulam._single import SingleRow
from glulam._tables import is_array
from glulam.errors import ArtifactError, ConfigError, FeatureError
from glulam.metadata import Description, check_graph, classes_of
from glulam.schema import Feature, FeatureSchema

__all__ = ["ProductionEnsemble", "load"]

Array = npt.NDArray[Any]


class ProductionEnsemble:
    """An ``ensemble.onnx``: predict, predict_proba, votes, info.

    source
        path of a file that glulam exported, or its bytes
    profile
        ``latency``: one thread, best for single rows and small batches (handing work to threads
        costs more than the work). ``throughput``: all cores, for large batches
    invalid
        what rows do that fail the exported guards: ``raise`` a FeatureError, or ``ignore`` (they
        are answered like others; `validate_predictions` counts them)
    reorder
        take named columns in any order, and ignore further ones
    kernel
        ``auto`` lets glulam's tree kernel walk the trees where it can, ``off`` leaves them to
        onnxruntime's own: the same answers, more slowly. `info` says which it is

    Rows are what `FeatureSchema.encode` takes (float32 arrays are fastest), or a single row as a
    1-d array or a mapping of values. An array for a model that was exported by itself holds categories
    by their codes, as its library takes them; for an ensemble, by their values. Safe to use from many threads at once.

    Raises ArtifactError for a file that is missing, damaged, not glulam's, or of a newer format.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes,
        *,
        profile: Literal["latency", "throughput"] = "latency",
        invalid: Literal["raise", "ignore"] = "raise",
        reorder: bool = False,
        kernel: Literal["auto", "off"] = "auto",
    ) -> None:
        if invalid not in ("raise", "ignore"):
            raise ConfigError(f"invalid: expected 'raise' or 'ignore', got {invalid!r}")
        if kernel not in ("auto", "off"):
            raise ConfigError(f"kernel: expected 'auto' or 'off', got {kernel!r}")
        label = "<bytes>" if isinstance(source, bytes) else str(source)
        # Read once: the file may be replaced at any moment, and what is checked must be what is run.
        data = source if isinstance(source, bytes) else read(Path(source), label)
        options = _session_options(profile)
        self._session, self._without_kernel = open_model(data, label, options, use_kernel=kernel == "auto")
        try:
            entries = self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise ArtifactError(f"{label}: damaged metadata: {error.reason}; export again") from error
        self._description = Description.from_metadata(entries, label)
        check_graph(entries, data, label)
        self._classes = classes_of(self._description.ensemble)
        check_agreement(self._session, self._description, len(self._classes), label)
        self._reorder = reorder
        self._dtype = np.dtype(self._description.ensemble.get("rows", "float32"))
        outputs = {output.name: output for output in self._session.get_outputs()}
        self._outputs = list(outputs)
        self._checks = invalid == "raise" and "valid" in outputs
        self._run = self._session.run
        self._width = len(self.schema)
        # Encoded categories and raw ones are both numbers: only a numeric schema needs no encoding.
        self._codes = bool(self._description.ensemble.get("codes"))
        self._as_is = self._codes or all(feature.kind == "numeric" for feature in self.schema.features)
        self._wanted = {name: [name, "valid"] if self._checks else [name] for name in self._outputs if name != "valid"}
        valid = outputs["valid"] if self._checks else None
        self._single = {
            name: SingleRow(self._session, outputs[name], valid)
            for name in self._wanted
            if SingleRow.takes(outputs[name])
        }
        self._blocks: list[int] = self._description.ensemble.get("blocks", [])
        size = len(data)
        del data
        give_back_memory(size)

    @property
    def schema(self) -> FeatureSchema:
        """The features that the file takes."""
        return self._description.schema

    @property
    def classes(self) -> Array:
        """Class labels [n_classes], in the order of probabilities; empty for regression.

        For several outputs those of each in turn.
        """
        return self._classes.copy()

    def predict(self, rows: Any) -> Array:
        """Return the label of each row [n_rows]; for regression the value. For several outputs [n_rows, n_outputs]."""
        answer = self._ask("label" if len(self._classes) else "value", rows)
        return answer.astype(np.str_) if answer.dtype == object else answer

    def predict_proba(self, rows: Any) -> Any:
        """Return the probability of each class [n_rows, n_classes].

        For several outputs a list of such, one an output; or [n_rows, n_outputs], the probability of
        each yes, where every output is a yes or no. Raises FeatureError for rows that do not fit the
        schema or fail the guards.
        """
        answer = self._ask("probabilities", rows)
        if max(self._blocks, default=1) > 1:
            return np.split(answer, np.cumsum(self._blocks)[:-1], axis=1)
        return answer

    def decision_function(self, rows: Any) -> Array:
        """Return the scores of a model without probabilities, [n_rows], or [n_rows, n_classes] for several classes."""
        return self._ask("decision_function", rows)

    def score_samples(self, rows: Any) -> Array:
        """Return an outlier detector's score of each row [n_rows]; the lower, the more abnormal."""
        return self._ask("score_samples", rows)

    def votes(self, rows: Any) -> Array:
        """Return each member's vote [n_rows, n_members, n_classes] (n_classes is 1 for regression)."""
        return self._ask("votes", rows)

    def answers(self, rows: Any, outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """Return several outputs by name, all of them by default, in one run of the graph.

        Nothing is refused here: ``valid``, if the file has it, tells which rows fail the checks.
        """
        names = self._outputs if outputs is None else list(outputs)
        self._require_outputs(names)
        found = dict(zip(names, self._run(names, {"features": self._encode(rows)}), strict=True))
        return {name: values.astype(np.str_) if values.dtype == object else values for name, values in found.items()}

    def _require_outputs(self, names: Sequence[str]) -> None:
        """Raise ArtifactError for an output that the file has not."""
        for name in names:
            if name not in self._outputs:
                raise ArtifactError(
                    f"this file has no output {name!r}; it was exported with outputs {self._outputs}"
                    + ("" if len(self._classes) else "; regression has 'value'")
                )

    def _ask(self, output: str, rows: Any) -> Array:
        """Run the graph for one output; this is the hot path, so nothing is done twice."""
        if not (
            type(rows) is np.ndarray
            and rows.dtype == self._dtype
            and rows.ndim == 2
            and rows.shape[1] == self._width
            and self._as_is
            and len(rows)
        ):
            rows = self._encode(rows)
        if len(rows) == 1 and (single := self._single.get(output)):
            found, passed = single.answer(rows)
            if not passed:
                self._refuse(rows, np.zeros(1, dtype=bool))
            return found
        wanted = self._wanted.get(output)
        if wanted is None:
            self._require_outputs([output])
        answer = self._run(wanted, {"features": rows})
        if self._checks:
            valid = answer[1]
            if not valid.all():
                self._refuse(rows, valid)
        return answer[0]  # type: ignore[no-any-return]

    def _encode(self, rows: Any) -> Array:
        """Turn a table or a single row into the matrix that the graph takes."""
        if getattr(rows, "ndim", None) == 1 and hasattr(rows, "to_dict"):  # a row of a pandas table
            rows = rows.to_dict()
        if isinstance(rows, Mapping):
            if rows and all(np.ndim(value) == 0 for value in rows.values()):
                rows = {name: _one(value) for name, value in rows.items()}
        elif isinstance(rows, np.ndarray) and rows.ndim == 1:
            rows = rows.reshape(1, -1)
        schema = self.schema
        if self._codes and is_array(rows):
            schema = FeatureSchema(tuple(Feature(name, missing="allow") for name in schema.names), named=schema.named)
        return schema.encode(rows, reorder=self._reorder, owner=self._description.ensemble["type"], dtype=self._dtype)

    def _refuse(self, rows: Array, valid: npt.NDArray[np.bool_]) -> None:
        """Raise FeatureError for the first row that failed the guards."""
        row = int(np.flatnonzero(~valid)[0])
        values = rows[row]
        odd = ~np.isfinite(values) & ~(np.isnan(values) & self.schema.allows_missing)
        names = self.schema.names
        where = ""
        if odd.any():
            column = int(np.flatnonzero(odd)[0])
            where = f"column {names[column]!r} is {values[column]}"
        limits = [each["state"] for each in self._description.ensemble["validators"] if each["name"] == "range"]
        for state in () if where else limits:
            for column, (low, high) in enumerate(zip(state["low"], state["high"], strict=True)):
                if (low is not None and values[column] < low) or (high is not None and values[column] > high):
                    where = where or f"column {names[column]!r} is {values[column]}, expected {low} to {high}"
        guards = self._description.ensemble["guards"]
        raise FeatureError(
            f"row {row}: {where or 'the row'}, which fails the file's checks ({', '.join(guards)}); "
            f"{np.count_nonzero(~valid)} of {len(valid)} rows fail; correct them, or open the file with "
            "invalid='ignore' to answer them anyway"
        )

    def info(self) -> dict[str, Any]:
        """Return what the file says of itself, as plain values.

        type, task, glulam (version that wrote it), format, classes, feature_names, members (name,
        plugin, weight, versions), weights, voting, decision, guards, outputs, precision, form ("fused"
        into one node, or "standard"), parity (the proof's report), training (rows, sha256, fitted). And
        how it runs here: kernel, which walks the trees ("glulam" or "onnxruntime"), and kernel_reason,
        why it is not glulam's (else None).
        """
        ensemble = self._description.ensemble
        return {
            **ensemble,
            "version": ensemble["glulam"],
            "classes": ensemble["classes"]["labels"],
            "feature_names": self.schema.names,
            "weights": {member["name"]: member["weight"] for member in ensemble["members"]},
            "parity": self._description.parity,
            "training": self._description.training,
            "kernel": "onnxruntime" if self._without_kernel else "glulam",
            "kernel_reason": self._without_kernel,
        }

    def validate_predictions(self, rows: Any) -> dict[str, Any]:
        """Return a summary of the answers to some rows, as plain values; invalid rows are counted.

        n_samples, invalid_rows, first_invalid_rows (at most ten indices), prediction_range (of
        values, or of scores that are no probabilities of classes); for classifiers also
        probability_range (of the largest probability), class_share (label to share, the abstain
        label included) and mean_confidence. Rows that fail the guards are left out of all but the
        counts.
        """
        scores = next(name for name in ("value", "probabilities", "decision_function") if name in self._outputs)
        needed = [scores] if scores == "value" else ["label", scores]
        answers = self.answers(rows, [*needed, *(["valid"] if "valid" in self._outputs else [])])
        count = len(answers[needed[0]])
        valid = answers.get("valid", np.ones(count, dtype=bool))
        summary: dict[str, Any] = {
            "n_samples": count,
            "invalid_rows": int(np.count_nonzero(~valid)),
            "first_invalid_rows": np.flatnonzero(~valid)[:10].tolist(),
        }
        if scores != "probabilities" or self._blocks:
            values = answers[scores][valid].astype(np.float64)
            summary["prediction_range"] = [values.min().item(), values.max().item()] if len(values) else None
            return summary
        labels, confidence = answers["label"][valid], answers["probabilities"][valid].max(axis=1, initial=0.0)
        found, counts = np.unique(labels, return_counts=True)
        share = dict(zip(found.tolist(), (counts / max(1, len(labels))).tolist(), strict=True))
        some = len(labels) > 0
        return summary | {
            "prediction_range": [found.tolist()[0], found.tolist()[-1]] if some else None,
            "probability_range": [float(confidence.min()), float(confidence.max())] if some else None,
            "class_share": {label: share.pop(label, 0.0) for label in self._classes.tolist()} | share,
            "mean_confidence": float(confidence.mean()) if some else None,
        }

    def warmup(self, runs: int = 10) -> None:
        """Answer some rows of zeros, so that the first real one finds memory and code in place."""
        rows = np.zeros((1, self._width), dtype=self._dtype)
        for _ in range(runs):
            self._run(self._outputs, {"features": rows})
            for single in self._single.values():
                single.answer(rows)

    def __repr__(self) -> str:
        """Return type, members and vote."""
        ensemble = self._description.ensemble
        members = ", ".join(f"{member['name']}={member['weight']:g}" for member in ensemble["members"])
        if not ensemble["voting"]:
            return f"<ProductionEnsemble {ensemble['type']}, {self._width} features>"
        return f"<ProductionEnsemble {ensemble['type']} {ensemble['voting']}({members}), {self._width} features>"


def _one(value: Any) -> Array:
    """Return a single value as a column of one row."""
    if isinstance(value, np.ndarray):
        return value.reshape(1)
    column = np.empty(1, dtype=object)
    column[0] = value
    return column


def load(source: str | os.PathLike[str] | bytes, **options: Any) -> ProductionEnsemble:
    """Open an exported file; see `ProductionEnsemble` for the options."""
    return ProductionEnsemble(source, **options)


def _session_options(profile: str) -> Any:
    """Return onnxruntime's options for a profile."""
    if profile not in ("latency", "throughput"):
        raise ConfigError(f"profile: expected 'latency' or 'throughput', got {profile!r}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if profile == "latency" else 0
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # A spinning thread pool burns a core between requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options

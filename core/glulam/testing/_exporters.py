"""What an exporter must do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnxruntime

from glulam.decision import Decision
from glulam.errors import ConfigError
from glulam.exporting import Run
from glulam.forest import Forest, Tree
from glulam.hookspecs import Exporter
from glulam.program import EnsembleProgram, Guard, LoweredMember, OnnxFragment, Task
from glulam.schema import Feature, FeatureSchema
from glulam.testing._shared import (
    PRECISIONS,
    Array,
    ContractError,
    Float32,
    instance_of,
    mean_vote,
    prove_graph,
    require,
)

__all__ = ["check_exporter"]


def check_exporter(exporter_class: type[Exporter]) -> None:
    """Check an exporter, on three small ensembles, against the reference interpreter.

    The rules: ``export`` returns bytes that onnxruntime opens, in ``precision`` float32 and float64;
    they take ``features`` and give ``label``, ``probabilities`` or ``value``, ``votes``, and ``valid``
    where there are guards, all as the interpreter has them. Unknown options are a ConfigError.
    ``attach`` adds metadata and changes no answer.
    """
    exporter = instance_of(exporter_class, Exporter)
    training = np.random.default_rng(0).normal(0, 2, (200, 3)).astype(np.float32)
    for program in _programs():
        who = f"exporter {exporter.name!r}, {program.task}"
        for precision in PRECISIONS:
            prove_graph(f"{who}, {precision}", program, exporter, precision, training)
        try:
            exporter.export(program, no_such_option=True)
        except ConfigError as error:
            require("no_such_option" in str(error), f"{who}: export: an unknown option must be named, it said: {error}")
        else:
            raise ContractError(f"{who}: export: expected ConfigError for the option no_such_option=True, got no error")
        data = exporter.export(program, precision="float32")
        attached = exporter.attach(data, {"glulam.test": "said \N{LATIN SMALL LETTER E WITH ACUTE}"})
        session = onnxruntime.InferenceSession(attached, providers=["CPUExecutionProvider"])
        found = session.get_modelmeta().custom_metadata_map
        require(
            found.get("glulam.test") == "said \N{LATIN SMALL LETTER E WITH ACUTE}",
            f"{who}: attach: expected the entry 'glulam.test' in the file's metadata, got {found}",
        )
        expected = Run(data).raw(training)
        for name, values in Run(attached).raw(training).items():
            require(
                np.array_equal(values, expected[name]),
                f"{who}: attach: the output {name!r} is another than before; add metadata, nothing else",
            )


def _programs() -> Iterator[EnsembleProgram]:
    """Yield an ensemble a task, together of every kind of member, decision and label."""
    schema = FeatureSchema((Feature("a"), Feature("b", missing="allow"), Feature("c")))
    guard = Guard(
        "known",
        OnnxFragment(
            "known (features, column) => (valid) { one = Gather <axis = 1> (features, column)"
            " unknown = IsNaN (one) valid = Not (unknown) }",
            lambda X: ~np.isnan(X[:, 0]),
            {"column": np.array(0)},
        ),
    )

    def program(task: Task, classes: Array, members: Sequence[LoweredMember], decision: Decision) -> EnsembleProgram:
        names = tuple(f"m{index}" for index in range(len(members)))
        weights = np.ones(len(members))
        return EnsembleProgram(
            schema, task, classes, names, tuple(members), weights, "mean", mean_vote(len(members)), decision, (guard,)
        )

    yield program(
        "binary",
        np.array(["no", "yes"]),
        [LoweredMember(_forest([0, 0], 1), "sigmoid"), LoweredMember(_forest([0, 0], 1, divisor=2), "complement")],
        Decision(threshold=0.3),
    )
    yield program(
        "multiclass",
        np.array([2, 5, 7]),
        [
            LoweredMember(_forest([0, 1, 2, 0], 3), "softmax"),
            LoweredMember(_forest([0, 0], 2, divisor=2), "complement"),
            LoweredMember(_bounded_softmax()),
        ],
        Decision(min_confidence=0.45, abstain_label=-1),
    )
    yield program("regression", np.empty(0), [LoweredMember(_forest([0, 0, 0], 1))], Decision())


def _bounded_softmax() -> OnnxFragment:
    """Return a member's body that is no forest, and answers every row."""

    def reference(X: Float32) -> Array:
        powers = np.exp(np.clip(np.nan_to_num(X, nan=0.0), -5, 5).astype(np.float64))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    text = (
        "bounded (features, nothing, low, high) => (vote) {"
        " missing = IsNaN (features)"
        " present = Where (missing, nothing, features)"
        " sums = Clip (present, low, high)"
        " vote = Softmax <axis = 1> (sums) }"
    )
    return OnnxFragment(text, reference, {"nothing": np.array(0.0), "low": np.array(-5.0), "high": np.array(5.0)})


def _forest(outputs: Sequence[int], n_outputs: int, divisor: float = 1.0) -> Forest:
    """Return small trees over three features; averaged forests (divisor > 1) have leaves of all outputs."""
    random = np.random.default_rng(len(outputs) + n_outputs)
    width = n_outputs if divisor > 1 else 1
    trees = [
        Tree(
            feature=[index % 3, 1, 2],
            threshold=random.normal(0, 1, 3).astype(np.float32),
            left=[1, -1, -3],
            right=[2, -2, -4],
            nan_left=random.random(3) < 0.5,
            leaf_value=random.dirichlet(np.ones(width + 1), 4)[:, :width],
            output=output,
        )
        for index, output in enumerate(outputs)
    ]
    base = np.zeros(n_outputs) if divisor > 1 else np.full(n_outputs, 0.25)
    return Forest.from_trees(trees, n_features=3, base=base, divisor=divisor)

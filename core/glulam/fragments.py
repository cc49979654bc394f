"""Small rules that lowerings share, each once as ONNX text and once in numpy; and `Recipe`, to build on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.decision import Decision
from glulam.forest import Forest
from glulam.program import Link, LoweredMember, OnnxFragment, Step, Steps, Width

__all__ = [
    "Recipe", "affine", "concat", "exponential", "mean", "select", "sigmoid", "softmax", "two_classes",
]  # fmt: skip

Array = npt.NDArray[Any]
_MULTIPLIES = ("Mul", "Gemm", "Einsum", "Pow")


def affine(matrix: npt.ArrayLike, offset: npt.ArrayLike) -> OnnxFragment:
    """Return ``x @ matrix + offset``: matrix [k, m], offset [m].

    By Gemm: where MatMul stands beside a multiplication by one number, onnxruntime joins the two and takes
    the number in float32, whatever the type of the graph.
    """
    weight, bias = np.asarray(matrix, dtype=np.float64), np.asarray(offset, dtype=np.float64)
    return OnnxFragment(
        text="affine (x, weight, bias) => (y) { y = Gemm(x, weight, bias) }",
        reference=lambda x: x.astype(np.float64) @ weight + bias,
        constants={"weight": weight, "bias": bias},
    )


def select(columns: Sequence[int] | npt.NDArray[np.integer[Any]]) -> OnnxFragment:
    """Return these columns, in this order."""
    index = np.asarray(columns, dtype=np.int64)
    return OnnxFragment(
        text="select (x, columns) => (y) { y = Gather <axis = 1> (x, columns) }",
        reference=lambda x: x[:, index],
        constants={"columns": index},
    )


def concat(count: int) -> OnnxFragment:
    """Return ``count`` matrices side by side."""
    names = ", ".join(f"x{index}" for index in range(count))
    return OnnxFragment(
        text=f"concat ({names}) => (y) {{ y = Concat <axis = 1> ({names}) }}",
        reference=lambda *parts: np.concatenate(parts, axis=1),
    )


def mean(count: int, weights: Sequence[float] | None = None) -> OnnxFragment:
    """Return the mean of ``count`` matrices of one shape: their sum in this order, divided once.

    Its constants are matrices of one number: a mere number beside a product onnxruntime takes in float32.
    """
    shares = [1.0] * count if weights is None else [float(weight) for weight in weights]
    total = sum(shares)
    names = [f"x{index}" for index in range(count)]
    lines = [f"w{index} = Mul(x{index}, share{index})" for index in range(count)] if weights is not None else []
    parts = names if weights is None else [f"w{index}" for index in range(count)]
    sums = [f"s1 = Add({parts[0]}, {parts[1]})"] if count > 1 else [f"s0 = Identity({parts[0]})"]
    sums += [f"s{index} = Add(s{index - 1}, {parts[index]})" for index in range(2, count)]
    given = {f"share{index}": np.array([[share]]) for index, share in enumerate(shares)} if weights is not None else {}
    inputs = ", ".join([*names, *given, "total"])

    def reference(*parts: Array) -> Array:
        out = np.zeros(parts[0].shape)
        for part, share in zip(parts, shares, strict=True):
            out = out + part.astype(np.float64) * share
        return out / total

    return OnnxFragment(
        text=f"mean ({inputs}) => (y) {{ {' '.join([*lines, *sums])} y = Div(s{max(0, count - 1)}, total) }}",
        reference=reference,
        constants=given | {"total": np.array([[total]])},
    )


def exponential() -> OnnxFragment:
    """Return ``exp(x)``."""

    def reference(x: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(x.astype(np.float64)))

    return OnnxFragment(text="exponential (x) => (y) { y = Exp(x) }", reference=reference)


def sigmoid() -> OnnxFragment:
    """Return ``1 / (1 + exp(-x))`` of each number."""

    def reference(x: Array) -> Array:
        small = np.exp(-np.abs(x.astype(np.float64)))  # never overflows; both forms are 1 / (1 + exp(-x))
        return np.asarray(np.where(x >= 0, 1.0, small) / (1.0 + small))

    return OnnxFragment(text="sigmoid (x) => (y) { y = Sigmoid(x) }", reference=reference)


def two_classes() -> OnnxFragment:
    """Return ``[1 - x, x]`` for the chance x [n, 1] of the second class."""
    return OnnxFragment(
        text="two_classes (x, one) => (y) { other = Sub(one, x) y = Concat <axis = 1> (other, x) }",
        reference=lambda x: np.column_stack([1.0 - x.astype(np.float64), x]),
        constants={"one": np.array(1.0)},
    )


def softmax() -> OnnxFragment:
    """Return ``exp(x) / total of exp(x)`` of each row."""

    def reference(x: Array) -> Array:
        powers = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    return OnnxFragment(text="softmax (x) => (y) { y = Softmax <axis = 1> (x) }", reference=reference)


def _complement() -> OnnxFragment:
    """Return the columns and, before them, what they leave of 1."""
    return OnnxFragment(
        text="complement (x, one, axis) => (y) { sum = ReduceSum <keepdims = 1> (x, axis)"
        " rest = Sub(one, sum) y = Concat <axis = 1> (rest, x) }",
        reference=lambda x: np.column_stack([1.0 - x.astype(np.float64).sum(axis=1), x]),
        constants={"one": np.array(1.0), "axis": np.array([1])},
    )


class Recipe:
    """Builds `Steps`: rules on rules, and lowered models as parts of others.

    ``add`` and ``member`` return the name of the value, for later steps to take::

        recipe = Recipe()
        scaled = recipe.add(affine(matrix, offset))
        first = recipe.member(lowered_forest, scaled)
        second = recipe.member(lowered_linear_model)
        recipe.add(mean(2), first, second)
        lowered = recipe.lowered()
    """

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._raw = {"features"}  # what is made of features without a tree between
        self._wide = False
        self._float32_only = ""

    def add(self, rule: Forest | OnnxFragment, *inputs: str) -> str:
        """Add a rule on earlier values (on the row itself if none are named); return its value's name."""
        name = f"s{len(self._steps)}"
        step = Step(name, rule, inputs or ("features",))
        self._steps.append(step)
        if isinstance(rule, OnnxFragment) and not self._raw.isdisjoint(step.inputs):
            self._raw.add(name)
            self._wide |= rule.model is not None or any(operator in rule.text for operator in _MULTIPLIES)
        return name

    def widen(self) -> None:
        """Have sums taken in float64: a step magnifies the last digit of what it is given."""
        self._wide = True

    def member(self, member: LoweredMember, source: str = "features") -> str:
        """Add a lowered model, to work on ``source`` for its features; return the name of its vote."""
        return self.parts(member, source)[""]

    def parts(self, member: LoweredMember, source: str = "features") -> dict[str, str]:
        """Add a lowered model; return the names of its vote (``""``), its ``choice``, and its extras."""
        body = member.body
        self._wide |= member.may_overflow and source in self._raw
        self._float32_only = self._float32_only or member.float32_only
        if isinstance(body, Steps):
            renamed = {"features": source}
            for step in body.steps:
                renamed[step.name] = self.add(step.rule, *(renamed[name] for name in step.inputs))
            vote = renamed[body.steps[-1].name]
            others = dict(body.extras) | ({"choice": body.choice} if body.choice else {})
        else:
            renamed, others = {}, {}
            vote = self.add(body, source)
        found = {name: renamed[step] for name, step in others.items()}
        return found | {"": self._linked(member, vote)}

    def _linked(self, member: LoweredMember, value: str) -> str:
        """Add the link of a forest whose sums, divided already, are ``value``."""
        last = member.last
        if not isinstance(last, Forest) or member.link == "identity":
            return value
        if member.link == "complement":
            return self.add(_complement(), value)
        if member.link == "softmax":
            return self.add(softmax(), value)
        return self.add(two_classes(), self.add(sigmoid(), value))

    def lowered(
        self,
        *,
        link: Link = "identity",
        arithmetic: Width = "float64",
        decision: Decision | None = None,
        choice: str = "",
        extras: dict[str, str] | None = None,
        by_sums: bool = False,
    ) -> LoweredMember:
        """Return the steps as a lowered model; the last one added is its vote, or the sums under ``link``.

        It is ``wide`` if features are multiplied, or a part is; for float32 rows only if a part is.
        """
        body = Steps(tuple(self._steps), choice, extras or {})
        return LoweredMember(body, link, arithmetic, decision or Decision(), by_sums, self._wide, self._float32_only)

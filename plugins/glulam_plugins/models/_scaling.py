"""Transformers of scikit-learn that are computed here as there, rounding included: float32 rows stay float32 there.

Rules as in ``sklearn/preprocessing/_data.py``, ``_polynomial.py`` and ``_discretization.py``. Some
transformers compute in float32, others in float64 and round, and versions differ; the fitted
transformer itself tells which of the two it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import preprocessing

from glulam.program import OnnxFragment
from glulam_plugins.models._sklearn_base import dense

__all__ = ["mirrored", "own_rule"]

Array = npt.NDArray[Any]
Operation = tuple[str, npt.NDArray[np.float64]]
_NUMPY = {"Sub": np.subtract, "Div": np.divide, "Mul": np.multiply, "Add": np.add, "Max": np.maximum, "Min": np.minimum}
_TYPE = {"float32": 1, "float64": 11}


def mirrored(transformer: Any, dtype: np.dtype[Any]) -> OnnxFragment | None:
    """Return a transformer of tables of this type to the bit; None for another one, or another arithmetic."""
    if dtype not in (np.float32, np.float64):
        return None
    if type(transformer) is preprocessing.KBinsDiscretizer:
        return _bins(transformer)
    if type(transformer) is preprocessing.PolynomialFeatures:
        operations: list[Operation] | list[Array] | None = _factors(transformer)
        compute: Callable[..., Array] = _multiplied
        write: Callable[..., OnnxFragment] = _products
    else:
        operations, compute, write = _operations(transformer), _scaled, _scaling
    if operations is None:
        return None
    random = np.random.default_rng(0)
    sizes = 10.0 ** random.integers(-6, 7, (500, 1))
    probes = (random.standard_normal((500, transformer.n_features_in_)) * sizes).astype(dtype)
    expected = transformer.transform(probes.copy())
    if hasattr(expected, "toarray"):
        return None
    for inside in dict.fromkeys([dtype, np.dtype(np.float64)]):
        if np.array_equal(compute(operations, probes, dtype, inside), expected):
            return write(operations, dtype, inside, probes.shape[1])
    return None


def fragment(
    body: str, constants: Mapping[str, Array], columns: int, dtype: np.dtype[Any], reference: Callable[[Array], Array]
) -> OnnxFragment:
    """Return a fragment whose constants keep their own types: ``body`` turns ``v``, of ``dtype``, into ``r``."""

    def model(graph: str) -> bytes:
        import onnx
        from onnx import numpy_helper, parser

        kind = "float" if graph == "float32" else "double"
        made = parser.parse_graph(
            f"rule ({kind}[N, {columns}] x) => ({kind}[N, M] y) {{ v = Cast <to = {_TYPE[dtype.name]}> (x) {body}"
            f" y = Cast <to = {_TYPE[graph]}> (r) }}"
        )
        made.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
        whole = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
        return bytes(whole.SerializeToString())

    return OnnxFragment("", reference, model=lru_cache(model))


def _operations(transformer: Any) -> list[Operation] | None:
    """Return what a scaler does to each column, in order."""
    kind = type(transformer)
    found: list[Operation] = []
    if kind is preprocessing.StandardScaler:
        found += [("Sub", transformer.mean_)] if transformer.with_mean else []
        found += [("Div", transformer.scale_)] if transformer.with_std else []
    elif kind is preprocessing.RobustScaler:
        found += [("Sub", transformer.center_)] if transformer.with_centering else []
        found += [("Div", transformer.scale_)] if transformer.with_scaling else []
    elif kind is preprocessing.MinMaxScaler:
        found += [("Mul", transformer.scale_), ("Add", transformer.min_)]
        if transformer.clip:
            low, high = transformer.feature_range
            found += [("Max", np.array([low])), ("Min", np.array([high]))]
    elif kind is preprocessing.MaxAbsScaler:
        found += [("Div", transformer.scale_)]
        if getattr(transformer, "clip", False):
            found += [("Max", np.array([-1.0])), ("Min", np.array([1.0]))]
    else:
        return None
    return [(name, np.asarray(values, dtype=np.float64)) for name, values in found]


def _scaled(operations: Sequence[Operation], rows: Array, dtype: np.dtype[Any], inside: np.dtype[Any]) -> Array:
    """Return scaled rows: each operation in ``inside``, its result rounded to ``dtype``."""
    with np.errstate(all="ignore"):
        for name, values in operations:
            rows = _NUMPY[name](rows.astype(inside), values.astype(inside)).astype(dtype)
    return rows


def _scaling(
    operations: Sequence[Operation], dtype: np.dtype[Any], inside: np.dtype[Any], columns: int
) -> OnnxFragment:
    wide, back = _TYPE[inside.name], _TYPE[dtype.name]
    lines = ["v0 = Identity(v)"]
    constants = {}
    for step, (name, values) in enumerate(operations):
        constants[f"c{step}"] = values.astype(inside)
        lines += [
            f"a{step} = Cast <to = {wide}> (v{step}) b{step} = {name}(a{step}, c{step})",
            f"v{step + 1} = Cast <to = {back}> (b{step})",
        ]
    lines.append(f"r = Identity(v{len(operations)})")
    return fragment(
        " ".join(lines), constants, columns, dtype, lambda rows: _scaled(operations, rows.astype(dtype), dtype, inside)
    )


def _factors(transformer: Any) -> list[Array]:
    """Return for each product the columns multiplied, first to last; the number of columns stands for a 1.

    scikit-learn multiplies a product of the later columns by the next earlier one.
    """
    powers = np.asarray(transformer.powers_)
    deep, columns = max(1, int(powers.sum(axis=1).max(initial=0))), powers.shape[1]
    table = np.full((len(powers), deep), columns)
    for row, each in enumerate(powers):
        order = np.repeat(np.arange(columns), each)[::-1]
        table[row, : order.size] = order
    return list(table.T)


def _multiplied(factors: Sequence[Array], rows: Array, dtype: np.dtype[Any], inside: np.dtype[Any]) -> Array:
    wide = np.column_stack([rows, np.ones(len(rows), dtype=dtype)])
    product = wide[:, factors[0]]
    with np.errstate(all="ignore"):
        for columns in factors[1:]:
            product = (product.astype(inside) * wide[:, columns].astype(inside)).astype(dtype)
    return product


def _products(factors: Sequence[Array], dtype: np.dtype[Any], inside: np.dtype[Any], columns: int) -> OnnxFragment:
    lines = ["wide = Pad(v, pads, one) p0 = Gather <axis = 1> (wide, f0)"]
    for step in range(1, len(factors)):
        lines.append(f"g{step} = Gather <axis = 1> (wide, f{step}) p{step} = Mul(p{step - 1}, g{step})")
    constants: dict[str, Array] = {f"f{step}": each.astype(np.int64) for step, each in enumerate(factors)}
    constants |= {"pads": np.array([0, 0, 0, 1]), "one": np.array(1.0, dtype=dtype)}
    return fragment(
        " ".join(lines) + f" r = Identity(p{len(factors) - 1})", constants, columns, dtype,
        lambda rows: _multiplied(factors, rows.astype(dtype), dtype, inside),
    )  # fmt: skip


def _bins(transformer: Any) -> OnnxFragment:
    """Return the bins of KBinsDiscretizer: how many inner edges are at or below a number, compared in float64."""
    edges = [np.asarray(each, dtype=np.float64)[1:-1] for each in transformer.bin_edges_]
    columns = len(edges)
    owner = np.repeat(np.arange(columns), [each.size for each in edges])
    constants: dict[str, Array] = {
        "place": owner, "edges": np.concatenate(edges), "owners": np.eye(columns)[owner],
        "one": np.array(1.0), "zero": np.array(0.0),
    }  # fmt: skip
    body = (
        "wide = Cast <to = 11> (v) picked = Gather <axis = 1> (wide, place) above = GreaterOrEqual(picked, edges)"
        " on = Where(above, one, zero) bin = MatMul(on, owners)"
    )
    if transformer.encode == "ordinal":
        body += " r = Identity(bin)"
    else:
        counts = [int(each) for each in transformer.n_bins_]
        constants |= {
            "spread": np.repeat(np.arange(columns), counts),
            "numbers": np.concatenate([np.arange(count, dtype=np.float64) for count in counts]),
        }
        body += " each = Gather <axis = 1> (bin, spread) same = Equal(each, numbers) r = Where(same, one, zero)"
    return fragment(body, constants, columns, np.dtype(np.float64), own_rule(transformer))


def own_rule(transformer: Any) -> Callable[[Array], Array]:
    """Return the transformer itself as a rule on dense tables."""
    return lambda rows: dense(transformer.transform(rows))

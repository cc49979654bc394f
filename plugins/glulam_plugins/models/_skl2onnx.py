"""What skl2onnx converts, as fragments: always in float64 inside, whatever type the graph has.

In float32 its converters write operators of ai.onnx.ml whose coefficients are float32 and whose
ties fall otherwise than scikit-learn's; in float64 they write plain arithmetic.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import UnsupportedModelError
from glulam.program import OnnxFragment

__all__ = ["OPSET", "converted"]

OPSET = 18
_EXACT_ML = {"ArrayFeatureExtractor"}
"""Operators of ai.onnx.ml that compute nothing; the others have float32 coefficients."""


def converted(
    model: Any,
    n_features: int,
    reference: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
    *,
    output: int = 0,
    options: Mapping[str, Any] | None = None,
) -> OnnxFragment:
    """Return the fragment [n, n_features] -> [n, m] that skl2onnx makes of a fitted estimator.

    output
        which of the converted model's outputs
    options
        of the converter, for this estimator

    Raises UnsupportedModelError with the converter's reason, or naming operators that are not exact.
    """
    try:
        proto = _cut(_convert(model, n_features, dict(options or {})), output)
    except ImportError as error:
        raise UnsupportedModelError(
            f"sklearn: {type(model).__name__} is converted by skl2onnx, which is not available: {error}; install it "
            "with: pip install 'glulam[sklearn]'"
        ) from error
    except Exception as error:  # the converter raises whatever its many authors chose
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UnsupportedModelError(
            f"sklearn: skl2onnx does not convert {type(model).__name__}: {reason[:200]}"
        ) from error
    odd = sorted({_spelled(node) for node in _with_inner(list(proto.graph.node)) if not _is_exact(node)})
    if odd:
        raise UnsupportedModelError(
            f"sklearn: skl2onnx makes {odd} of {type(model).__name__}, which do not compute as scikit-learn does"
        )
    if not _is_sound(proto):
        raise UnsupportedModelError(
            f"sklearn: skl2onnx makes no valid model of {type(model).__name__} on float64 rows, which exactness needs"
        )
    return OnnxFragment("", reference, model=lru_cache(lambda dtype: _wrapped(proto, dtype)))


def _convert(model: Any, n_features: int, options: dict[str, Any]) -> Any:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType

    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        return to_onnx(
            model,
            initial_types=[("X", DoubleTensorType([None, n_features]))],
            options={id(model): options} if options else None,
            target_opset={"": OPSET, "ai.onnx.ml": 3},
        )


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep the converter's log to errors."""
    logger = logging.getLogger("skl2onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _cut(model: Any, output: int) -> Any:
    """Return the model with one output and what that needs."""
    graph = model.graph
    kept = graph.output[output]
    needed = {kept.name}
    nodes = []
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            nodes.append(node)
            needed.update(name for inner in _with_inner([node]) for name in inner.input)
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:], graph.output[:], graph.value_info[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(constants)
    graph.output.append(kept)
    return model


def _is_sound(model: Any) -> bool:
    """Tell whether types fit each other all the way; some converters mix float32 into float64."""
    import onnx

    try:
        onnx.checker.check_model(_loaded(model, "float64"), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return False
    return True


def _loaded(model: Any, dtype: str) -> Any:
    import onnx

    return onnx.load_from_string(_wrapped(model, dtype))


def _wrapped(proto: Any, dtype: str) -> bytes:
    """Return the model with input and output cast from and to the graph's type."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.ModelProto()
    model.CopyFrom(proto)
    graph = model.graph
    kind = TensorProto.DOUBLE if dtype == "float64" else TensorProto.FLOAT
    given, made = graph.input[0], graph.output[0].name
    columns = given.type.tensor_type.shape.dim[1].dim_value
    graph.node.insert(0, helper.make_node("Cast", ["rows_given"], [given.name], to=TensorProto.DOUBLE))
    graph.node.append(helper.make_node("Cast", [made], ["answer_made"], to=kind))
    del graph.input[:], graph.output[:]
    graph.input.append(helper.make_tensor_value_info("rows_given", kind, [None, columns]))
    graph.output.append(helper.make_tensor_value_info("answer_made", kind, [None, None]))
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 3)])
    return bytes(model.SerializeToString())


def _with_inner(nodes: list[Any]) -> list[Any]:
    """Return nodes and those of the loops and branches inside them."""
    found, waiting = [], list(nodes)
    while waiting:
        node = waiting.pop()
        found.append(node)
        for attribute in node.attribute:
            waiting.extend(attribute.g.node)
            waiting.extend(inner for graph in attribute.graphs for inner in graph.node)
    return found


def _is_exact(node: Any) -> bool:
    return node.domain in ("", "ai.onnx") or (node.domain == "ai.onnx.ml" and node.op_type in _EXACT_ML)


def _spelled(node: Any) -> str:
    return str(f"{node.domain}:{node.op_type}")


def answer_type(method: Callable[[npt.NDArray[Any]], Any], n_features: int) -> np.dtype[Any]:
    """Return the type in which a method answers a float32 row; float64 if it does not take a row of zeros."""
    try:
        return np.asarray(method(np.zeros((1, n_features), dtype=np.float32))).dtype
    except ValueError:
        return np.dtype(np.float64)

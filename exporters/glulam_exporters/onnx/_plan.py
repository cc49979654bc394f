"""From the nodes of a graph to a plan: the same calculation as numbers that one kernel runs through.

A plan works on slots. Each holds so many numbers of one type for every row (its width); a constant
holds the same for all rows. Slot 0 is the features, and each instruction adds one slot; the constants
are numbered -1, -2 and so on. An instruction is ``[operation, length of the rest, type, operands and numbers...]``;
types are those of ONNX's TensorProto. Shapes are gone: a [n, 3, 2] is a slot of width 6, and what
needs the shape (a reduction, a broadcast, a slice) has it as numbers of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

__all__ = ["VERSION", "Plan", "UnplannedError", "Value"]

VERSION = 1
"""Of the plan's layout; a kernel refuses what it does not know, and the body of standard nodes serves."""

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
_TYPES = (*_FLOATS, TensorProto.INT64, TensorProto.BOOL)
# Operations, and kinds of them, as the kernel numbers them.
_FOREST, _TAKE, _CONCAT, _LOOKUP, _UNARY, _BINARY, _WHERE, _CAST, _MATMUL, _REDUCE, _ARG, _SOFTMAX = range(12)
_UNARIES = (
    "Neg", "Abs", "Floor", "Ceil", "Sqrt", "Reciprocal", "Exp", "Log", "Sigmoid", "Tanh", "Relu", "Not", "IsNaN",
)  # fmt: skip
_BINARIES = (
    "Add", "Sub", "Mul", "Div", "Max", "Min", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal", "And",
    "Or", "Xor",
)  # fmt: skip
_TESTS = _BINARIES[6:]
_REDUCTIONS = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin")
_SAME = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze")


class UnplannedError(Exception):
    """A node that no plan has an instruction for."""


@dataclass(frozen=True, slots=True)
class Value:
    """A slot, the type of its numbers, and its shape [n, *shape] (or [*shape] of a constant)."""

    slot: int
    type: int
    shape: tuple[int, ...]
    constant: bool = False

    @property
    def width(self) -> int:
        """Numbers a row."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(slots=True)
class Plan:
    """Collects instructions for nodes that come in order.

    n_features, rows
        of the input: columns, and their type in TensorProto
    constants
        the graph's constants by name
    """

    n_features: int
    rows: int
    constants: dict[str, npt.NDArray[Any]]
    values: dict[str, Value] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    """Names of the constants that instructions take, in the order of their numbers."""
    forests: list[str] = field(default_factory=list)
    """Names of the values of the trees, in order."""
    _instructions: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start from the features."""
        self.values["features"] = Value(0, self.rows, (self.n_features,))

    def add(self, node: onnx.NodeProto) -> None:
        """Add a node's instructions. Raises UnplannedError, and has then added nothing."""
        before = len(self._instructions), len(self.used)
        try:
            self.values[node.output[0]] = self._made(node)
        except UnplannedError:
            del self._instructions[before[0] :], self.used[before[1] :]
            raise

    def serialised(self, outputs: Sequence[str]) -> list[int]:
        """Return the plan as numbers: version, counts, the outputs as slot and shape, the instructions."""
        out = [VERSION, self.n_features, len(self.used), len(self.forests), len(outputs)]
        for name in outputs:
            value = self.values[name]
            out += [value.slot, len(value.shape), *value.shape]
        return out + [number for instruction in self._instructions for number in instruction]

    def _made(self, node: onnx.NodeProto) -> Value:
        if len(node.output) != 1:
            raise UnplannedError(node.op_type)
        if (node.domain, node.op_type) == ("ai.onnx.ml", "TreeEnsemble"):
            return self._forest(node)
        operator = node.op_type if node.domain in ("", "ai.onnx") else ""
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        rules: dict[str, Callable[[onnx.NodeProto, dict[str, Any]], Value]] = {
            **dict.fromkeys(_UNARIES, self._unary),
            **dict.fromkeys(_BINARIES, self._binary),
            **dict.fromkeys(_SAME, self._same),
            **dict.fromkeys(_REDUCTIONS, self._reduce),
            "Concat": self._concat, "Slice": self._slice, "Gather": self._gather, "Where": self._where,
            "Cast": self._cast, "CastLike": self._cast, "Gemm": self._matmul, "MatMul": self._matmul,
            "ArgMax": self._arg, "Softmax": self._softmax, "Sum": self._sum,
        }  # fmt: skip
        if operator not in rules:
            raise UnplannedError(f"{node.domain}.{node.op_type}")
        return rules[operator](node, attributes)

    # -- parts of rules ---------------------------------------------------------------------

    def _emit(self, operation: int, kind: int, shape: Sequence[int], *rest: int) -> Value:
        self._instructions.append([operation, 1 + len(rest), kind, *(int(number) for number in rest)])
        return Value(len(self._instructions), kind, tuple(int(size) for size in shape))

    def _value(self, name: str) -> Value:
        """Return a value by name; a constant gets a number when it is first asked for."""
        if name in self.values:
            return self.values[name]
        if name not in self.constants:
            raise UnplannedError(name)
        array = self.constants[name]
        if array.dtype.name not in ("float32", "float64", "int64", "bool") or not array.size:
            raise UnplannedError(name)
        if name not in self.used:
            self.used.append(name)
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        return Value(-1 - self.used.index(name), kind, array.shape, constant=True)

    def _row(self, name: str) -> Value:
        """Return a value by name that each row has its own of."""
        if name not in self.values or self.values[name].constant:
            raise UnplannedError(name)
        return self.values[name]

    def _fixed(self, name: str) -> npt.NDArray[Any]:
        if name not in self.constants:
            raise UnplannedError(name)
        return self.constants[name]

    def _take(self, value: Value, columns: npt.NDArray[Any], shape: Sequence[int]) -> Value:
        """Return these numbers of each row in this order."""
        flat = columns.ravel()
        if flat.size == value.width and np.array_equal(flat, np.arange(flat.size)):
            return Value(value.slot, value.type, tuple(shape), value.constant)
        made = self._emit(_TAKE, value.type, shape, value.slot, *flat)
        return Value(made.slot, made.type, made.shape, value.constant)

    def _together(self, names: Sequence[str]) -> list[Value]:
        """Return values broadcast to one shape; those of one number a row stay so."""
        found = [self._value(name) for name in names]
        rows = [value for value in found if not value.constant]
        # Without the first axis, values of another rank would meet other axes.
        if not rows or len({len(value.shape) for value in rows}) != 1:
            raise UnplannedError("ranks")
        rank = len(rows[0].shape)
        shapes = []
        for value in found:
            shape = value.shape
            if value.constant and len(shape) == rank + 1 and shape[0] == 1:
                shape = shape[1:]
            if len(shape) > rank:
                raise UnplannedError("ranks")
            shapes.append(shape)
        try:
            full = np.broadcast_shapes(*shapes)
        except ValueError as error:
            raise UnplannedError("shapes") from error
        out = []
        for value, shape in zip(found, shapes, strict=True):
            if value.width == 1:
                out.append(Value(value.slot, value.type, full, value.constant))
                continue
            columns = np.broadcast_to(np.arange(value.width).reshape(shape), full)
            out.append(self._take(value, columns, full))
        return out

    @staticmethod
    def _axis(axis: int, value: Value) -> int:
        """Return which axis of the row's shape is meant. The first axis of all is none."""
        rank = len(value.shape) + 1
        at = axis + rank if axis < 0 else axis
        if not 1 <= at < rank:
            raise UnplannedError("axis")
        return at - 1

    @staticmethod
    def _around(value: Value, axis: int) -> tuple[int, int, int]:
        """Return the numbers before, on and after an axis."""
        shape = value.shape
        return int(np.prod(shape[:axis])), shape[axis], int(np.prod(shape[axis + 1 :]))

    # -- rules ------------------------------------------------------------------------------

    def _forest(self, node: onnx.NodeProto) -> Value:
        value = self._row(node.input[0])
        self.forests.append(node.output[0])
        return self._emit(_FOREST, value.type, (1,), value.slot, len(self.forests) - 1, 1)

    def _unary(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        value = self._row(node.input[0])
        tests = node.op_type in ("Not", "IsNaN")
        if value.type not in ((TensorProto.BOOL,) if node.op_type == "Not" else _FLOATS):
            raise UnplannedError(node.op_type)
        kind = TensorProto.BOOL if tests else value.type
        return self._emit(_UNARY, kind, value.shape, _UNARIES.index(node.op_type), value.slot)

    def _binary(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        if len(node.input) != 2:
            raise UnplannedError(node.op_type)
        first, second = self._together(node.input)
        logic = node.op_type in ("And", "Or", "Xor")
        allowed = (TensorProto.BOOL,) if logic else (*_FLOATS, TensorProto.INT64)
        whole = first.type == TensorProto.INT64 and node.op_type in ("Div", "Mul", "Max", "Min")
        if first.type != second.type or first.type not in allowed or whole:
            raise UnplannedError(node.op_type)
        kind = TensorProto.BOOL if node.op_type in _TESTS else first.type
        return self._emit(_BINARY, kind, first.shape, _BINARIES.index(node.op_type), first.slot, second.slot)

    def _sum(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        found = [self._row(name) for name in node.input]
        total = found[0]
        for value in found[1:]:
            if value.type not in _FLOATS or (value.type, value.shape) != (total.type, total.shape):
                raise UnplannedError("Sum")
            total = self._emit(_BINARY, total.type, total.shape, _BINARIES.index("Add"), total.slot, value.slot)
        return total

    def _where(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        test, first, second = self._together(node.input)
        if test.type != TensorProto.BOOL or first.type != second.type or first.type == TensorProto.BOOL:
            raise UnplannedError("Where")
        return self._emit(_WHERE, first.type, first.shape, test.slot, first.slot, second.slot)

    def _same(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        value = self._row(node.input[0])
        shape: tuple[int, ...]
        if node.op_type == "Identity":
            shape = value.shape
        elif node.op_type == "Flatten" and attributes.get("axis", 1) == 1:
            shape = (value.width,)
        elif node.op_type == "Reshape" and not attributes.get("allowzero", 0):
            first, *rest = self._fixed(node.input[1]).tolist()
            shape = tuple(rest)
            # Only the rows may be left open: any other open axis would be one more unknown.
            if first not in (-1, 0) or any(size < 1 for size in shape) or int(np.prod(shape)) != value.width:
                raise UnplannedError("Reshape")
        elif node.op_type in ("Squeeze", "Unsqueeze") and len(node.input) == 2:
            axes = self._fixed(node.input[1]).ravel().tolist()
            shape = self._squeezed(value, axes) if node.op_type == "Squeeze" else self._unsqueezed(value, axes)
        else:
            raise UnplannedError(node.op_type)
        return Value(value.slot, value.type, shape)

    def _squeezed(self, value: Value, axes: Sequence[int]) -> tuple[int, ...]:
        gone = {self._axis(axis, value) for axis in axes}
        if any(value.shape[axis] != 1 for axis in gone):
            raise UnplannedError("Squeeze")
        return tuple(size for axis, size in enumerate(value.shape) if axis not in gone)

    def _unsqueezed(self, value: Value, axes: Sequence[int]) -> tuple[int, ...]:
        rank = len(value.shape) + 1 + len(axes)
        new = {axis + rank if axis < 0 else axis for axis in axes}
        if 0 in new:
            raise UnplannedError("Unsqueeze")
        sizes = iter(value.shape)
        return tuple(1 if axis in new else next(sizes) for axis in range(1, rank))

    def _concat(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        found = [self._row(name) for name in node.input]
        first = found[0]
        axis = self._axis(attributes["axis"], first)
        if any(value.type != first.type or len(value.shape) != len(first.shape) for value in found):
            raise UnplannedError("Concat")
        shape = list(first.shape)
        shape[axis] = sum(value.shape[axis] for value in found)
        if axis != 0 and any(int(np.prod(value.shape[:axis])) != 1 for value in found):
            raise UnplannedError("Concat")
        if (joined := self._joined(node.input, found)) is not None:
            return joined
        return self._emit(_CONCAT, first.type, shape, *(value.slot for value in found))

    def _joined(self, names: Sequence[str], found: Sequence[Value]) -> Value | None:
        """Return forests that are side by side, on the same rows, as one; None for other values.

        They are the outputs of one model: the kernel walks the trees that they share only once.
        """
        count = len(names)
        if count < 2 or list(names) != self.forests[-count:]:
            return None
        own = self._instructions[-count:]
        source, first = own[0][3:5]
        if any(instruction[0] != _FOREST or instruction[3] != source for instruction in own):
            return None
        del self._instructions[-count:]
        for name in names:
            del self.values[name]
        return self._emit(_FOREST, found[0].type, (count,), source, first, count)

    def _slice(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        value = self._row(node.input[0])
        given = [self._fixed(name).ravel() for name in node.input[1:]]
        if not 3 <= len(given) <= 4:
            raise UnplannedError("Slice")
        steps = given[3] if len(given) == 4 else np.ones(len(given[0]), dtype=np.int64)
        index = np.arange(value.width).reshape(value.shape)
        for start, end, axis, step in zip(given[0], given[1], given[2], steps, strict=True):
            if step != 1 or start < 0 or end < start:
                raise UnplannedError("Slice")
            index = np.take(index, range(int(start), min(int(end), index.shape[self._axis(axis, value)])),
                            axis=self._axis(axis, value))  # fmt: skip
        if not index.size:
            raise UnplannedError("Slice")
        return self._take(value, index, index.shape)

    def _gather(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        if node.input[0] in self.constants:
            return self._lookup(node, attributes)
        value, columns = self._row(node.input[0]), self._fixed(node.input[1])
        axis = self._axis(attributes.get("axis", 0), value)
        size = value.shape[axis]
        if not columns.size or columns.min() < -size or columns.max() >= size:
            raise UnplannedError("Gather")
        index = np.take(np.arange(value.width).reshape(value.shape), columns, axis=axis)
        return self._take(value, index, index.shape)

    def _lookup(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        """Emit the look-up of a constant's rows."""
        table, index = self._value(node.input[0]), self._row(node.input[1])
        if attributes.get("axis", 0) != 0 or index.type != TensorProto.INT64 or not table.width or not table.shape:
            raise UnplannedError("Gather")
        rest = table.shape[1:]
        width = int(np.prod(rest))
        return self._emit(_LOOKUP, table.type, (*index.shape, *rest), index.slot, table.slot, width)

    def _cast(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        value = self._value(node.input[0])
        to = self._value(node.input[1]).type if node.op_type == "CastLike" else attributes["to"]
        if to == TensorProto.INT32 and value.type == TensorProto.BOOL:
            to = TensorProto.INT64  # zeros and ones, whatever the width
        if to not in _TYPES:
            raise UnplannedError("Cast")
        if to == value.type:
            return value
        made = self._emit(_CAST, to, value.shape, value.slot)
        return Value(made.slot, made.type, made.shape, value.constant)

    def _matmul(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        value, weight = self._row(node.input[0]), self._value(node.input[1])
        if not weight.constant or value.type not in _FLOATS or weight.type != value.type or not value.shape:
            raise UnplannedError(node.op_type)
        if any(attributes.get(name, usual) != usual for name, usual in
               (("alpha", 1.0), ("beta", 1.0), ("transA", 0), ("transB", 0))):  # fmt: skip
            raise UnplannedError("Gemm")
        *outer, inner = value.shape
        if not 1 <= len(weight.shape) <= 2 or weight.shape[0] != inner or (node.op_type == "Gemm" and outer):
            raise UnplannedError(node.op_type)
        columns = weight.shape[1:]
        bias = 0
        if len(node.input) == 3:
            given = self._value(node.input[2])
            if not given.constant or given.shape != columns or given.type != value.type:
                raise UnplannedError("Gemm")
            bias = given.slot
        width = int(np.prod(columns))
        return self._emit(_MATMUL, value.type, (*outer, *columns), value.slot, weight.slot, bias, inner, width)

    def _reduce(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        value = self._row(node.input[0])
        if "axes" in attributes:
            axes = attributes["axes"]
        elif len(node.input) == 2:
            axes = self._fixed(node.input[1]).ravel().tolist()
        else:
            raise UnplannedError(node.op_type)
        means = node.op_type == "ReduceMean"
        if len(axes) != 1 or value.type == TensorProto.BOOL or (means and value.type not in _FLOATS):
            raise UnplannedError(node.op_type)
        axis = self._axis(axes[0], value)
        kind = _REDUCTIONS.index(node.op_type)
        return self._emit(
            _REDUCE, value.type, self._without(value, axis, attributes), kind, value.slot, *self._around(value, axis)
        )

    @staticmethod
    def _without(value: Value, axis: int, attributes: dict[str, Any]) -> tuple[int, ...]:
        kept = (1,) if attributes.get("keepdims", 1) else ()
        return (*value.shape[:axis], *kept, *value.shape[axis + 1 :])

    def _arg(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        value = self._row(node.input[0])
        if value.type not in _FLOATS or attributes.get("select_last_index", 0):
            raise UnplannedError("ArgMax")
        axis = self._axis(attributes.get("axis", 0), value)
        shape = self._without(value, axis, attributes)
        return self._emit(_ARG, TensorProto.INT64, shape, value.slot, *self._around(value, axis))

    def _softmax(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> Value:
        value = self._row(node.input[0])
        axis = self._axis(attributes.get("axis", -1), value)
        before, on, after = self._around(value, axis)
        if after != 1 or value.type not in _FLOATS:
            raise UnplannedError("Softmax")
        return self._emit(_SOFTMAX, value.type, value.shape, value.slot, before, on)

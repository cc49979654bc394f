"""The fused form: forests, links, vote and decision in one node that carries its standard nodes with it.

The node is of glulam's own domain, and the file defines it as a model-local function of standard
nodes. Where glulam's kernel library is registered, its kernel runs the node by the plan (see
`_plan`); where not, onnxruntime puts the function's body in the node's place, and the file is the
standard one. Trees and constants are attributes of the node, to which the body refers: nothing is
stored twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from glulam_exporters.onnx._plan import Plan, UnplannedError, Value

__all__ = ["DOMAIN", "fuse", "is_fused"]

DOMAIN = "ai.glulam"
_TREES = "TreeEnsemble"
_LETTERS: dict[int, str] = {TensorProto.FLOAT: "Float", TensorProto.DOUBLE: "Double"}


def is_fused(model: onnx.ModelProto) -> bool:
    """Tell whether a model is in the fused form."""
    return any(function.domain == DOMAIN for function in model.functions)


def fuse(model: onnx.ModelProto) -> bool:
    """Bring a standard model into the fused form; return whether there is one, else nothing changes.

    All nodes move into the function that a plan has instructions for, and whose inputs moved too.
    What is left (the look-up of labels that are text, say) stays where it is.
    """
    graph = model.graph
    (features,) = graph.input
    tensors = [*graph.initializer, *(_tensor(node) for node in graph.node if _is_constant(node))]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}
    row = features.type.tensor_type
    plan = Plan(row.shape.dim[1].dim_value, row.elem_type, constants)
    inside, outside = [], []
    wanted = [output.name for output in graph.output]
    for node in graph.node:
        if _is_constant(node):
            continue
        try:
            if _looks_up_labels(node, constants, wanted):
                raise UnplannedError(node.op_type)
            plan.add(node)
        except UnplannedError:
            outside.append(node)
        else:
            inside.append(node)
    outputs = _outputs(plan, outside, wanted)
    if outputs is None or not plan.forests or any(node.op_type == _TREES for node in outside):
        return False
    call = NodeProto(domain=DOMAIN, name="fused", input=["features"], output=outputs)
    call.op_type = _operator(plan, outputs)
    body = [_moved(node, call, plan) for node in inside]
    read = {name for node in inside for name in node.input}
    body = [*(_literal(tensor, call, plan) for tensor in tensors if tensor.name in read), *body]
    call.attribute.append(_integers("plan", plan.serialised(outputs)))
    # The body has no use for the plan, but only attributes that a function names may be given to it.
    function = helper.make_function(
        DOMAIN, call.op_type, ["features"], outputs, body,
        list(model.opset_import), [attribute.name for attribute in call.attribute],
    )  # fmt: skip
    left = {name for node in outside for name in node.input}
    tensors = [tensor for tensor in tensors if tensor.name in left]
    del graph.node[:], graph.initializer[:]
    graph.node.extend([call, *outside])
    graph.initializer.extend(tensors)
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return True


def _looks_up_labels(node: NodeProto, constants: Mapping[str, npt.NDArray[Any]], wanted: Collection[str]) -> bool:
    """Tell whether a node gives labels that are no whole numbers: the kernel has no output for these."""
    if node.op_type != "Gather" or node.output[0] not in wanted:
        return False
    return node.input[0] in constants and constants[node.input[0]].dtype != np.int64


def _outputs(plan: Plan, outside: Iterable[NodeProto], wanted: Iterable[str]) -> list[str] | None:
    """Return what the rest of the graph takes of the function, in the kernel's order: label, valid, numbers.

    None where the kernel has no place for it.
    """
    taken = [name for node in outside for name in node.input if name not in plan.constants]
    made = {name for node in outside for name in node.output}
    names = [name for name in dict.fromkeys([*wanted, *taken]) if name not in made and name != "features"]
    if any(name not in plan.values for name in names):
        return None
    whole = [name for name in names if plan.values[name].type == TensorProto.INT64]
    tests = [name for name in names if plan.values[name].type == TensorProto.BOOL]
    numbers = [name for name in names if plan.values[name].type in _LETTERS]
    if len(whole) > 1 or len(tests) > 1 or len({plan.values[name].type for name in numbers}) > 1:
        return None
    return [*whole, *tests, *numbers] or None


def _operator(plan: Plan, outputs: Iterable[str]) -> str:
    """Return the operator's name, which says what types go in and come out: a kernel's are fixed."""
    found: list[Value] = [plan.values[name] for name in outputs]
    types = [value.type for value in found]
    name = f"Ensemble{_LETTERS[plan.rows]}"
    name += "Label" if TensorProto.INT64 in types else ""
    name += "Valid" if TensorProto.BOOL in types else ""
    numbers = [kind for kind in types if kind in _LETTERS]
    return name + (_LETTERS[numbers[0]] if numbers else "")


def _moved(node: NodeProto, call: NodeProto, plan: Plan) -> NodeProto:
    """Return a node for the body; a tree's attributes go to the call."""
    moved = NodeProto()
    moved.CopyFrom(node)
    if node.op_type != _TREES:
        return moved
    del moved.attribute[:]
    for attribute in node.attribute:
        name = f"t{plan.forests.index(node.output[0])}_{attribute.name}"
        call.attribute.append(attribute)
        call.attribute[-1].name = name
        moved.attribute.append(_reference(attribute.name, attribute.type, name))
    return moved


def _is_constant(node: NodeProto) -> bool:
    return node.op_type == "Constant" and [attribute.name for attribute in node.attribute] == ["value"]


def _tensor(node: NodeProto) -> TensorProto:
    """Return a constant's tensor by the name of the constant."""
    tensor = TensorProto()
    tensor.CopyFrom(node.attribute[0].t)
    tensor.name = node.output[0]
    return tensor


def _literal(tensor: TensorProto, call: NodeProto, plan: Plan) -> NodeProto:
    """Return a constant as a node for the body; one that the kernel needs too goes to the call."""
    value = helper.make_attribute("value", tensor)
    if tensor.name in plan.used:
        name = f"c{plan.used.index(tensor.name)}"
        call.attribute.append(helper.make_attribute(name, tensor))
        value = _reference("value", AttributeProto.TENSOR, name)
    return NodeProto(op_type="Constant", output=[tensor.name], name=tensor.name, attribute=[value])


def _reference(name: str, kind: AttributeProto.AttributeType, to: str) -> AttributeProto:
    return AttributeProto(name=name, type=kind, ref_attr_name=to)


def _integers(name: str, values: Iterable[int]) -> AttributeProto:
    return AttributeProto(name=name, type=AttributeProto.INTS, ints=values)

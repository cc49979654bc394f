"""A graph under construction: nodes, constants, and plugins' fragments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, inliner, numpy_helper

from glulam.errors import PluginError
from glulam.program import OnnxFragment

_PUBLIC = ("features", "label", "probabilities", "value", "votes", "valid")  # names of the file's contract
_FRAGMENTS = "glulam.fragment"  # domain of fragments until they are inlined; no file has it


class Graph:
    """Collects nodes and constants; ``dtype`` is the type that it calculates in."""

    def __init__(self, dtype: np.dtype[Any], opset: int) -> None:
        self.dtype = dtype
        self.opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._functions: list[onnx.FunctionProto] = []
        self.fragments: list[str] = []
        self._names: set[str] = set(_PUBLIC)

    def name(self, wanted: str) -> str:
        """Return ``wanted``, or with a number if it is taken."""
        name, number = wanted, 1
        while name in self._names:
            number += 1
            name = f"{wanted}.{number}"
        self._names.add(name)
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output; return the output's name."""
        name = self.name(output)
        self._nodes.append(helper.make_node(operator, inputs, [name], name, domain=domain, **attributes))
        return name

    def add_node(self, node: onnx.NodeProto, output: str) -> str:
        """Add a node made elsewhere, as its only output's ``output``; return the name it got."""
        name = self.name(output)
        node.name = name
        node.output.append(name)
        self._nodes.append(node)
        return name

    def constant(
        self, value: npt.NDArray[Any], name: str, *, exact: bool = False, dtype: np.dtype[Any] | None = None
    ) -> str:
        """Add a constant; return its name. Floating-point values take the graph's type unless ``exact``."""
        if value.dtype.kind == "f" and not exact:
            value = value.astype(dtype or self.dtype)
        elif value.dtype.kind in "iu":
            value = value.astype(np.int64)
        name = self.name(name)
        if value.dtype.kind == "U":
            tensor = helper.make_tensor(
                name, onnx.TensorProto.STRING, value.shape, [text.encode() for text in value.ravel().tolist()]
            )
        else:
            tensor = numpy_helper.from_array(value, name)
        self._constants[name] = tensor
        return name

    def fragment(self, fragment: OnnxFragment, source: str, name: str, dtype: np.dtype[Any] | None = None) -> str:
        """Add a plugin's fragment on the value ``source``; return its output's name.

        Raises PluginError where the text is no ONNX function or its inputs are not as declared.
        """
        header = f'<domain: "{_FRAGMENTS}", opset_import: ["": {self.opset}, "ai.onnx.ml": 5]>\n'
        try:
            function = onnx.parser.parse_function(header + fragment.text)
        except onnx.parser.ParseError as error:
            raise PluginError(f"fragment {name!r}: the ONNX text does not parse: {error}") from error
        expected = [*function.input[:1], *fragment.constants]
        if sorted(function.input[1:]) != sorted(fragment.constants) or len(function.output) != 1:
            raise PluginError(
                f"fragment {name!r}: expected inputs {expected} and one output, got inputs {list(function.input)} and "
                f"outputs {list(function.output)}; name every constant, and nothing else, after the first input"
            )
        self.fragments.append(name)
        function.name = f"f{len(self._functions)}"
        self._functions.append(function)
        constants = [
            self.constant(np.asarray(fragment.constants[key]), f"{name}.{key}", dtype=dtype)
            for key in function.input[1:]
        ]
        return self.add(function.name, [source, *constants], name, domain=_FRAGMENTS)

    def model(
        self,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        names: Mapping[str, str],
        ir_version: int,
    ) -> onnx.ModelProto:
        """Return the model: fragments inlined, ``names`` maps each output to the value it is."""
        nodes = list(self._nodes)
        self._rename_outputs(nodes, names)
        graph = helper.make_graph(nodes, "glulam", inputs, outputs, list(self._constants.values()))
        operators = [helper.make_opsetid("", self.opset), helper.make_opsetid("ai.onnx.ml", 5)]
        model = helper.make_model(
            graph, producer_name="glulam", ir_version=ir_version,
            opset_imports=[*operators, helper.make_opsetid(_FRAGMENTS, 1)], functions=self._functions,
        )  # fmt: skip
        try:
            model = inliner.inline_local_functions(model)
        except Exception as error:  # the inliner raises its own, undocumented types
            raise PluginError(f"a fragment cannot be inlined: {error}") from error
        del model.opset_import[:]
        model.opset_import.extend(operators)
        _keep_what_outputs_need(model.graph)
        return model

    @staticmethod
    def _rename_outputs(nodes: Sequence[onnx.NodeProto], names: Mapping[str, str]) -> None:
        """Give the graph's outputs their public names, where they are made and where they are read."""
        public = {value: name for name, value in names.items()}
        for node in nodes:
            for field in (node.input, node.output):
                for index, value in enumerate(field):
                    field[index] = public.get(value, value)


def _keep_what_outputs_need(graph: onnx.GraphProto) -> None:
    """Drop nodes and constants that no output depends on (outputs may have been left out)."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.isdisjoint(node.output):
            continue
        kept.append(node)
        needed.update(node.input)
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)

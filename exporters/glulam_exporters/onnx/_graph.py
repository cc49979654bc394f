"""A graph under construction: nodes, constants, and plugins' fragments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import compose, helper, inliner, numpy_helper

from glulam.errors import ConfigError, PluginError, UnsupportedModelError
from glulam.program import OnnxFragment

# Names of the file's contract.
_PUBLIC = ("features", "label", "probabilities", "decision_function", "value", "votes", "valid")
_TREES = ("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor")
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
LARGEST = 2**31 - 2**20
"""Bytes of a model; protobuf ends at 2**31 - 1, and metadata is to follow."""
_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
_FRAGMENTS = "glulam.fragment"  # domain of fragments until they are inlined; no file has it


class Graph:
    """Collects nodes and constants; ``dtype`` is the type that it calculates in, ``rows`` that of the input."""

    def __init__(self, dtype: np.dtype[Any], opset: int, rows: np.dtype[Any] | None = None) -> None:
        self.dtype = dtype
        self.rows = np.dtype(np.float32) if rows is None else rows
        self.has_sets = False
        self.n_bytes = 0
        self._made: dict[tuple[str, str], str] = {}
        self.opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._functions: list[onnx.FunctionProto] = []
        self.fragments: list[str] = []
        self._names: set[str] = set(_PUBLIC)

    def reserve(self, n_bytes: int) -> None:
        """Count bytes that are to be written. Raises ConfigError as soon as no file can hold them."""
        self.n_bytes += n_bytes
        if self.n_bytes > LARGEST:
            raise ConfigError(
                f"onnx: the model takes more than {LARGEST:,} bytes; protobuf, which ONNX files are, ends at 2 GB. "
                "Export fewer or smaller trees (fewer estimators, a lower max_depth, more samples a leaf)"
            )

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

    def once(self, key: tuple[str, str], make: Callable[[], str]) -> str:
        """Return what was made under this key, making it the first time."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def type_of(self, value: str) -> np.dtype[Any]:
        """Return the type of a value that forests and fragments take."""
        return self.rows if value == "features" else self.dtype

    def cast(self, value: str, dtype: np.dtype[Any], source: np.dtype[Any] | None = None) -> str:
        """Return a value in another type (once each), or as it is."""
        if (source or self.type_of(value)) == dtype:
            return value
        to = helper.np_dtype_to_tensor_dtype(dtype)
        return self.once((value, dtype.name), lambda: self.add("Cast", [value], f"{value}.{dtype.name}", to=to))

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
        self.reserve(value.nbytes)
        if value.dtype.kind == "U":
            tensor = helper.make_tensor(
                name, onnx.TensorProto.STRING, value.shape, [text.encode() for text in value.ravel().tolist()]
            )
        else:
            tensor = numpy_helper.from_array(value, name)
        self._constants[name] = tensor
        return name

    def fragment(
        self, fragment: OnnxFragment, sources: Sequence[str], name: str, dtype: np.dtype[Any] | None = None
    ) -> str:
        """Add a plugin's fragment on some values; return its output's name.

        Raises PluginError where the text is no ONNX function or its inputs are not as declared.
        """
        self.fragments.append(name)
        if fragment.model is not None:
            return self._submodel(fragment.model(self.dtype.name), sources, name)
        header = f'<domain: "{_FRAGMENTS}", opset_import: ["": {self.opset}, "ai.onnx.ml": 5]>\n'
        try:
            function = onnx.parser.parse_function(header + fragment.text)
        except onnx.parser.ParseError as error:
            raise PluginError(f"fragment {name!r}: the ONNX text does not parse: {error}") from error
        taken = len(sources)
        expected = [*function.input[:taken], *fragment.constants]
        if (
            len(function.input) < taken
            or sorted(function.input[taken:]) != sorted(fragment.constants)
            or len(function.output) != 1
        ):
            raise PluginError(
                f"fragment {name!r}: expected inputs {expected} and one output, got inputs {list(function.input)} and "
                f"outputs {list(function.output)}; name every constant, and nothing else, after the first input"
            )
        function.name = f"f{len(self._functions)}"
        self._functions.append(function)
        constants = [
            self.constant(np.asarray(fragment.constants[key]), f"{name}.{key}", dtype=dtype)
            for key in function.input[taken:]
        ]
        return self.add(function.name, [*sources, *constants], name, domain=_FRAGMENTS)

    def _submodel(self, data: bytes, sources: Sequence[str], name: str) -> str:
        """Add the graph of a serialised model with one input and one output; return the output's name."""
        model = onnx.load_from_string(data)
        graph = model.graph
        self.reserve(len(data))
        versions = {entry.domain: entry.version for entry in model.opset_import}
        if len(graph.input) != 1 or len(graph.output) != 1 or len(sources) != 1 or model.functions:
            raise PluginError(f"fragment {name!r}: expected a model of one input, one output and no functions")
        if versions.get("", self.opset) != self.opset:
            raise ConfigError(
                f"{name!r} was converted for opset {versions['']}, which the file then has; leave opset at that"
            )
        odd = sorted({node.op_type for node in graph.node if node.op_type in _TREES or node.domain not in _DOMAINS})
        if odd:
            raise UnsupportedModelError(
                f"{name!r}: its converter writes {odd}, which are no operators that all of ONNX's runtimes answer alike"
            )
        prefixed = compose.add_prefix_graph(graph, f"{self.name(name)}/")
        renamed = {prefixed.input[0].name: sources[0]}
        self._rename(prefixed.node, renamed)
        self._constants.update({tensor.name: tensor for tensor in prefixed.initializer})
        self._nodes.extend(prefixed.node)
        return str(prefixed.output[0].name)

    def model(
        self,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        names: Mapping[str, str],
        ir_version: int,
    ) -> onnx.ModelProto:
        """Return the model: fragments inlined, ``names`` maps each output to the value it is."""
        nodes = list(self._nodes)
        self._rename(nodes, {value: name for name, value in names.items()})
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
        for node in model.graph.node:  # onnxruntime 1.21 names what it fuses after its nodes, and wants these to differ
            node.name = node.name or node.output[0]
        return model

    @staticmethod
    def _rename(nodes: Iterable[onnx.NodeProto], names: Mapping[str, str]) -> None:
        """Give values other names, where they are made and where they are read, in subgraphs as well."""
        for node in _with_subgraphs(nodes):
            for field in (node.input, node.output):
                for index, value in enumerate(field):
                    field[index] = names.get(value, value)


def _with_subgraphs(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield nodes, and those of the loops and branches inside them."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            for graph in [attribute.g, *attribute.graphs] if attribute.type in _GRAPHS else []:
                waiting.extend(graph.node)


def _keep_what_outputs_need(graph: onnx.GraphProto) -> None:
    """Drop nodes and constants that no output depends on (outputs may have been left out)."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.isdisjoint(node.output):
            continue
        kept.append(node)
        for inner in _with_subgraphs([node]):
            needed.update(inner.input)
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)

"""Random tree models for the standard operators, and a comparison of the library's answers with onnxruntime's own.

As a script, in two steps, so that the second runs where there is no onnx:

    python tests/kernel/op_models.py make FOLDER [COUNT]
    python tests/kernel/op_models.py compare FOLDER LIBRARY
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER"]
EQUAL, MEMBER = 4, 6
NASTY = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-42, -1e-42, 1e30, -1e30, np.inf, -np.inf, np.nan]


@dataclass
class Split:
    """One inner node; a child is a place among the tree's splits, or ~place among its leaves."""

    column: int
    mode: int
    threshold: float
    nan_true: int
    members: list[float]
    yes: int = 0
    no: int = 0


@dataclass
class Tree:
    """Splits, the first of them the root, and leaves as (target, value) pairs; without splits, one leaf."""

    splits: list[Split] = field(default_factory=list)
    leaves: list[list[tuple[int, float]]] = field(default_factory=list)


@dataclass
class Model:
    """A model as a file's bytes, rows to ask it about, and from which release on onnxruntime itself is right."""

    content: bytes
    rows: np.ndarray
    since: int


class Draw:
    """What is drawn for one model: the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.operator = self.pick(["TreeEnsemble", "TreeEnsemble", "TreeEnsembleRegressor", "TreeEnsembleClassifier"])
        self.double = self.chance(0.4)
        self.n_columns = int(self.rng.integers(1, 9))
        self.n_targets = int(self.pick([1, 1, 2, 3, 7]))
        modes = list(range(7 if self.operator == "TreeEnsemble" and self.chance(0.5) else 6))
        self.modes = modes if self.chance(0.5) else [self.pick(modes)]
        self.tracks = self.chance(0.5)
        self.aggregate = self.pick(["SUM", "SUM", "AVERAGE", "MIN", "MAX"])
        self.post = self.pick(["NONE", "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"])
        self.values = [float(v) for v in self.rng.normal(size=6).astype(self.dtype)] + NASTY[:-1]
        self.member_columns = {0} if MEMBER in self.modes else set()
        self.single = self.chance(0.3)  # whether trees may be one leaf

    @property
    def dtype(self) -> Any:
        """Return the type of the rows."""
        return np.float64 if self.double else np.float32

    def chance(self, p: float) -> bool:
        """Return True with this probability."""
        return bool(self.rng.random() < p)

    def pick(self, options: list[Any]) -> Any:
        """Return one of the options."""
        return options[int(self.rng.integers(len(options)))]

    def number(self) -> float:
        """Return a number for a leaf."""
        return float(self.rng.normal()) if self.chance(0.8) else self.pick([0.0, -0.0, 1e-40, 0.25, -3.0])


def random_members(draw: Draw) -> list[float]:
    """Return a set of whole numbers: of others, onnxruntime's own sets are wrong."""
    low, high, most = draw.pick([(0, 31, 30), (0, 31, 3), (-40, 90, 60)])
    count = int(draw.rng.integers(1, most + 1))
    return [float(v) for v in sorted(set(draw.rng.integers(low, high, size=count).tolist()))]


def random_split(draw: Draw) -> Split:
    """Return an inner node without children."""
    mode = draw.pick(draw.modes)
    if mode == MEMBER:
        column, members = 0, random_members(draw)
    else:
        column, members = int(draw.rng.integers(draw.n_columns)), []
    nan_true = int(draw.tracks and draw.chance(0.5))
    return Split(column, mode, draw.pick(draw.values), nan_true, members)


def random_leaf(draw: Draw) -> list[tuple[int, float]]:
    """Return one value, or for the operators that allow it one for some of the targets."""
    target = int(draw.rng.integers(draw.n_targets))
    if draw.operator == "TreeEnsemble" or draw.chance(0.5):
        return [(target, draw.number())]
    targets = [t for t in range(draw.n_targets) if t == target or draw.chance(0.5)]
    return [(t, draw.number()) for t in targets]


def random_tree(draw: Draw) -> Tree:
    """Return a tree of up to six levels."""
    tree = Tree()
    if draw.single and draw.chance(0.3):
        tree.leaves.append(random_leaf(draw))
        return tree
    deepest = int(draw.rng.integers(1, 7))
    tree.splits.append(random_split(draw))
    open_ends = [(0, "yes", 1), (0, "no", 1)]
    while open_ends:
        place, side, depth = open_ends.pop()
        if depth < deepest and draw.chance(0.7):
            tree.splits.append(random_split(draw))
            child = len(tree.splits) - 1
            open_ends += [(child, "yes", depth + 1), (child, "no", depth + 1)]
        else:
            tree.leaves.append(random_leaf(draw))
            child = ~(len(tree.leaves) - 1)
        setattr(tree.splits[place], side, child)
    return tree


def random_rows(draw: Draw, trees: list[Tree]) -> np.ndarray:
    """Return rows at thresholds, beside them, and elsewhere; whole numbers where sets are asked for."""
    n = 150
    rows = draw.rng.normal(size=(n, draw.n_columns)).astype(draw.dtype)
    for split in (s for tree in trees for s in tree.splits):
        at = draw.dtype(split.threshold)
        near = [at, np.nextafter(at, draw.dtype(np.inf)), np.nextafter(at, draw.dtype(-np.inf))]
        rows[draw.rng.integers(n, size=3), split.column] = near
    rows[draw.rng.random(rows.shape) < 0.15] = draw.dtype(np.nan)
    mask = draw.rng.random(rows.shape) < 0.15
    rows[mask] = draw.rng.choice(np.array(NASTY, draw.dtype), size=int(mask.sum()))
    for column in draw.member_columns:
        whole = draw.rng.integers(-50, 100, size=n).astype(draw.dtype)
        small = draw.rng.integers(-2, 34, size=n).astype(draw.dtype)
        rows[:, column] = np.where(draw.rng.random(n) < 0.5, whole, small)
        rows[draw.rng.random(n) < 0.05, column] = np.nan
    return rows


def attributes_of_5(draw: Draw, trees: list[Tree]) -> tuple[dict[str, Any], int]:
    """Return the attributes of a TreeEnsemble, and from which release on onnxruntime reads them right."""
    since = 21
    modes: list[int] = []
    splits: list[float] = []
    columns: list[int] = []
    tracks: list[int] = []
    members: list[float] = []
    sides: dict[str, tuple[list[int], list[int]]] = {"true": ([], []), "false": ([], [])}
    targets: list[int] = []
    weights: list[float] = []
    roots: list[int] = []
    if draw.chance(0.5):  # leaves that nobody asks for keep the numbers of leaves and nodes apart
        spare = sum(max(1, len(tree.splits)) for tree in trees)
        targets, weights = [0] * spare, [0.0] * spare
    for tree in trees:
        first, first_leaf = len(modes), len(targets)
        roots.append(first)
        # A tree of one leaf is a split with that leaf on both sides.
        inner = tree.splits or [Split(0, 0, 0.0, 0, [], yes=~0, no=~0)]
        for split in inner:
            modes.append(split.mode)
            splits.append(split.threshold)
            columns.append(split.column)
            tracks.append(split.nan_true)
            if split.mode in (EQUAL, MEMBER):
                since = max(since, 23)
            if split.mode == MEMBER:
                members += [*split.members, float("nan")]
            for name, child in (("true", split.yes), ("false", split.no)):
                sides[name][0].append(first + child if child >= 0 else first_leaf + ~child)
                sides[name][1].append(int(child < 0))
        for leaf in tree.leaves:
            targets.append(leaf[0][0])
            weights.append(leaf[0][1])
        if not tree.splits:
            since = 30
    (yes, yes_leaf), (no, no_leaf) = sides["true"], sides["false"]
    if any(a == b and a_leaf != b_leaf for a, a_leaf, b, b_leaf in zip(yes, yes_leaf, no, no_leaf, strict=True)):
        since = max(since, 25)  # a node and a leaf of one number
    attributes: dict[str, Any] = {
        "n_targets": draw.n_targets,
        "aggregate_function": ["AVERAGE", "SUM", "MIN", "MAX"].index(draw.aggregate),
        "post_transform": ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"].index(draw.post),
        "nodes_modes": np.array(modes, np.uint8),
        "nodes_splits": np.array(splits, draw.dtype),
        "nodes_featureids": columns,
        "nodes_truenodeids": yes,
        "nodes_trueleafs": yes_leaf,
        "nodes_falsenodeids": no,
        "nodes_falseleafs": no_leaf,
        "leaf_targetids": targets,
        "leaf_weights": np.array(weights, draw.dtype),
        "tree_roots": roots,
    }
    if draw.tracks:
        attributes["nodes_missing_value_tracks_true"] = tracks
    if members:
        attributes["membership_values"] = np.array(members[: len(members) - draw.chance(0.5)], draw.dtype)
    return attributes, since


def attributes_before_5(draw: Draw, trees: list[Tree]) -> dict[str, Any]:
    """Return the attributes of a TreeEnsembleRegressor or TreeEnsembleClassifier."""
    leaf = "target_" if draw.operator == "TreeEnsembleRegressor" else "class_"
    nodes: dict[str, list[Any]] = {
        name: []
        for name in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids", "tracks")
    }
    votes: dict[str, list[Any]] = {name: [] for name in ("ids", "treeids", "nodeids", "weights")}

    def add(tree: int, node: int, column: int, mode: str, value: float, yes: int, no: int, track: int) -> None:
        for name, entry in zip(nodes, (tree, node, column, mode, value, yes, no, track), strict=True):
            nodes[name].append(entry)

    names = draw.rng.permutation(50)  # trees are called anything
    for at, tree in enumerate(trees):
        name, n = int(names[at]), len(tree.splits)
        for node, split in enumerate(tree.splits):
            yes, no = (child if child >= 0 else n + ~child for child in (split.yes, split.no))
            add(name, node, split.column, MODES[split.mode], split.threshold, yes, no, split.nan_true)
        for place, values in enumerate(tree.leaves):
            add(name, n + place, 0, "LEAF", 0.0, 0, 0, 0)
            for target, weight in values:
                for key, entry in zip(votes, (target, name, n + place, weight), strict=True):
                    votes[key].append(entry)
    tracks = nodes.pop("tracks")
    attributes: dict[str, Any] = {f"nodes_{name}": entries for name, entries in nodes.items()}
    attributes |= {f"{leaf}{name}": entries for name, entries in votes.items()}
    if draw.tracks:
        attributes["nodes_missing_value_tracks_true"] = tracks
    if draw.chance(0.5):
        attributes["base_values"] = [draw.number() for _ in range(draw.n_targets)]
    if draw.double and draw.chance(0.7):
        for name in ("nodes_values", f"{leaf}weights", "base_values"):
            if name in attributes:
                attributes[f"{name}_as_tensor"] = np.array(attributes.pop(name), np.float64)
    attributes["post_transform"] = draw.post
    if leaf == "target_":
        attributes |= {"n_targets": draw.n_targets, "aggregate_function": draw.aggregate}
    else:
        attributes["classlabels_int64s"] = [int(v) for v in draw.rng.permutation(20)[: draw.n_targets]]
    return attributes


def classifier_is_certain(draw: Draw, trees: list[Tree]) -> bool:
    """Tell whether all releases agree on such a classifier, and on memory that they wrote."""
    targets = {t for tree in trees for leaf in tree.leaves for t, _ in leaf}
    if draw.n_targets == 1:
        return False  # base values for one class go past its end
    return draw.n_targets > 2 or (targets == {1} or draw.post in ("NONE", "SOFTMAX", "SOFTMAX_ZERO"))


def node_of(operator: str, attributes: dict[str, Any], double: bool, input_type: int | None = None) -> bytes:
    """Return a file of one node; float or double as `double` says, unless another type is given."""
    from onnx import TensorProto, helper, numpy_helper  # `compare` runs without

    version = 5 if operator == "TreeEnsemble" else 3
    real = TensorProto.DOUBLE if double else TensorProto.FLOAT
    arrays = {k: numpy_helper.from_array(v, k) for k, v in attributes.items() if isinstance(v, np.ndarray)}
    labels = TensorProto.STRING if "classlabels_strings" in attributes else TensorProto.INT64
    outputs = {
        "TreeEnsemble": {"scores": real},
        "TreeEnsembleRegressor": {"scores": TensorProto.FLOAT},
        "TreeEnsembleClassifier": {"labels": labels, "scores": TensorProto.FLOAT},
    }[operator]
    node = helper.make_node(operator, ["rows"], list(outputs), domain="ai.onnx.ml", **(attributes | arrays))
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info("rows", real if input_type is None else input_type, None)],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
    )
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", version)]
    return bytes(helper.make_model(graph, opset_imports=versions, ir_version=9).SerializeToString())


def random_model(seed: int) -> Model:
    """Return the model of this seed."""
    draw = Draw(seed)
    trees = [random_tree(draw) for _ in range(int(draw.rng.integers(1, 13)))]
    if draw.operator == "TreeEnsembleClassifier" and not classifier_is_certain(draw, trees):
        draw.n_targets += 2
    since = 25
    if draw.operator == "TreeEnsemble":
        attributes, since = attributes_of_5(draw, trees)
    else:
        attributes = attributes_before_5(draw, trees)
    return Model(node_of(draw.operator, attributes, draw.double), random_rows(draw, trees), since)


def session(content: bytes, library: str | None = None, threads: int = 1) -> Any:
    """Return a session on these bytes, with the library or without."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    if library is not None:
        options.register_custom_ops_library(library)
    return onnxruntime.InferenceSession(content, options)


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """Tell whether two lists of outputs are the same to the bit; any NaN is any other."""

    def one(x: np.ndarray, y: np.ndarray) -> bool:
        if x.dtype != y.dtype or x.shape != y.shape:
            return False
        if x.dtype.kind != "f":
            return bool(np.array_equal(x, y))
        signs = (np.signbit(x) == np.signbit(y)) | np.isnan(x)
        return bool(np.array_equal(x, y, equal_nan=True) and signs.all())

    return len(a) == len(b) and all(one(x, y) for x, y in zip(a, b, strict=True))


def make(folder: Path, count: int) -> None:
    """Write the models of the first `count` seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    since = {}
    for seed in range(count):
        model = random_model(seed)
        (folder / f"{seed}.onnx").write_bytes(model.content)
        np.save(folder / f"{seed}.npy", model.rows)
        since[str(seed)] = model.since
    (folder / "since.json").write_text(json.dumps(since))


def compare(folder: Path, library: str) -> int:
    """Return the exit status: 1 where an answer differs."""
    import onnxruntime

    minor = int(onnxruntime.__version__.split(".")[1])
    since = json.loads((folder / "since.json").read_text())
    wrong, passed_over = [], 0
    for seed, first in since.items():
        content = (folder / f"{seed}.onnx").read_bytes()
        rows = np.load(folder / f"{seed}.npy")
        ours = session(content, library).run(None, {"rows": rows})
        if minor < first:
            passed_over += 1
        elif not same(session(content).run(None, {"rows": rows}), ours):
            wrong.append(seed)
    checked = len(since) - passed_over
    print(f"onnxruntime {onnxruntime.__version__}: {checked} models compared, {len(wrong)} differ {wrong[:20]}")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 300)
    elif sys.argv[1:2] == ["compare"]:
        sys.exit(compare(Path(sys.argv[2]), sys.argv[3]))
    else:
        sys.exit(__doc__)

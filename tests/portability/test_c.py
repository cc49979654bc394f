"""Exported files answer in C as they do in Python, with onnxruntime's tree kernel and with glulam's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from glulam import kernel

EXAMPLE = Path(__file__).parents[2] / "examples" / "c"
OUTPUTS = {
    "default": "probabilities",
    "standard": "probabilities",
    "missing": "probabilities",
    "labels": "probabilities",
    "regression": "value",
    "sets": "probabilities",
}
LIBRARY = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime*.*[0-9]*"), None)

pytestmark = [
    pytest.mark.xdist_group("portability"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler: found no cc"),
    pytest.mark.skipif(LIBRARY is None, reason="this onnxruntime is no wheel with a library for C in it"),
]


@pytest.fixture(scope="module")
def predict(tmp_path_factory) -> Path:
    """Return the example, compiled with every warning an error."""
    target = tmp_path_factory.mktemp("c") / "predict"
    command = [
        "cc",
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        EXAMPLE / "predict.c",
        "-o",
        target,
        "-ldl",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Run the example."""
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def values(done: subprocess.CompletedProcess[str]) -> np.ndarray:
    """Return what the example has printed."""
    assert done.returncode == 0, done.stderr
    return np.array(done.stdout.split(), dtype=np.float64)


@pytest.mark.parametrize("name", OUTPUTS)
def test_c_answers_as_python_does(name, predict, exported):
    """The same numbers to the last digit: it is the same library."""
    each, output = exported[name], OUTPUTS[name]
    for row in (0, 1, 7):
        done = run(predict, LIBRARY, each.path, "-", output, *each.rows[row].tolist())
        assert done.stderr == ""
        want = each.answers[output][row].ravel()
        np.testing.assert_array_equal(values(done).astype(want.dtype), want)


@pytest.mark.skipif(kernel.path() is None, reason="this glulam has no tree kernel for this platform")
@pytest.mark.parametrize("name", OUTPUTS)
def test_c_takes_the_tree_kernel(name, predict, exported):
    """A program without Python registers the library, which then runs the trees.

    The trees' sums are the same bits. In a file of glulam's own form the kernel takes the exponentials as well, which
    may be a last digit off.
    """
    each, output = exported[name], OUTPUTS[name]
    for row in (0, 1, 7):
        done = run(predict, LIBRARY, each.path, kernel.path(), output, *each.rows[row].tolist())
        said, _, count = done.stderr.strip().rpartition(" ")
        assert said == "predict: nodes run by the tree kernel:"
        assert int(count) >= 1
        want = each.answers[output][row].ravel()
        np.testing.assert_allclose(values(done).astype(want.dtype), want, rtol=0 if name == "standard" else 1e-6)


@pytest.mark.skipif(kernel.path() is None, reason="this glulam has no tree kernel for this platform")
def test_c_opens_what_the_kernel_refuses_without_it(predict, tmp_path):
    """A file that the kernel does not take, one tree of which counts twice, is onnxruntime's to run."""
    path = tmp_path / "twice.onnx"
    path.write_bytes(with_a_tree_twice())
    done = run(predict, LIBRARY, path, kernel.path(), "probabilities", 6)
    assert "predict: without the tree kernel: Exception during initialization: glulam: TreeEnsemble: " in done.stderr
    assert values(done).tolist() == [4.0]


def with_a_tree_twice() -> bytes:
    """Return a file of one split, x <= 5: 1 or 2, which is named as a root twice."""

    def floats(name: str, values: list[float]) -> onnx.TensorProto:
        return onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, [len(values)], values)

    node = onnx.helper.make_node(
        "TreeEnsemble", ["features"], ["probabilities"], domain="ai.onnx.ml", n_targets=1, tree_roots=[0, 0],
        nodes_featureids=[0], nodes_splits=floats("splits", [5.0]),
        nodes_modes=onnx.helper.make_tensor("modes", onnx.TensorProto.UINT8, [1], [0]),
        nodes_truenodeids=[0], nodes_trueleafs=[1], nodes_falsenodeids=[1], nodes_falseleafs=[1],
        leaf_targetids=[0, 0], leaf_weights=floats("weights", [1.0, 2.0]),
    )  # fmt: skip
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node], "twice",
        [value("features", onnx.TensorProto.FLOAT, ["n", 1])], [value("probabilities", onnx.TensorProto.FLOAT, ["n", 1])],
    )  # fmt: skip
    domains = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("ai.onnx.ml", 5)]
    return onnx.helper.make_model(graph, opset_imports=domains, ir_version=10).SerializeToString()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "usage: "),
        (["libnone.so", "e.onnx", "-", "probabilities", "1"], "predict: libnone.so is not onnxruntime: "),
        ([LIBRARY, "none.onnx", "-", "probabilities", "1"], "predict: Load model from none.onnx failed"),
        ([LIBRARY, "none.onnx", "./libnone.so", "probabilities", "1"], "predict: Failed to load library ./libnone.so"),
        ([LIBRARY, "none.onnx", "-", "probabilities", "1", "one"], "predict: value 2: expected a number, got 'one'"),
        ([LIBRARY, "DEFAULT", "-", "value", *range(28)], "predict: Invalid output name: value"),
        ([LIBRARY, "DEFAULT", "-", "probabilities", "1"], "predict: Got invalid dimensions for input: features"),
        ([LIBRARY, "DEFAULT", "-", "label", *range(28)], "predict: output 'label': expected float32 or float64, got element type 7"),
    ],
)  # fmt: skip
def test_mistakes_are_told(arguments, text, predict, exported):
    """A wrong argument ends the program with a message, not with a crash."""
    files = {"DEFAULT": exported["default"].path}
    done = run(predict, *(files.get(each, each) for each in arguments))
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert done.stderr.startswith(text)

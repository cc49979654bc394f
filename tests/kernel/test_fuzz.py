"""The kernel under random and broken models, and under many threads at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from glulam import kernel

RUN = Path(__file__).parents[2] / "kernel" / "fuzz" / "run.sh"
THREADS, ROUNDS, ROWS, COLUMNS, TREES = 8, 8, 300, 6, 60


def has_compiler() -> bool:
    """Tell whether a compiler with the sanitizers' libraries is here."""
    found = shutil.which("clang++") or shutil.which("g++")
    if sys.platform != "linux" or found is None:
        return False
    # Not to /dev/null, which a linker that root runs would replace by a file.
    with tempfile.TemporaryDirectory() as directory:
        tried = subprocess.run(
            [found, "-x", "c++", "-fsanitize=address,undefined", "-", "-o", f"{directory}/tried"],
            input=b"int main() {}",
            capture_output=True,
            check=False,
        )
    return tried.returncode == 0


@pytest.mark.skipif(not has_compiler(), reason="needs Linux, and g++ or clang++ with AddressSanitizer")
def test_random_and_broken_models_do_no_harm():
    """No read out of bounds, no undefined behaviour, no leak, and right answers: for a few thousand models."""
    done = subprocess.run([RUN, "--quick"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert " 0 failures" in done.stdout


def forest(seed: int) -> bytes:
    """Return a file of one forest of stumps' children: three splits and four leaves a tree."""
    random = np.random.default_rng(seed)
    nodes = 3 * TREES
    first = 3 * np.arange(TREES)
    yes, no = np.zeros(nodes, dtype=np.int64), np.zeros(nodes, dtype=np.int64)
    yes[first], no[first] = first + 1, first + 2
    for place in (1, 2):
        leaf = 4 * np.arange(TREES) + 2 * (place - 1)
        yes[first + place], no[first + place] = leaf, leaf + 1
    at_leaf = np.ones(nodes, dtype=np.int64)
    at_leaf[first] = 0
    node = helper.make_node(
        "TreeEnsemble",
        ["rows"],
        ["sums"],
        domain="ai.onnx.ml",
        tree_roots=first.tolist(),
        n_targets=1,
        aggregate_function=1,
        post_transform=0,
        nodes_featureids=random.integers(0, COLUMNS, nodes).tolist(),
        nodes_modes=helper.make_tensor("modes", TensorProto.UINT8, [nodes], random.integers(0, 4, nodes).tolist()),
        nodes_splits=helper.make_tensor("splits", TensorProto.FLOAT, [nodes], random.normal(size=nodes).tolist()),
        nodes_truenodeids=yes.tolist(),
        nodes_falsenodeids=no.tolist(),
        nodes_trueleafs=at_leaf.tolist(),
        nodes_falseleafs=at_leaf.tolist(),
        leaf_targetids=[0] * (4 * TREES),
        leaf_weights=helper.make_tensor(
            "leaves", TensorProto.FLOAT, [4 * TREES], random.normal(size=4 * TREES).tolist()
        ),
    )
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", COLUMNS])
    sums = helper.make_tensor_value_info("sums", TensorProto.FLOAT, ["n", 1])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 5)]
    model = helper.make_model(helper.make_graph([node], "forest", [rows], [sums]), opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def options_of(threads: int) -> onnxruntime.SessionOptions:
    """Return options of so many threads, which do not spin while they wait: there are more than cores here."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


@pytest.mark.skipif(not kernel.available(), reason=f"no kernel here: {kernel.reason()}")
def test_eight_threads_make_and_run_sessions_at_once():
    """Each thread makes sessions of its own and runs one that all share: the answers of one thread, to the bit."""
    files = [forest(seed) for seed in range(3)]
    rows = np.random.default_rng(9).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    want = [onnxruntime.InferenceSession(file, options_of(1)).run(None, {"rows": rows})[0] for file in files]
    shared, why = kernel.open_session(files[0], options_of(2))
    assert why is None
    wrong: list[str] = []
    start = threading.Barrier(THREADS)

    def work(number: int) -> None:
        try:
            start.wait()
            for turn in range(ROUNDS):
                which = (number + turn) % len(files)
                own, why = kernel.open_session(files[which], options_of(1 + number % 2))
                if why is not None:
                    wrong.append(why)
                if not np.array_equal(own.run(None, {"rows": rows})[0], want[which]):
                    wrong.append(f"an own session of file {which}")
                part = slice(turn, turn + 1 + 37 * number)
                if not np.array_equal(shared.run(None, {"rows": rows[part]})[0], want[0][part]):
                    wrong.append(f"the shared session, rows {part}")
        except Exception as error:  # what a thread raises would be lost
            wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong

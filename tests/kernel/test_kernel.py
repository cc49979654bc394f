"""The tree kernel in Python: where it is used, what happens where it cannot be, and what becomes of options."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import glulam
from glulam import EnsembleClassifier, kernel
from glulam.errors import ArtifactError, ConfigError, KernelError
from glulam.metadata import Description

PACKAGE = Path(glulam.__file__).parent
CPU = ["CPUExecutionProvider"]
ROWS = np.array([[0, 0], [0, 2], [1, 0]], dtype=np.float32)

# What a child process tells of itself.
TELL = """
import json, logging, os, sys
import numpy as np
import onnxruntime
import glulam
from glulam import kernel
told = []
logging.getLogger("glulam.kernel").addHandler(logging.Handler())
logging.getLogger("glulam.kernel").handlers[0].emit = lambda record: told.append(record.getMessage())
model = glulam.load(sys.argv[1])
rows = np.load(sys.argv[2])
plain = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
fast = glulam.fast_session(sys.argv[1])
answers = [each.run(["probabilities"], {"features": rows})[0] for each in (plain, fast)]
try:
    kernel.register(onnxruntime.SessionOptions())
    registered = None
except Exception as error:
    registered = [type(error).__name__, str(error)]
print(json.dumps({
    "package": os.path.dirname(glulam.__file__),
    "path": None if kernel.path() is None else kernel.path().name,
    "available": kernel.available(),
    "reason": kernel.reason(),
    "info": [model.info()["kernel"], model.info()["kernel_reason"]],
    "same": bool(np.array_equal(*answers) and np.array_equal(model.predict_proba(rows), answers[0])),
    "registered": registered,
    "logged": told,
}))
"""


def tree_model(**changes) -> bytes:
    """Return a file with one tree of three leaves, worth 1, 2 and 3 for ROWS, some of its attributes changed."""

    def tensor(values, dtype):
        return numpy_helper.from_array(np.array(values, dtype))

    attributes = {
        "n_targets": 1, "aggregate_function": 1, "post_transform": 0, "tree_roots": [0],
        "nodes_modes": tensor([0, 0], np.uint8), "nodes_featureids": [0, 1],
        "nodes_splits": tensor([0.5, 1.5], np.float32),
        "nodes_truenodeids": [1, 0], "nodes_trueleafs": [0, 1],
        "nodes_falsenodeids": [2, 1], "nodes_falseleafs": [1, 1],
        "leaf_targetids": [0, 0, 0], "leaf_weights": tensor([1, 2, 3], np.float32),
    }  # fmt: skip
    return one_node("TreeEnsemble", "ai.onnx.ml", 2, attributes | changes)


def one_node(operator, domain, width, attributes) -> bytes:
    """Return a file of one node from x, float32 [n, width], to y."""
    node = helper.make_node(operator, ["x"], ["y"], domain=domain, **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", None])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 5)]
    return helper.make_model(
        helper.make_graph([node], "graph", [x], [y]), opset_imports=opsets, ir_version=9
    ).SerializeToString()


# onnxruntime takes any number for true; the kernel takes what the standard has.
REFUSED = tree_model(nodes_falseleafs=[2, 1])
WHY = "TreeEnsemble: nodes_falseleafs: 2 at 0"


def kernels(make) -> int:
    """Return how many kernels of ours are created while a session is made."""
    library = ctypes.CDLL(str(kernel.path()))
    library.glulam_kernels.restype = ctypes.c_int64
    before = library.glulam_kernels()
    make()
    return library.glulam_kernels() - before


def plain(model, options=None):
    """Return a session as anyone makes one."""
    return onnxruntime.InferenceSession(model, options, providers=CPU)


def answers(session) -> list[float]:
    """Return a session's answers for ROWS."""
    return session.run(None, {"x": ROWS})[0].ravel().tolist()


@pytest.fixture(autouse=True)
def built(monkeypatch):
    """Require the library, which these tests are of, and switch it on."""
    monkeypatch.delenv("GLULAM_KERNEL", raising=False)
    assert kernel.reason() is None, "build the library first: python hatch_build.py"


@pytest.fixture(scope="module")
def exported(binary, tmp_path_factory):
    """Return the paths of a small ensemble's file, and of rows for it."""
    X, y = binary
    folder = tmp_path_factory.mktemp("exported")
    few = {"n_estimators": 3, "max_depth": 4}
    members = [("random_forest", few), ("extra_trees", few)]
    EnsembleClassifier(members).fit(X[:300], y[:300]).export(folder / "e.onnx", proof_rows=1_000)
    np.save(folder / "rows.npy", X)
    return folder / "e.onnx", folder / "rows.npy"


def told_by_child(exported, *, package=None, **environment):
    """Return what a child process tells that serves a file, if wished with another copy of the package."""
    before = os.environ.get("PYTHONPATH", "")
    path = {} if package is None else {"PYTHONPATH": os.pathsep.join(filter(None, [str(package.parent), before]))}
    command = [sys.executable, "-W", "error", "-c", TELL, *map(str, exported)]
    done = subprocess.run(
        command, env=os.environ | environment | path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert Path(told["package"]) == (package or PACKAGE)
    return told


@pytest.fixture
def copy(tmp_path):
    """Return a copy of the package without its library."""
    ignore = shutil.ignore_patterns("__pycache__", "cli", "testing", kernel.path().name)
    return shutil.copytree(PACKAGE, tmp_path / "copy" / "glulam", ignore=ignore)


# -- where it is used ---------------------------------------------------------------------------


def test_load_uses_the_kernel_and_says_so(exported):
    """info() names the kernel; without it the answers are the same, bit for bit."""
    path, rows = exported
    X = np.load(rows)
    model = glulam.load(path)
    assert (model.info()["kernel"], model.info()["kernel_reason"]) == ("glulam", None)
    without = glulam.load(path, kernel="off")
    assert without.info()["kernel"] == "onnxruntime"
    assert without.info()["kernel_reason"] == "it was opened with kernel='off'"
    for ask in ("predict", "predict_proba", "votes"):
        np.testing.assert_array_equal(getattr(model, ask)(X), getattr(without, ask)(X))
        np.testing.assert_array_equal(getattr(model, ask)(X[7]), getattr(without, ask)(X[7]))
    assert kernels(lambda: glulam.load(path)) > 0
    assert kernels(lambda: glulam.load(path, kernel="off")) == 0


def test_an_unknown_choice_of_kernel_is_named(exported):
    """The option has two values."""
    with pytest.raises(ConfigError, match="kernel: expected 'auto' or 'off', got 'fast'"):
        glulam.load(exported[0], kernel="fast")


def test_any_file_gets_a_fast_session(tmp_path):
    """Path, PathLike and bytes; the session is onnxruntime's own, with its own arguments."""
    (tmp_path / "tree.onnx").write_bytes(tree_model())
    for model in (tree_model(), tmp_path / "tree.onnx", str(tmp_path / "tree.onnx")):
        assert kernels(lambda model=model: glulam.fast_session(model)) == 1
    session = glulam.fast_session(tree_model(), None, CPU, provider_options=[{}], disabled_optimizers=["Whatever"])
    assert type(session) is onnxruntime.InferenceSession
    assert answers(session) == [1, 2, 3]


def test_a_fast_session_is_asked_for_as_a_session_is():
    """Every argument of InferenceSession may be given by its place or by its name, and no other name is taken."""
    by_place = (tree_model(), None, CPU, [{}])
    by_name = dict(zip(("path_or_bytes", "sess_options", "providers", "provider_options"), by_place, strict=True))
    for make in (onnxruntime.InferenceSession, glulam.fast_session):
        assert answers(make(*by_place)) == answers(make(**by_name)) == [1, 2, 3]
        assert answers(make(*by_place, label="ours", options="ours")) == [1, 2, 3]  # as any name it does not know


@pytest.mark.parametrize("labels", [["down", "up"], ["a", "b", "c"], [4, 7], [4, 7, 9]], ids=str)
def test_classifiers_of_other_converters_are_served_whatever_their_labels(labels, caplog):
    """An operator's output type cannot hang on its attributes: texts are asked for in a second attempt."""
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier

    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 4)).astype(np.float32)
    chosen = np.array(labels)[random.integers(0, len(labels), len(rows))]
    forest = RandomForestClassifier(10, max_depth=5, random_state=0).fit(rows, chosen)
    model = to_onnx(forest, rows[:1], options={"zipmap": False}).SerializeToString()
    fast, why = kernel.open_session(model, options_of_one_thread())
    assert (why, caplog.messages) == (None, [])
    plain = onnxruntime.InferenceSession(model, options_of_one_thread(), providers=CPU)
    name = plain.get_inputs()[0].name
    for ours, theirs in zip(fast.run(None, {name: rows}), plain.run(None, {name: rows}), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def options_of_one_thread() -> onnxruntime.SessionOptions:
    """Return options under which onnxruntime's own kernel adds tree after tree."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def test_a_file_without_trees_gets_a_plain_session(caplog):
    """There is nothing to log: nothing was refused."""
    session, why = kernel.open_session(one_node("Neg", "", 2, {}), onnxruntime.SessionOptions(), providers=CPU)
    assert session.run(None, {"x": ROWS})[0].tolist() == (-ROWS).tolist()
    assert why == f"the file has no operator that the kernel serves with onnxruntime {onnxruntime.__version__}"
    assert caplog.records == []


def test_whoever_asks_the_log_learns_why_a_session_is_plain(caplog, monkeypatch):
    """Without trees, and without the kernel, fast_session says so as information."""
    caplog.set_level(logging.INFO, "glulam.kernel")
    glulam.fast_session(tree_model())
    glulam.fast_session(one_node("Neg", "", 2, {}))
    monkeypatch.setenv("GLULAM_KERNEL", "0")
    glulam.fast_session(tree_model())
    served = f"the file has no operator that the kernel serves with onnxruntime {onnxruntime.__version__}"
    said = "a session without glulam's tree kernel: "
    assert caplog.messages == [said + served, said + "GLULAM_KERNEL=0 switches it off"]


@pytest.mark.parametrize("model", ["nowhere.onnx", b"no model", b""])
def test_errors_are_onnxruntimes_own(model, caplog):
    """What has nothing to do with the kernel is raised as if there were none."""
    with pytest.raises(Exception) as expected:  # noqa: PT011 - onnxruntime's exceptions have no common base
        plain(model)
    with pytest.raises(expected.type) as found:
        glulam.fast_session(model, providers=CPU)
    assert str(found.value) == str(expected.value)
    assert found.value.__context__ is None
    assert caplog.records == []


# -- where it cannot be used --------------------------------------------------------------------


def test_a_refused_file_gets_a_plain_session_and_a_warning(caplog):
    """The log names the model and the kernel's reason."""
    with caplog.at_level(logging.WARNING, "glulam.kernel"):
        session = glulam.fast_session(REFUSED)
    assert answers(session) == [1, 2, 3]
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("glulam.kernel", "WARNING")
    assert record.getMessage().startswith(
        f"<bytes>: opened with onnxruntime's own tree kernel, which is slower: the kernel refused the file: {WHY}"
    )


def test_load_opens_a_refused_file_without_the_kernel(exported, tmp_path, caplog):
    """A file of glulam's form is held to the same: it is answered, and info() has the reason."""
    path, rows = exported
    model = onnx.load(path)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    nodes = next(node for node in model.graph.node if node.domain)
    leafs = next(each for each in nodes.attribute if each.name.endswith("nodes_falseleafs"))
    leafs.ints[:] = [2 * number for number in leafs.ints]
    del model.metadata_props[:]
    graph = model.SerializeToString()
    ending = onnx.ModelProto()
    for key, value in (entries | Description.from_metadata(entries, "e").to_metadata(graph)).items():
        ending.metadata_props.add(key=key, value=value)
    (tmp_path / "refused.onnx").write_bytes(graph + ending.SerializeToString())

    opened = glulam.load(tmp_path / "refused.onnx")
    assert opened.info()["kernel"] == "onnxruntime"
    assert opened.info()["kernel_reason"].startswith("the kernel refused the file: ")
    assert "nodes_falseleafs: 2 at " in opened.info()["kernel_reason"]
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [str(tmp_path / "refused.onnx")]
    np.testing.assert_array_equal(opened.votes(np.load(rows)), glulam.load(path).votes(np.load(rows)))


def test_the_environment_switches_it_off(exported):
    """GLULAM_KERNEL=0 gives plain sessions everywhere; any other value is as none."""
    told = told_by_child(exported, GLULAM_KERNEL="0")
    reason = "GLULAM_KERNEL=0 switches it off"
    assert (told["available"], told["reason"], told["same"], told["logged"]) == (False, reason, True, [])
    assert told["info"] == ["onnxruntime", reason]
    assert told["registered"] == [
        "KernelError",
        f"the tree kernel cannot be registered: {reason}; or ask glulam.kernel.available() first: onnxruntime's own "
        "kernel gives the same answers",
    ]  # fmt: skip
    assert told_by_child(exported, GLULAM_KERNEL="1")["info"] == ["glulam", None]


def test_it_can_be_switched_off_at_any_time(monkeypatch):
    """Also for options that it is registered on."""
    options = onnxruntime.SessionOptions()
    kernel.register(options)
    monkeypatch.setenv("GLULAM_KERNEL", "0")
    assert kernels(lambda: glulam.fast_session(tree_model())) == 0
    assert kernels(lambda: glulam.fast_session(tree_model(), options)) == 0
    monkeypatch.delenv("GLULAM_KERNEL")
    assert kernels(lambda: glulam.fast_session(tree_model(), options)) == 1


def test_a_package_without_the_library_serves(exported, copy):
    """Without a compiler at installation there is none: the reason says what would help."""
    told = told_by_child(exported, package=copy)
    assert (told["path"], told["available"], told["same"], told["logged"]) == (None, False, True, [])
    assert told["reason"].startswith(f"this glulam was installed without its library for {sys.platform} ")
    assert told["reason"].endswith("; install a wheel for this platform, or install again with a C++ compiler at hand")
    assert told["info"] == ["onnxruntime", told["reason"]]
    assert told["registered"][0] == "KernelError"


@pytest.mark.parametrize("damage", ["empty", "cut early", "cut late", "text", "another library"])
def test_a_damaged_library_is_not_used(exported, copy, damage):
    """The reason names the file."""
    library = copy / kernel.path().name
    whole = kernel.path().read_bytes()
    another = next(Path(onnxruntime.__file__).parent.glob("capi/*providers_shared*"))
    contents = {
        "empty": b"",
        "cut early": whole[:1000],
        "cut late": whole[:-10],
        "text": b"no library" * 500,
        "another library": another.read_bytes(),
    }
    library.write_bytes(contents[damage])
    told = told_by_child(exported, package=copy)
    assert (told["path"], told["available"], told["same"], told["logged"]) == (library.name, False, True, [])
    assert told["reason"].startswith(f"{library} is damaged, or not of this platform or this glulam: ")
    assert told["reason"].endswith("; install glulam again")


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler to make a library that onnxruntime refuses")
def test_a_library_that_onnxruntime_does_not_take_is_not_used(exported, copy, tmp_path):
    """The reason has onnxruntime's words: so it is with one that is too old for the library."""
    (tmp_path / "stub.c").write_text("long long glulam_kernels(void) { return 0; } void glulam_show(int what) {}\n")
    library = copy / kernel.path().name
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "stub.c"], check=True)
    told = told_by_child(exported, package=copy)
    assert (told["available"], told["same"], told["logged"]) == (False, True, [])
    assert told["reason"].startswith(f"onnxruntime {onnxruntime.__version__} does not take it: ")
    assert "RegisterCustomOps" in told["reason"]
    assert told["reason"].endswith("; upgrade onnxruntime")


# -- what becomes of options --------------------------------------------------------------------


def test_registered_twice_is_registered_once():
    """Without that, onnxruntime would make no session any more."""
    options = onnxruntime.SessionOptions()
    kernel.register(options)
    kernel.register(options)
    assert kernels(lambda: plain(tree_model(), options)) == 1
    assert kernels(lambda: glulam.fast_session(tree_model(), options)) == 1
    assert answers(plain(tree_model(), options)) == [1, 2, 3]


def test_options_keep_their_settings_and_stay_good_for_other_sessions(caplog):
    """What fast_session does with options is seen by fast_session alone."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = glulam.fast_session(tree_model(), options)
    assert session.get_session_options().intra_op_num_threads == 3
    assert kernels(lambda: glulam.fast_session(tree_model(), options)) == 1
    assert kernels(lambda: plain(tree_model(), options)) == 0
    assert answers(plain(REFUSED, options)) == [1, 2, 3]
    assert caplog.records == []
    assert answers(glulam.fast_session(REFUSED, options)) == [1, 2, 3]
    assert len(caplog.records) == 1
    assert kernels(lambda: glulam.fast_session(tree_model(), options)) == 1
    assert options.intra_op_num_threads == 3


def test_options_that_hold_the_kernel_open_a_refused_file_with_fast_session_alone():
    """Whoever registers the kernel gets its refusals; fast_session gets around them."""
    options = onnxruntime.SessionOptions()
    kernel.register(options)
    with pytest.raises(Exception, match="glulam: TreeEnsemble: nodes_falseleafs: 2 at 0"):
        plain(REFUSED, options)
    assert answers(glulam.fast_session(REFUSED, options)) == [1, 2, 3]
    assert kernels(lambda: plain(tree_model(), options)) == 1


def test_options_of_fast_session_cannot_be_registered_on():
    """They hold the kernel already, and cannot hold it twice."""
    options = onnxruntime.SessionOptions()
    glulam.fast_session(tree_model(), options)
    message = (
        "the tree kernel cannot be registered on options that glulam.fast_session was given before: they hold it for "
        "fast_session alone; register it on new options"
    )
    with pytest.raises(KernelError, match=message):
        kernel.register(options)
    assert kernels(lambda: glulam.fast_session(tree_model(), options)) == 1


def test_options_that_hold_the_domain_from_elsewhere_are_named():
    """Nothing tells what a library that was registered without glulam has brought; onnxruntime takes a domain once."""
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(str(kernel.path()))
    with pytest.raises(KernelError, match=r"operators of the same domain, ai.onnx.ml or ai.glulam.*make new options"):
        glulam.fast_session(tree_model(), options)


def test_what_is_no_options_is_named():
    """The message says what is taken."""
    with pytest.raises(ConfigError, match=r"options: expected an onnxruntime\.SessionOptions, got str"):
        kernel.register("ensemble.onnx")


def in_threads(count, act) -> None:
    """Do something with 0, 1, 2, ... in as many threads at once, and wait for them."""
    start = threading.Barrier(count)

    def wait_and_act(number):
        start.wait()
        act(number)

    threads = [threading.Thread(target=wait_and_act, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_do_not_see_each_others_kernel():
    """While one thread makes fast sessions, another's plain sessions with the same options stay plain."""
    options = onnxruntime.SessionOptions()
    glulam.fast_session(tree_model(), options)
    model, wrong = tree_model(), []

    def make(number):
        expected = number % 2
        for _ in range(50):
            if kernels(lambda: (glulam.fast_session if expected else plain)(model, options)) != expected:
                wrong.append(expected)

    in_threads(6, make)
    assert wrong == []


def test_threads_may_share_new_options(monkeypatch):
    """The first of them registers the kernel, and no other does."""
    entry_of = kernel._entry

    def look_and_dawdle(options):
        entry = entry_of(options)
        time.sleep(0.01)  # so that the others come between, if anything lets them
        return entry

    monkeypatch.setattr(kernel, "_entry", look_and_dawdle)
    made = []
    for _ in range(5):
        options = onnxruntime.SessionOptions()
        in_threads(4, lambda _, options=options: made.append(glulam.fast_session(tree_model(), options)))
    assert [answers(session) for session in made] == [[1, 2, 3]] * 20


@pytest.mark.parametrize("switch", ["0", "1"])
def test_what_are_no_options_is_named_by_onnxruntime(monkeypatch, switch):
    """The error is that of an InferenceSession."""
    monkeypatch.setenv("GLULAM_KERNEL", switch)
    with pytest.raises(Exception) as expected:  # noqa: PT011 - whatever it is
        plain(tree_model(), "options")
    with pytest.raises(expected.type) as found:
        glulam.fast_session(tree_model(), "options", CPU)
    assert str(found.value) == str(expected.value)


def test_foreign_files_are_still_named(tmp_path):
    """A file that is not glulam's is refused, whoever walks its trees."""
    (tmp_path / "tree.onnx").write_bytes(tree_model())
    with pytest.raises(ArtifactError, match="not one that glulam exported"):
        glulam.load(tmp_path / "tree.onnx")

"""Export writes a proven file or nothing at all."""

from __future__ import annotations

import dataclasses
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from sklearn.datasets import load_diabetes, load_iris

from glulam import EnsembleClassifier, EnsembleRegressor, load, plugins
from glulam.errors import ArtifactError, ArtifactExistsError, ConfigError, ProofError
from glulam.exporting import verify

SMALL = {"n_estimators": 5}
MEMBERS = [("lightgbm", SMALL), ("xgboost", SMALL), ("random_forest", SMALL)]


@pytest.fixture(scope="module")
def fitted(binary):
    """Return a small fitted ensemble."""
    return EnsembleClassifier(MEMBERS).fit(*binary)


def test_report_tells_what_was_tried(fitted, tmp_path):
    """The report has rows, largest difference and time by family, and reads as a table."""
    report = fitted.export(tmp_path / "e.onnx", proof_rows=2_000)
    families = [result.family for result in report.families]
    assert families == ["training", "random", "threshold", "joint thresholds", "missing", "extreme", "infinite"]
    assert report.rows == sum(result.rows for result in report.families) > 1_500
    assert report.largest_difference <= 1e-6
    assert report.families[-1].refused_by == ("random_forest",)
    assert set(report.members) == {"lightgbm", "xgboost", "random_forest"}
    assert "float32, tolerance 1e-06; labels may differ only at a native tie" in str(report)
    assert load(tmp_path / "e.onnx").info()["parity"]["rows"] == report.rows


def test_the_graph_passes_every_check_and_has_no_more_nodes_than_it_needs(fitted, tmp_path):
    """Onnx's full check passes, opsets and inputs are as promised, and the nodes are the ones drawn."""
    fitted.export(tmp_path / "e.onnx", proof_rows=1_000, standard=True)
    model = onnx.load(tmp_path / "e.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 18, "ai.onnx.ml": 5}
    assert (model.ir_version, len(model.functions), len(model.graph.input)) == (10, 0, 1)
    assert [output.name for output in model.graph.output] == ["label", "probabilities", "votes", "valid"]
    assert [node.op_type for node in model.graph.node] == [
        "TreeEnsemble", "Sigmoid", "TreeEnsemble", "Sigmoid", "TreeEnsemble", "Concat", "Gemm", "Reshape", "Div",
        "Mul", "ReduceSum", "Div", "ArgMax", "MatMul", "Equal",
    ]  # fmt: skip
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    shapes = {
        entry.name: [dim.dim_param or dim.dim_value for dim in entry.type.tensor_type.shape.dim]
        for entry in [*inferred.graph.input, *inferred.graph.output]
    }
    assert shapes == {
        "features": ["n", 28], "label": ["n"], "probabilities": ["n", 2], "votes": ["n", 3, 2], "valid": ["n"],
    }  # fmt: skip


def test_fewer_outputs_make_a_smaller_graph(fitted, tmp_path):
    """What no wanted output needs is not in the file; guards can be left out."""
    fitted.export(tmp_path / "e.onnx", proof_rows=1_000, outputs=["probabilities"], guards=False, standard=True)
    graph = onnx.load(tmp_path / "e.onnx").graph
    assert [output.name for output in graph.output] == ["probabilities"]
    assert not {"ArgMax", "Equal", "MatMul"} & {node.op_type for node in graph.node}
    used = {name for node in graph.node for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= used
    assert load(tmp_path / "e.onnx").info()["guards"] == []


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_precision_is_what_was_asked(fitted, tmp_path, binary, precision):
    """float64 gives the libraries' digits; XGBoost itself computes in float32."""
    report = fitted.export(tmp_path / "e.onnx", proof_rows=1_000, precision=precision)
    assert report.precision == precision
    model = load(tmp_path / "e.onnx")
    assert model.predict_proba(binary[0]).dtype == precision
    if precision == "float64":
        difference = np.abs(model.votes(binary[0]) - fitted.votes(binary[0])).max(axis=(0, 2))
        assert (difference[[0, 2]] < 1e-15).all()
        assert difference[1] < 1e-6


def test_auto_precision_takes_float64_when_float32_rounds_too_much(tmp_path):
    """A regression around a large mean needs float64; auto takes it, float32 alone is refused with the advice."""
    X, y = load_diabetes(return_X_y=True)
    ensemble = EnsembleRegressor([("random_forest", {"n_estimators": 300})]).fit(X, y + 1e6)
    with pytest.raises(
        ProofError, match=r"member 'random_forest': .*Sums in float32 are too narrow: export with precision='float64'"
    ):
        ensemble.export(tmp_path / "e.onnx", precision="float32")
    assert list(tmp_path.iterdir()) == []
    assert ensemble.export(tmp_path / "e.onnx").precision == "float64"
    np.testing.assert_allclose(load(tmp_path / "e.onnx").predict(X), ensemble.predict(X), rtol=1e-14)


def test_multiclass_forests_and_boosters_export(tmp_path):
    """Three classes: a forest's leaves are written once a class, without the subtrees that do not matter."""
    X, y = load_iris(return_X_y=True)
    ensemble = EnsembleClassifier([*MEMBERS, ("extra_trees", SMALL)], voting="hard").fit(X, y)
    ensemble.export(tmp_path / "e.onnx", proof_rows=2_000)
    model = load(tmp_path / "e.onnx")
    np.testing.assert_array_equal(model.predict(X), ensemble.predict(X))
    np.testing.assert_allclose(model.votes(X), ensemble.votes(X), atol=1e-6)


def test_a_lowering_that_is_wrong_is_refused_and_leaves_nothing(fitted, tmp_path, monkeypatch):
    """Thresholds rounded to nearest: the proof names member, family, row and features, and writes nothing."""
    from glulam_exporters.onnx import _forest

    monkeypatch.setattr(_forest, "float32_at_or_below", lambda t: np.asarray(t).astype(np.float32))
    with pytest.raises(ProofError) as error:
        fitted.export(tmp_path / "e.onnx")
    message = str(error.value)
    assert "member 'random_forest': the exported graph does not give the library's answer" in message
    assert "of family 'training'; first, row" in message
    assert "for features {'x0': " in message
    assert "Nothing was written" in message
    assert list(tmp_path.iterdir()) == []


def test_a_voting_text_that_differs_from_its_numpy_rule_is_refused(fitted, tmp_path, monkeypatch):
    """A fragment that forgets the weights does not get out."""
    from glulam_plugins.voting.soft import Soft

    right = Soft.fragment

    def fragment(self, weights, n_classes):
        wrong = right(self, weights[::-1].copy(), n_classes)
        return dataclasses.replace(wrong, reference=lambda votes: self.combine(votes, weights))

    monkeypatch.setattr(Soft, "fragment", fragment)
    ensemble = EnsembleClassifier(MEMBERS, weights=[3, 2, 1])
    ensemble.fit(np.random.default_rng(0).normal(size=(200, 3)), np.arange(200) % 2)
    with pytest.raises(
        ProofError, match=r"vote \(soft\): the exported graph differs from the numpy rule in .* rows of family"
    ):
        ensemble.export(tmp_path / "e.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": ["labels"]}, r"onnx: outputs: expected some of \['label', 'probabilities', 'votes', 'valid'\], got \['labels'\]"),
        ({"outputs": []}, "onnx: outputs: expected some of"),
        ({"outputs": ["valid"], "guards": False}, "onnx: outputs: expected some of"),
        ({"precision": "float16"}, "precision: expected 'auto', 'float32' or 'float64', got 'float16'"),
        ({"opset": 9}, "onnx: opset: expected 18 to .*, got 9"),
        ({"optset": 18}, r"onnx: unknown options \['optset'\]; known are outputs, guards, precision, opset, standard"),
        ({"proof_rows": 3}, "proof_rows: expected at least 1,000, got 3"),
    ],
)  # fmt: skip
def test_options_that_can_not_work_are_refused(fitted, tmp_path, options, message):
    """Each wrong option is an error that names it, and nothing is written."""
    with pytest.raises(ConfigError, match=message):
        fitted.export(tmp_path / "e.onnx", **options)
    assert list(tmp_path.iterdir()) == []


def test_newer_opsets_may_be_asked_for(fitted, tmp_path, binary):
    """A newer operator set gives the same answers."""
    fitted.export(tmp_path / "e.onnx", proof_rows=1_000, opset=21)
    np.testing.assert_allclose(
        load(tmp_path / "e.onnx").predict_proba(binary[0]), fitted.predict_proba(binary[0]), atol=1e-6
    )


def test_targets_that_can_not_be_written_are_named(fitted, tmp_path):
    """An existing file, a missing directory and a directory in the way are errors before the work."""
    target = tmp_path / "e.onnx"
    target.write_text("mine")
    with pytest.raises(
        ArtifactExistsError, match=r"e.onnx exists; choose another name, or overwrite it with overwrite=True \(--force"
    ):
        fitted.export(target)
    assert target.read_text() == "mine"
    with pytest.raises(ArtifactError, match="the directory .*nowhere does not exist; create it first"):
        fitted.export(tmp_path / "nowhere" / "e.onnx")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArtifactError, match="folder is a directory; give the name of a file"):
        fitted.export(tmp_path / "folder", overwrite=True, proof_rows=1_000)
    fitted.export(target, overwrite=True, proof_rows=1_000)
    assert load(target).info()["task"] == "binary"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_replaced(tmp_path):
    """A device or a pipe would be gone, not written to; it stays, even where overwriting is asked for."""
    from glulam._files import check_target

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ArtifactError, match="pipe is a device or a pipe, not a file; choose another name"):
        check_target(pipe, overwrite=True)
    assert pipe.is_fifo()


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from glulam._files import check_target
if os.geteuid() == 0:
    os.setuid(65534)
try:
    check_target(Path(sys.argv[1]), overwrite=False)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_directory_that_is_not_writable_is_named():
    """Without permission the error says so; asked as an ordinary user, since root may write anywhere."""
    # Not pytest's own folder, which only the user who runs it may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        command = [sys.executable, "-c", UNPRIVILEGED, folder / "e.onnx"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        folder.chmod(0o755)
    assert "ArtifactError" in done.stdout, done.stderr
    assert "is not writable; choose another or change its permissions" in done.stdout


def test_new_files_get_ordinary_permissions(fitted, tmp_path):
    """The file is as readable as any file that the user makes."""
    fitted.export(tmp_path / "e.onnx", proof_rows=1_000)
    (tmp_path / "other").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("e.onnx", "other")]
    assert modes[0] == modes[1]


FULL_DISK = """
import signal, sys, numpy as np, resource
from glulam import EnsembleClassifier
ensemble = EnsembleClassifier.load(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # from here on no file may grow beyond a page
for write in (ensemble.export, ensemble.save):
    try:
        if write.__name__ == "export":
            write(sys.argv[2], overwrite=True, proof_rows=1000)
        else:
            write(sys.argv[2] + ".saved")
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_a_disk_that_fills_up_leaves_what_was_there(fitted, tmp_path):
    """When writing stops halfway, the old file stays, nothing half-written is left, and the error says so."""
    fitted.save(tmp_path / "saved")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "e.onnx").write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path / "saved", folder / "e.onnx"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("ArtifactError") == 2, done.stdout + done.stderr
    assert done.stdout.count("could not be written: File too large; nothing was left") == 2
    assert [path.name for path in folder.iterdir()] == ["e.onnx"]
    assert (folder / "e.onnx").read_text() == "old"


INTERRUPTED = """
import sys, time
from glulam._files import atomic_directory, atomic_file
from pathlib import Path
target = Path(sys.argv[1])
with (atomic_file if sys.argv[2] == "file" else atomic_directory)(target, overwrite=True) as out:
    (out / "part").write_text("half") if sys.argv[2] == "directory" else out.write(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_ctrl_c_while_writing_leaves_nothing(tmp_path, kind):
    """An interrupt in the middle of writing leaves neither a result nor a temporary."""
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, tmp_path / "target", kind], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode != 0
    assert list(tmp_path.iterdir()) == []


def test_readers_see_the_old_file_or_the_new_one(fitted, tmp_path):
    """While a file is replaced over and over, whoever opens it gets a whole one."""
    target = tmp_path / "e.onnx"
    fitted.export(target, proof_rows=1_000)
    code = (
        "import sys, time\nfrom glulam import load\nend = time.time() + 3\nwhile time.time() < end: load(sys.argv[1])"
    )
    with subprocess.Popen([sys.executable, "-c", code, target], stderr=subprocess.PIPE, text=True) as reader:
        began = time.monotonic()
        while time.monotonic() - began < 3:
            fitted.export(target, overwrite=True, proof_rows=1_000)
        _, problems = reader.communicate()
    assert reader.returncode == 0, problems


def test_verify_proves_a_file_again_and_finds_another(fitted, tmp_path, binary):
    """Verify passes on the file of an ensemble and refuses that of another."""
    fitted.export(tmp_path / "e.onnx", proof_rows=1_000)
    assert verify(fitted, tmp_path / "e.onnx", proof_rows=1_000).label_differences == 0
    X, y = binary
    other = EnsembleClassifier(MEMBERS).fit(X[::-1], y[::-1])
    with pytest.raises(ProofError, match="does not give the library's answer"):
        verify(other, tmp_path / "e.onnx", proof_rows=1_000)
    fewer = EnsembleClassifier(MEMBERS[:2]).fit(X, y)
    with pytest.raises(
        ConfigError, match=r"members: the file has \['lightgbm', 'xgboost', 'random_forest'\], the trained ensemble"
    ):
        verify(fewer, tmp_path / "e.onnx", proof_rows=1_000)


def test_exporting_twice_gives_the_same_graph(fitted):
    """The same program gives the same bytes."""
    exporter = plugins.exporter("onnx")
    assert exporter.export(fitted.program()) == exporter.export(fitted.program())


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    """Without overwrite, a target that somebody else made while we wrote stays theirs."""
    from glulam._files import atomic_file

    target = tmp_path / "e.onnx"

    def write() -> None:
        with atomic_file(target, overwrite=False) as out:
            out.write(b"ours")
            target.write_text("theirs")

    with pytest.raises(ArtifactExistsError, match="has appeared meanwhile; it was left as it is"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["e.onnx"]
    assert target.read_text() == "theirs"


def test_a_directory_comes_back_when_its_replacement_fails(tmp_path, monkeypatch):
    """If the second of the two renames fails or is interrupted, the old directory is in place again."""
    from glulam._files import atomic_directory

    target = tmp_path / "saved"
    target.mkdir()
    (target / "old").touch()
    rename = Path.rename

    def fail_on_new(self, to):
        if self.name.endswith(".part"):
            raise KeyboardInterrupt
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fail_on_new)
    with pytest.raises(KeyboardInterrupt), atomic_directory(tmp_path / "x" / ".." / "saved", overwrite=True) as folder:
        (folder / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    assert [path.name for path in target.iterdir()] == ["old"]


def test_labels_that_hang_on_the_last_digit_get_float64(tmp_path, binary):
    """Votes of small forests lie on the decision again and again; auto then adds up as the libraries do."""
    X, y = binary
    forests = [("random_forest", {"n_estimators": 10, "max_depth": None}), ("extra_trees", {"n_estimators": 10})]
    ensemble = EnsembleClassifier(forests, min_confidence=0.8).fit(X[:, :4], y)
    narrow = ensemble.export(tmp_path / "narrow.onnx", precision="float32", proof_rows=4_000)
    report = ensemble.export(tmp_path / "e.onnx", proof_rows=4_000)
    assert narrow.label_differences > 4
    assert report.precision == "float64"
    assert report.label_differences == 0
    np.testing.assert_array_equal(load(tmp_path / "e.onnx").predict(X[:, :4]), ensemble.predict(X[:, :4]))


@pytest.mark.parametrize("y", [np.full(300, 5.3), np.where(np.arange(300) % 20, 0.1, 5.0)])
def test_constant_values_export_in_float32(tmp_path, y):
    """What is left of a constant's rounding is no spread to measure by."""
    X = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    ensemble = EnsembleRegressor([("random_forest", {"n_estimators": 8})]).fit(X, y)
    assert ensemble.export(tmp_path / "e.onnx", precision="float32", proof_rows=1_000).largest_difference <= 1e-6


def test_values_near_the_end_of_float32_export(tmp_path):
    """Weights do not make a mean of large values overflow."""
    X = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    y = 7e37 * (1 + 0.5 * np.random.default_rng(1).uniform(size=300))
    members = [("xgboost", {"n_estimators": 5}), ("xgboost", {"n_estimators": 3})]
    ensemble = EnsembleRegressor(members, weights=[0.3333, 0.6667]).fit(X, y)
    ensemble.export(tmp_path / "e.onnx", proof_rows=1_000)
    np.testing.assert_allclose(load(tmp_path / "e.onnx").predict(X), ensemble.predict(X), rtol=1e-6)

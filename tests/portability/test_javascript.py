"""Exported files answer in onnxruntime-node and onnxruntime-web, run by Node.js, as they do in Python."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from oldest_onnxruntime import IR_OF_SETS
from portability.exported import MAKERS, Exported
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

import glulam

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGES = ROOT / "build" / "portability"
"""Where npm puts the packages: a folder that version control ignores and `make clean` empties, and that CI may keep."""
OLDEST_NODE = 18
DTYPES = {"float32": np.float32, "float64": np.float64, "int64": np.int64, "bool": np.bool_}
TOLERANCE = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-12}

pytestmark = pytest.mark.xdist_group("portability")


def node_version() -> int:
    """Return Node.js's major version; 0 without it or its npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return 0
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.removeprefix("v").split(".")[0])


@pytest.fixture(scope="module")
def packages() -> Path:
    """Return the folder with both packages, installed unless it has these very versions."""
    found = node_version()
    if found < OLDEST_NODE:
        pytest.skip(f"needs Node.js {OLDEST_NODE} or newer with npm: found {f'version {found}' if found else 'none'}")
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    if any(installed(name) != version for name, version in wanted.items()):
        PACKAGES.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", PACKAGES)
        # Without their scripts, one of which would fetch libraries for graphics cards.
        command = ["npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=PACKAGES, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return PACKAGES


def installed(name: str) -> str:
    """Return the version of a package that is installed; nothing if it is not."""
    path = PACKAGES / "node_modules" / name / "package.json"
    return json.loads(path.read_text())["version"] if path.exists() else ""


@pytest.fixture(scope="module", params=["onnxruntime-node", "onnxruntime-web"])
def answers(request, packages, exported, tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    """Return the outputs of each file by name, as one of the packages gives them."""
    folder = tmp_path_factory.mktemp(request.param)
    cases = []
    for name, each in exported.items():
        shutil.copy(each.path, folder / name)
        each.rows.astype(each.rows.dtype.newbyteorder("<")).tofile(folder / f"{name}.rows")
        cases.append({"file": name, "rows": f"{name}.rows", "type": each.rows.dtype.name, "dims": each.rows.shape})
    (folder / "cases.json").write_text(json.dumps(cases))
    done = subprocess.run(
        ["node", HERE / "run.mjs", packages, request.param, folder],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    return {file: {name: array(tensor) for name, tensor in outputs.items()} for file, outputs in told.items()}


def array(tensor: dict) -> np.ndarray:
    """Return a tensor that run.mjs has printed."""
    if tensor["type"] == "string":
        return np.array(tensor["data"], dtype=object).reshape(tensor["dims"])
    data = base64.b64decode(tensor["data"])
    return np.frombuffer(data, np.dtype(DTYPES[tensor["type"]]).newbyteorder("<")).reshape(tensor["dims"])


@pytest.mark.parametrize("name", MAKERS)
def test_javascript_answers_as_python_does(name, answers, exported):
    """All outputs are there, of the same type and shape; labels are equal, numbers closer than is ever promised."""
    want, got = exported[name].answers, answers[name]
    assert set(got) == set(want)
    for output, values in want.items():
        same_outputs(output, values, got[output])


def same_outputs(output: str, want: np.ndarray, got: np.ndarray) -> None:
    """Hold an output to Python's: labels and checks in full, numbers to their tolerance, relative to their size."""
    assert (got.shape, got.dtype.kind) == (want.shape, want.dtype.kind), output
    tolerance = TOLERANCE.get(want.dtype)
    if tolerance is None:
        np.testing.assert_array_equal(got, want, err_msg=output)
    else:
        assert got.dtype == want.dtype, output
        size = max(1.0, float(np.abs(want).max()))
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * size, err_msg=output)


def test_files_are_of_the_kinds_that_they_are_here_for(exported: dict[str, Exported]):
    """NaN, text, float64, both forms and several classes do reach the other runtimes."""
    assert np.isnan(exported["missing"].rows).any()
    assert set(exported["labels"].answers["label"]) == {"fällt", "steigt", "横ばい"}
    assert exported["float64"].rows.dtype == np.float64
    assert set(exported["default"].answers["label"]) == {0, 1}
    assert np.abs(exported["regression"].answers["value"]).max() > 100
    assert [b"ai.glulam" in exported[name].path.read_bytes() for name in ("default", "standard")] == [True, False]
    assert exported["sets"].path.read_bytes()[1] == IR_OF_SETS


@pytest.mark.parametrize("package", ["onnxruntime-node", "onnxruntime-web"])
def test_the_documents_javascript_runs(package, packages, tmp_path):
    """docs/portability.md's program, as it stands and with the other package, prints what Python answers."""
    program = re.search(r"```javascript\n(.*?)```", (ROOT / "docs" / "portability.md").read_text(), re.DOTALL)[1]
    (tmp_path / "document.mjs").write_text(program.replace("onnxruntime-node", package, 1))
    (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    X, y = load_iris(return_X_y=True)
    forest = RandomForestClassifier(5, random_state=0).fit(X.astype(np.float32), y)
    glulam.export(forest, tmp_path / "ensemble.onnx")
    done = subprocess.run(
        ["node", "document.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    label, numbers = done.stdout.split(" ", 1)
    row = np.array([[5.1, 3.5, 1.4, 0.2]], dtype=np.float32)
    assert label == f"{forest.predict(row)[0]}n"
    got = [float(number) for number in re.search(r"\[(.*)\]", numbers, re.DOTALL)[1].split(",")]
    np.testing.assert_allclose([got], forest.predict_proba(row), atol=1e-6)


def test_node_still_cannot_load_custom_operators(packages):
    """docs/kernel.md says that onnxruntime-node has no way to register a library: no option of it names one."""
    package = packages / "node_modules" / "onnxruntime-node"
    (binding,) = package.glob("bin/napi-*/linux/x64/onnxruntime_binding.node")
    options = re.compile(rb"custom_?op", re.IGNORECASE)
    declared = [*package.glob("dist/*.d.ts"), *(packages / "node_modules" / "onnxruntime-common").rglob("*.d.ts")]
    assert b"intraOpNumThreads" in binding.read_bytes()
    assert any(b"intraOpNumThreads" in path.read_bytes() for path in declared)
    assert [path.name for path in [binding, *declared] if options.search(path.read_bytes())] == []

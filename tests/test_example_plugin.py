"""Plugins of other distributions, installed as their users install them, each in a process of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "glulam-example-plugin"
DATA = Path(__file__).parents[1] / "examples" / "data" / "lightgbm_binary.train.gz"


def run(command, path, cwd):
    """Run a command with ``path`` on Python's path; return what it prints."""
    environment = os.environ | {"PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python(code, path, cwd):
    """Run Python code with ``path`` on its path; return what it prints as JSON."""
    return json.loads(run([sys.executable, "-c", code], path, cwd))


def distribution(directory, name, entry_points, **modules):
    """Put into a directory what an installation leaves there: modules and metadata."""
    for module, source in modules.items():
        (directory / f"{module}.py").write_text(source)
    info = directory / f"{name.replace('-', '_')}-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[glulam]\n" + "\n".join(entry_points) + "\n")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return a directory into which pip has installed the example."""
    target = tmp_path_factory.mktemp("installed")
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
        "--disable-pip-version-check", "--no-compile", "--target", str(target), str(EXAMPLE),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return target


TRAIN = f"""
import gzip, json
import numpy as np
from glulam import EnsembleClassifier, load, plugins

with gzip.open({str(DATA)!r}, "rt") as lines:
    table = np.loadtxt(lines, max_rows=600)
X, y = table[:, 1:].astype(np.float32), np.array(["background", "signal"])[table[:, 0].astype(int)]
members = [("lightgbm", {{"n_estimators": 20}}), "linear", ("random_forest", {{"n_estimators": 10}})]
ensemble = EnsembleClassifier(members, weights=[2, 1, 1], voting="median").fit(X, y)
report = ensemble.export("ensemble.onnx", proof_rows=2000)
model = load("ensemble.onnx")
ensemble.save("saved")
saved = EnsembleClassifier.load("saved")
print(json.dumps({{
    "report": [report.largest_difference, report.label_differences, report.rows],
    "labels": int((model.predict(X) != ensemble.predict(X)).sum()),
    "difference": float(np.abs(model.predict_proba(X) - ensemble.predict_proba(X)).max()),
    "saved": float(np.abs(saved.predict_proba(X) - ensemble.predict_proba(X)).max()),
    "correct": float((model.predict(X) == y).mean()),
    "members": [member["plugin"] for member in model.info()["members"]],
    "versions": [sorted(member["versions"]) for member in model.info()["members"]],
    "voting": model.info()["voting"],
    "listed": [[info.kind, info.name, info.version, info.why_not] for info in plugins.available()
               if info.distribution == "glulam-example-plugin"],
}}))
"""


@pytest.fixture(scope="module")
def trained(installed, tmp_path_factory):
    """Return a directory with an ensemble exported there, and what the process found that made it."""
    directory = tmp_path_factory.mktemp("trained")
    return directory, python(TRAIN, installed, directory)


def test_an_ensemble_of_an_installed_plugin(trained):
    """A third party's model, vote and metric are listed; an ensemble is trained, exported, proven, saved and served."""
    _, found = trained
    largest, label_differences, rows = found["report"]
    assert largest <= 1e-6
    assert label_differences == found["labels"] == 0
    assert rows >= 1500
    assert found["difference"] <= 1e-6
    assert found["saved"] <= 1e-15
    assert found["correct"] > 0.7
    assert found["members"] == ["lightgbm", "linear", "random_forest"]
    assert found["versions"] == [["lightgbm"], ["scikit-learn"], ["scikit-learn"]]
    assert found["voting"] == "median"
    assert found["listed"] == [
        ["metric", "matthews", "0.1.0", ""], ["model", "linear", "0.1.0", ""], ["voting", "median", "0.1.0", ""],
    ]  # fmt: skip


def test_the_file_needs_no_plugin(trained):
    """A file with a third party's member and vote is served where that plugin is not installed."""
    directory, _ = trained
    serve = (
        "import json, sys; import numpy as np; from glulam import load; "
        "labels = load('ensemble.onnx').predict(np.zeros((3, 28), dtype=np.float32)); "
        "loaded = [name for name in ('glulam_example', 'sklearn', 'lightgbm', 'pluggy') if name in sys.modules]; "
        "print(json.dumps([loaded, labels.shape]))"
    )
    assert python(serve, directory / "nowhere", directory) == [[], [3]]


def test_the_example_passes_its_own_tests(installed, tmp_path):
    """The tests that come with the example pass against what was installed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests")]
    assert "14 passed" in run(command, installed, tmp_path)


def test_two_distributions_with_one_name(installed, tmp_path):
    """A name that two distributions offer is refused naming both, and listed as unusable twice; others work."""
    distribution(tmp_path, "rival", ["voting.median = rival"], rival="raise AssertionError('imported')")
    code = (
        "import json; from glulam import plugins\n"
        "try: plugins.voting('median')\n"
        "except plugins.PluginError as error: message = str(error)\n"
        "listed = [(info.distribution, info.why_not == message) for info in plugins.available('voting') "
        "if info.name == 'median']\n"
        "print(json.dumps([message, sorted(listed), plugins.model('linear').name]))"
    )
    message, listed, other = python(code, f"{installed}{os.pathsep}{tmp_path}", tmp_path)
    assert message.startswith("voting 'median' is offered by 2 plugins: ")
    assert "distribution glulam-example-plugin (glulam_example.median)" in message
    assert "distribution rival (rival)" in message
    assert message.endswith("; uninstall all but one")
    assert listed == [["glulam-example-plugin", True], ["rival", True]]
    assert other == "linear"


BROKEN = {
    "missing": ("import no_such_library", "No module named 'no_such_library'; install it with: pip install no_such"),
    "itself": ("", "No module named 'itself_is_gone'; install it again with: pip install --force-reinstall broken"),
    "old": ("from json import no_such", "cannot import name 'no_such' from 'json'.*; install it with: pip install -U"),
    "crashing": ("1 / 0", "ZeroDivisionError: division by zero; check the installation of distribution broken"),
    "hookless": ("", "plugin distribution broken .broken_hookless.: no hook implementation found; decorate one of"),
}


def test_a_plugin_that_cannot_be_imported(tmp_path):
    """A broken plugin is listed with the reason and what to do, raises just that by name, and disturbs nobody."""
    modules = {f"broken_{name}": source for name, (source, _) in BROKEN.items() if name != "itself"}
    entries = [f"voting.{name} = broken_{name}" for name in BROKEN if name != "itself"]
    distribution(tmp_path, "broken", [*entries, "voting.itself = itself_is_gone"], **modules)
    code = (
        "import json; from glulam import plugins\n"
        "found = {}\n"
        "for info in plugins.available('voting'):\n"
        "    try: plugins.voting(info.name); raised = ''\n"
        "    except plugins.PluginError as error: raised = str(error)\n"
        "    found[info.name] = [info.distribution, info.version, info.why_not, raised]\n"
        "print(json.dumps(found))"
    )
    found = python(code, tmp_path, tmp_path)
    for name, (_, message) in BROKEN.items():
        owner, version, why_not, raised = found.pop(name)
        assert (owner, version) == ("broken", "1.5")
        assert why_not == raised
        assert re.search(message, raised), raised
    assert all(why_not == raised == "" for _, _, why_not, raised in found.values())


def test_naming_one_plugin_imports_no_other(tmp_path):
    """Listing names imports no plugin; naming lightgbm imports neither xgboost nor other plugins."""
    code = (
        "import json, sys; from glulam import plugins\n"
        "names = plugins.known('model')\n"
        "before = [name for name in sys.modules if name.partition('.')[0] in ('lightgbm', 'glulam_plugins')]\n"
        "plugins.model('lightgbm'); plugins.voting('soft')\n"
        "after = sorted(name for name in sys.modules if name.startswith(('glulam_plugins.models.', 'xgboost')))\n"
        "after = [name for name in after if '._' not in name]\n"
        "print(json.dumps([before, after]))"
    )
    assert python(code, tmp_path, tmp_path) == [[], ["glulam_plugins.models.lightgbm"]]

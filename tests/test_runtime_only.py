"""An exported file runs on numpy and onnxruntime alone: shown in a fresh environment, from the wheel."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
from check_wheel import build_wheel, has_kernel, problems

from glulam import EnsembleClassifier

ROOT = Path(__file__).parents[1]
NOT_NEEDED = (
    "lightgbm", "xgboost", "sklearn", "scipy", "joblib", "skops", "pandas", "polars", "pyarrow", "onnx", "talib",
    "rich", "typer", "pluggy",
)  # fmt: skip

SERVE = """
import importlib.util, json, sys
import numpy as np
import glulam
model = glulam.load(sys.argv[1])
rows = np.load(sys.argv[2], allow_pickle=False)
print(json.dumps({
    "probabilities": model.predict_proba(rows).tolist(),
    "labels": model.predict(rows).tolist(),
    "from_mapping": model.predict_proba(dict(zip(model.schema.names, rows[0].tolist()))).tolist(),
    "kernel": model.info()["kernel"],
    "imported": sorted({name.partition(".")[0] for name in sys.modules}),
    "findable": [name for name in sys.argv[3].split(",") if importlib.util.find_spec(name)],
}))
"""


def test_exported_file_runs_on_base_dependencies_alone(binary, tmp_path):
    """The wheel with its base dependencies predicts as the training process does, importing nothing else."""
    X, y = binary
    members = [
        ("lightgbm", {"n_estimators": 10}),
        ("xgboost", {"n_estimators": 10}),
        ("random_forest", {"n_estimators": 10}),
    ]
    trained = EnsembleClassifier(members, weights=[0.4, 0.4, 0.2]).fit(X, y)
    trained.export(tmp_path / "ensemble.onnx", proof_rows=1_000)
    np.save(tmp_path / "rows.npy", X[:50])

    wheel = build_wheel(tmp_path)
    assert problems(wheel) == []
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
    subprocess.run([*install, wheel], check=True, capture_output=True)
    # pluggy comes with the base, for whoever adds plugins; serving must not miss it.
    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "pluggy"], check=True, capture_output=True)
    answer = served(python, tmp_path)
    assert answer["findable"] == []
    assert not set(NOT_NEEDED) & set(answer["imported"])
    assert answer["kernel"] == ("glulam" if has_kernel(wheel) else "onnxruntime")
    np.testing.assert_allclose(answer["probabilities"], trained.predict_proba(X[:50]), atol=1e-6)
    np.testing.assert_allclose(answer["from_mapping"][0], answer["probabilities"][0], atol=0)
    assert answer["labels"] == trained.predict(X[:50]).tolist()

    # Where there is no compiler, the wheel is without the kernel, and all the rest is as before.
    pure = build_wheel(tmp_path, compiler=False)
    assert problems(pure) == []
    subprocess.run([*install, "--no-deps", "--force-reinstall", pure], check=True, capture_output=True)
    without = served(python, tmp_path)
    assert without["kernel"] == "onnxruntime"
    np.testing.assert_allclose(without["probabilities"], answer["probabilities"], atol=1e-6)
    assert without["labels"] == answer["labels"]


def served(python: Path, folder: Path) -> dict[str, Any]:
    """Return what a process of an environment answers to the rows in a folder."""
    arguments = [folder / "ensemble.onnx", folder / "rows.npy", ",".join(NOT_NEEDED)]
    # An empty folder as working directory, and -I: nothing of the checkout can be found.
    command = [python, "-I", "-W", "error", "-c", SERVE, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder / "fresh")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_importing_glulam_is_cheap():
    """`import glulam` alone imports neither numpy nor onnxruntime nor any library of training."""
    code = "import json, sys, glulam; print(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "onnxruntime", *NOT_NEEDED} & set(json.loads(done.stdout))


def test_serving_imports_no_logging():
    """It is for a warning that hardly any process gives."""
    # onnxruntime or numpy may import it in some release of theirs.
    code = "import sys, numpy, onnxruntime; before = 'logging' in sys.modules; import glulam.runtime"
    code += "; print('logging' in sys.modules and not before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]

"""A saved ensemble comes back the same, holds no pickle, and does not come back with a byte changed."""

from __future__ import annotations

import json
import pickletools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LogisticRegression

from glulam import EnsembleClassifier, EnsembleRegressor
from glulam.errors import ArtifactError, ArtifactExistsError, UnsupportedModelError
from glulam.exporting import verify

SMALL = {"n_estimators": 5}
MEMBERS = [("lightgbm", SMALL), ("xgboost", SMALL), ("random_forest", SMALL), ("extra_trees", SMALL)]


@pytest.fixture
def ensemble(binary):
    """Return a fitted ensemble with names, range limits, threshold and abstention."""
    X, y = binary
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(28)])
    return EnsembleClassifier(
        MEMBERS, weights=[4, 3, 2, 1], voting="log_pool", validators=["columns", "finite", ("range", {"margin": 0.5})],
        threshold=0.6, min_confidence=0.55, abstain_label="unsure",
    ).fit(frame, np.array(["down", "up"])[y])  # fmt: skip


@pytest.fixture
def saved(ensemble, tmp_path):
    """Return the directory it was saved to."""
    ensemble.save(tmp_path / "saved")
    return tmp_path / "saved"


def test_a_saved_ensemble_comes_back_the_same(ensemble, saved, binary):
    """Answers, decision, schema, limits, classes and training facts survive."""
    X, _ = binary
    back = EnsembleClassifier.load(saved)
    np.testing.assert_allclose(back.votes(X), ensemble.votes(X), atol=1e-15)
    np.testing.assert_array_equal(back.predict(X), ensemble.predict(X))
    np.testing.assert_array_equal(back.feature_names_in_, ensemble.feature_names_in_)
    np.testing.assert_array_equal(back.classes_, ensemble.classes_)
    assert back.schema_ == ensemble.schema_
    assert back.training_ == ensemble.training_
    assert [v.state() for v in back.validators_] == [v.state() for v in ensemble.validators_]
    assert list(back.feature_importance()) == list(ensemble.feature_importance())


def test_a_restored_ensemble_exports_verifies_and_saves_again(saved, tmp_path):
    """What comes back can do all that what was saved could."""
    back = EnsembleClassifier.load(saved)
    back.export(tmp_path / "e.onnx", proof_rows=1_000)
    assert verify(back, tmp_path / "e.onnx", proof_rows=1_000).label_differences == 0
    back.save(tmp_path / "again")
    for name in ("member-0", "member-1", "rows.npy"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_regressors_are_saved_too(tmp_path):
    """A regressor comes back, and only as a regressor."""
    X, y = load_diabetes(return_X_y=True)
    ensemble = EnsembleRegressor(MEMBERS).fit(X, y)
    ensemble.save(tmp_path / "saved")
    np.testing.assert_allclose(EnsembleRegressor.load(tmp_path / "saved").predict(X), ensemble.predict(X), rtol=1e-14)
    with pytest.raises(ArtifactError, match="holds an EnsembleRegressor; open it with EnsembleRegressor.load"):
        EnsembleClassifier.load(tmp_path / "saved")


def test_no_file_is_a_pickle(saved):
    """No file of a saved ensemble is a pickle stream."""
    assert sorted(path.name for path in saved.iterdir()) == [
        "manifest.json", "manifest.json.sha256", "member-0", "member-1", "member-2", "member-3", "rows.npy",
    ]  # fmt: skip
    for path in saved.iterdir():
        with pytest.raises(ValueError, match=r".+"):
            list(pickletools.genops(path.read_bytes()))


def test_any_changed_byte_is_an_error(saved):
    """In every file, whichever byte changes, the ensemble does not load."""
    random = np.random.default_rng(0)
    for path in sorted(saved.iterdir()):
        data = path.read_bytes()
        for position in [0, len(data) - 1, *random.integers(0, len(data), 8)]:
            changed = bytearray(data)
            changed[position] ^= 1 << int(random.integers(0, 8))
            path.write_bytes(changed)
            with pytest.raises(ArtifactError, match="changed since it was saved"):
                EnsembleClassifier.load(saved)
        path.write_bytes(data)
    EnsembleClassifier.load(saved)


def test_a_missing_file_is_named(saved):
    """An incomplete directory says which file it lacks."""
    (saved / "member-1").unlink()
    with pytest.raises(
        ArtifactError, match="member-1: cannot be read: No such file.*; the saved ensemble is incomplete"
    ):
        EnsembleClassifier.load(saved)


def resign(saved: Path, edit) -> None:
    """Change the manifest and its sum, as somebody who means harm would."""
    import hashlib

    manifest = json.loads((saved / "manifest.json").read_text())
    edit(manifest)
    text = json.dumps(manifest).encode()
    (saved / "manifest.json").write_bytes(text)
    (saved / "manifest.json.sha256").write_text(hashlib.sha256(text).hexdigest())


def test_paths_out_of_the_directory_are_refused(saved):
    """A manifest cannot make us read files elsewhere, by path or by link."""
    resign(saved, lambda manifest: manifest["members"][0].update(file="../../etc/passwd"))
    with pytest.raises(ArtifactError, match="points outside the directory"):
        EnsembleClassifier.load(saved)
    resign(saved, lambda manifest: manifest["members"][0].update(file="member-0"))
    (saved / "member-0").rename(saved.parent / "elsewhere")
    (saved / "member-0").symlink_to(saved.parent / "elsewhere")
    with pytest.raises(ArtifactError, match="points outside the directory"):
        EnsembleClassifier.load(saved)


def test_newer_and_broken_manifests_are_refused(saved):
    """A newer format says what to upgrade; a manifest without its parts says what fails."""
    resign(saved, lambda manifest: manifest.update(format=2))
    with pytest.raises(
        ArtifactError, match="saved in format 2; this glulam reads up to 1; upgrade it with: pip install -U"
    ):
        EnsembleClassifier.load(saved)
    resign(saved, lambda manifest: (manifest.update(format=1), manifest.pop("schema")))
    with pytest.raises(ArtifactError, match="cannot be restored: KeyError: 'schema'"):
        EnsembleClassifier.load(saved)


def test_existing_targets_and_files_are_named(saved, ensemble, tmp_path):
    """Saving over something needs overwrite=True; loading a file or nothing says what was expected."""
    with pytest.raises(ArtifactExistsError, match="exists; choose another name, or overwrite it with overwrite=True"):
        ensemble.save(saved)
    ensemble.save(saved, overwrite=True)
    EnsembleClassifier.load(saved)
    with pytest.raises(ArtifactError, match="no such directory; expected one that save"):
        EnsembleClassifier.load(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match="an exported file is opened with glulam.load"):
        EnsembleClassifier.load(tmp_path / "file")


def test_members_of_unknown_kind_are_saved_by_skops(binary, tmp_path):
    """An estimator without plugin is stored by skops if skops trusts it, and refused if not."""
    X, y = binary
    EnsembleClassifier([("linear", LogisticRegression(max_iter=2000))]).fit(X, y).save(tmp_path / "saved")
    assert EnsembleClassifier.load(tmp_path / "saved").predict(X).shape == (1500,)
    with pytest.raises(
        UnsupportedModelError, match=r"Own cannot be saved: skops does not trust \[.*Own.*\]; no plugin knows"
    ):
        EnsembleClassifier([("own", Own())]).fit(X, y).save(tmp_path / "own")
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


class Own(LogisticRegression):
    """An estimator of somebody's own."""

    def __init__(self, C: float = 1e-3) -> None:
        super().__init__(C=C, max_iter=2000)


def test_a_directory_of_other_files_is_never_replaced(ensemble, tmp_path):
    """overwrite=True replaces a saved ensemble, not a directory that holds anything else."""
    (tmp_path / "work").mkdir()
    ensemble.save(tmp_path / "work", overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(ArtifactError, match="is no saved ensemble; it is not replaced; choose another name"):
        ensemble.save(tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"

"""A trained ensemble on disk: a directory, without pickle.

::

    manifest.json          everything but the members; the names and sha256 of the other files
    manifest.json.sha256   the sha256 of the manifest
    member-0               each member in its library's own format
    rows.npy               training rows that the proof starts from

The sums find damage, not forgery: whoever can write the directory can write both.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import Bunch

from glulam import __version__, plugins
from glulam._checking import named_params
from glulam._files import atomic_directory
from glulam.errors import ArtifactError, GlulamError
from glulam.members import AnyEstimator
from glulam.metadata import classes_of, json_classes
from glulam.schema import FeatureSchema

if TYPE_CHECKING:
    from glulam._base import Ensemble

__all__ = ["SAVED_FORMAT", "kind_of", "load", "save"]

SAVED_FORMAT = 1
_MANIFEST, _SUM = "manifest.json", "manifest.json.sha256"


def save(ensemble: Ensemble, path: Path, *, overwrite: bool) -> None:
    """Write a fitted ensemble to the directory ``path``, all of it or nothing."""
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(ensemble, "members_")
    if overwrite and path.exists() and not _replaceable(path):
        raise ArtifactError(f"{path}: is no saved ensemble; it is not replaced; choose another name")
    with atomic_directory(path, overwrite=overwrite) as directory:
        members = []
        for index, (name, model) in enumerate(ensemble.members_.items()):
            plugin = ensemble.plugins_[index]
            entry = {"name": name, "plugin": plugin.name, "weight": float(ensemble.weights_[index])}
            members.append(entry | _write(directory / f"member-{index}", plugin.dump(model)))
        rows = io.BytesIO()
        np.save(rows, ensemble.proof_rows_, allow_pickle=False)
        manifest = {
            "format": SAVED_FORMAT,
            "glulam": __version__,
            "class": type(ensemble).__name__,
            "schema": json.loads(ensemble.schema_.to_json()),
            "classes": json_classes(getattr(ensemble, "classes_", np.empty(0))),
            "members": members,
            "voting": ensemble.voting_.name,
            "voting_params": _voting_params(ensemble),
            "voting_state": ensemble.voting_.state(),
            "validators": [{"name": each.name, "state": each.state()} for each in ensemble.validators_],
            "settings": {key: getattr(ensemble, key) for key in _settings(ensemble)},
            "training": ensemble.training_,
            "rows": _write(directory / "rows.npy", rows.getvalue()),
        }
        text = json.dumps(manifest, indent=1, allow_nan=False, default=_plain).encode()
        digest = _write(directory / _MANIFEST, text)["sha256"]
        _write(directory / _SUM, digest.encode())


def load(cls: type[Ensemble], path: Path) -> Any:
    """Open what `save` wrote. Raises ArtifactError for damage, or an ensemble of another class."""
    manifest = _manifest(path)
    if manifest["class"] != cls.__name__:
        raise ArtifactError(f"{path}: holds an {manifest['class']}; open it with {manifest['class']}.load")
    try:
        return _restore(cls, path, manifest)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, GlulamError):
            raise
        raise ArtifactError(f"{path}: cannot be restored: {type(error).__name__}: {error}") from error


def kind_of(path: Path) -> str:
    """Return the name of the class whose `load` opens a directory that `save` wrote."""
    return str(_manifest(path)["class"])


def _manifest(path: Path) -> dict[str, Any]:
    """Read and check the manifest of a saved ensemble."""
    if not path.is_dir():
        raise ArtifactError(
            f"{path}: no such directory; expected one that save() wrote"
            + (" (an exported file is opened with glulam.load)" if path.is_file() else "")
        )
    text = _read(path, _MANIFEST, None)
    if _read(path, _SUM, None).decode("ascii", "replace") != hashlib.sha256(text).hexdigest():
        raise ArtifactError(f"{path}: {_MANIFEST} has changed since it was saved; restore it from a copy")
    manifest: dict[str, Any] = json.loads(text)
    if manifest["format"] > SAVED_FORMAT:
        raise ArtifactError(
            f"{path}: saved in format {manifest['format']}; this glulam reads up to {SAVED_FORMAT}; "
            "upgrade it with: pip install -U glulam"
        )
    return manifest


def _restore(cls: type[Ensemble], path: Path, manifest: dict[str, Any]) -> Any:
    """Build the ensemble that a verified manifest describes."""
    members, found = {}, []
    for entry in manifest["members"]:
        plugin = AnyEstimator() if entry["plugin"] == AnyEstimator.name else plugins.model(entry["plugin"])
        members[entry["name"]] = plugin.restore(_read(path, entry["file"], entry["sha256"]))
        found.append(plugin)
    validators = []
    for entry in manifest["validators"]:
        validator = plugins.validator(entry["name"])
        validator.restore(entry["state"])
        validators.append(validator)
    voting = plugins.voting(manifest["voting"])
    voting.restore(manifest.get("voting_state", {}))  # older directories have none: their votes learn nothing
    params = manifest.get("voting_params", {})
    schema = FeatureSchema.from_json(json.dumps(manifest["schema"]))
    weights = np.array([entry["weight"] for entry in manifest["members"]])
    ensemble: Any = cls(
        members=list(members.items()), weights=None if voting.learns_weights else weights.tolist(),
        voting=(voting.name, params) if params else voting.name, prefit=True, schema=schema, **manifest["settings"],
    )  # fmt: skip
    classes = classes_of(manifest)
    if len(classes):
        ensemble.classes_ = classes
    ensemble.schema_ = schema
    ensemble.n_features_in_ = len(schema)
    if schema.named:
        ensemble.feature_names_in_ = np.array(schema.names, dtype=object)
    ensemble.members_ = Bunch(**members)
    ensemble.plugins_ = found
    ensemble.validators_ = validators
    ensemble.weights_ = weights
    ensemble.voting_ = voting
    rows = _read(path, manifest["rows"]["file"], manifest["rows"]["sha256"])
    ensemble.proof_rows_ = np.load(io.BytesIO(rows), allow_pickle=False)
    ensemble.training_ = manifest["training"]
    return ensemble


def _replaceable(path: Path) -> bool:
    """Tell whether this is an empty directory or a saved ensemble, and no link to one."""
    if path.is_symlink() or not path.is_dir():
        return False
    return (path / _MANIFEST).is_file() or not any(path.iterdir())


def _settings(ensemble: Ensemble) -> list[str]:
    """Return the names of parameters that are kept as they are."""
    kept = ["validators", "reorder", "threshold", "min_confidence", "abstain_label"]
    return [key for key in kept if key in ensemble.get_params(deep=False)]


def _voting_params(ensemble: Ensemble) -> dict[str, Any]:
    """Return the arguments of the voting strategy that JSON has; a splitter is of no use to fitted members."""
    _, params = named_params(ensemble.voting, "voting: expected the name of a strategy")
    return {key: value for key, value in params.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    """Tell whether JSON has a value as it is (a tuple comes back as a list)."""
    if isinstance(value, (list, tuple)):
        return all(_is_plain(each) for each in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    return value is None or isinstance(value, (int, float, str))


def _plain(value: Any) -> Any:
    """Return a numpy scalar as its Python value, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be saved as JSON")


def _write(path: Path, data: bytes) -> dict[str, str]:
    """Write a file through to the disk; return its name and sha256."""
    with path.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    return {"file": path.name, "sha256": hashlib.sha256(data).hexdigest()}


def _read(directory: Path, name: str, digest: str | None) -> bytes:
    """Read a file of the directory itself, and check its sum."""
    path = directory / name
    if Path(name).name != name or path.is_symlink():
        raise ArtifactError(
            f"{directory}: {name!r} points outside the directory; this is no ensemble that save() wrote"
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}; the saved ensemble is incomplete") from error
    if digest is not None and hashlib.sha256(data).hexdigest() != digest:
        raise ArtifactError(f"{path}: has changed since it was saved (sha256 differs); restore it from a copy")
    return data

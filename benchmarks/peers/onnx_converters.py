"""The stock converters to ONNX, run by onnxruntime alone and with glulam's kernel under the same files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.models import Model, weighted_mean
from benchmarks.peers._peer import Answer, Peer, UnsupportedError
from benchmarks.peers.glulam import OFF, ORT, OURS, session

__all__ = ["PEERS"]

VOTING = "voting.onnx"


def _convert_voting(model: Model, folder: Path) -> None:
    """Convert scikit-learn's VotingClassifier of the members, all in one file."""
    _require_ensemble(model)
    from benchmarks.voting_by_skl2onnx import convert, voting_classifier

    (folder / VOTING).write_bytes(convert(voting_classifier(model.estimators(), list(model.shares))))


def _convert_members(model: Model, folder: Path) -> None:
    """Convert each member by the converter of its library: a file each."""
    from benchmarks.stock import convert

    for kind, estimator in model.estimators().items():
        family = kind if kind in ("lightgbm", "xgboost") else "sklearn"
        (folder / f"{kind}.onnx").write_bytes(convert(family, estimator, model.features))


def _open_voting(model: Model, folder: Path, threads: int, *, kernel: bool) -> Answer:
    _require_ensemble(model)
    return _probabilities(session(VOTING_PEER.folder(model) / VOTING, threads, kernel=kernel))


def _open_members(model: Model, folder: Path, threads: int, *, kernel: bool) -> Answer:
    home = MEMBERS_PEER.folder(model)
    answers = [_probabilities(session(home / f"{kind}.onnx", threads, kernel=kernel)) for kind in model.kinds]
    return weighted_mean(answers, model.shares)


def _probabilities(opened: Any) -> Answer:
    """Return a function of rows: the converter's last output, which is the matrix of probabilities."""
    outputs, name = [opened.get_outputs()[-1].name], opened.get_inputs()[0].name
    run = opened.run
    return lambda rows: run(outputs, {name: rows})[0]


def _require_ensemble(model: Model) -> None:
    if len(model.kinds) == 1:
        raise UnsupportedError("a VotingClassifier has several members")


VOTING_PEER = Peer(
    "skl2onnx", "skl2onnx VotingClassifier", partial(_open_voting, kernel=False), _convert_voting, ORT,
    ("benchmarks.voting_by_skl2onnx",), variables=OFF,
)  # fmt: skip
MEMBERS_PEER = Peer(
    "onnxmltools", "onnxmltools, a file a member", partial(_open_members, kernel=False), _convert_members, ORT,
    ("onnxmltools", "skl2onnx", "benchmarks.stock"), variables=OFF,
)  # fmt: skip
PEERS = (
    VOTING_PEER,
    Peer("skl2onnx_kernel", "skl2onnx's file, fast_session", partial(_open_voting, kernel=True), serves_by=OURS),
    MEMBERS_PEER,
    Peer("onnxmltools_kernel", "onnxmltools' files, fast_session", partial(_open_members, kernel=True), serves_by=OURS),
)

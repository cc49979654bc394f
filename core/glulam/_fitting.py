"""Fitting members side by side, with a progress bar where somebody can see it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from glulam._targets import Target
from glulam.members import Member
from glulam.program import Task

__all__ = ["fit_members", "native_votes", "out_of_fold_votes"]


def fit_members(
    members: Sequence[Member],
    X: npt.NDArray[np.float32],
    y: npt.NDArray[Any],
    sample_weight: npt.NDArray[np.float64] | None,
    eval_set: tuple[npt.NDArray[np.float32], npt.NDArray[Any]] | None,
    *,
    n_jobs: int | None,
    progress: bool | None,
) -> list[Any]:
    """Fit each member on the same rows; return the fitted estimators in order.

    Threads suffice: the libraries release the interpreter lock while they train.
    """
    tasks = (delayed(_fit_one)(index, member, X, y, sample_weight, eval_set) for index, member in enumerate(members))
    fitted: list[Any] = [None] * len(members)
    with _bar([member.name for member in members], progress) as advance:
        for index, estimator in Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator_unordered")(tasks):
            fitted[index] = estimator
            advance(members[index].name)
    return fitted


def _fit_one(
    index: int,
    member: Member,
    X: npt.NDArray[np.float32],
    y: npt.NDArray[Any],
    sample_weight: npt.NDArray[np.float64] | None,
    eval_set: tuple[npt.NDArray[np.float32], npt.NDArray[Any]] | None,
) -> tuple[int, Any]:
    return index, member.plugin.fit(member.estimator, X, y, sample_weight, eval_set)


def native_votes(
    members: Sequence[Member], fitted: Sequence[Any], rows: npt.NDArray[np.float32], task: Task
) -> npt.NDArray[np.float64]:
    """Return the fitted members' own votes, float64 [n_rows, n_members, n_classes]."""
    votes = [member.plugin.votes(model, rows, task) for member, model in zip(members, fitted, strict=True)]
    return np.stack(votes, axis=1)


def out_of_fold_votes(
    members: Sequence[Member],
    fit: Callable[..., list[Any]],
    folds: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]],
    X: npt.NDArray[np.float32],
    target: Target,
    sample_weight: npt.NDArray[np.float64] | None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    """Return votes of members that were fitted on other rows, and which rows these votes are for.

    fit
        `fit_members`, but for members, rows, targets and weights
    folds
        positions of the rows to fit on, and of those to vote on
    """
    votes = []
    for train, test in folds:
        fresh = [Member(member.name, member.plugin, clone(member.estimator)) for member in members]
        weight = None if sample_weight is None else sample_weight[train]
        fitted = fit(fresh, X[train], target.y[train], weight)
        votes.append(native_votes(fresh, fitted, X[test], target.task))
    return np.concatenate(votes), np.concatenate([test for _, test in folds])


@contextlib.contextmanager
def _bar(names: list[str], progress: bool | None) -> Iterator[Callable[[str], None]]:
    """Show a bar on a terminal; be silent elsewhere."""
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield lambda name: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"fitting {', '.join(names)}", total=len(names))

        def advance(name: str) -> None:
            bar.update(task, advance=1, description=f"fitted {name}")

        yield advance

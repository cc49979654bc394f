"""Fitting members side by side, with a progress bar where somebody can see it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.parallel import Parallel, delayed

from glulam.members import Member

__all__ = ["fit_members"]


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

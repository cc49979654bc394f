"""Running the trials of a study, in this thread or several, until a budget is used up."""

from __future__ import annotations

import contextlib
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from glulam.training._study import ERROR, counted, required_optuna

__all__ = ["PARAMS", "Trials"]

PARAMS = "params"
"""Attribute of trials: the parameters that were drawn, as the member takes them."""


@dataclass(slots=True)
class Trials:
    """The trials of one member's study.

    name
        the member's
    draw
        returns parameters drawn from an `optuna.Trial`
    scores
        yields the metric of some parameters on all rows tested so far, after each fold
    folds
        how many scores that are
    budget
        trials in all, those of earlier runs among them
    deadline
        by `time.monotonic`; None for none
    advance
        called after each trial
    """

    study: Any
    name: str
    draw: Callable[[Any], dict[str, Any]]
    scores: Callable[[Mapping[str, Any]], Iterator[float]]
    folds: int
    budget: int
    seed: int
    deadline: float | None = None
    advance: Callable[[], None] = lambda: None
    _asked: int = 0
    # Sampling, storage and pruning are quick; one thread at a time keeps them simple. Fitting is outside.
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, workers: int) -> None:
        """Try parameters until the budget is used up. Ctrl-C and errors of the storage end it; all is kept."""
        self._asked = sum(counted(self.study).values())
        if workers == 1:
            self._work()
            return
        with ThreadPoolExecutor(workers) as pool:
            pending = {pool.submit(self._work_alone) for _ in range(workers)}
            try:
                while pending:
                    # Not for long: the system may hand Ctrl-C to any thread, and a waiting one does not notice.
                    done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
            except BaseException:  # Ctrl-C as well: the others end after the fold that they are at
                self._stop.set()
                raise

    def _work_alone(self) -> None:
        """Work beside others: libraries that take no number of threads get one by their runtime's setting."""
        with threadpool_limits(1, user_api="openmp"):
            self._work()

    def _work(self) -> None:
        while (drawn := self._next()) is not None:
            self._try(*drawn)
            self.advance()

    def _over(self) -> bool:
        return self._stop.is_set() or (self.deadline is not None and time.monotonic() >= self.deadline)

    def _next(self) -> tuple[Any, dict[str, Any]] | None:
        """Return a new trial and its parameters, or None when the budget is used up."""
        optuna = required_optuna()
        with self._lock:
            if self._asked >= self.budget or self._over():
                return None
            # A seed for each trial: a study that was resumed goes on as if it had never been killed.
            mixed = np.random.SeedSequence([self.seed, zlib.crc32(self.name.encode()), self._asked])
            self.study.sampler = optuna.samplers.TPESampler(seed=int(mixed.generate_state(1)[0]))
            self._asked += 1
            trial = self.study.ask()
            with self._told(trial):
                params = self.draw(trial)
                trial.set_user_attr(PARAMS, params)
        return trial, params

    def _try(self, trial: Any, params: Mapping[str, Any]) -> None:
        """Score parameters fold by fold; what a library refuses makes a failed trial, not the end."""
        optuna = required_optuna()
        states = optuna.trial.TrialState
        with self._told(trial):
            scores = self.scores(params)
            value = float("nan")
            for step in range(self.folds):
                if self._over():
                    self._tell(trial, states.FAIL)
                    return
                try:
                    value = next(scores)
                except Exception as error:  # libraries raise types of their own
                    self._tell(trial, states.FAIL, error=f"{type(error).__name__}: {error}")
                    return
                with self._lock:
                    if np.isfinite(value):
                        trial.report(value, step)
                    prune = step + 1 < self.folds and trial.should_prune()
                if prune:
                    self._tell(trial, states.PRUNED)
                    return
            if np.isfinite(value):
                self._tell(trial, states.COMPLETE, value=value)
            else:
                self._tell(trial, states.FAIL, error=f"the metric is {value}")

    def _tell(self, trial: Any, state: Any, *, value: float | None = None, error: str = "") -> None:
        with self._lock:
            if error:
                trial.set_user_attr(ERROR, error[:1000])
            self.study.tell(trial, value, state=state)

    @contextlib.contextmanager
    def _told(self, trial: Any) -> Iterator[None]:
        """Mark a trial as failed where Ctrl-C or an error ends it; the next run tries again."""
        optuna = required_optuna()
        try:
            yield
        except BaseException:
            with contextlib.suppress(Exception):  # the storage may be what failed
                self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise

"""The search for parameters: a study a member on the earlier rows, and an honest comparison on the later ones.

Each member is tuned by itself: what it is worth alone does not depend on the others, and bad parameters are given up
after a fold. The parameters that the user has are scored on the same inner folds, so that the choice is never worse
there. Whether it is any better is asked where the search has not been: on the holdout.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from glulam import plugins
from glulam.dataset import Dataset
from glulam.errors import ConfigError
from glulam.training._holdout import WHAT, Holdout, compare_on_holdout, split_holdout
from glulam.training._member import MemberSearch, with_params
from glulam.training._study import ERROR, counted, open_storage, open_study, required_optuna
from glulam.training._workers import PARAMS, Trials
from glulam.training.config import Config, EvaluationConfig
from glulam.training.folds import choose_splitter, make_folds
from glulam.training.results import Comparison, Interval

__all__ = ["MemberTuning", "TuneResult", "tune"]


@dataclass(frozen=True, slots=True)
class MemberTuning:
    """What the search found for one member.

    params
        the best ones beside those that the config sets; empty where none were better, or its plugin tunes nothing
    untuned, tuned
        the metric on the inner folds with the config's parameters, and with the best; None where nothing is tuned
    trials
        how many are done, pruned and failed, those of earlier runs among them
    error
        what the last failed trial said; empty where none failed
    """

    params: Mapping[str, Any]
    untuned: float | None
    tuned: float | None
    trials: Mapping[str, int]
    error: str = ""


@dataclass(frozen=True, slots=True)
class TuneResult:
    """What a search found, and whether it pays.

    members
        by name
    metric
        that was searched by, and that is compared by
    comparison
        tuned against untuned on the holdout, which the search never saw
    holdout
        in words
    adopted
        whether the tuned ensemble is the better one there by the point estimate; ``comparison.better`` says
        whether that is more than chance
    config
        what to go on with: with the best parameters if they are adopted, and then with walk-forward folds that test
        rows of the holdout only; else as it was given
    complete
        whether the budget of trials is used up; False where time ran out first
    """

    members: Mapping[str, MemberTuning]
    metric: str
    comparison: Comparison
    holdout: str
    adopted: bool
    config: Config
    complete: bool
    seconds: float

    @property
    def params(self) -> dict[str, dict[str, Any]]:
        """The best parameters of each member, whether they are adopted or not."""
        return {name: dict(member.params) for name, member in self.members.items()}

    @property
    def trials(self) -> dict[str, int]:
        """How many trials are done, pruned and failed, of all members."""
        kinds = ("done", "pruned", "failed")
        return {kind: sum(member.trials.get(kind, 0) for member in self.members.values()) for kind in kinds}

    @property
    def verdict(self) -> str:
        """The comparison in one sentence."""
        found = self.comparison.difference
        known = math.isfinite(found.low) and math.isfinite(found.high)
        interval = (
            f"95 % interval from {found.low:+.4g} to {found.high:+.4g}" if known else "too few rows for an interval"
        )
        if not any(member.params for member in self.members.values()):
            return "the search found nothing better on its own folds; the parameters stay as they are"
        if not found.value > 0:
            return (
                f"tuned is not better on rows that the search never saw ({found.value:+.4g}, {interval}); not adopted"
            )
        if self.comparison.better:
            return f"tuned is better on rows that the search never saw ({found.value:+.4g}, {interval}); adopted"
        return (
            f"tuned is {found.value:+.4g} better on rows that the search never saw, which cannot be told from no "
            f"difference ({interval}); adopted"
        )


def tune(data: Dataset, config: Config, *, base: Path, progress: bool, resume: bool = True) -> TuneResult:
    """Search each member's parameters on the earlier rows, and compare with the untuned ones on the later.

    base
        what ``tune.storage`` is relative to
    progress
        show a bar, if standard error is a terminal
    resume
        go on with the trials of an earlier run; False forgets them

    A run that ends early, however that may be, leaves a study that goes on when it is run again. Raises ConfigError
    for what cannot be tuned, ArtifactError for a file of studies that is in use, damaged or for something else.
    """
    begun = time.perf_counter()
    required_optuna()
    settings = config.tune
    metric = _metric(config, data)
    ordered = data.time is not None or choose_splitter(config.evaluation, data).ordered
    holdout = split_holdout(config, data, ordered=ordered)
    search = data.take(holdout.search)
    if ordered:
        inner = EvaluationConfig(splitter="walk_forward", folds=settings.folds, embargo=config.evaluation.embargo)
    else:
        inner = EvaluationConfig(folds=settings.folds)
    _, folds = make_folds(inner, search)
    members = [MemberSearch(name, config, search, folds, metric) for name in config.members]
    deadline = None if settings.timeout is None else time.monotonic() + settings.timeout
    path = base / settings.storage
    with open_storage(path) as storage:
        studies = {
            member.name: open_study(
                storage, f"{settings.study}-{member.name}", path=path, facts=member.facts(), resume=resume,
                direction="maximize" if plugins.metric(metric).greater_is_better else "minimize",
            )
            for member in members
            if member.space()
        }  # fmt: skip
        if not studies:
            raise ConfigError(
                f"tune: none of the members {list(config.members)} has parameters to search: their plugins offer none, "
                "or the config sets them all; leave some to the search"
            )
        found, complete = _searched(members, studies, deadline, progress=progress)
    best = {name: member.params for name, member in found.items()}
    tuned = with_params(config, best)
    if any(best.values()):
        comparison = compare_on_holdout(config, tuned, data, holdout, metric, folds)
    else:
        comparison = Comparison(WHAT, metric, Interval(0.0, 0.0, 0.0))
    adopted = comparison.difference.value > 0
    return TuneResult(
        members=found, metric=metric, comparison=comparison, holdout=holdout.what, adopted=adopted,
        config=_tested_beyond(tuned, data, holdout) if adopted else config, complete=complete,
        seconds=time.perf_counter() - begun,
    )  # fmt: skip


def _tested_beyond(config: Config, data: Dataset, holdout: Holdout) -> Config:
    """Return a tuned config whose walk-forward tests rows that the search never saw only: others would flatter it."""
    evaluation = config.evaluation
    tested = sum(len(test) for _, test in holdout.folds)
    splitter = choose_splitter(evaluation, data)
    if splitter.name != "walk_forward" or tested < evaluation.folds:
        return config
    params = {**evaluation.params, "test_size": tested // evaluation.folds}
    return config.model_copy(update={"evaluation": evaluation.model_copy(update={"params": params})})


def _metric(config: Config, data: Dataset) -> str:
    """Return the metric to search by. Raises ConfigError for one that is not of the task."""
    name = config.tune.metric or ("rmse" if data.task == "regression" else "log_loss")
    tasks = plugins.metric(name).tasks
    if data.task not in tasks:
        raise ConfigError(f"tune.metric: {name!r} measures {list(tasks)}, but the task is {data.task}; choose another")
    return name


def _searched(
    members: list[MemberSearch], studies: Mapping[str, Any], deadline: float | None, *, progress: bool
) -> tuple[dict[str, MemberTuning], bool]:
    """Run the trials of each member in turn; return what was found, and whether every budget is used up."""
    found: dict[str, MemberTuning] = {}
    complete = True
    left = len(studies)
    for member in members:
        if member.name not in studies:
            found[member.name] = MemberTuning({}, None, None, {})
            continue
        study, settings = studies[member.name], member.config.tune
        untuned = _untuned(study, member)
        # Time that a member does not need is the next one's.
        until = None if deadline is None else time.monotonic() + max(0.0, deadline - time.monotonic()) / left
        left -= 1
        with _bar(member.name, study, settings.trials, shown=progress) as advance:
            Trials(
                study=study, name=member.name, draw=member.draw, scores=member.scores, folds=len(member.folds),
                budget=settings.trials, seed=member.config.seed, deadline=until, advance=advance,
            ).run(settings.workers)  # fmt: skip
        found[member.name] = _best(study, member, untuned)
        complete = complete and sum(found[member.name].trials.values()) >= settings.trials
    return found, complete


def _untuned(study: Any, member: MemberSearch) -> float:
    """Return the metric with the parameters that the user has. It is no trial: they may be outside the space."""
    known = study.user_attrs.get("untuned")
    if known is not None:
        return float(known)
    value = float("nan")
    for value in member.scores({}):  # noqa: B007  # the last one counts all folds
        pass
    if not np.isfinite(value):
        raise ConfigError(
            f"tune.metric: {member.metric!r} of member {member.name!r} is {value} on the inner folds; "
            "choose another metric, fewer tune.folds, or more rows"
        )
    study.set_user_attr("untuned", value)
    return value


def _best(study: Any, member: MemberSearch, untuned: float) -> MemberTuning:
    """Return the best of the trials and the untuned parameters. Raises ConfigError where every trial failed."""
    optuna = required_optuna()
    trials = study.get_trials(deepcopy=False)
    done = [trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE]
    errors = [trial.user_attrs[ERROR] for trial in trials if ERROR in trial.user_attrs]
    counts = counted(study)
    if errors and not done and not counts["pruned"]:
        raise ConfigError(
            f"member {member.name!r}: all {len(errors)} trials failed, the last one by {errors[-1]}; correct the "
            "parameters that the config sets, or the plugin's search_space, and start anew with --restart "
            "(resume=False)"
        )
    sign = 1.0 if plugins.metric(member.metric).greater_is_better else -1.0
    best = max(done, key=lambda trial: sign * trial.value, default=None)
    error = errors[-1] if errors else ""
    if best is None or sign * best.value <= sign * untuned:
        return MemberTuning({}, untuned, untuned, counts, error)
    return MemberTuning(dict(best.user_attrs[PARAMS]), untuned, float(best.value), counts, error)


@contextlib.contextmanager
def _bar(name: str, study: Any, trials: int, *, shown: bool) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal; be silent elsewhere."""
    if not (shown and sys.stderr.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"tuning {name}", total=trials, completed=sum(counted(study).values()))
        yield partial(bar.update, task, advance=1)

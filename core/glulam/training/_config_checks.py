"""Checks of a config that need no data: names of plugins, and keys that do not go together. Imports no library."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from glulam import plugins
from glulam.errors import PluginError
from glulam.training._config_errors import Path, Problem, error_of, nearest, shown
from glulam.training.config import Config, DataConfig, EnsembleConfig

__all__ = ["DATABASES", "check_names", "name_problems", "setting_problems"]

DATABASES = (".duckdb", ".ddb", ".sqlite", ".sqlite3", ".db")
"""What the names of databases end in."""
_KINDS: dict[plugins.Kind, str] = {
    "model": "model plugin", "label": "label", "splitter": "splitter", "metric": "metric", "voting": "voting strategy",
    "calibrator": "calibrator", "selector": "feature selector", "features": "feature generator",
    "validator": "feature validator", "leak_check": "leak check",
}  # fmt: skip


def check_names(config: Config) -> None:
    """Raise ConfigError for names of plugins that nobody has registered; imports none of them."""
    problems = list(name_problems(config))
    if problems:
        raise error_of("", problems)


def name_problems(config: Config) -> Iterator[Problem]:
    """Yield a problem for each name that is no plugin's, with the nearest one that is."""
    for path, kind, name in _names(config):
        known = plugins.known(kind)
        if name not in known:
            yield Problem(path, f"unknown {_KINDS[kind]} {name!r}; {nearest(name, known, most=len(known))}")
    threshold = config.ensemble.threshold
    choices = ["expected_value", *plugins.known("metric")]
    if isinstance(threshold, str) and threshold not in choices:
        found = f"expected a number between 0 and 1, expected_value or a metric's name, got {threshold!r}"
        yield Problem(("ensemble", "threshold"), f"{found}; {nearest(threshold, choices, most=len(choices))}")


def _names(config: Config) -> Iterator[tuple[Path, plugins.Kind, str]]:
    """Yield where each name of a plugin is, its kind and itself."""
    for index, generator in enumerate(config.features.generators):
        yield ("features", "generators", index), "features", generator.name
    if config.features.select:
        yield ("features", "select"), "selector", config.features.select
    yield ("label", "name"), "label", config.label.name
    for name, member in config.members.items():
        yield ("members", name, "plugin") if member.plugin else ("members", name), "model", member.plugin or name
    yield ("ensemble", "voting"), "voting", config.ensemble.voting
    if config.ensemble.calibration:
        yield ("ensemble", "calibration"), "calibrator", config.ensemble.calibration
    for index, validator in enumerate(config.ensemble.validators or ()):
        given = validator if isinstance(validator, str) else validator.get("name")
        if isinstance(given, str):  # what has none is `setting_problems`' to tell
            yield ("ensemble", "validators", index), "validator", given
    if config.evaluation.splitter != "auto":
        yield ("evaluation", "splitter"), "splitter", config.evaluation.splitter
    for index, metric in enumerate(config.evaluation.metrics):
        yield ("evaluation", "metrics", index), "metric", metric
    for index, check in enumerate(config.leaks.skip):
        yield ("leaks", "skip", index), "leak_check", check
    if config.tune.metric:
        yield ("tune", "metric"), "metric", config.tune.metric


def setting_problems(config: Config) -> Iterator[Problem]:
    """Yield a problem for settings that cannot be, or do not go together."""
    yield from _of_data(config.data)
    if config.features.generators:
        for name in ("drop", "categorical"):
            if getattr(config.data, name):
                what = "with features.generators the features are theirs, no columns; leave it out, or the generators"
                yield Problem(("data", name), what)
    if config.features.select_params and not config.features.select:
        yield Problem(("features", "select_params"), "needs features.select, the name of a feature selector")
    yield from _of_members(config)
    yield from _of_decision(config.ensemble)


def _of_data(data: DataConfig) -> Iterator[Problem]:
    if not data.path:
        yield Problem(("data", "path"), 'missing; give the file that has the rows: path = "FILE"')
    database = data.path.lower().endswith(DATABASES)
    if database and not data.query:
        what = 'needs data.query, the SQL that gives the rows: query = "SELECT * FROM prices"'
        yield Problem(("data", "path"), f"a database ({shown(data.path)}) {what}")
    if data.query and data.path and not database:
        what = f"only a database takes one, and data.path is {shown(data.path)}; leave it out"
        yield Problem(("data", "query"), f"{what}, or give a file that ends in {', '.join(DATABASES)}")
    zone = _zone(data.timezone)
    if zone is None:
        yield Problem(("data", "timezone"), f"unknown time zone {data.timezone!r}; {_near_zone(data.timezone)}")
    moments = {}
    for name in ("since", "until"):
        text = getattr(data, name)
        if not text:
            continue
        if data.days is not None and name == "since":
            yield Problem(("data", "days"), "does not go with data.since: both say where the rows begin; leave one out")
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            what = "expected a date or time such as 2023-01-31 or 2023-01-31T04:00:00Z"
            yield Problem(("data", name), f"{what}, got {shown(text)}")
        else:
            moments[name] = moment if moment.tzinfo else moment.replace(tzinfo=zone or UTC)
    if len(moments) == 2 and moments["since"] >= moments["until"]:
        what = f"expected a moment before data.until ({data.until}), got {data.since}; no row would be left"
        yield Problem(("data", "since"), what)


def _zone(name: str) -> tzinfo | None:
    """Return a time zone; None for an unknown one."""
    if name in ("", "UTC"):  # known on machines that have no list of zones, too
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no key at all, such as "../x"; a region, such as "Europe"
        return None


def _near_zone(name: str) -> str:
    """Return what to write instead of a time zone that is unknown."""
    zones = available_timezones()
    if not zones:
        return "this machine has no list of time zones; install one with: pip install tzdata"
    by_lower = {zone.lower(): zone for zone in zones}
    if name.lower() in by_lower:
        return f"did you mean {by_lower[name.lower()]!r}?"
    hint = nearest(name, zones).partition("known are")[0]
    return f"{hint}give a name such as UTC or Europe/Berlin"


def _of_members(config: Config) -> Iterator[Problem]:
    ensemble = config.ensemble
    if ensemble.weights == "given" and not any(member.weight for member in config.members.values()):
        yield Problem(("members",), "every weight is 0, so that nobody votes; give one of them a weight above 0")
    if ensemble.weights == "auto" and _learns(ensemble.voting):
        what = f"'auto' does not go with voting {ensemble.voting!r}, which learns what votes are worth itself"
        yield Problem(("ensemble", "weights"), f'{what}; leave it out, or take voting = "soft"')


def _learns(voting: str) -> bool:
    """Tell whether a voting strategy learns weights itself; what cannot be had is told elsewhere."""
    try:
        return voting in plugins.known("voting") and plugins.voting(voting).learns_weights
    except PluginError:
        return False


def _of_decision(ensemble: EnsembleConfig) -> Iterator[Problem]:
    threshold = ensemble.threshold
    if not isinstance(threshold, str) and not 0 < threshold < 1:
        yield Problem(("ensemble", "threshold"), f"expected a number between 0 and 1, got {shown(threshold)}")
    if ensemble.abstain_label is not None and ensemble.min_confidence is None:
        yield Problem(("ensemble", "abstain_label"), "needs ensemble.min_confidence, below which it is given")
    for index, validator in enumerate(ensemble.validators or ()):
        if not isinstance(validator, str) and not isinstance(validator.get("name"), str):
            what = 'expected the name of a validator or a table such as { name = "range", margin = 0.1 }'
            yield Problem(("ensemble", "validators", index), f"{what}, got {shown(validator)}")
    if ensemble.task == "regression":
        yield from _of_regression(ensemble)


def _of_regression(ensemble: EnsembleConfig) -> Iterator[Problem]:
    """Yield a problem for what is of classes only."""
    default = EnsembleConfig()
    for name in ("calibration", "threshold", "min_confidence"):
        if getattr(ensemble, name) != getattr(default, name):
            yield Problem(
                ("ensemble", name), "belongs to classification, but ensemble.task is 'regression'; leave it out"
            )

"""Finding plugins by kind and name, one at a time, and saying why one cannot be had.

Entry points of the group ``glulam`` are named ``KIND.NAME``; that tells what there is without
importing anything. pluggy's own ``load_setuptools_entrypoints`` would import every plugin, and
fail when one library is missing.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal, cast

import pluggy

from glulam.errors import ConfigError, PluginError, UnsupportedModelError
from glulam.hookspecs import (
    Exporter,
    FeatureGenerator,
    FeatureValidator,
    Hooks,
    ModelPlugin,
    VotingStrategy,
)
from glulam.trainspecs import Calibrator, FeatureSelector, Label, LeakCheck, Metric, Splitter

__all__ = [
    "Kind", "PluginInfo", "available", "calibrator", "exporter", "features", "known", "label", "leak_check", "metric",
    "model", "model_of", "register", "required_model_of", "selector", "splitter", "unregister", "validator",
    "versions", "voting",
]  # fmt: skip

Kind = Literal[
    "model", "voting", "validator", "features", "exporter", "label", "splitter", "metric", "calibrator", "selector",
    "leak_check",
]  # fmt: skip

_HOOKS: dict[str, tuple[str, type]] = {
    "model": ("glulam_model", ModelPlugin),
    "voting": ("glulam_voting", VotingStrategy),
    "validator": ("glulam_feature_validator", FeatureValidator),
    "features": ("glulam_features", FeatureGenerator),
    "exporter": ("glulam_exporter", Exporter),
    "label": ("glulam_label", Label),
    "splitter": ("glulam_splitter", Splitter),
    "metric": ("glulam_metric", Metric),
    "calibrator": ("glulam_calibrator", Calibrator),
    "selector": ("glulam_selector", FeatureSelector),
    "leak_check": ("glulam_leak_check", LeakCheck),
}
_GROUP = "glulam"
_DISTRIBUTION_OF = {"sklearn": "scikit-learn", "talib": "TA-Lib"}  # where the import name differs
_registered: dict[tuple[str, str], type] = {}


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One plugin as `available` lists it; ``why_not`` is empty when it can be used."""

    kind: str
    name: str
    distribution: str
    version: str
    why_not: str = ""


@lru_cache(maxsize=1)
def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("glulam")
    manager.add_hookspecs(Hooks)
    return manager


def _entries() -> dict[tuple[str, str], list[EntryPoint]]:
    """Return the installed entry points by kind and name; each distribution counts once."""
    return _entries_on(tuple(sys.path))


@lru_cache(maxsize=8)
def _entries_on(path: tuple[str, ...]) -> dict[tuple[str, str], list[EntryPoint]]:
    """Return `_entries` for a search path: reading every distribution's metadata takes a tenth of a second."""
    found: dict[tuple[str, str], dict[tuple[str, str], EntryPoint]] = {}
    for entry in entry_points(group=_GROUP):
        kind, _, name = entry.name.partition(".")
        distribution = entry.dist.name if entry.dist else "?"
        found.setdefault((kind, name), {}).setdefault((distribution, entry.value), entry)
    return {key: list(entries.values()) for key, entries in found.items()}


def known(kind: Kind) -> list[str]:
    """Return the names of a kind, whether their libraries are installed or not; imports nothing."""
    names = {name for entry_kind, name in _entries() if entry_kind == kind}
    return sorted(names | {name for entry_kind, name in _registered if entry_kind == kind})


def register(plugin: ModuleType | object) -> None:
    """Register a plugin that is in no distribution: a module or object with hook implementations.

    Raises PluginError where a hook is unknown, its result is of the wrong kind, or the name is taken.
    """
    manager = _manager()
    if manager.is_registered(plugin):
        return
    label = getattr(plugin, "__name__", type(plugin).__name__)
    found = _classes_of(plugin, label)
    for (kind, name), made in found.items():
        other = _registered.get((kind, name))
        installed = _entries().get((kind, name))
        if other is not None or installed:
            owner = other.__module__ if other is not None else _owner(installed[0])  # type: ignore[index]
            _manager().unregister(plugin)
            raise PluginError(
                f"{kind} {name!r}: {label} (class {made.__qualname__}) takes a name that {owner} has; rename one"
            )
    _registered.update(found)


def unregister(plugin: ModuleType | object) -> None:
    """Take back `register`. Raises PluginError for a plugin that is not registered."""
    label = getattr(plugin, "__name__", type(plugin).__name__)
    if not _manager().is_registered(plugin):
        raise PluginError(f"plugin {label}: expected one that is registered; glulam.register was not called with it")
    for key in _classes_of(plugin, label):
        _registered.pop(key, None)
    _manager().unregister(plugin)


def _classes_of(plugin: object, label: str) -> dict[tuple[str, str], type]:
    """Let pluggy check a plugin's hooks against the specs, and return the classes they give."""
    manager = _manager()
    try:
        if not manager.is_registered(plugin):
            manager.register(plugin)
            manager.check_pending()
        return _called(plugin, label)
    except (PluginError, pluggy.PluginValidationError, ValueError) as error:
        if manager.is_registered(plugin):
            manager.unregister(plugin)
        if isinstance(error, PluginError):
            raise
        raise PluginError(f"plugin {label}: {error}") from error


def _called(plugin: object, label: str) -> dict[tuple[str, str], type]:
    """Call a plugin's hooks; return the classes by kind and name, or raise PluginError."""
    found: dict[tuple[str, str], type] = {}
    for kind, (hook, interface) in _HOOKS.items():
        for implementation in getattr(_manager().hook, hook).get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            try:
                made: Any = implementation.function()
            except Exception as error:  # whatever another author's hook does, the plugin is named
                raise PluginError(f"plugin {label}, hook {hook}: {type(error).__name__}: {error}") from error
            for each in made if isinstance(made, list) else [made]:
                problem = _contract_problem(each, interface)
                if problem:
                    raise PluginError(f"plugin {label}, hook {hook}: {problem}")
                found[kind, each.name] = each
    if not found:
        raise PluginError(
            f"plugin {label}: no hook implementation found; decorate one of {[h for h, _ in _HOOKS.values()]} "
            "with glulam.hookspecs.hookimpl"
        )
    return found


def _contract_problem(made: object, interface: type) -> str:
    """Say what is wrong with what a hook returned, or nothing."""
    if not (inspect.isclass(made) and issubclass(made, interface)):
        return f"expected a subclass of {interface.__name__}, got {made!r}"
    name = getattr(made, "name", None)
    if not isinstance(name, str) or not name:
        return f"class {made.__qualname__} has no name; set the class attribute 'name' to a string"
    if inspect.isabstract(made):
        return f"class {made.__qualname__} lacks {sorted(getattr(made, '__abstractmethods__', ()))}"
    return ""


def _owner(entry: EntryPoint) -> str:
    return f"distribution {entry.dist.name if entry.dist else '?'} ({entry.value})"


def _load(kind: Kind, name: str) -> type:
    """Return the class of a plugin, importing its module if need be."""
    registered = _registered.get((kind, name))
    if registered is not None:
        return registered
    entries = _entries().get((kind, name), [])
    if not entries:
        names = known(kind)
        near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise PluginError(f"unknown {kind} {name!r}: {hint}known are {names}")
    if len(entries) > 1:
        raise PluginError(
            f"{kind} {name!r} is offered by {len(entries)} plugins: "
            f"{' and '.join(_owner(entry) for entry in entries)}; uninstall all but one"
        )
    entry = entries[0]
    try:
        module = entry.load()
    except Exception as error:  # a library that is there may still fail to load, by an OSError for example
        what = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise PluginError(f"{kind} {name!r} is not available: {what}; {_install_advice(entry, error)}") from error
    found = _classes_of(module, _owner(entry))
    if (kind, name) not in found:
        offered = [f"{k}.{n}" for k, n in found]
        raise PluginError(
            f"{_owner(entry)} is registered as '{kind}.{name}' but its hooks give {offered}; make the names agree"
        )
    return found[kind, name]


def _install_advice(entry: EntryPoint, error: Exception) -> str:
    """Return the command that installs what a plugin lacks.

    A distribution that has an extra of the plugin's name means it for just that, and else one of the name of what
    the missing module is of.
    """
    if not isinstance(error, ImportError):
        return f"check the installation of {_owner(entry)} and of its library"
    name = entry.name.partition(".")[2]
    missing = (error.name or "").partition(".")[0]
    needed = _DISTRIBUTION_OF.get(missing, missing).replace("_", "-")
    extras = entry.dist.metadata.get_all("Provides-Extra") or [] if entry.dist is not None else []
    named = {extra.replace("_", "-"): extra for extra in extras}
    if entry.dist is not None and name.replace("_", "-") in named:
        return f"install it with: pip install '{entry.dist.name}[{name}]'"
    if entry.dist is not None and needed in named:
        return f"install it with: pip install '{entry.dist.name}[{named[needed]}]'"
    if not missing:
        return "check the installation of its library"
    if entry.dist is not None and missing == entry.module.partition(".")[0]:
        return f"install it again with: pip install --force-reinstall {entry.dist.name}"
    # A module that is there but lacks a name is too old.
    upgrade = "" if isinstance(error, ModuleNotFoundError) else "-U "
    return f"install it with: pip install {upgrade}{_DISTRIBUTION_OF.get(missing, missing)}"


def available(kind: Kind | None = None) -> list[PluginInfo]:
    """List every plugin with its distribution, and why it cannot be used where it cannot.

    This imports them all; `known` does not.
    """
    infos = []
    for (entry_kind, name), entries in sorted(_entries().items()):
        if kind is not None and entry_kind != kind:
            continue
        try:
            if entry_kind not in _HOOKS:
                raise PluginError(f"unknown kind {entry_kind!r}; known are {list(_HOOKS)}")
            _load(cast(Kind, entry_kind), name)
            why_not = ""
        except Exception as error:  # a broken plugin of another author must not break the list
            why_not = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        for entry in entries:
            owner = (entry.dist.name, entry.dist.version) if entry.dist else ("?", "?")
            infos.append(PluginInfo(entry_kind, name, *owner, why_not))
    for (entry_kind, name), made in sorted(_registered.items()):
        if kind is None or entry_kind == kind:
            infos.append(PluginInfo(entry_kind, name, f"registered ({made.__module__})", ""))
    return infos


def model(name: str) -> ModelPlugin:
    """Return a model plugin by name. Raises PluginError if it is unknown or unavailable."""
    return cast(ModelPlugin, _load("model", name)())


def voting(name: str) -> VotingStrategy:
    """Return a voting strategy by name. Raises PluginError if it is unknown or unavailable."""
    return cast(VotingStrategy, _load("voting", name)())


def validator(name: str, **params: Any) -> FeatureValidator:
    """Return a feature validator by name. Raises PluginError if it is unknown or unavailable."""
    return cast(FeatureValidator, _load("validator", name)(**params))


def features(name: str, **params: Any) -> FeatureGenerator:
    """Return a feature generator by name. Raises PluginError if it is unknown or unavailable."""
    return cast(FeatureGenerator, _made("features", name, params))


def exporter(name: str) -> Exporter:
    """Return an exporter by name. Raises PluginError if it is unknown or unavailable."""
    return cast(Exporter, _load("exporter", name)())


def label(name: str, **params: Any) -> Label:
    """Return a label by name. Raises PluginError if it is unknown or unavailable."""
    return cast(Label, _made("label", name, params))


def splitter(name: str, **params: Any) -> Splitter:
    """Return a splitter by name. Raises PluginError if it is unknown or unavailable."""
    return cast(Splitter, _made("splitter", name, params))


def metric(name: str) -> Metric:
    """Return a metric by name. Raises PluginError if it is unknown or unavailable."""
    return cast(Metric, _made("metric", name, {}))


def calibrator(name: str, **params: Any) -> Calibrator:
    """Return a method of calibration by name. Raises PluginError if it is unknown or unavailable."""
    return cast(Calibrator, _made("calibrator", name, params))


def selector(name: str, **params: Any) -> FeatureSelector:
    """Return a feature selector by name. Raises PluginError if it is unknown or unavailable."""
    return cast(FeatureSelector, _made("selector", name, params))


def leak_check(name: str, **params: Any) -> LeakCheck:
    """Return a leak check by name. Raises PluginError if it is unknown or unavailable."""
    return cast(LeakCheck, _made("leak_check", name, params))


def _made(kind: Kind, name: str, params: Mapping[str, Any]) -> Any:
    """Return an instance with the user's parameters. Raises ConfigError for those that it does not take."""
    found = _load(kind, name)
    try:
        inspect.signature(found).bind(**params)
    except TypeError as error:
        taken = list(inspect.signature(found).parameters)
        raise ConfigError(f"{kind} {name!r}: {error}; its parameters are {taken}") from error
    return found(**params)


def required_model_of(estimator: Any) -> ModelPlugin:
    """Return the plugin that accepts an estimator. Raises UnsupportedModelError naming its class if none does."""
    plugin = model_of(estimator)
    if plugin is None and isinstance(estimator, type):
        raise UnsupportedModelError(
            f"expected a fitted estimator, got the class {estimator.__qualname__}; make an instance of it and fit that"
        )
    if plugin is None:
        raise UnsupportedModelError(
            f"no plugin can lower {type(estimator).__module__}.{type(estimator).__qualname__} exactly; "
            f"model plugins are {known('model')}"
        )
    return plugin


def model_of(estimator: Any) -> ModelPlugin | None:
    """Return the plugin that accepts an estimator, or None.

    Plugins named like the estimator's library are asked first, so that a LightGBM model need not
    import xgboost, and generic ones last; plugins that cannot be imported cannot accept anything.
    """
    library = type(estimator).__module__.partition(".")[0]
    # A library that is installed but not imported has not made this estimator: ask its namesake last.
    order = [
        (name != library, name not in sys.modules and find_spec(name) is not None, name) for name in known("model")
    ]
    generic = None
    for _, unused, name in sorted(order):
        if unused and generic is not None:
            break
        try:
            plugin = model(name)
        except PluginError:
            continue
        if plugin.accepts(estimator):
            if not plugin.generic:
                return plugin
            generic = generic or plugin
    return generic


def versions(plugin: ModelPlugin) -> dict[str, str]:
    """Return the versions of a model plugin's distributions that are installed."""
    found = {}
    for distribution in plugin.distributions:
        try:
            found[distribution] = version(distribution)
        except PackageNotFoundError:
            continue
    return found

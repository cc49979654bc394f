"""Finding, registering and refusing plugins, in this process."""

import types
from importlib.metadata import EntryPoint

import pytest

import glulam
from glulam import plugins
from glulam.errors import PluginError
from glulam.hookspecs import Exporter, Hooks, ModelPlugin, VotingStrategy, hookimpl


class First(VotingStrategy):
    """A vote of which the first member is all."""

    name = "first"

    def combine(self, votes, weights):
        """Return the first member's vote."""
        return votes[:, 0]

    def fragment(self, weights, n_classes):
        """Not needed here."""
        raise NotImplementedError


def offering(**classes):
    """Return a plugin, as a module is one, whose hooks return these."""
    module = types.ModuleType("offering")
    for hook, made in classes.items():
        setattr(module, hook, hookimpl(lambda made=made: made, specname=hook))
    return module


@pytest.fixture
def registered():
    """Return a function that registers a plugin until the test is over."""
    done = []

    def register(plugin):
        plugins.register(plugin)
        done.append(plugin)
        return plugin

    yield register
    for plugin in done:
        plugins.unregister(plugin)


@pytest.fixture
def installed(monkeypatch):
    """Return a function that makes entry points look installed."""

    def install(name, value, distribution=None):
        entry = EntryPoint(name, value, "glulam")
        if distribution is not None:
            entry = entry._for(distribution)
        kind, _, plugin = name.partition(".")
        found = plugins._entries() | {(kind, plugin): [entry]}
        monkeypatch.setattr(plugins, "_entries", lambda: found)

    return install


# -- the hooks themselves ----------------------------------------------------------------------


def hooks():
    """Return the names of all hook specifications."""
    return [name for name in vars(Hooks) if name.startswith("glulam_")]


@pytest.mark.parametrize("hook", hooks())
def test_every_hook_is_documented(hook):
    """Each hook has a sentence of its own and says what class it returns."""
    specification = getattr(Hooks, hook)
    assert specification.__doc__.strip().endswith(".")
    assert specification.__annotations__["return"].startswith("type[")


def test_every_hook_has_a_kind():
    """Each hook is that of one kind of plugin, and its interface is documented."""
    assert sorted(hook for hook, _ in plugins._HOOKS.values()) == sorted(hooks())
    for _, interface in plugins._HOOKS.values():
        assert interface.__doc__.strip()
        for method in interface.__abstractmethods__:
            assert getattr(interface, method).__doc__.strip(), f"{interface.__name__}.{method}"


@pytest.mark.parametrize("kind", plugins._HOOKS)
def test_every_kind_has_a_function(kind):
    """Each kind is had by a function of its own name, which refuses a name that nobody offers."""
    with pytest.raises(PluginError, match=f"unknown {kind} 'no such thing': known are"):
        getattr(plugins, kind)("no such thing")


# -- what is installed -------------------------------------------------------------------------


def test_built_in_plugins_are_known_and_available():
    """Every entry point of this distribution can be loaded, and says where it is from."""
    assert {"lightgbm", "xgboost", "random_forest", "extra_trees"} <= set(plugins.known("model"))
    for info in plugins.available():
        if info.distribution == "glulam":
            assert (info.why_not, info.version) == ("", glulam.__version__), info
    assert {info.kind for info in plugins.available()} == set(plugins._HOOKS)
    assert [info.name for info in plugins.available("exporter")] == plugins.known("exporter")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ligthgbm", "unknown model 'ligthgbm': did you mean 'lightgbm'.* known are "),
        ("random forest", "did you mean 'random_forest'"),
        ("zzz", r"unknown model 'zzz': known are \['adaboost', 'bagging', "),
        (None, "unknown model None"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name, message):
    """A name that nobody offers is an error with near names, if there are any, and all names."""
    with pytest.raises(PluginError, match=message):
        plugins.model(name)


def test_a_plugin_is_found_by_its_estimator():
    """An estimator finds the plugin that accepts it; an unknown one finds none."""

    class Own:
        """An estimator that nobody knows."""

    from sklearn.ensemble import RandomForestClassifier

    assert plugins.model_of(RandomForestClassifier()).name == "random_forest"
    assert plugins.model_of(Own()) is None


def test_a_broken_plugin_does_not_hide_others(installed):
    """Looking for an estimator's plugin passes over one that fails to load, whatever its error."""
    from sklearn.ensemble import RandomForestClassifier

    installed("model.aaa", "tests.no_such_module")
    assert plugins.model_of(RandomForestClassifier()).name == "random_forest"


def test_versions_are_those_of_installed_distributions():
    """The versions of a model are of the distributions that are there."""

    class Known(ModelPlugin):
        distributions = ("no-such-distribution", "numpy")

    import numpy

    assert plugins.versions(Known) == {"numpy": numpy.__version__}


def test_a_name_without_kind_is_listed_as_unusable(installed):
    """An entry point that is not named KIND.NAME is listed with the kinds there are."""
    installed("median", "glulam_example.median")
    (info,) = [info for info in plugins.available() if info.kind == "median"]
    assert info.why_not.startswith("unknown kind 'median'; known are ['model', 'voting', ")


def test_the_entry_point_must_agree_with_the_hook(installed):
    """An entry point that names another plugin than its module has is refused with both names."""
    installed("voting.softer", "glulam_plugins.voting.soft")
    message = r"registered as 'voting.softer' but its hooks give \['voting.soft'\]; make the names agree"
    with pytest.raises(PluginError, match=message):
        plugins.voting("softer")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError("libgomp.so.1: cannot open"), "OSError: libgomp.so.1: cannot open; check the installation of distri"),
        (ModuleNotFoundError("No module named 'sklearn'", name="sklearn"), "pip install scikit-learn$"),
        (ModuleNotFoundError("No module named 'a.b'", name="a.b"), "No module named 'a.b'; .* pip install a$"),
        (ImportError("cannot import name 'x' from 'b'", name="b"), "pip install -U b$"),
        (ImportError("something is amiss"), "something is amiss; check the installation of its library"),
    ],
)
def test_why_a_plugin_is_unavailable(installed, monkeypatch, error, message):
    """A plugin that fails to load is refused with the reason and what to do."""

    def load(entry):
        raise error

    installed("voting.broken", "broken_plugin")
    monkeypatch.setattr(EntryPoint, "load", load)
    with pytest.raises(PluginError, match=f"voting 'broken' is not available: .*{message}"):
        plugins.voting("broken")


# -- what is registered ------------------------------------------------------------------------


def test_register_and_unregister(registered):
    """A registered plugin is known, listed and found by name; then it is forgotten."""
    plugin = registered(offering(glulam_voting=First))
    assert "first" in plugins.known("voting")
    assert isinstance(plugins.voting("first"), First)
    (info,) = [info for info in plugins.available("voting") if info.name == "first"]
    assert (info.distribution, info.version, info.why_not) == (f"registered ({First.__module__})", "", "")
    plugins.register(plugin)
    plugins.unregister(plugin)
    assert "first" not in plugins.known("voting")
    plugins.register(plugin)


def test_register_is_public(registered):
    """glulam.register is the same function."""
    assert glulam.register is plugins.register


def test_only_what_is_registered_can_be_unregistered(registered):
    """Unregistering a stranger is an error, and takes no name from its owner."""
    registered(offering(glulam_voting=First))
    with pytest.raises(PluginError, match=r"plugin offering: expected one that is registered; glulam.register was not"):
        plugins.unregister(types.SimpleNamespace(__name__="offering", glulam_voting=hookimpl(lambda: First)))
    assert "first" in plugins.known("voting")


class Nameless(First):
    """A vote without a name."""

    name = None


class Empty(First):
    """A vote of an empty name."""

    name = ""


class Unfinished(VotingStrategy):
    """A vote that cannot vote."""

    name = "unfinished"


class Soft(First):
    """A vote with the name of a built-in one."""

    name = "soft"


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (
            offering(glulam_voting=ModelPlugin),
            "hook glulam_voting: expected a subclass of VotingStrategy, got <class '.*ModelPlugin'>",
        ),
        (offering(glulam_voting=First()), "expected a subclass of VotingStrategy, got <.*First object"),
        (offering(glulam_voting=None), "expected a subclass of VotingStrategy, got None"),
        (offering(glulam_voting=Nameless), "class Nameless has no name; set the class attribute 'name'"),
        (offering(glulam_voting=Empty), "class Empty has no name; set the class attribute 'name'"),
        (offering(glulam_voting=Unfinished), r"class Unfinished lacks \['combine', 'fragment'\]"),
        (offering(glulam_votes=First), "plugin offering: unknown hook 'glulam_votes'"),
        (
            types.SimpleNamespace(__name__="greedy", glulam_voting=hookimpl(lambda weights: First)),
            r"plugin greedy: Plugin 'greedy' for hook 'glulam_voting'.*\{'weights'\} are declared in the hookimpl but",
        ),
        (
            types.SimpleNamespace(__name__="crashing", glulam_voting=hookimpl(lambda: 1 / 0)),
            "plugin crashing, hook glulam_voting: ZeroDivisionError: division by zero",
        ),
        (
            First,
            "plugin First: no hook implementation found; decorate one of .*'glulam_voting'.* with glulam.hookspecs",
        ),
        (
            offering(glulam_voting=Soft),
            r"voting 'soft': offering \(class Soft\) takes a name that distribution glulam "
            r"\(glulam_plugins.voting.soft\) has; rename one",
        ),
    ],
)
def test_register_refuses_what_breaks_the_contract(plugin, message):
    """A plugin that breaks a rule is refused by name, and nothing of it stays behind."""
    before = {kind: plugins.known(kind) for kind in plugins._HOOKS}
    for _ in range(2):
        with pytest.raises(PluginError, match=f"(?s){message}"):
            plugins.register(plugin)
    assert {kind: plugins.known(kind) for kind in plugins._HOOKS} == before
    assert not plugins._manager().is_registered(plugin)


def test_two_registered_plugins_cannot_share_a_name(registered):
    """The second plugin of a name is refused, and the first one stays."""
    registered(offering(glulam_voting=First))

    class Other(First):
        pass

    second = types.SimpleNamespace(__name__="second", glulam_voting=hookimpl(lambda: Other))
    with pytest.raises(
        PluginError, match=rf"second \(class .*Other\) takes a name that {First.__module__} has; rename"
    ):
        plugins.register(second)
    assert type(plugins.voting("first")) is First


def test_one_module_may_offer_several_kinds(registered):
    """All hooks of a module count."""

    class Second(First):
        name = "second"

    class Writer(Exporter):
        name = "writer"

        def export(self, program, **options):
            return b""

        def attach(self, data, metadata):
            return data

    registered(offering(glulam_voting=Second, glulam_exporter=Writer))
    assert "second" in plugins.known("voting")
    assert isinstance(plugins.exporter("writer"), Writer)

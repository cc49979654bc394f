"""The contract checks: each goes red on a plugin that breaks just that rule, and says so."""

import pickle
import re
import types
from dataclasses import replace

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor

from glulam.errors import ConfigError, FeatureError, UnsupportedModelError
from glulam.forest import Forest
from glulam.hookspecs import FeatureGenerator, FeatureValidator, ModelPlugin
from glulam.program import Guard, LoweredMember, OnnxFragment
from glulam.testing import (
    ContractError,
    check_exporter,
    check_feature_generator,
    check_feature_validator,
    check_model_plugin,
    check_voting_strategy,
)
from glulam_exporters.onnx import OnnxExporter
from glulam_plugins.models.random_forest import RandomForest
from glulam_plugins.voting.log_pool import LogPool
from glulam_plugins.voting.soft import Soft

SMALL = {"n_estimators": 5, "n_jobs": 1}


def broken(base, **parts):
    """Return a plugin that differs from a sound one in these parts."""
    return type("Broken", (base,), parts)


def red(check, plugin, message, *arguments):
    """Expect that a check refuses a plugin with a message that has this in it."""
    with pytest.raises(ContractError) as caught:
        check(plugin, *arguments)
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)


# -- models ------------------------------------------------------------------------------------


class Prior(ModelPlugin):
    """A member that always votes what was most common in training: no forest, and takes NaN and infinity."""

    name = "prior"
    distributions = ("scikit-learn",)

    def make(self, task, params, schema):
        """Return scikit-learn's dummy."""
        return DummyRegressor(**params) if task == "regression" else DummyClassifier(strategy="prior", **params)

    def accepts(self, model):
        """Accept the dummies."""
        return type(model) in (DummyClassifier, DummyRegressor)

    def votes(self, model, X, task):
        """Return its own answer."""
        answer = model.predict(X) if task == "regression" else model.predict_proba(X)
        return np.asarray(answer, dtype=np.float64).reshape(len(X), -1)

    def lower(self, model, schema):
        """Return one row, added to zeros."""
        answer = self.prior(model)
        text = (
            "prior (features, no, axis, answer) => (vote) {"
            " missing = IsNaN (features)"
            " never = And (missing, no)"
            " zeros = CastLike (never, features)"
            " start = ReduceMax (zeros, axis)"
            " vote = Add (start, answer) }"
        )
        constants = {"no": np.array(False), "axis": np.array([1]), "answer": answer}
        return LoweredMember(OnnxFragment(text, lambda X: np.tile(answer, (len(X), 1)), constants))

    def prior(self, model):
        """Return the answer to every row, [1, n_classes]."""
        return model.constant_ if isinstance(model, DummyRegressor) else model.class_prior_[None]

    def dump(self, model):
        """Return the answer as bytes."""
        return (b"r" if isinstance(model, DummyRegressor) else b"c") + self.prior(model).tobytes()

    def restore(self, data):
        """Return a dummy with this answer."""
        answer = np.frombuffer(data[1:])
        if data[:1] == b"r":
            model = DummyRegressor()
            model.constant_, model.n_outputs_ = answer[None], 1
            return model
        model = DummyClassifier(strategy="prior")
        model.class_prior_, model.n_classes_, model.n_outputs_ = answer, len(answer), 1
        model.classes_, model._strategy = np.arange(len(answer)), "prior"
        return model


def relowered(plugin=RandomForest, **changed):
    """Return a plugin whose forests come out with these tables changed, each by a function."""

    def lower(self, model, schema):
        lowered = plugin.lower(self, model, schema)
        tables = {name: change(getattr(lowered.body, name)) for name, change in changed.items()}
        return replace(lowered, body=replace(lowered.body, **tables))

    return broken(plugin, lower=lower)


def refragmented(**changed):
    """Return a plugin whose fragment comes out with these parts changed, each by a function."""

    def lower(self, model, schema):
        body = Prior.lower(self, model, schema).body
        return LoweredMember(replace(body, **{name: change(getattr(body, name)) for name, change in changed.items()}))

    return broken(Prior, lower=lower)


def refuse(self, task, params, schema):
    """Refuse every task by name."""
    raise UnsupportedModelError(f"{self.name}: {task} is not supported")


def only_binary(self, task, params, schema):
    """Refuse all other tasks without a name."""
    if task != "binary":
        raise UnsupportedModelError("this is for two classes")
    return Prior.make(self, task, params, schema)


def refuse_nan(self, model, X, y, sample_weight=None, eval_set=None):
    """Refuse rows with NaN, as many libraries do."""
    if np.isnan(X).any():
        raise ValueError("Input X contains NaN")
    return ModelPlugin.fit(self, model, X, y, sample_weight)


def refuse_weights(self, model, X, y, sample_weight=None, eval_set=None):
    """Refuse weights by name."""
    if sample_weight is not None:
        raise UnsupportedModelError("prior: sample_weight is not supported")
    return ModelPlugin.fit(self, model, X, y)


def lose_a_tree(self, data):
    """Restore all trees but the last."""
    model = RandomForest.restore(self, data)
    del model.estimators_[-1]
    return model


def refuse_binary(self, task, params, schema):
    """Refuse one task by name."""
    return (refuse if task == "binary" else Prior.make)(self, task, params, schema)


def always_shallow(self, task, params, schema):
    """Set a parameter whatever is asked for."""
    return RandomForest.make(self, task, {**params, "max_depth": 3}, schema)


def forget_weights(self, model, X, y, sample_weight=None, eval_set=None):
    """Fit without weights."""
    return model.fit(X, y)


def return_nothing(self, model, X, y, *rest):
    """Fit, and keep the model to itself."""
    model.fit(X, y)


class Bare(Prior):
    """A member whose estimator is not one of scikit-learn's style."""

    def make(self, task, params, schema):
        """Return something else."""
        return types.SimpleNamespace()

    def accepts(self, model):
        """Accept just that."""
        return isinstance(model, types.SimpleNamespace)


@pytest.mark.parametrize(
    "plugin",
    [
        Prior,
        broken(Prior, fit=refuse_nan),
        broken(Prior, fit=refuse_weights),
        broken(Prior, make=refuse_binary),
        broken(Prior, importance=lambda self, model: np.zeros(model.n_features_in_)),
    ],
    ids=["whole", "refuses NaN", "refuses weights", "refuses a task", "tells importance"],
)
def test_a_model_need_be_no_forest(plugin):
    """A member that is lowered to a fragment, and refuses what it cannot do by name, keeps the contract."""
    check_model_plugin(plugin)


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (object, "^object: expected a subclass of ModelPlugin, got <class 'object'>"),
        (broken(Prior, name=""), "^Broken: class Broken has no name"),
        (broken(Prior, name="a__b"), "^model 'a__b': name: '__' separates parameters"),
        (broken(Prior, __init__=lambda self, seed: None), "^Broken: expected to make one with no arguments: .*'seed'"),
        (broken(Prior, distributions="scikit-learn"), "^model 'prior': distributions: expected a tuple .*got 'scikit"),
        (broken(Prior, distributions=()), r"distributions: expected a tuple .* got \(\)"),
        (
            broken(Prior, accepts=lambda self, model: True),
            "^model 'prior': accepts: expected False for an object of un",
        ),
        (broken(Prior, accepts=lambda self, model: False), "^model 'prior', binary: accepts: expected True for what "),
        (broken(Prior, make=refuse), "make: expected an estimator for at least one of .*, all were refused"),
        (broken(Prior, make=only_binary), "make: a task that is not served .*'multiclass' it said: .* two classes"),
        (Bare, "binary: make: expected an estimator with get_params, .*got SimpleNamespace"),
        (
            broken(RandomForest, make=always_shallow),
            "^model 'random_forest', binary: make: the parameter max_depth=4 was given, the estimator has max_depth=3",
        ),
        (broken(Prior, fit=forget_weights), "binary: fit: contradictory rows .*; hand sample_weight to the library"),
        (broken(Prior, fit=return_nothing), "binary: accepts: expected True for what fit returned, got False"),
    ],
)
def test_a_model_that_is_made_or_fitted_wrongly_is_told(plugin, message):
    """A model that breaks a rule up to its fitting is refused, by plugin, task and rule."""
    red(check_model_plugin, plugin, message, SMALL if issubclass(plugin, RandomForest) else None)


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (
            broken(Prior, votes=lambda *a: Prior.votes(*a)[:, 1]),
            r"votes: expected shape \(120, 2\), one column a class .*got \(120,\)",
        ),
        (
            broken(Prior, votes=lambda *a: 2 * Prior.votes(*a)),
            "votes: expected probabilities, at least 0 and rows that sum to 1, got",
        ),
        (
            broken(Prior, fit=refuse_weights, votes=lambda *a: np.nan * Prior.votes(*a)),
            "votes: expected finite numbers",
        ),
        (broken(Prior, lower=lambda *a: Prior.lower(*a).body), "lower: expected a .*LoweredMember, got OnnxFragment"),
        (relowered(nan_left=np.logical_not), "^model 'random_forest', binary: lower, family 'missing': expected .*got"),
        (
            relowered(threshold=lambda t: np.nextafter(t.astype(np.float32), np.float32(np.inf)).astype(float)),
            "lower, family 'threshold': expected .*rows differ, at most by",
        ),
        (relowered(divisor=lambda d: d + 1), "lower, family 'training': expected"),
        (relowered(n_features=lambda n: n + 1), "lower: expected a forest of 30 features"),
        (
            broken(RandomForest, lower=lambda *a: replace(RandomForest.lower(*a), link="softmax")),
            "lower: link 'softmax' and 2 columns of votes does not fit 1 sums",
        ),
        (
            broken(RandomForest, leaves=lambda *a: RandomForest.leaves(*a) + 1),
            "lower, family 'training': leaves: expected",
        ),
        (broken(Prior, leaves=lambda s, m, X: np.zeros((len(X), 1), dtype=int)), "leaves: expected None for a member"),
        (
            refragmented(reference=lambda f: lambda X: f(X)[:, :1]),
            r"lower, family 'training': expected votes of shape .*got \(200, 1\)",
        ),
        (
            refragmented(reference=lambda f: lambda X: np.where(np.isnan(X).any(axis=1)[:, None], np.nan, f(X))),
            "lower, family 'missing': expected finite votes for all rows that the library answers, got .*bound the inputs",
        ),
        (
            refragmented(constants=lambda c: c | {"answer": c["answer"][:, ::-1]}),
            "lower, exported in float64: member 'prior': the exported graph does not give",
        ),
        (
            refragmented(text=lambda text: text.replace("CastLike (never, features)", "Cast <to = 1> (never)")),
            "lower, exported in float64: cannot be exported and run: ",
        ),
        (
            refragmented(text=lambda text: text.replace("=> (vote)", "= (vote)")),
            "lower, exported in float32: cannot be exported and run: PluginError: .*not parse",
        ),
    ],
)
def test_a_model_that_is_lowered_wrongly_is_told(plugin, message):
    """A model whose library-free form is not the library's own answer is refused, with family and row."""
    red(check_model_plugin, plugin, message, SMALL if issubclass(plugin, RandomForest) else None)


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (broken(Prior, dump=lambda *a: "text"), "dump: expected bytes, got str"),
        (
            broken(Prior, dump=lambda self, model: pickle.dumps(model)),
            "dump: expected the library's own .*, got a pickle",
        ),
        (broken(RandomForest, restore=lose_a_tree), "restore, votes of the restored model: expected"),
        (
            broken(Prior, importance=lambda self, model: np.ones(2)),
            "importance: expected None or 30 numbers of at least",
        ),
        (
            broken(Prior, importance=lambda self, model: -np.ones(30)),
            "importance: expected None or 30 numbers of at le",
        ),
    ],
)
def test_a_model_that_is_stored_wrongly_is_told(plugin, message):
    """A model that does not come back as it was, or weighs features it has not, is refused."""
    red(check_model_plugin, plugin, message, SMALL if issubclass(plugin, RandomForest) else None)


def test_an_error_of_the_plugin_passes_through():
    """What a plugin raises on its own account is not dressed up as a breach of contract."""

    def fit(self, *arguments):
        raise RuntimeError("the library is not well")

    with pytest.raises(RuntimeError, match="the library is not well"):
        check_model_plugin(broken(Prior, fit=fit))


# -- votes -------------------------------------------------------------------------------------


def spoil(votes, weights):
    """Write into the votes."""
    votes[0] = votes[0]
    votes[1:2] = votes[:1]
    return Soft().combine(votes, weights)


def vote_fragment(base=Soft, **changed):
    """Return a vote whose fragment comes out with these parts changed, each by a function."""

    def fragment(self, weights, n_classes):
        rule = base.fragment(self, weights, n_classes)
        return replace(rule, **{name: change(getattr(rule, name)) for name, change in changed.items()})

    return broken(base, fragment=fragment)


def combining(rule):
    """Return a soft vote with another numpy rule."""
    return broken(Soft, combine=lambda self, votes, weights: rule(votes, weights))


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (broken(Soft, tasks=("ranking",)), r"voting 'soft': tasks: expected some of .*got \('ranking',\)"),
        (broken(Soft, tasks=()), r"voting 'soft': tasks: expected some of .*got \(\)"),
        (
            combining(lambda votes, weights: Soft().combine(votes, weights)[:, 0]),
            r"voting 'soft', binary, weights \[1.0\]: combine: expected scores of shape \(60, 2\), got \(60,\)",
        ),
        (combining(spoil), "combine: it changed the votes it was given; work on a copy"),
        (combining(lambda votes, weights: 1.5 * votes.mean(axis=1)), "combine: expected probabilities, .*sum to 1"),
        (combining(lambda votes, weights: np.nan * votes.mean(axis=1)), "combine: expected finite numbers, got"),
        (
            combining(lambda votes, weights: np.roll(votes.mean(axis=1), 1, axis=0)),
            "combine: one row alone scores as it does among others: expected",
        ),
        (
            combining(lambda votes, weights: Soft().combine(votes, np.expm1(weights))),
            r"weights \[0.4, 0.4, 0.2\]: combine: only the proportion of weights counts \(all were multiplied by 7\)",
        ),
        (combining(lambda votes, weights: votes.mean(axis=1)), "combine: a member of weight 0 has no say: expected"),
        (
            combining(lambda votes, weights: votes[:, np.flatnonzero(weights)[0]]),
            "combine: members may come in any order: expected",
        ),
        (
            combining(lambda votes, weights: Soft().combine(votes, weights)[:, ::-1]),
            r"voting 'soft', binary, weights \[1.0\]: combine: a single member's most probable class must win, got",
        ),
        (
            broken(combining(lambda votes, weights: Soft().combine(votes, weights) / 2), tasks=("regression",)),
            "^voting 'soft', regression, .*combine: a single member's value is the score: expected",
        ),
        (broken(Soft, fragment=lambda *a: "text"), "fragment, float32: expected a .*OnnxFragment, got 'text'"),
        (
            vote_fragment(reference=lambda f: lambda votes: votes.mean(axis=1)),
            r"weights \[0.4, 0.4, 0.2\]: fragment, float32: its reference: expected",
        ),
        (
            vote_fragment(
                constants=lambda c: (
                    c | {"weight": np.ones_like(c["weight"]), "total": np.array([float(len(c["weight"]))])}
                )
            ),
            r"^voting 'soft', binary, weights \[0.4, 0.4, 0.2\]: fragment, float32: expected .*got .*1e-06 is allowed",
        ),
        (
            vote_fragment(text=lambda text: text.replace("Mul", "Mull")),
            "fragment, float32: cannot be exported and run: .*Mull",
        ),
        (
            vote_fragment(LogPool, text=lambda text: text.replace("Log (bounded)", "Identity (bounded)")),
            "^voting 'log_pool', binary, .*fragment, float32: expected",
        ),
    ],
)
def test_a_broken_vote_is_told(strategy, message):
    """A vote that breaks a rule is refused, by strategy, task, weights and rule."""
    red(check_voting_strategy, strategy, message)


def test_a_graph_for_one_number_of_rows_is_told():
    """A fragment that works for as many rows as it was tried on, and no others, is refused."""

    def fragment(self, weights, n_classes):
        rule = Soft.fragment(self, weights, n_classes)
        text = rule.text.replace(" scores = Div", " sixty = Div").replace("}", "") + (
            " scores = Expand (sixty, rows) }"
        )
        return replace(
            rule,
            text=text.replace("members, total)", "members, total, rows)"),
            constants=rule.constants | {"rows": np.array([60, n_classes])},
        )

    red(
        check_voting_strategy,
        broken(Soft, fragment=fragment),
        "fragment, float32: expected shape .1, 2., got .60, 2.",
    )


# -- validators --------------------------------------------------------------------------------


class Below(FeatureValidator):
    """Refuses numbers above the largest one of training; NaN passes."""

    name = "below"
    text = (
        "below (features, most, ones, nothing) => (valid) {"
        " above = Greater (features, most)"
        " counted = Where (above, ones, nothing)"
        " count = MatMul (counted, ones)"
        " valid = Equal (count, nothing) }"
    )

    def __init__(self, slack=0.0):
        self.slack, self.most = slack, np.zeros(0, dtype=np.float32)

    def learn(self, X, schema):
        """Take the largest values."""
        self.most = (np.nanmax(X, axis=0) + self.slack).astype(np.float32)

    def check(self, X, schema):
        """Refuse larger values."""
        if (X > self.most).any():
            raise FeatureError("below: a value is too large")

    def reference(self, X):
        """Return what the guard is to say."""
        return ~(X > self.most).any(axis=1)

    def guard(self, schema):
        """Return the check as a graph."""
        constants = {"most": self.most, "ones": np.ones(len(schema)), "nothing": np.array(0.0)}
        return Guard(self.name, OnnxFragment(self.text, self.reference, constants))

    def state(self):
        """Return limits and slack."""
        return {"slack": self.slack, "most": self.most.tolist()}

    def restore(self, state):
        """Take them back."""
        self.slack, self.most = state["slack"], np.array(state["most"], dtype=np.float32)


def crash(self, X, schema):
    """Fail on what should be refused."""
    if np.isinf(X).any():
        raise IndexError("what is this?")
    Below.check(self, X, schema)


def forget(self, state):
    """Take back nothing, and be ready for anything."""
    self.most = np.zeros(4, dtype=np.float32)


def say_nothing(self, X, schema):
    """Refuse without a word."""
    if (X > self.most).any():
        raise FeatureError


@pytest.mark.parametrize("params", [None, {"slack": 3.5}])
def test_a_sound_validator(params):
    """A validator that keeps the contract passes, with arguments and without."""
    check_feature_validator(Below, params)


@pytest.mark.parametrize(
    ("validator", "message"),
    [
        (broken(Below, check=crash), "check: expected None or a FeatureError, got IndexError"),
        (broken(Below, check=say_nothing), "check: expected a FeatureError that says what, where"),
        (
            broken(Below, reference=lambda self, X: (self.most >= X).all(axis=1)),
            r"guard: its reference differs from check: expected 1.0, got 0.0 in row .*nan",
        ),
        (
            broken(Below, reference=lambda self, X: ~(self.most < X).any(axis=1) * 1),
            r"guard: expected bool of shape .*from its reference, got int64",
        ),
        (
            broken(Below, text=Below.text.replace("Greater", "GreaterOrEqual")),
            r"guard, exported in float32: expected 1.0, got 0.0 in row",
        ),
        (
            broken(Below, text=Below.text.replace("Equal (count, nothing)", "Identity (count)")),
            r"guard, exported in float32: cannot be exported and run",
        ),
        (broken(Below, guard=lambda *a: Below.guard(*a).rule), "guard: expected None or a .*Guard"),
        (
            broken(Below, check=lambda s, X, schema: Below.check(s, X, schema) if len(X) == 1 else None),
            "check: a table passes just where each of its rows does",
        ),
        (broken(Below, state=lambda self: {"most": self.most}), "state: expected JSON values, got"),
        (
            broken(Below, state=lambda self: Below.state(self) | {"least": -np.inf}),
            "state: expected JSON values, got .*use None for infinity",
        ),
        (broken(Below, restore=lambda self, state: None), "restore: expected the state .*take back all"),
        (
            broken(Below, state=lambda self: {"slack": self.slack}, restore=forget),
            "restore: the restored validator passes other rows: expected",
        ),
    ],
)
def test_a_broken_validator_is_told(validator, message):
    """A validator that breaks a rule is refused, by name and rule."""
    red(check_feature_validator, validator, message)


# -- feature generators ------------------------------------------------------------------------


class Change(FeatureGenerator):
    """The price, and its change over three rows."""

    name = "change"
    columns = ("price", "change_3")
    warm_up = 3

    def generate(self, table):
        """Return both from the fourth row on."""
        price = np.asarray(table["price"], dtype=np.float64)
        if len(price) <= 3:
            raise FeatureError("change: expected more than 3 rows")
        return np.column_stack([price[3:], price[3:] / price[:-3] - 1]), np.arange(3, len(price))


def prices(rows=120):
    """Return a table of prices."""
    return {"price": 100 + np.cumsum(np.random.default_rng(0).normal(size=rows))}


def generating(change):
    """Return a generator whose features and rows are changed by a function."""
    return broken(Change, generate=lambda self, table: change(*Change.generate(self, table), table))


def never_refuse(self, table):
    """Make something of too few rows."""
    rows = len(table["price"])
    return Change.generate(self, table) if rows > 3 else (np.zeros((rows, 2)), np.arange(rows))


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        (broken(Change, columns=["price", "change_3"]), "columns: expected a tuple of distinct names"),
        (broken(Change, columns=("price", "price")), "columns: expected a tuple of distinct names"),
        (broken(Change, columns=("price",)), r"generate: expected float64 features with 1 columns, got"),
        (broken(Change, warm_up=-1), "warm_up: expected a number of rows, at least 0, got -1"),
        (broken(Change, warm_up=4), r"warm_up: expected row 4 of 120 to be the first .*got \[3\]"),
        (
            generating(lambda X, rows, table: (X.astype(np.float32), rows)),
            r"generate: expected float64 features with 2 columns, got float32 \(117, 2\)",
        ),
        (
            generating(lambda X, rows, table: (X, rows.astype(float))),
            r"generate: expected 117 int64 row numbers, got float64 \(117,\)",
        ),
        (generating(lambda X, rows, table: (X, rows[::-1].copy())), "generate: expected rising row"),
        (generating(lambda X, rows, table: (X, rows + 1)), "generate: expected rising row numbers below"),
        (
            generating(lambda X, rows, table: (np.where(X > X.mean(axis=0), np.nan, X), rows)),
            "generate: expected complete rows, got .*nan.*; drop such rows, or lengthen warm_up",
        ),
        (
            generating(lambda X, rows, table: (X - X.mean(axis=0), rows)),
            "generate: lookahead: features .*change when rows from 4 on are missing: expected",
        ),
        (
            generating(lambda X, rows, table: (np.append(X[1:], X[-1:], axis=0), rows)),
            "generate: lookahead: features",
        ),
        (
            generating(lambda X, rows, table: (X[: len(X) // 2 + 1], rows[: len(X) // 2 + 1])),
            "generate: lookahead: of the first .* rows alone it makes",
        ),
        (
            broken(Change, generate=never_refuse),
            r"generate: expected no features of 3 rows \(warm_up\), got 3",
        ),
    ],
)
def test_a_broken_generator_is_told(generator, message):
    """A feature generator that breaks a rule is refused, by name and rule."""
    red(check_feature_generator, generator, message, prices())


@pytest.mark.parametrize("library", ["mapping", "pandas", "polars", "pyarrow"])
def test_a_sound_generator(library):
    """A generator that keeps the contract passes, on tables of every library."""
    table = prices()
    if library != "mapping":
        module = pytest.importorskip(library)
        table = module.table(table) if library == "pyarrow" else module.DataFrame(table)
    check_feature_generator(Change, table)


def test_a_generator_needs_enough_rows():
    """A table that is too short to tell is refused with both numbers."""
    with pytest.raises(ConfigError, match="expected a table of at least 53 rows, got 40"):
        check_feature_generator(Change, prices(40))


# -- exporters ---------------------------------------------------------------------------------


def exporting(change):
    """Return an exporter that writes a changed program."""

    def export(self, program, **options):
        return OnnxExporter.export(self, change(program), **options)

    return broken(OnnxExporter, export=export)


def swap_nan(program):
    """Send NaN the other way in every forest."""
    members = [
        replace(member, body=replace(member.body, nan_left=~member.body.nan_left))
        if isinstance(member.body, Forest)
        else member
        for member in program.members
    ]
    return replace(program, members=tuple(members))


def lax(self, program, no_such_option=None, **options):
    """Take any option."""
    return OnnxExporter.export(self, program, **options)


def always_narrow(self, program, precision="float32", **options):
    """Write float32 whatever was asked for."""
    return OnnxExporter.export(self, program, precision="float32", **options)


def meddle(self, data, metadata):
    """Attach the metadata, and change an answer."""
    import onnx

    model = onnx.load_from_string(OnnxExporter.attach(self, data, metadata))
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size == 1:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values * np.float32(1.5), tensor.name))
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("exporter", "message"),
    [
        (exporting(swap_nan), "binary, float64: member 'm0': the exported graph does not give .*missing"),
        (
            exporting(lambda program: replace(program, decision=replace(program.decision, threshold=0.5))),
            r"binary, float32: vote \(mean\): the exported graph differs",
        ),
        (
            exporting(lambda program: replace(program, decision=replace(program.decision, min_confidence=None))),
            r"multiclass, float32: vote \(mean\): the exported graph differs",
        ),
        (
            exporting(lambda program: replace(program, guards=())),
            r"binary, float32: guards .*: the exported graph differs",
        ),
        (broken(OnnxExporter, export=always_narrow), "binary, float64: member 'm.': the exported graph"),
        (broken(OnnxExporter, export=lax), "binary: export: expected ConfigError for the option no_such"),
        (broken(OnnxExporter, export=lambda *a, **b: "text"), "binary, float32: export: expected bytes"),
        (broken(OnnxExporter, export=lambda *a, **b: b"?"), "binary, float32: cannot be exported and run"),
        (broken(OnnxExporter, attach=lambda self, data, metadata: data), "binary: attach: expected the entry"),
        (broken(OnnxExporter, attach=meddle), ".*: attach: the output .* is another than before"),
    ],
)
def test_a_broken_exporter_is_told(exporter, message):
    """An exporter that breaks a rule is refused, by name, task and rule."""
    red(check_exporter, exporter, message)


def test_an_unnamed_option_is_told():
    """An exporter that refuses an unknown option must say which."""

    def export(self, program, **options):
        if "no_such_option" in options:
            raise ConfigError("onnx: what?")
        return OnnxExporter.export(self, program, **options)

    red(check_exporter, broken(OnnxExporter, export=export), "exporter .*: export: an unknown option must be named")

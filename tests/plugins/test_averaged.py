"""Random forests and extra trees: class fractions, ties, stored trees, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from glulam.errors import ArtifactError, PluginError, UnsupportedModelError
from glulam.interpreter import member_vote
from glulam.schema import FeatureSchema
from glulam_plugins.models.extra_trees import ExtraTrees
from glulam_plugins.models.random_forest import RandomForest

PLUGINS = [RandomForest(), ExtraTrees()]


@pytest.mark.parametrize("plugin", PLUGINS, ids=["random_forest", "extra_trees"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_weights_and_imbalance_are_exact(plugin, task, binary):
    """Leaves of weighted classes and of means are lowered as they are."""
    X, y = binary
    y = y + (X[:, 0] > 1) * (y > 0) if task == "multiclass" else y
    model = plugin.make(task, {"n_estimators": 5, "max_depth": 6}, None)
    plugin.fit(model, X, y, np.random.default_rng(0).uniform(0.1, 3, len(y)))
    member = plugin.lower(model, FeatureSchema.learn(X))
    np.testing.assert_allclose(member_vote(member, X), plugin.votes(model, X, task), atol=1e-13)
    np.testing.assert_array_equal(member.body.leaves(X), plugin.leaves(model, X))


def test_a_stored_forest_whose_nodes_point_outside_is_refused(binary):
    """scikit-learn would follow such a node into foreign memory; it is found before."""
    X, y = binary
    plugin = RandomForest()
    model = plugin.make("binary", {"n_estimators": 2, "max_depth": 3}, None).fit(X, y)
    assert plugin.restore(plugin.dump(model)).n_estimators == 2
    for change in (lambda t: t.children_left.__setitem__(0, 10**6), lambda t: t.feature.__setitem__(0, 10**6),
                   lambda t: t.children_right.__setitem__(0, 0)):  # fmt: skip
        broken = plugin.restore(plugin.dump(model))
        change(broken.estimators_[1].tree_)
        with pytest.raises(ArtifactError, match="tree 1: damaged: node numbers point outside the tree"):
            plugin.restore(skops.io.dumps(broken))


def test_another_estimator_is_no_forest(binary):
    """A stored estimator of another kind is refused."""
    X, y = binary
    data = skops.io.dumps(DecisionTreeClassifier(max_depth=2).fit(X, y))
    with pytest.raises(ArtifactError, match="expected a saved random_forest, got DecisionTreeClassifier"):
        RandomForest().restore(data)


@pytest.mark.parametrize("plugin", PLUGINS, ids=["random_forest", "extra_trees"])
def test_several_outputs_are_side_by_side(plugin, binary):
    """A forest of two targets has a column for each; one of two labels all their classes."""
    X, y = binary
    both = np.column_stack([y, 1 - y])
    for model in (plugin.make(task, {"n_estimators": 3, "max_depth": 4}, None) for task in ("regression", "binary")):
        model.fit(X, both)
        found = plugin.signature(model)
        votes = plugin.votes(model, X, found.task)
        assert (found.task, found.n_targets, found.blocks, votes.shape[1]) in [
            ("regression", 2, (), 2), ("multioutput", 1, (2, 2), 4)
        ]  # fmt: skip
        np.testing.assert_allclose(member_vote(plugin.lower(model, found.schema), X), votes, atol=1e-13)
        with pytest.raises(UnsupportedModelError, match=f"{plugin.name}: gives 2 outputs a row, which members do not"):
            plugin.check(model, "binary")


def test_an_output_of_one_class_is_refused(binary):
    """An output that was fitted on one class alone has no column to tell."""
    X, y = binary
    model = RandomForestClassifier(2, max_depth=2, random_state=0).fit(X, np.column_stack([y, 0 * y]))
    with pytest.raises(UnsupportedModelError, match="random_forest: output 1 was fitted on one class alone"):
        RandomForest().lower(model, FeatureSchema.learn(X))


def test_tasks_that_members_do_not_have_are_refused():
    """No forest is made for finding outliers."""
    with pytest.raises(PluginError, match=r"random_forest: members serve .*, not 'outlier'"):
        RandomForest().make("outlier", {}, None)


def test_a_subclass_is_not_accepted():
    """A subclass may predict by other rules, so it is nobody's."""

    class Odd(RandomForestClassifier):
        """A forest that might override anything."""

    assert not RandomForest().accepts(Odd())
    assert RandomForest().accepts(RandomForestClassifier())


def test_a_forest_that_could_not_be_restored_is_not_saved(binary):
    """A forest that holds somebody's own function is refused when it is saved, not when it is needed."""
    X, y = binary
    forest = RandomForestClassifier(20, max_depth=2, oob_score=own_score, random_state=0).fit(X, y)
    with pytest.raises(UnsupportedModelError, match="random_forest: cannot be saved: skops does not trust"):
        RandomForest().dump(forest)


def own_score(y, prediction):
    """Return a score of somebody's own."""
    return float((y == prediction).mean())


@pytest.mark.parametrize("classes", [2, 3])
def test_forests_without_a_split_are_exact(classes):
    """Trees of one leaf, of two classes and of more."""
    X, y = np.ones((300, 2), dtype=np.float32), np.arange(300) % classes
    for plugin in PLUGINS:
        model = plugin.make("binary", {"n_estimators": 3}, None).fit(X, y)
        member = plugin.lower(model, FeatureSchema.learn(X))
        np.testing.assert_allclose(member_vote(member, X), plugin.votes(model, X, "multiclass"), atol=1e-13)
        assert member.body.output(0).feature.size == 0

"""The contract check of leak checks: it goes red on one that breaks just that rule, and says so."""

import numpy as np
import pytest
from training import leaky

from glulam.testing import ContractError, check_leak_check
from glulam.trainspecs import LeakCheck, Suspicion
from glulam_plugins.leaks.rows import LabelOverlap


class Sound(LeakCheck):
    """Finds features that are the label."""

    name = "copied_label"
    title = "A feature that is the label"

    def find(self, case):
        """Return a suspicion for each."""
        same = [name for name, column in zip(case.data.schema.names, case.data.X.T, strict=True)
                if np.array_equal(column, case.data.y)]  # fmt: skip
        return [self.suspicion(name) for name in same]

    def suspicion(self, name, **changed):
        """Return what is said of a feature."""
        said = {"check": self.name, "what": f"{name} is the label", "advice": "leave it out", "features": (name,)}
        return Suspicion(**(said | changed))


def saying(**changed):
    """Return a check whose suspicions differ in these parts."""
    return type("Broken", (Sound,), {"suspicion": lambda self, name: Sound.suspicion(self, name, **changed)})


def finding(find, **parts):
    """Return a check that finds in this way."""
    return type("Broken", (Sound,), {"find": find, **parts})


def spoil(self, case):
    """Change the rows."""
    case.data.X[0] = 0
    return []


def forgetful():
    """Return a way of finding that is never the same."""
    random = np.random.default_rng()
    return lambda self, case: [self.suspicion("back_1", what=str(random.random()))] if case.scores is not None else []


def test_a_sound_check():
    """One that finds what it looks for, and nothing else, passes; so does one that looks at no case of these."""
    check_leak_check(Sound)
    check_leak_check(type("Elsewhere", (Sound,), {"applies": lambda self, case: False}))


def test_a_planted_case_must_be_found():
    """With a case of the author's own, a check that finds nothing in it is told."""
    check_leak_check(LabelOverlap, leaky.unpurged_horizons())
    with pytest.raises(ContractError, match="'copied_label': find: expected a suspicion in the planted case, got none"):
        check_leak_check(Sound, leaky.unpurged_horizons())


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (type("Untitled", (Sound,), {"title": None}), "'copied_label': title: expected a string on the class"),
        (type("Maybe", (Sound,), {"applies": lambda self, case: 1}), "applies: expected True or False, got 1"),
        (finding(lambda self, case: None), "find: expected a list, got NoneType"),
        (
            finding(lambda self, case: [self.suspicion("x1")]),
            "expected nothing in rows in no order without a leak, got",
        ),
        (
            finding(lambda self, case: [self.suspicion("back_1")] if case.data.horizon else []),
            "expected nothing in rows in time without a leak, got",
        ),
        (finding(spoil), "find: changes the case that it is given; work on copies"),
        (finding(forgetful()), "finds something else when asked again; draw from a generator seeded with case.seed"),
        (finding(lambda self, case: ["leak"] if case.scores is not None else []), "expected Suspicions in the list"),
        (saying(check="other"), "expected suspicions under its own name 'copied_label', got 'other'"),
        (saying(what="two\nlines"), r"find: what: expected a sentence on one line, got 'two\\nlines'"),
        (saying(advice=" "), "find: advice: expected a sentence on one line, got ' '"),
        (saying(evidence={"skill": np.arange(2)}), "evidence: expected what JSON holds.*turn arrays into lists"),
        (saying(features=("close",)), r"features: expected some of \['back_1', .*\], got \['close'\]"),
    ],
)
def test_a_broken_check_is_told(check, message):
    """Each rule that is broken is named, with what came instead."""
    with pytest.raises(ContractError, match=message):
        check_leak_check(check)

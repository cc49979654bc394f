"""Contract checks for plugin authors: what a plugin of each kind must do, tried on small real data.

Call them from any test runner::

    from glulam.testing import check_voting_strategy

    def test_contract():
        check_voting_strategy(Median)

Each check returns nothing, or raises `ContractError` for the first rule that is broken. What else
the plugin itself raises passes through. They need the ``onnx`` exporter; `check_model_plugin` and
`check_selector` need scikit-learn too.
"""

from __future__ import annotations

from glulam.testing._calibrators import check_calibrator
from glulam.testing._exporters import check_exporter
from glulam.testing._features import check_feature_generator
from glulam.testing._labels import check_label
from glulam.testing._leak_checks import check_leak_check
from glulam.testing._metrics import check_metric
from glulam.testing._models import check_model_plugin
from glulam.testing._selectors import check_selector
from glulam.testing._shared import ContractError
from glulam.testing._splitters import check_splitter
from glulam.testing._validators import check_feature_validator
from glulam.testing._votes import check_voting_strategy

__all__ = [
    "ContractError",
    "check_calibrator",
    "check_exporter",
    "check_feature_generator",
    "check_feature_validator",
    "check_label",
    "check_leak_check",
    "check_metric",
    "check_model_plugin",
    "check_selector",
    "check_splitter",
    "check_voting_strategy",
]

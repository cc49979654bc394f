"""The other way to one ONNX file: skl2onnx's conversion of scikit-learn's VotingClassifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from lightgbm import LGBMClassifier
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.ensemble import VotingClassifier
from sklearn.preprocessing import LabelEncoder
from xgboost import XGBClassifier

__all__ = ["convert", "voting_classifier"]

OPSETS = {"": 18, "ai.onnx.ml": 3}  # the newest that both onnxmltools converters write


def voting_classifier(members: dict[str, Any], weights: Any) -> VotingClassifier:
    """Return a soft VotingClassifier of fitted members, without fitting them again.

    Two settings are there for the converter, which fails without them (skl2onnx 1.20):
    ``weights`` as a list is an AttributeError ('list' object has no attribute 'sum'), and
    ``flatten_transform``, True by default, a NotImplementedError. Neither changes an answer.
    """
    voting = VotingClassifier(
        list(members.items()), voting="soft", weights=np.asarray(weights), flatten_transform=False
    )
    voting.estimators_ = list(members.values())
    voting.le_ = LabelEncoder().fit(voting.estimators_[0].classes_)
    voting.classes_ = voting.le_.classes_
    return voting


def convert(voting: VotingClassifier) -> bytes:
    """Return the serialised model of a VotingClassifier.

    skl2onnx knows neither LightGBM nor XGBoost; onnxmltools' converters are registered by hand, as
    skl2onnx's documentation has it. XGBoost's needs no workaround for a classifier that was fitted
    on an array: names of DataFrame columns other than f0, f1, ... it cannot read.
    """
    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    for estimator, alias, converter in (
        (LGBMClassifier, "LightGbmLGBMClassifier", convert_lightgbm),
        (XGBClassifier, "XGBoostXGBClassifier", convert_xgboost),
    ):
        update_registered_converter(
            estimator, alias, calculate_linear_classifier_output_shapes, converter, options=options
        )
    inputs = [("features", FloatTensorType([None, voting.n_features_in_]))]
    model = to_onnx(voting, initial_types=inputs, target_opset=OPSETS, options={id(voting): {"zipmap": False}})
    return bytes(model.SerializeToString())

"""The stock converters, each called as its documentation has it: a fitted model to bytes of ONNX."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["CONVERTERS", "convert", "feeds"]

OPSET = 15  # the newest default domain that onnxmltools' converter of XGBoost writes
CONVERTERS = {
    "lightgbm": "onnxmltools convert_lightgbm",
    "xgboost": "onnxmltools convert_xgboost",
    "sklearn": "skl2onnx to_onnx",
    "catboost": "CatBoost save_model",
}


def convert(kind: str, model: Any, n_features: int) -> bytes:
    """Convert a fitted model by the converter of its library. Whatever the converter raises is raised."""
    ways: dict[str, Callable[[Any, int], bytes]] = {
        "lightgbm": _lightgbm, "xgboost": _xgboost, "sklearn": _sklearn, "catboost": _catboost,
    }  # fmt: skip
    return ways[kind](model, n_features)


def feeds(session: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return rows as a converted graph takes them: one matrix, or a column an input."""
    inputs = session.get_inputs()
    if len(inputs) == 1:
        return {inputs[0].name: rows}
    return {each.name: rows[:, [column]] for column, each in enumerate(inputs)}


def _matrix(n_features: int) -> list[tuple[str, Any]]:
    from onnxmltools.convert.common.data_types import FloatTensorType

    return [("features", FloatTensorType([None, n_features]))]


def _lightgbm(model: Any, n_features: int) -> bytes:
    from onnxmltools import convert_lightgbm

    made = convert_lightgbm(model, initial_types=_matrix(n_features), zipmap=False, target_opset=OPSET)
    return bytes(made.SerializeToString())


def _xgboost(model: Any, n_features: int) -> bytes:
    from onnxmltools import convert_xgboost

    made = convert_xgboost(model, initial_types=_matrix(n_features), target_opset=OPSET)
    return bytes(made.SerializeToString())


def _catboost(model: Any, n_features: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.save_model(str(path), format="onnx")
        return path.read_bytes()


def _sklearn(model: Any, n_features: int) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    _register()
    matrix = [("features", FloatTensorType([None, n_features]))]
    arrays = {id(model): {"zipmap": False}} if hasattr(model, "classes_") else None
    # Not every converter knows the option, and a model of a table may choose its columns by name.
    ways: list[tuple[Any, Any]] = [(matrix, arrays), (matrix, None)]
    if hasattr(model, "feature_names_in_"):
        ways.append(([(str(name), FloatTensorType([None, 1])) for name in model.feature_names_in_], arrays))
    reason = Exception()
    for inputs, options in ways:
        try:
            made = to_onnx(model, initial_types=inputs, options=options, target_opset={"": OPSET, "ai.onnx.ml": 3})
            return bytes(made.SerializeToString())
        except Exception as error:  # what the last of the ways raises is the answer
            reason = error
    raise reason


@cache
def _register() -> None:
    """Register onnxmltools' converters of boosters with skl2onnx, as its documentation has it."""
    from lightgbm import LGBMClassifier, LGBMRegressor
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )
    from xgboost import XGBClassifier, XGBRegressor

    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    of_classes, of_values = calculate_linear_classifier_output_shapes, calculate_linear_regressor_output_shapes
    for estimator, alias, shapes, converter, known in (
        (LGBMClassifier, "LightGbmLGBMClassifier", of_classes, convert_lightgbm, options),
        (XGBClassifier, "XGBoostXGBClassifier", of_classes, convert_xgboost, options),
        (LGBMRegressor, "LightGbmLGBMRegressor", of_values, convert_lightgbm, {"split": None}),
        (XGBRegressor, "XGBoostXGBRegressor", of_values, convert_xgboost, None),
    ):
        update_registered_converter(estimator, alias, shapes, converter, options=known)

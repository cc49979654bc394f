"""Features of a file as a training run made them: by the config that the exported file carries."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glulam.cli._data import Source
    from glulam.cli._target import Generated
    from glulam.runtime import ProductionEnsemble

__all__ = ["made_as_trained"]


class _Findings:
    """What the checks of the generators noted, shown as `Generated` shows a report."""

    def __init__(self, noted: tuple[str, ...]) -> None:
        self._noted = noted

    def __str__(self) -> str:
        return "; ".join(self._noted)

    def to_dict(self) -> dict[str, Any]:
        """Return the findings, for JSON."""
        return {"findings": list(self._noted)}


def made_as_trained(model: ProductionEnsemble, source: Source) -> Generated | None:
    """Return the features that a model takes of a file, by the generators that its config names.

    None for a model that was trained on columns, or without a config, and where the file has the features as columns.
    Raises FeatureError or ConfigError for a file that has not what the generators read.
    """
    text, schema = model.info()["training"].get("config"), model.schema
    if not text or not schema.named or set(schema.names) <= set(source.names):
        return None
    from glulam.cli._target import Generated
    from glulam.training._generating import check_and_generate, generators_of
    from glulam.training.config import Config
    from glulam.training.data import read_raw

    config = Config.model_validate(tomllib.loads(text))
    generators = generators_of(config)
    if not generators:
        return None
    # Which rows were trained on is no matter here, nor is where they came from.
    whole = {"path": source.path.name, "query": "", "since": "", "until": "", "days": None}
    config = config.model_copy(update={"data": config.data.model_copy(update=whole)})
    raw = read_raw(config.data, source.path.parent, needs_time=True)
    raw, features, rows = check_and_generate(raw, generators, config)
    names = [name for generator in generators for name in generator.columns]
    # A selector may have left some of them out.
    features = features[:, [names.index(name) for name in schema.names]]
    makers = ", ".join(generator.name for generator in generators)
    findings = _Findings(raw.findings) if raw.findings else None
    return Generated(makers, list(schema.names), None, None, raw.file_rows, features, rows, findings)

"""The config of a training run: one TOML file, checked before any work is done.

Everything has a default but where the data are and what is to be predicted. Names of plugins and their parameters are
checked by the plugins themselves.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "BacktestConfig", "Config", "DataConfig", "EnsembleConfig", "EvaluationConfig", "FeaturesConfig", "GatesConfig",
    "GeneratorConfig", "LabelConfig", "LeaksConfig", "MemberConfig", "OutputConfig", "TuneConfig",
]  # fmt: skip

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """A part of the config: frozen, and without keys that nobody reads."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Named(Section):
    """A plugin by its name; every other key is a parameter of it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def params(self) -> dict[str, Any]:
        """The parameters."""
        return dict(self.model_extra or {})


class DataConfig(Section):
    """Where the rows come from."""

    path: str = ""
    """CSV (.csv, .csv.gz), Parquet, DuckDB (.duckdb, .ddb) or SQLite (.sqlite, .sqlite3, .db); relative to the file."""
    query: str = ""
    """For a database: the SQL that gives the rows."""
    time: str = ""
    """Column with the time of each row; empty for rows without one. With generators: timestamp."""
    timezone: str = ""
    """Zone of times that name none, such as UTC; times with and without a zone are never mixed."""
    since: str = ""
    until: str = ""
    """First moment that counts, and the first that does not."""
    days: int | None = Field(default=None, gt=0)
    """Only the last so many days."""
    drop: tuple[str, ...] = ()
    """Columns that are no features."""
    categorical: tuple[str, ...] = ()
    """Columns whose values are categories."""
    group: str = ""
    """Column that says which rows belong together; no feature."""
    drop_bad: bool = False
    """Leave out rows that cannot be, such as repeated candles, and sort the rest, instead of refusing the table."""


class GeneratorConfig(Named):
    """A feature generator with its parameters."""


class FeaturesConfig(Section):
    """How features are made. Without generators, every column but label, time, group and dropped ones is one."""

    generators: tuple[GeneratorConfig, ...] = ()
    select: str = ""
    """Name of a feature selector; its choice is taken only if it pays on folds that it did not see."""
    select_params: dict[str, Any] = Field(default_factory=dict)


class LabelConfig(Named):
    """What is to be predicted: column, next_direction, return_above, triple_barrier or a plugin's name."""


class MemberConfig(Section):
    """A member of the ensemble."""

    plugin: str = ""
    """Name of the model plugin; the member's own name if empty."""
    weight: float = Field(default=1.0, ge=0.0)
    params: dict[str, Any] = Field(default_factory=dict)


class EnsembleConfig(Section):
    """How the members vote, and how a label is chosen."""

    task: Literal["auto", "classification", "regression"] = "auto"
    voting: str = "soft"
    weights: Literal["given", "equal", "auto"] = "given"
    """The members' own weights; equal ones; or those that minimise the loss of out-of-fold votes."""
    weights_penalty: float = Field(default=0.01, ge=0.0)
    """How strongly automatic weights are drawn towards equal ones."""
    calibration: str = ""
    """Name of a calibrator: sigmoid, isotonic, temperature; none if empty."""
    calibrate: Literal["vote", "members"] = "vote"
    threshold: float | str = 0.5
    """Two classes: a number, the name of a metric to maximise out of fold, or expected_value."""
    gain: float = 1.0
    loss: float = 1.0
    """For threshold = "expected_value": what a true positive brings and a false positive costs."""
    min_confidence: float | None = None
    abstain_label: int | str | None = None
    validators: tuple[str | dict[str, Any], ...] | None = None


class EvaluationConfig(Section):
    """How the ensemble is judged."""

    splitter: str = "auto"
    """auto: walk_forward for rows that have a time, group_k_fold for groups, else stratified_k_fold."""
    folds: int = Field(default=5, ge=2)
    embargo: int = Field(default=0, ge=0)
    """Rows more to leave out beside the label's horizon."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Further parameters of the splitter, such as window for a rolling walk-forward."""
    metrics: tuple[str, ...] = ()
    """By default all that suit the task; the first one is the one that verdicts are about."""
    bootstrap: int = Field(default=1_000, ge=100)
    allow_shuffled: bool = False
    """Allow a splitter that tears rows with a time out of their order."""


class BacktestConfig(Section):
    """What trading the signals of candles would give."""

    enabled: bool = True
    """Only where there are candles and the label is of two or three classes."""
    fee: float = Field(default=0.001, ge=0.0)
    """Of the traded value, each way."""
    slippage: float = Field(default=0.0005, ge=0.0)
    short: bool = False
    """Sell short on the lower class instead of staying out."""


class LeaksConfig(Section):
    """Which leak checks run."""

    skip: tuple[str, ...] = ()
    allow: bool = False
    """Export although something smells of a leak; the report says so."""


class TuneConfig(Section):
    """The search for parameters."""

    enabled: bool = False
    """Tune in `glulam train`; `glulam tune` does it by itself."""
    trials: Positive = 50
    timeout: float | None = Field(default=None, gt=0)
    """Seconds."""
    workers: Positive = 1
    folds: int = Field(default=3, ge=2)
    """Of the inner walk-forward."""
    metric: str = ""
    """By default log_loss, rmse for values."""
    storage: str = "tuning.sqlite3"
    study: str = "glulam"
    holdout: Share = 0.25
    """Last share of the rows, which the search never sees: there tuned and untuned are compared."""


class GatesConfig(Section):
    """What must hold before a file is put in place; those that are left out are not asked for."""

    min_auc_low: Share | None = None
    """Lower end of the 95 % interval of the AUC."""
    max_calibration_error: Share | None = None
    min_f1: Share | None = None
    """Off by default: always answering the more frequent class can have a high F1 without knowing anything."""
    not_worse_than: str = ""
    """An ensemble.onnx, the champion: by a paired test on the same rows the new one must not be worse."""
    max_size_mb: float | None = Field(default=None, gt=0)
    max_latency_us: float | None = Field(default=None, gt=0)
    max_memory_mb: float | None = Field(default=None, gt=0)


class OutputConfig(Section):
    """Where results go, relative to the config."""

    path: str = "ensemble.onnx"
    runs: str = "runs"
    precision: Literal["auto", "float32", "float64"] = "auto"


class Config(Section):
    """A whole run."""

    seed: int = Field(default=42, ge=0)
    data: DataConfig
    features: FeaturesConfig = FeaturesConfig()
    label: LabelConfig
    members: dict[str, MemberConfig] = Field(
        default_factory=lambda: {
            "lightgbm": MemberConfig(weight=0.4),
            "xgboost": MemberConfig(weight=0.4),
            "random_forest": MemberConfig(weight=0.2),
        },
        min_length=1,
    )
    ensemble: EnsembleConfig = EnsembleConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    backtest: BacktestConfig = BacktestConfig()
    leaks: LeaksConfig = LeaksConfig()
    tune: TuneConfig = TuneConfig()
    gates: GatesConfig = GatesConfig()
    output: OutputConfig = OutputConfig()

"""The config of a training run: one TOML file, checked before any work is done.

Everything has a default but where the data are and what is to be predicted. Names of plugins and their parameters are
checked by the plugins themselves.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

__all__ = [
    "BacktestConfig", "Config", "DataConfig", "EnsembleConfig", "EvaluationConfig", "FeaturesConfig", "GatesConfig",
    "GeneratorConfig", "LabelConfig", "LeaksConfig", "MemberConfig", "OutputConfig", "TuneConfig",
]  # fmt: skip

# Strict: "5" is no number and 1 no truth value, whatever could be made of them.
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Share = Annotated[float, Strict(), Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Strict(), Field(gt=0)]


class Section(BaseModel):
    """A part of the config: frozen, and without keys that nobody reads."""

    # `glulam init` and errors show what the docstrings of fields say, and their examples where there is no default.
    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Named(Section):
    """A plugin by its name; every other key is a parameter of it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str
    """Name of the plugin; every other key is a parameter of it."""

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
    """First moment that counts, such as 2023-01-31 or 2023-01-31T04:00:00Z; from the first row on if empty."""
    until: str = ""
    """First moment that does not count any more; up to the last row if empty."""
    days: Positive | None = Field(default=None, examples=[365])
    """Only the last so many days."""
    drop: tuple[str, ...] = ()
    """Columns that are no features."""
    categorical: tuple[str, ...] = ()
    """Columns whose values are categories."""
    group: str = ""
    """Column that says which rows belong together; no feature."""
    drop_bad: Flag = False
    """Leave out rows that cannot be, such as repeated candles, and sort the rest, instead of refusing the table."""


class GeneratorConfig(Named):
    """A feature generator with its parameters."""


class FeaturesConfig(Section):
    """How features are made. Without generators, every column but label, time, group and dropped ones is one."""

    generators: tuple[GeneratorConfig, ...] = ()
    """Feature generators: names, or tables of a name and its parameters; none takes the columns as they are."""
    select: str = ""
    """Name of a feature selector; its choice is taken only if it pays on folds that it did not see."""
    select_params: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the selector."""


class LabelConfig(Named):
    """What is to be predicted: column, next_direction, return_above, triple_barrier or a plugin's name."""


class MemberConfig(Section):
    """A member of the ensemble."""

    plugin: str = ""
    """Name of the model plugin; the member's own name if empty."""
    weight: Number = Field(default=1.0, ge=0.0)
    """How much its vote counts; weights need not sum to 1."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the model, by the names that its library has for them."""


class EnsembleConfig(Section):
    """How the members vote, and how a label is chosen."""

    task: Literal["auto", "classification", "regression"] = "auto"
    """auto: regression for a target with fractions or more than 20 distinct numbers, else classification."""
    voting: str = "soft"
    """Name of the voting strategy: soft, hard, log_pool, stacking."""
    weights: Literal["given", "equal", "auto"] = "given"
    """The members' own weights; equal ones; or those that minimise the loss of out-of-fold votes."""
    weights_penalty: Number = Field(default=0.01, ge=0.0)
    """How strongly automatic weights are drawn towards equal ones."""
    calibration: str = ""
    """Name of a calibrator: sigmoid, isotonic, temperature; none if empty."""
    calibrate: Literal["vote", "members"] = "vote"
    """What is calibrated: the ensemble's scores, or each member's votes."""
    threshold: Number | str = 0.5
    """Two classes: a number, the name of a metric to maximise out of fold, or expected_value."""
    gain: Number = 1.0
    """For threshold = "expected_value": what a true positive brings."""
    loss: Number = 1.0
    """For threshold = "expected_value": what a false positive costs."""
    min_confidence: Share | None = Field(default=None, examples=[0.6])
    """Rows whose largest probability is below it get abstain_label."""
    abstain_label: Whole | str | None = Field(default=None, examples=[-1])
    """Label of rows that are too uncertain; -1 among whole numbers if left out."""
    validators: tuple[str | dict[str, Any], ...] | None = Field(
        default=None, examples=[["columns", "finite", {"name": "minimum_samples", "rows": 100}]]
    )
    """Checks of every row: names, or tables of a name and its parameters."""


class EvaluationConfig(Section):
    """How the ensemble is judged."""

    splitter: str = "auto"
    """auto: walk_forward for rows that have a time, group_k_fold for groups, else stratified_k_fold."""
    folds: Whole = Field(default=5, ge=2)
    """Number of folds."""
    embargo: Whole = Field(default=0, ge=0)
    """Rows more to leave out beside the label's horizon."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Further parameters of the splitter, such as window for a rolling walk-forward."""
    metrics: tuple[str, ...] = ()
    """By default all that suit the task; the first one is the one that verdicts are about."""
    bootstrap: Whole = Field(default=1_000, ge=100)
    """How often rows are drawn for the 95 % intervals."""
    allow_shuffled: Flag = False
    """Allow a splitter that tears rows with a time out of their order."""


class BacktestConfig(Section):
    """What trading the signals of candles would give."""

    enabled: Flag = True
    """Only where there are candles and the label is of two or three classes."""
    fee: Number = Field(default=0.001, ge=0.0)
    """Of the traded value, each way."""
    slippage: Number = Field(default=0.0005, ge=0.0)
    """Of the price, each way: how much worse than the close orders are filled."""
    short: Flag = False
    """Sell short on the lower class instead of staying out."""


class LeaksConfig(Section):
    """Which leak checks run."""

    skip: tuple[str, ...] = ()
    """Names of leak checks that do not run."""
    allow: Flag = False
    """Export although something smells of a leak; the report says so."""


class TuneConfig(Section):
    """The search for parameters."""

    enabled: Flag = False
    """Tune in `glulam train`; `glulam tune` does it by itself."""
    trials: Positive = 50
    """How many sets of parameters are tried."""
    timeout: Number | None = Field(default=None, gt=0, examples=[600.0])
    """Seconds after which no further trial begins."""
    workers: Positive = 1
    """Threads that try parameters at once."""
    folds: Whole = Field(default=3, ge=2)
    """Number of folds of the inner walk-forward."""
    metric: str = ""
    """Metric to improve; if empty log_loss, for values rmse."""
    storage: str = "tuning.sqlite3"
    """File that keeps the trials, so that a search can be stopped and taken up again; relative to the config, in
    `glulam train` to the folder of the run."""
    study: str = "glulam"
    """Name of the search in that file."""
    holdout: Share = 0.25
    """Last share of the rows, which the search never sees: there tuned and untuned are compared."""


class GatesConfig(Section):
    """What must hold before a file is put in place; those that are left out are not asked for."""

    min_auc_low: Share | None = Field(default=None, examples=[0.5])
    """Lower end of the 95 % interval of the AUC."""
    max_calibration_error: Share | None = Field(default=None, examples=[0.05])
    """Largest expected calibration error."""
    min_f1: Share | None = Field(default=None, examples=[0.85])
    """Least F1. Off by default: always answering the more frequent class can have a high one without knowing anything,
    and 0.85 for a market's next bar is reached by scores on known rows alone."""
    not_worse_than: str = ""
    """An ensemble.onnx, the champion: by a paired test on the same rows the new one must not be worse."""
    max_size_mb: Number | None = Field(default=None, gt=0, examples=[50.0])
    """Largest file, in MB."""
    max_latency_us: Number | None = Field(default=None, gt=0, examples=[1000.0])
    """Largest median time of one row, in microseconds."""
    max_memory_mb: Number | None = Field(default=None, gt=0, examples=[500.0])
    """Most memory of the process that serves the file, in MB."""


class OutputConfig(Section):
    """Where results go, relative to the config."""

    path: str = "ensemble.onnx"
    """The file that is exported."""
    runs: str = "runs"
    """Directory in which every run gets a directory of its own."""
    overwrite: Flag = False
    """Replace the file, and the trained ensemble beside it, where they are there already; each run keeps its own."""
    precision: Literal["auto", "float32", "float64"] = "auto"
    """Arithmetic of the file; auto takes float64 only where float32 fails the proof."""


class Config(Section):
    """A whole run."""

    seed: Whole = Field(default=42, ge=0, le=2**32 - 1)
    """Of whatever is drawn: two runs with one seed give the same."""
    data: DataConfig
    """Where the rows come from."""
    features: FeaturesConfig = FeaturesConfig()
    """How features are made."""
    label: LabelConfig
    """What is to be predicted."""
    members: dict[str, MemberConfig] = Field(
        default_factory=lambda: {
            "lightgbm": MemberConfig(weight=0.4),
            "xgboost": MemberConfig(weight=0.4),
            "random_forest": MemberConfig(weight=0.2),
        },
        min_length=1,
    )
    """The members by name."""
    ensemble: EnsembleConfig = EnsembleConfig()
    """How the members vote, and how a label is chosen."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """How the ensemble is judged."""
    backtest: BacktestConfig = BacktestConfig()
    """What trading the signals of candles would give."""
    leaks: LeaksConfig = LeaksConfig()
    """Which leak checks run."""
    tune: TuneConfig = TuneConfig()
    """The search for parameters."""
    gates: GatesConfig = GatesConfig()
    """What must hold before a file is put in place."""
    output: OutputConfig = OutputConfig()
    """Where results go."""

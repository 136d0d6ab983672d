"""Records → one row per run and one per configuration over its seeds. Pure: no files, no formatting."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sft.config.identity import configuration_id
from sft.config.names import dataset_name, model_name
from sft.config.schema import ExperimentConfig
from sft.records import RunRecord
from sft.reporting.differences import flat_config, unseen_differences

BASELINE_TITLES = {"majority": "majority class", "tfidf_logistic_regression": "TF-IDF + logistic regression"}


@dataclass(frozen=True)
class Spread:
    """A number over seeds. sd: sample standard deviation, None for a single run."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class RunRow:
    """One finished or failed run."""

    name: str | None
    run_id: str
    seed: int
    status: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    baselines: Mapping[str, Mapping[str, float]]
    seconds: float | None
    error: str | None
    folder: str


@dataclass(frozen=True)
class ConfigurationRow:
    """All finished runs of one configuration. failed: how many of its runs failed."""

    settings: Mapping[str, Any]
    seeds: Sequence[int]
    metrics: Mapping[str, Spread]
    baselines: Mapping[str, Mapping[str, Spread]]
    failed: int


@dataclass(frozen=True)
class ReportTable:
    """One row per run and one per configuration.

    varying: the settings in which configurations differ, in column order. constant: settings with one value wherever
    they occur (an untrained configuration has no learning rate). notes: what a reader must know.
    """

    runs: Sequence[RunRow]
    configurations: Sequence[ConfigurationRow]
    varying: Sequence[str]
    constant: Mapping[str, Any]
    notes: Sequence[str]


def report_table(records: Iterable[RunRecord]) -> ReportTable:
    """Group records by configuration; rows are sorted by their settings, numbers by size."""
    records = list(records)
    groups: dict[str, list[RunRow]] = {}
    configs: dict[str, dict[str, Any]] = {}
    for record in records:
        config = ExperimentConfig.model_validate(record.config)
        trains = _trained(record, config)
        identity = configuration_id(config, trains=trains) + (record.model.get("adapter") or "")
        groups.setdefault(identity, []).append(_run_row(record, config))
        configs[identity] = flat_config(config, trains=trains)
    groups = _told_apart(groups, configs)
    rows = [row for group in groups.values() for row in group]
    names = list(dict.fromkeys(name for row in rows for name in row.settings))
    configurations = [_configuration_row(group) for group in groups.values()]
    configurations.sort(key=lambda row: [_order(row.settings.get(name)) for name in names])
    rows.sort(key=lambda row: [*(_order(row.settings.get(name)) for name in names), _order(row.seed)])
    values = {name: [row.settings[name] for row in configurations if name in row.settings] for name in names}
    varying = [name for name in names if len(set(map(str, values[name]))) > 1]
    constant = {name: values[name][0] for name in names if name not in varying}
    return ReportTable(rows, configurations, varying, constant, _notes(records))


def _told_apart(
    groups: Mapping[str, list[RunRow]], configs: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[RunRow]]:
    """The rows with further settings where configurations differ in no usual one (two instructions, say)."""
    further = unseen_differences({identity: _settings(rows) for identity, rows in groups.items()}, configs)
    return {
        identity: [replace(row, settings={**row.settings, **further[identity]}) for row in rows]
        for identity, rows in groups.items()
    }


def settings_of(config: ExperimentConfig, *, trained: bool) -> dict[str, Any]:
    """What tells configurations apart, under the names of table columns.

    trained: whether an adapter was trained; settings of the training are absent otherwise.
    """
    inference = config.inference_or_default
    adapter = config.adapter_spec if trained else None
    settings: dict[str, Any] = {
        "dataset": dataset_name(config),
        "model": model_name(config),
        "task": config.dataset.task_type,
        "shots": "all" if config.dataset.shots is None else config.dataset.shots,
        "ICE inference": inference.icl_examples,
        "method": inference.method if config.dataset.task_type == "classification" else "generate",
        "normalization": None if inference.score_normalization == "none" else inference.score_normalization,
        "calibration": inference.calibration.method if inference.calibration else None,
        "max input length": config.prompting.max_input_length,
        "max output length": config.prompting.max_output_length,
        "max inference length": inference.max_seq_length,
        "quantization": config.model.quantization.config_class if config.model.quantization else None,
        "adapter": adapter.method if adapter else None,
    }
    if adapter is not None and config.training is not None:
        args = config.training.trainer_args
        settings |= {f"{adapter.method} {name}": value for name, value in adapter.args.items()}
        settings |= {
            "ICE training": config.training.icl_examples,
            "max training length": args.get("max_length"),
            "learning rate": args.get("learning_rate"),
            "epochs": args.get("num_train_epochs"),
        }
    return settings


def _order(setting: Any) -> tuple[int, float, str]:
    """A sort key over absent values, numbers and texts."""
    if isinstance(setting, (int, float)):
        return (1, float(setting), "")
    return (0, 0.0, "") if setting is None else (2, 0.0, str(setting))


def _trained(record: RunRecord, config: ExperimentConfig) -> bool:
    """Whether the run trained an adapter, or would have, had it not failed."""
    return record.training is not None or (record.status == "failed" and config.has_shots)


def _run_row(record: RunRecord, config: ExperimentConfig) -> RunRow:
    settings = settings_of(config, trained=_trained(record, config))
    return RunRow(
        name=record.name,
        run_id=record.run_id,
        seed=record.seed,
        status=record.status,
        settings={**settings, "checkpoint": record.model.get("adapter")},
        metrics=_scalars(record.results),
        baselines={name: _scalars(values) for name, values in record.baselines.items()},
        seconds=record.timings.get("total"),
        error=record.error,
        folder=record.folder_name,
    )


def _configuration_row(rows: Sequence[RunRow]) -> ConfigurationRow:
    finished = [row for row in rows if row.status == "completed"]
    baselines = {name for row in finished for name in row.baselines}
    return ConfigurationRow(
        settings=_settings(rows),
        seeds=[row.seed for row in finished],
        metrics=_spreads([row.metrics for row in finished]),
        baselines={name: _spreads([row.baselines.get(name, {}) for row in finished]) for name in sorted(baselines)},
        failed=len(rows) - len(finished),
    )


def _settings(rows: Sequence[RunRow]) -> Mapping[str, Any]:
    """Those of a finished run where there is one: what a failed one would have done is known less well."""
    return next((row for row in rows if row.status == "completed"), rows[0]).settings


def _spreads(values: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    names = dict.fromkeys(name for row in values for name in row)
    return {name: _spread([row[name] for row in values if name in row]) for name in names}


def _spread(values: Sequence[float]) -> Spread:
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), sd, len(values))


def _scalars(results: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in results.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _notes(records: Sequence[RunRecord]) -> list[str]:
    notes = []
    finished = [record for record in records if record.status == "completed"]
    ends: dict[str, set[str]] = {}
    for record in finished:
        if "label_end" in record.inference:
            ends.setdefault(str(record.model.get("base")), set()).add(record.inference["label_end"])
    for model, rules in ends.items():
        if len(rules) > 1:
            notes.append(
                f"Runs of {model} score labels by different rules (label_end: {', '.join(sorted(rules))}): don't rank "
                "them against each other."
            )
    if len({tuple(record.data.get("test_row_numbers", ())) for record in finished}) > 1:
        notes.append("Runs were judged on different test rows: compare only rows of the same data set and test size.")
    calibrations = [record.inference.get("calibration") or {} for record in finished]
    transductive = sorted({str(each["method"]) for each in calibrations if each.get("transductive")})
    if transductive:
        notes.append(f"Transductive calibration ({', '.join(transductive)}) used the unlabelled test inputs together.")
    if finished and len({record.seed for record in finished}) < 5:
        notes.append("Fewer than 5 seeds: the standard deviations are rough.")
    return notes

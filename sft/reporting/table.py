"""Records → one row per run and one per configuration over its seeds. Pure: no files, no formatting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sft.evaluation.resampling import JudgedRun
from sft.planned import Planned
from sft.records import RunRecord
from sft.reporting.headlines import headlines
from sft.reporting.members import Group, Member, group_runs
from sft.reporting.notes import notes_on
from sft.reporting.ranking import compare, contests, marks
from sft.reporting.resample import Samples, bootstrap
from sft.reporting.rows import ConfigurationRow, Mark, ReportTable, RunRow
from sft.reporting.settings import order
from sft.reporting.summaries import baselines, scalars, summaries, variance


def report_table(
    records: Iterable[RunRecord],
    judged: Mapping[str, JudgedRun] | None = None,
    *,
    missing: Sequence[Planned] = (),
    notes: Sequence[str] = (),
) -> ReportTable:
    """Group records by configuration and test rows; rows are sorted by their settings, numbers by size.

    judged: what the runs' items say, by `RunRecord.folder_name`; without it there are no intervals over test rows and
    no tests. missing: planned runs without a record. notes: to be shown with the table's own.
    """
    groups = group_runs(records, judged or {}, missing)
    names = list(dict.fromkeys(name for group in groups for name in group.settings))
    groups.sort(key=lambda group: [order(group.settings.get(name)) for name in names])
    shown = headlines(name for group in groups for member in group.finished for name in scalars(member.record.results))
    contested = contests(groups, shown)
    samples = bootstrap(groups, sum(len(contest.others) for contest in contested))
    comparisons = compare(contested, groups, samples.crossed)
    marked = marks(comparisons, len(groups))
    values = {name: [group.settings[name] for group in groups if name in group.settings] for name in names}
    varying = [name for name in names if len(set(map(str, values[name]))) > 1]
    return ReportTable(
        runs=_run_rows(groups, names),
        configurations=[_configuration_row(*row, shown) for row in zip(groups, samples.crossed, marked, strict=True)],
        varying=varying,
        constant={name: values[name][0] for name in names if name not in varying},
        notes=[*notes_on(groups, contested, samples.resamples), *notes],
        comparisons=comparisons,
        resamples=samples.resamples,
    )


def _configuration_row(
    group: Group, samples: Samples, marked: Mapping[str, Mark], shown: Sequence[str]
) -> ConfigurationRow:
    return ConfigurationRow(
        settings=group.settings,
        seeds=[] if group.seedless else [member.record.seed for member in group.finished],
        metrics=summaries(group, samples),
        baselines=baselines(group),
        failed=group.failed,
        missing=group.missing,
        seedless=group.seedless,
        test_set=group.test_set,
        marks=marked,
        variance=variance(group, shown),
    )


def _run_rows(groups: Sequence[Group], names: Sequence[str]) -> list[RunRow]:
    rows = [_run_row(member, group.settings) for group in groups for member in group.members]
    rows.sort(key=lambda row: [*(order(row.settings.get(name)) for name in names), order(row.seed)])
    return rows


def _run_row(member: Member, settings: Mapping[str, Any]) -> RunRow:
    record = member.record
    return RunRow(
        name=record.name,
        run_id=record.run_id,
        seed=record.seed,
        status=record.status,
        settings=settings,
        metrics=scalars(record.results),
        baselines={name: scalars(values) for name, values in record.baselines.items()},
        seconds=record.timings.get("total"),
        error=record.error,
        folder=record.folder_name,
    )

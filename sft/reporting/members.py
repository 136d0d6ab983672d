"""Records → the groups behind a table's rows: runs of one configuration on the same test rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sft.config.identity import configuration_id, seeds_that_matter
from sft.config.names import dataset_name
from sft.config.schema import ExperimentConfig
from sft.evaluation.outcome import ClassificationOutcome, MultilabelOutcome, MultipleChoiceOutcome
from sft.evaluation.resampling import JudgedRun
from sft.evaluation.statistics.spread import FEW
from sft.planned import Planned
from sft.records import RunRecord
from sft.reporting.differences import flat_config, unseen_differences
from sft.reporting.settings import settings_of


@dataclass(frozen=True)
class Member:
    """A run with what grouping needs. seeds: those that matter to it, by name. judged: None where it can't be
    resampled.
    """

    record: RunRecord
    config: ExperimentConfig
    trains: bool
    seeds: Mapping[str, int]
    judged: JudgedRun | None


@dataclass
class Group:
    """Runs of one configuration on the same test rows.

    finished: one for each choice of seeds. settings: under the names of columns. failed, missing: how many have no
    result. test_set: None where no run finished. repeated: finished runs that were left out, because a later one has
    the same seeds, or none that matters.
    """

    finished: list[Member]
    settings: dict[str, Any]
    flat: dict[str, Any]
    test_set: str | None
    failed: int = 0
    missing: int = 0
    repeated: int = 0
    members: list[Member] = field(default_factory=list)

    @property
    def seedless(self) -> bool:
        return bool(self.finished) and not self.finished[0].seeds

    @property
    def few(self) -> bool:
        """Whether fewer seeds than `FEW` were tried, where one matters."""
        return bool(self.finished) and not self.seedless and len(self.finished) < FEW

    @property
    def judged(self) -> list[JudgedRun] | None:
        """Those of all finished runs; None where one can't be resampled, or none finished."""
        judged = [member.judged for member in self.finished if member.judged is not None]
        return judged if self.finished and len(judged) == len(self.finished) else None


def group_runs(
    records: Iterable[RunRecord], judged: Mapping[str, JudgedRun], missing: Sequence[Planned]
) -> list[Group]:
    """judged: by `RunRecord.folder_name`. missing: planned runs without a record."""
    members: dict[str, list[Member]] = {}
    for record in records:
        member = _member(record, judged.get(record.folder_name))
        identity = configuration_id(member.config, trains=member.trains) + (record.model.get("adapter") or "")
        if (processes := _processes(record)) is not None:
            identity += f" {processes}"
        members.setdefault(identity, []).append(member)
    absent: dict[str, list[ExperimentConfig]] = {}
    for run in missing:
        config = ExperimentConfig.model_validate(run.config)
        absent.setdefault(configuration_id(config, trains=config.has_shots), []).append(config)
    sets = _test_sets([member for each in members.values() for member in each])
    groups: dict[str, list[Group]] = {}
    for identity in dict.fromkeys([*members, *absent]):
        groups[identity] = _groups_of(members.get(identity, []), absent.get(identity, []), sets)
    _tell_apart(groups)
    found = [group for each in groups.values() for group in each]
    _name_test_sets(found)
    return found


def _member(record: RunRecord, judged: JudgedRun | None) -> Member:
    config = ExperimentConfig.model_validate(record.config)
    trains = trains_of(record, config)
    return Member(record, config, trains, _seeds(config, trains), judged)


def trains_of(record: RunRecord, config: ExperimentConfig) -> bool:
    """Whether a run trained, or would have if it hadn't failed."""
    return record.training is not None or (record.status == "failed" and config.has_shots)


def _seeds(config: ExperimentConfig, trains: bool) -> dict[str, int]:
    names = seeds_that_matter(config, trains=trains)
    return {name: config.seed if name == "seed" else config.seed_for(name) for name in sorted(names)}


def _groups_of(members: list[Member], absent: list[ExperimentConfig], sets: Mapping[int, str]) -> list[Group]:
    """One per test set; runs without a result are counted with the first."""
    finished = [member for member in members if member.record.status == "completed"]
    without = [member for member in members if member.record.status != "completed"]
    by_set: dict[str | None, list[Member]] = {}
    for member in finished:
        by_set.setdefault(sets[id(member)], []).append(member)
    groups = [_group(each, test_set) for test_set, each in (by_set or {None: []}).items()]
    known = {json.dumps(member.seeds) for member in finished}
    first = groups[0]
    first.failed = len({json.dumps(member.seeds) for member in without} - known)
    first.members += without
    first.missing = len(absent)
    if not finished:
        config, trains = (without[0].config, without[0].trains) if without else (absent[0], absent[0].has_shots)
        first.settings, first.flat = _settings(config, trains, None), flat_config(config, trains=trains)
    return groups


def _group(members: list[Member], test_set: str | None) -> Group:
    latest: dict[str, Member] = {}
    for member in sorted(members, key=lambda member: member.record.finished_at):
        latest[json.dumps(member.seeds)] = member
    finished = sorted(latest.values(), key=lambda member: (member.record.seed, json.dumps(member.seeds)))
    if not members:
        return Group([], {}, {}, test_set)
    one = finished[0]
    settings = _settings(one.config, one.trains, one.record)
    flat = flat_config(one.config, trains=one.trains)
    return Group(finished, settings, flat, test_set, repeated=len(members) - len(finished), members=list(members))


def _settings(config: ExperimentConfig, trains: bool, record: RunRecord | None) -> dict[str, Any]:
    settings = {**settings_of(config, trained=trains), "checkpoint": record.model.get("adapter") if record else None}
    settings["processes"] = _processes(record) if record else None
    calibration = record.inference.get("calibration") if record else None
    if calibration and calibration.get("transductive"):
        settings["calibration"] = f"{settings['calibration']} (transductive)"
    return settings


def _processes(record: RunRecord) -> int | None:
    """How many trained together, each with batches of the size that the config says; None for one or no training."""
    processes = (record.training or {}).get("processes", 1)
    return None if processes == 1 else int(processes)


def _test_sets(members: Sequence[Member]) -> dict[int, str]:
    """Finished run (by `id`) → what its test rows are known by: data set, row numbers and references.

    A run without readable items is taken to have the references that all others with its row numbers have.
    """
    finished = [member for member in members if member.record.status == "completed"]
    numbers = {id(member): _digest(dataset_name(member.config), _row_numbers(member)) for member in finished}
    references = {id(member): _references(member.judged) for member in finished if member.judged is not None}
    met: dict[str, set[str]] = {}
    for member in finished:
        if id(member) in references:
            met.setdefault(numbers[id(member)], set()).add(references[id(member)])
    return {
        one: rows if len(met.get(rows, ())) < 2 else _digest(rows, references.get(one, "unknown"))
        for one, rows in numbers.items()
    }


def _row_numbers(member: Member) -> list[int]:
    return list(member.record.data.get("test_row_numbers", ()))


def _references(judged: JudgedRun) -> str:
    outcome = judged.outcome
    if isinstance(outcome, (ClassificationOutcome, MultilabelOutcome)):
        return _digest(outcome.labels, outcome.references.tolist())
    if isinstance(outcome, MultipleChoiceOutcome):
        return _digest([list(each) for each in outcome.candidates], outcome.references.tolist())
    return _digest(outcome.references)


def _digest(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=False).encode()).hexdigest()[:12]


def _tell_apart(groups: Mapping[str, Sequence[Group]]) -> None:
    """Adds settings where configurations differ in no usual one (two instructions, say)."""
    first = {identity: each[0] for identity, each in groups.items()}
    further = unseen_differences(
        {identity: group.settings for identity, group in first.items()},
        {identity: group.flat for identity, group in first.items()},
    )
    for identity, each in groups.items():
        for group in each:
            group.settings |= further[identity]


def _name_test_sets(groups: Sequence[Group]) -> None:
    """A setting that says on how many test rows a configuration was judged; numbered where a data set has several."""
    sizes: dict[str, tuple[str, int]] = {}
    for group in groups:
        if group.test_set is not None:
            one = group.finished[0]
            sizes.setdefault(group.test_set, (dataset_name(one.config), len(_row_numbers(one))))
    for group in groups:
        if group.test_set is not None:
            alike = [other for other, size in sizes.items() if size == sizes[group.test_set]]
            count = str(sizes[group.test_set][1])
            number = alike.index(group.test_set) + 1
            group.settings["test rows"] = count if len(alike) == 1 else f"{count} (no. {number})"

"""Results as pandas frames: single runs, single test rows, and the table over seeds."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft.api import table_of
from sft.config.flat import flat
from sft.config.secrets import without_secrets
from sft.records import RunRecord
from sft.reporting.csv import as_csv
from sft.reporting.find import Found, FoundRun, check_results, find_results
from sft.reporting.judged import items_of_run
from sft.reporting.right import right_answers
from sft.reporting.rows import ReportTable
from sft.reporting.summaries import scalars

if TYPE_CHECKING:
    from pandas import DataFrame


class Results:
    """The runs of one or several folders. Frames are made when they are asked for.

    report: what `sft results aggregate` prints. notes: files that couldn't be read, and what else a reader must know.
    """

    def __init__(self, found: Found) -> None:
        self._found = found

    @property
    def records(self) -> list[RunRecord]:
        """Finished and failed."""
        return [run.record for run in self._found.runs]

    @cached_property
    def report(self) -> ReportTable:
        return table_of(self._found)

    @property
    def notes(self) -> list[str]:
        return list(self.report.notes)

    @cached_property
    def runs(self) -> DataFrame:
        """One row per run: name, run_id, seed and status; the config keys in which runs differ (`dataset.shots`);
        metrics by name; `baselines.<name>.<metric>`; `seconds.<stage>`; error and folder.
        """
        import pandas

        configs = [flat(without_secrets(record.config)) for record in self.records]
        names = [name for name in _differing(configs) if name != "seed"]
        rows = [
            _row(run, {name: config.get(name) for name in names})
            for run, config in zip(self._found.runs, configs, strict=True)
        ]
        return pandas.DataFrame(rows)

    @cached_property
    def items(self) -> DataFrame:
        """One row per test row of every finished run whose items are whole: name and run_id of the run; `row`, its
        number in the test split; `inputs.<column>`; reference (or references), prediction, and whether it is correct
        (texts: an exact match); probability, of a single label or candidate that is predicted, and probabilities, by
        label or candidate.
        """
        import pandas

        rows = [row for run in self._found.runs if run.judged is not None for row in _items(run)]
        return pandas.DataFrame(rows)

    @cached_property
    def table(self) -> DataFrame:
        """One row per configuration over its seeds: what `sft results aggregate` writes as CSV."""
        import pandas

        return pandas.read_csv(io.StringIO(as_csv(self.report)))


def load_results(path: str | Path, *more: str | Path) -> Results:
    """The runs in folders of results, or folders of single runs. Raises `SftError` for a path without any record."""
    paths = [Path(path), *map(Path, more)]
    for one in paths:
        check_results(one)
    return Results(find_results(paths))


def _differing(configs: list[dict[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if len({json.dumps(config.get(name), sort_keys=True) for config in configs}) > 1]


def _row(run: FoundRun, settings: Mapping[str, Any]) -> dict[str, Any]:
    record = run.record
    return {
        "name": record.name,
        "run_id": record.run_id,
        "seed": record.seed,
        "status": record.status,
        **settings,
        **scalars(record.results),
        **flat({"baselines": {name: scalars(values) for name, values in record.baselines.items()}}),
        **flat({"seconds": record.timings}),
        "error": record.error,
        "folder": str(run.folder),
    }


def _items(run: FoundRun) -> Iterator[dict[str, Any]]:
    record = run.record
    assert run.judged is not None
    for item, right in zip(items_of_run(run.folder, record), right_answers(run.judged), strict=True):
        probabilities, several = item.get("probabilities"), isinstance(item["prediction"], list)
        named = item.get("candidates") or record.data.get("labels") or ()
        yield {
            "name": record.name,
            "run_id": record.run_id,
            "row": item["row"],
            **flat({"inputs": item["inputs"]}),
            **{key: item[key] for key in ("reference", "references", "prediction") if key in item},
            "correct": bool(right),
            "probability": None if probabilities is None or several else max(probabilities),
            "probabilities": None if probabilities is None else dict(zip(named, probabilities, strict=True)),
        }

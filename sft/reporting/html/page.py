"""The whole page: records in, HTML out. Reads the runs' items; writes nothing."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sft.reporting.caption import common_settings, reading
from sft.reporting.columns import headline_metrics
from sft.reporting.find import Found
from sft.reporting.html.assets import assets
from sft.reporting.html.charts.base import CONFIG
from sft.reporting.html.charts.learning_curves import learning_curves
from sft.reporting.html.charts.seeds import seed_scatter
from sft.reporting.html.charts.stages import stage_times
from sft.reporting.html.config_differences import config_differences
from sft.reporting.html.details import details, runs_in_turn, without_content
from sft.reporting.html.islands import island
from sft.reporting.html.numbered import numbered
from sft.reporting.html.overview import costs, failures, leaderboard, run_table, tests, whole_configs
from sft.reporting.html.source import source_tag
from sft.reporting.rows import ReportTable

# Mail servers often refuse more than 5 MB.
MOST_BYTES = 4_900_000
_FOR_NOTES = 500  # that runs are left out is said only where they are


def report_page(found: Found, table: ReportTable, most_bytes: int = MOST_BYTES, source: str = "") -> str:
    """The same for the same records. table: over the runs that were found. source: see `source_of`.

    Details of runs, and the rows that they show, are left out where the page would have more than `most_bytes`, and the
    page says so.
    """
    environment = _environment()
    template = environment.get_template("page.html")
    values = {**_overview(found, table), "source": Markup(source_tag(source))}
    runs = runs_in_turn(numbered(table), found.by_name)
    frame = template.render(values, details=without_content(runs))
    made = details(runs, most_bytes - len(frame.encode()) - _FOR_NOTES, environment)
    return template.render(values, details=made)


def _overview(found: Found, table: ReportTable) -> dict[str, Any]:
    records = {name: run.record for name, run in found.by_name.items()}
    configurations = numbered(table)
    charts = [
        learning_curves(table),
        seed_scatter(configurations, headline_metrics(table)),
        stage_times(configurations, records),
    ]
    return {
        "assets": assets(),
        "chart_config": CONFIG,
        "title": _title(table),
        "table": table,
        "reading": [*reading(table), common_settings(table)],
        "leaderboard": leaderboard(table),
        "tests": tests(table),
        "curves": charts[0],
        "seeds": charts[1],
        "times": charts[2],
        "costs": costs(table, records),
        "runs": run_table(table),
        "failures": failures(table),
        "missing": [run.name for run in found.missing],
        "differences": config_differences(configurations, records),
        "compared_configs": sum(bool(one.runs) for one in configurations),
        "configs": whole_configs(configurations, records),
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["island"] = island
    return environment


def _title(table: ReportTable) -> str:
    """What all runs share, of data set and model."""
    shared = [table.constant.get(name) for name in ("model", "dataset")]
    return " on ".join(str(name) for name in shared if name is not None) or "Results"

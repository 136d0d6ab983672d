"""docs/metrics.md: it lists every metric, and the metric that it writes works."""

from __future__ import annotations

import json
import re
from pathlib import Path

from sft.evaluation.metrics import metric_registry
from sft.records import read_items
from tests.conftest import REPOSITORY
from tests.docs.blocks import RUN, blocks_of
from tests.docs.workplace import workplace

PAGE = (REPOSITORY / "docs/metrics.md").read_text(encoding="utf-8")


def test_the_page_lists_every_metric_with_its_arguments_and_whether_it_has_intervals() -> None:
    listed = {line.split("`")[1]: line for line in PAGE.splitlines() if re.match(r"\| `", line)}
    assert listed.keys() == set(metric_registry)
    for name, entry in metric_registry.items():
        cells = [cell.strip() for cell in listed[name].strip("|").split("|")]
        assert set(re.findall(r"`(\w+)`", cells[3])) == set(entry.arguments), name
        assert cells[4] == ("yes" if entry.row_sums else "no"), name
        assert ("multiple choice" in cells[0]) == ("multiple_choice" in entry.task_types), name


def test_a_users_metric_in_one_file_is_computed_by_its_name(tmp_path: Path) -> None:
    with workplace(tmp_path) as place:
        for block in blocks_of(REPOSITORY / "docs/metrics.md"):
            if block.reason is None and block.language in RUN:
                place.run(block)
        (path,) = (tmp_path / "results").glob("*/record.json")
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
        short = [len(item["prediction"].split()) <= 3 for item in read_items(path.parent)]
    assert results["brief"] == sum(short) / 30
    assert set(results) == {"brief", "chrf", "chrf_signature"}

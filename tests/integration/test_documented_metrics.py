"""docs/metrics.md: it lists every metric, and the metric that it writes works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from sft.evaluation.metrics import metric_registry
from sft.records import read_items
from tests.conftest import REPOSITORY
from tests.fakes import write_config
from tests.tiny_runs import tiny_run

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
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.S) if "# my_metrics.py" in block]
    (tmp_path / "my_metrics.py").write_text(code, encoding="utf-8")
    (command,) = re.findall(r"```sh\nsft (evaluate .*)\n```", PAGE)
    rows = [{"text": f"say {i}", "label": "a b"} for i in range(4)]
    config = tiny_run(tmp_path, train=rows, test=[{**row, "text": row["text"] + "!"} for row in rows])
    value = config.model_dump(mode="json")
    value["dataset"]["task_type"] = "generation"
    value["inference"]["generation_args"] = {"max_new_tokens": 12}
    write_config(tmp_path / "config.json", value)
    arguments = [part.strip("'") for part in re.findall(r"'[^']*'|\S+", command)]
    done = subprocess.run(
        [sys.executable, "-m", "sft.cli", *arguments, "--results-path", "results"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("*/record.json")
    results = json.loads(path.read_text(encoding="utf-8"))["results"]
    short = [len(item["prediction"].split()) <= 3 for item in read_items(path.parent)]
    assert results["brief"] == sum(short) / 4
    assert set(results) == {"brief", "chrf", "chrf_signature"}

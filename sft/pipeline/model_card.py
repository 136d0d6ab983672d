"""The README.md of a merged model: what it is, how it was made, and how good it was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sft.records import RunRecord


def model_card(
    base: str, method: str, marker: Mapping[str, Any], records: Sequence[RunRecord], notes: Sequence[str], dtype: str
) -> str:
    """marker: what `train` left beside the adapter: `run_id` and `config`, here without access tokens; empty for one
    from elsewhere.

    records: runs with this adapter. A base in a local folder is called by the folder's name.
    """
    is_local = Path(base).is_dir()
    shown = Path(base).name if is_local else base
    head = ["library_name: transformers", "pipeline_tag: text-generation", "tags: [sft, merged]"]
    if not is_local:
        head.insert(0, f"base_model: {base}")
    parts = [
        "\n".join(["---", *head, "---"]),
        f"# {shown}, fine-tuned",
        f"An adapter ({method}) on `{shown}`, merged into its weights ({dtype}) by SupervisedFinetuning.",
        *notes,
        "## Metrics\n\n" + (_metrics(records) or "No record of a run with this adapter was given."),
    ]
    if "config" in marker:
        text = json.dumps(marker["config"], indent=2, ensure_ascii=False)
        parts.append(f"## Configuration\n\nRun `{marker.get('run_id')}`:\n\n```json\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def _metrics(records: Sequence[RunRecord]) -> str:
    """A table per record."""
    tables = []
    for record in records:
        rows = [
            f"| {name} | {value:.4f} |" for name, value in record.results.items() if isinstance(value, (int, float))
        ]
        what = f"Run `{record.run_id}`, seed {record.seed}, {record.counts.get('test_rows', '?')} test rows:"
        tables.append("\n".join([what, "", "| metric | value |", "|---|---|", *rows]))
    return "\n\n".join(tables)

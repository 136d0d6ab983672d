"""The endpoint `predict`: a TSV of the rows with the answers beside them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft.config.schema import ExperimentConfig
from sft.distributed import on_main, own_file
from sft.errors import SftError
from sft.inference.generation.finished_rows import FinishedRows
from sft.pipeline.endpoints import Unanswered, answer_rows, rows_to_predict
from sft.pipeline.recording import make_folder
from sft.pipeline.slug import slug
from sft.records import write_text

if TYPE_CHECKING:
    import pandas as pd

PREDICTIONS = "predictions"
CANDIDATES, PROBABILITIES = "candidates", "probabilities"


def predict(
    config: ExperimentConfig, results_path: str | Path, *, checkpoint: str | None = None, input_path: str | None = None
) -> Path:
    """Write the answers for the test rows, or for the rows of a file, and return the TSV's path.

    Columns: all of the rows' own, `predictions`, and for scored labels `probability_<label>`; for scored candidates
    `candidates` and `probabilities`, two JSON lists. An existing folder as `results_path` gets a file named after the
    run. input_path: rows that need no answers.
    """
    results_path = Path(results_path)
    make_folder(results_path if results_path.is_dir() else results_path.parent, "--results-path")
    path = results_path / f"{slug(config)}.tsv" if results_path.is_dir() else results_path
    unanswered = rows_to_predict(config, checkpoint, input_path)
    _check_columns(config, unanswered)
    with FinishedRows(_unfinished(path, unanswered)) as finished:
        answers = answer_rows(unanswered, finished)
    added: dict[str, Any] = {PREDICTIONS: answers.texts}
    labels = unanswered.prepared.labels
    if answers.probabilities is not None and labels is not None:
        added |= {_probability(name): answers.probabilities[:, i] for i, name in enumerate(labels.names)}
    elif answers.probabilities is not None:
        offered = [list(example.candidates) for example in unanswered.examples]
        added[CANDIDATES] = offered
        added[PROBABILITIES] = [
            row[: len(texts)].tolist() for row, texts in zip(answers.probabilities, offered, strict=True)
        ]
    on_main(lambda: write_text(path, to_tsv(unanswered.rows.to_pandas().assign(**added))))
    finished.remove()
    return path


def _unfinished(path: Path, unanswered: Unanswered) -> Path:
    """A file beside the TSV for texts that are generated before an interruption; of this run, of these weights."""
    fingerprint = unanswered.source.fingerprint()
    run_id = unanswered.prepared.run_id(trains=False, checkpoint_fingerprint=fingerprint)
    return own_file(path.with_name(f".{path.name}.{run_id}.unfinished.jsonl"))


def _check_columns(config: ExperimentConfig, unanswered: Unanswered) -> None:
    """Raises `SftError` where the rows have a column that an answer would be written to."""
    labels = unanswered.prepared.labels
    added = [PREDICTIONS]
    if config.scores_answers or config.asks_about_labels:
        added += [CANDIDATES, PROBABILITIES] if labels is None else map(_probability, labels.names)
    for column in added:
        if column in unanswered.rows.column_names:
            raise SftError(f"the data set has a column {column!r} of its own", "rename it")


def _probability(label: str) -> str:
    return f"probability_{label}"


def to_tsv(frame: pd.DataFrame) -> str:
    """Tab-separated text that pandas reads back to the same rows: texts are quoted, nested values are JSON."""
    frame = frame.copy()
    for column in frame.columns:
        if frame[column].map(lambda value: isinstance(value, (list, dict)) or hasattr(value, "tolist")).any():
            frame[column] = [json.dumps(_plain(value), ensure_ascii=False) for value in frame[column]]
    text = io.StringIO()
    frame.to_csv(text, sep="\t", index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    return text.getvalue()


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value

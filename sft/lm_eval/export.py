"""A run's test rows as a task of lm-eval that gives the run's accuracy, or a refusal that says why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sft.config.schema import ExperimentConfig
from sft.errors import ConfigError, SftError
from sft.lm_eval.commands import hf_model, sft_model
from sft.lm_eval.encoding import HarnessEncoding
from sft.lm_eval.readme import readme
from sft.lm_eval.rows import AskedRow, ExportedRow, exported
from sft.lm_eval.supported import METRICS, problems_of
from sft.lm_eval.task_files import CONFIG_FILE, DATA_FILE, README_FILE, config_values, description, lines
from sft.models.source import find_model
from sft.models.unloaded import unloaded
from sft.pipeline.answer import Answerer
from sft.pipeline.prepare import Prepared, prepare
from sft.pipeline.slug import slug
from sft.pipeline.unused_adapter import warn_of_unused_adapter
from sft.progress import hush_libraries, progress
from sft.prompting.encoder import Piece, TextEncoder
from sft.records import write_json, write_text, writing

_SHOWN_ROWS = 5


class Exported(NamedTuple):
    """task: its name. metric: the harness's name of what `sft evaluate` calls accuracy. command: to be run in `folder`;
    None where the harness's own `hf` can't be told how to load the model. own_command: with the model class of `sft`.
    """

    folder: Path
    task: str
    rows: int
    metric: str
    command: str | None
    own_command: str


def export_lm_eval(config: ExperimentConfig, out: str | Path, *, checkpoint: str | None = None) -> Exported:
    """Write a task's description, rows and README into the folder `out`. No weights are loaded.

    checkpoint: a trained adapter or model, as for `evaluate`. Raises `SftError` for what the harness can't do, and for
    rows of which it would make other tokens.
    """
    folder = Path(out)
    if problems := problems_of(config):
        raise ConfigError("lm-eval can't do this run", problems)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise SftError(f"--out {str(folder)!r} is not empty", "name a new folder")
    hush_libraries()
    source = find_model(config.model, checkpoint)
    warn_of_unused_adapter(config, source)
    loaded = unloaded(config.model, source)
    prepared = prepare(config)
    answerer = Answerer(prepared, loaded)
    asked = list(_asked(prepared, answerer))
    encoding, rows = _exported(asked, loaded.tokenizer, answerer.format.prefix_ids)
    normalization = config.inference_or_default.score_normalization
    delimiter = "" if normalization == "none" else _delimiter(asked, rows, normalization)
    task, metric = f"sft-{slug(prepared.config)}", METRICS[normalization]
    longest = max(len(row.written.ids.prompt) + max(map(len, row.written.ids.labels)) + 1 for row in asked)
    hf = hf_model(config.model, source, encoding.add_bos, longest if loaded.max_positions is None else None)
    own = sft_model(CONFIG_FILE, checkpoint, encoding.add_bos)
    with writing(f"--out {str(folder)!r}"):
        write_text(folder / f"{task}.yaml", description(task, metric, delimiter))
        write_text(folder / DATA_FILE, lines(rows, delimiter))
        write_json(folder / CONFIG_FILE, config_values(config))
        write_text(folder / README_FILE, readme(task, metric, hf, own, rows))
    return Exported(folder, task, len(rows), metric, hf and hf.command(task), own.command(task))


def _asked(prepared: Prepared, answerer: Answerer) -> Iterator[AskedRow]:
    builder = answerer.builder(prepared.config.inference_or_default.max_seq_length)
    shown = prepared.inference_examples()
    scoring = answerer.label_scoring(builder)
    names = prepared.labels.verbalisations if prepared.labels else ()
    for example in progress(prepared.test, "building prompts"):
        written = builder.written(example, shown.for_query(example))
        assert example.label is not None
        texts = example.candidates or names
        yield AskedRow(example.row, texts, example.label, written, scoring.end_after(written.ids))


class _Expressed(NamedTuple):
    """How the harness has to begin a text, and the rows."""

    encoding: HarnessEncoding
    rows: list[ExportedRow]


def _exported(asked: Sequence[AskedRow], tokenizer: Any, prefix_ids: Sequence[int]) -> _Expressed:
    """By the first of the harness's ways to begin a text that serves all rows."""
    failed = list(asked)
    for add_bos in (None, False, True):
        encoding = HarnessEncoding(tokenizer, add_bos)
        made = [exported(row, _as_text(row.end, tokenizer), encoding) for row in progress(asked, "comparing tokens")]
        rows = [row for row in made if row is not None]
        if len(rows) == len(asked):
            return _Expressed(encoding, rows)
        failed = min(failed, [row for row, one in zip(asked, made, strict=True) if one is None], key=len)
    raise _tokenised_differently(failed, len(asked), TextEncoder(tokenizer), prefix_ids)


def _tokenised_differently(
    failed: Sequence[AskedRow], of: int, encoder: TextEncoder, prefix_ids: Sequence[int]
) -> SftError:
    """Says how many rows, which, and why."""
    special = 0
    for row in failed:
        text, ids = row.written.text + row.written.answers[0], row.written.ids
        as_text = [*prefix_ids, *encoder.encode([Piece(text, is_data=False)])]
        special += as_text != ids.prompt + ids.labels[0]
    numbers = ", ".join(str(row.number) for row in failed[:_SHOWN_ROWS]) + (", …" if len(failed) > _SHOWN_ROWS else "")
    reasons = {
        "hold the name of a special token in the data, which is plain text for `sft` and a token for lm-eval": special,
        "are parted from their answers by lm-eval inside a token": len(failed) - special,
    }
    said = "; ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
    return SftError(
        f"{len(failed)} of {of} test rows (rows {numbers}) are other tokens to lm-eval than to `sft evaluate`: {said}",
        "clean the data, let answers begin with a space (prompting.template), or use `sft evaluate`",
    )


def _as_text(token: int | None, tokenizer: Any) -> str:
    return "" if token is None else str(tokenizer.decode([token]))


def _delimiter(asked: Sequence[AskedRow], rows: Sequence[ExportedRow], normalization: str) -> str:
    """The white space before every choice, which the harness doesn't count where it is written apart."""
    found = {choice[: len(choice) - len(choice.lstrip())] for row in rows for choice in row.choices}
    delimiter = min(found)
    exact = all(
        made.extra_tokens == 0
        and row.end is None
        and [choice.removeprefix(delimiter) for choice in made.choices] == [text.strip() for text in row.texts]
        for row, made in zip(asked, rows, strict=True)
    )
    if len(found) > 1 or not exact:
        raise SftError(
            f"inference.score_normalization {normalization!r}: lm-eval divides by the length of all that it scores "
            "after the prompt, which is more than the label here",
            "set it to none; or use the plain format, where the answer follows a space, with inference.label_end none",
        )
    return delimiter

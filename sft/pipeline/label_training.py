"""The rows of a training whose objective looks at all labels, prompted as inference would score them."""

from __future__ import annotations

from sft.data.sampling import InContextExamples
from sft.errors import ConfigError
from sft.inference.label_end import scored_end
from sft.pipeline.checks import check_objective
from sft.pipeline.prepare import Prepared
from sft.progress import progress
from sft.prompting.build import PromptBuilder
from sft.prompting.format import PromptFormat
from sft.training.label_loss import LabelledRow, LabelTraining
from sft.training.objectives import objective_registry
from sft.training.sequences import refuse_nothing


def label_training(
    prepared: Prepared, prompt_format: PromptFormat, shown: InContextExamples, builder: PromptBuilder
) -> LabelTraining | None:
    """The pool, each row after in-context examples of the others; None for an objective that reads no labels.

    Raises `ConfigError` for an objective that isn't for the task, `TrainingError` for an empty pool.
    """
    assert prepared.config.training is not None
    spec = prepared.config.training.objective
    if not objective_registry[spec.method].reads_labels:
        return None
    problems = check_objective(prepared.config)
    if problems:
        raise ConfigError("training", problems)
    assert prepared.labels is not None
    rows = []
    for example in progress(refuse_nothing(prepared.pool), "building training prompts"):
        assert example.label is not None
        rows.append(LabelledRow(builder.label_prompt(example, shown.for_query(example)), example.label))
    choice = prepared.config.inference_or_default.label_end
    return LabelTraining(
        spec,
        rows,
        tuple(prepared.labels.verbalisations),
        end=scored_end(choice, prompt_format, builder.bare_labels()),
        eot=prompt_format.eot_id,
    )

"""Training an adapter: sequences in, trained model and what happened out."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sft.adapters import adapter_registry, method_of
from sft.config.schema import NEXT_TOKEN, MethodConfig, TrainingConfig
from sft.distributed import gathered, same_tensors, world_size
from sft.errors import DivergedError, TrainingError
from sft.models.load import LoadedModel, only_our_output
from sft.progress import shows_progress
from sft.prompting.build import TrainingSequence
from sft.prompting.labelled import IGNORED, LabelledIds
from sft.stopping import saves_when_asked
from sft.training.answer_rows import project_answers_only
from sft.training.attach import AttachedAdapter, attach
from sft.training.fast.choose import StepChoice, choose_steps
from sft.training.fast.fit import CHECKPOINTING, fit_memory
from sft.training.fast.flat import FlatCollator
from sft.training.label_loss import LabelLoss, LabelTraining
from sft.training.quantised import check_adapted, prepare_for_training
from sft.training.saving import saving_callback
from sft.training.sequences import answers_only, as_dataset, loss_labels
from sft.training.sharded import make_whole
from sft.training.trainer import trainer_class

logger = logging.getLogger(__name__)

# Learned or ALiBi positions don't restart at a packed document's first token, and attention isn't kept inside it.
_LEAKS_WHEN_PACKED = frozenset(
    {"gpt2", "gpt_neo", "gptj", "opt", "bloom", "mpt", "codegen", "biogpt", "xglm", "falcon"}
)


@dataclass(frozen=True)
class TrainingSummary:
    """What a record says of the training.

    sequences, tokens and answer_tokens are those of one epoch, of the rows with their right answers;
    effective_batch_size is the sequences of a step, of all processes together; computation says how steps were
    computed, and the share of padding among the tokens; initialization is what an initializer of ours did, if one was
    named; objective is what was minimised, and how labels were read where it looks at all of them; log is the trainer's
    own (loss, learning rate, … by step).
    """

    sequences: int
    tokens: int
    answer_tokens: int
    steps: int
    epochs: float
    processes: int
    effective_batch_size: int
    loss: float
    seconds: float
    trainable_parameters: int
    total_parameters: int
    computation: dict[str, Any]
    initialization: dict[str, Any] | None
    objective: dict[str, Any]
    log: list[dict[str, Any]]


def train_adapter(
    loaded: LoadedModel,
    adapter: MethodConfig,
    args: Any,
    sequences: Sequence[TrainingSequence],
    *,
    config: TrainingConfig | None = None,
    labels: LabelTraining | None = None,
    resume_from: Path | None = None,
    saves: bool = False,
    callbacks: Sequence[Any] = (),
) -> TrainingSummary:
    """Put the adapter on `loaded.model` and train it; `loaded.model` is then the trained model in evaluation mode.

    args: an `SFTConfig`. config: what it was made of, with what is said of steps beside it. labels: the same rows with
    all their labels, for an objective that reads them. resume_from: a checkpoint folder of an interrupted training.
    saves: whether checkpoints are written from which this one could go on, the last one when the process is asked to
    stop. callbacks: the trainer's.
    Raises `TrainingError` where the loss would be over no token, `DivergedError` where it stops being a number.
    """
    from transformers import set_seed

    method = method_of(adapter)
    _check(loaded, args, adapter.method, resumes=resume_from is not None)
    config = config or TrainingConfig()
    asked = set(config.trainer_args)
    if not method.recomputes:
        _keep_activations(args, adapter.method)
        asked |= set(CHECKPOINTING)
    adapter = prepare_for_training(loaded, adapter)
    set_seed(args.seed)
    only_answers = answers_only(args)
    rows = [LabelledIds(s.ids, loss_labels(s, answers_only=only_answers)) for s in sequences]
    with only_our_output():
        attached = _attached(loaded, adapter, rows, args.seed)
        batches = config.batches if labels is None else "padded"
        steps = choose_steps(loaded, args, rows, asked=asked, batches=batches, compiles=config.compile)
        fitted = fit_memory(loaded, args, rows, compiled=steps.compiled, asked=asked) if steps.flat else {}
    trainable = sum(p.numel() for p in loaded.model.parameters() if p.requires_grad)
    label_loss = None if labels is None else LabelLoss(labels, loaded)
    trainer = _made_trainer(loaded, args, rows, attached, steps, label_loss)
    answer_tokens = _count_answer_tokens(trainer.train_dataset)
    expected = sum(len(s.ids) - max(1, s.n_prompt if only_answers else 0) for s in sequences)
    if answer_tokens == 0 or (answer_tokens != expected and not args.packing):
        raise TrainingError(f"the loss would be over {answer_tokens} tokens instead of {expected}")
    saves = saves and method.can_resume
    if saves:
        trainer.add_callback(saving_callback())
    for callback in callbacks:
        trainer.add_callback(callback)
    attached.start()
    if resume_from is not None:
        logger.info("training goes on from %s", resume_from.name)
    started = time.perf_counter()
    stoppable = saves_when_asked() if saves else contextlib.nullcontext()
    reading = contextlib.nullcontext() if label_loss is None else label_loss.in_use()
    with stoppable, steps.in_use(loaded), reading:
        output = trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
    seconds = time.perf_counter() - started
    make_whole(trainer.model)
    loss = _checked_loss(output.training_loss, loaded.model)
    loaded.model = _as_if_loaded(trainer)
    attached.finish()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return TrainingSummary(
        sequences=len(sequences),
        tokens=sum(len(sequence.ids) for sequence in sequences),
        answer_tokens=answer_tokens,
        steps=trainer.state.global_step,
        epochs=float(trainer.state.epoch or 0.0),
        processes=world_size(),
        effective_batch_size=_rows_of_step(args),
        loss=loss,
        seconds=seconds,
        trainable_parameters=trainable,
        total_parameters=sum(p.numel() for p in loaded.model.parameters()),
        computation={**steps.report, **fitted, "padding": trainer.padding}
        if label_loss is None
        else label_loss.computation(steps.report),
        initialization=None if attached.initialized is None else attached.initialized._asdict(),
        objective={"method": NEXT_TOKEN} if label_loss is None else label_loss.report(),
        log=[{k: v for k, v in entry.items() if isinstance(v, (int, float))} for entry in trainer.state.log_history],
    )


def _check(loaded: LoadedModel, args: Any, method: str, *, resumes: bool) -> None:
    """Raise `TrainingError` for what can be known before anything is put on the model."""
    _check_packing(args, loaded)
    if any(parameter.is_meta for parameter in loaded.model.parameters()):
        raise TrainingError(
            "training needs all weights in memory, and some are offloaded",
            "raise model.model_args.max_memory, or take a smaller or quantised model; predict and evaluate can offload",
        )
    if resumes and not adapter_registry[method].can_resume:
        raise TrainingError(
            f"a training with the adapter {method!r} can't be resumed from a checkpoint", "train without --resume"
        )


def _attached(loaded: LoadedModel, adapter: MethodConfig, rows: Sequence[LabelledIds], seed: int) -> AttachedAdapter:
    """The adapter on the model, the same in all processes, and known to train something."""
    attached = attach(loaded.model, adapter, rows=rows, seed=seed)
    loaded.model = attached.model
    trained = [p for p in loaded.model.parameters() if p.requires_grad]
    same_tensors(trained)
    if not trained:
        raise TrainingError(f"the adapter {adapter.method!r} has no trainable parameter on this model")
    check_adapted(loaded.model, adapter.method)
    return attached


def _made_trainer(
    loaded: LoadedModel,
    args: Any,
    rows: Sequence[LabelledIds],
    attached: AttachedAdapter,
    steps: StepChoice,
    label_loss: LabelLoss | None,
) -> Any:
    from transformers import PrinterCallback

    dataset = as_dataset(rows)
    collator: Any = FlatCollator() if steps.flat else None
    if label_loss is not None:
        dataset, collator = label_loss.with_row_numbers(dataset), label_loss.collate
        args.remove_unused_columns = False
    args.disable_tqdm = not shows_progress()
    try:
        trainer = trainer_class(attached, flat=steps.flat, label_loss=label_loss)(
            model=loaded.model,
            args=args,
            train_dataset=dataset,
            processing_class=loaded.tokenizer,
            data_collator=collator,
        )
    except (TypeError, ValueError, ImportError, RuntimeError) as error:
        raise TrainingError(f"training.trainer_args: TRL refuses them: {error}") from error
    if label_loss is not None:
        label_loss.check(trainer.args)
    if not steps.flat and loaded.device.type != "cuda":  # there TRL does it itself, with Triton
        project_answers_only(loaded.base_model)
    trainer.remove_callback(PrinterCallback)  # it prints the log to stdout, which is for results
    trainer.add_callback(_callback(attached))
    return trainer


def _checked_loss(loss: float, model: Any) -> float:
    """The mean of all processes. Raises `DivergedError`."""
    losses = gathered(loss)  # each of a process's own rows, where the last steps weren't logged
    mean = sum(losses) / len(losses)
    if not math.isfinite(mean) or not _trained_weights_are_finite(model):
        raise DivergedError(
            f"training diverged: the loss is {mean}, and weights may be no numbers",
            "lower training.trainer_args.learning_rate",
        )
    return mean


def _callback(attached: AttachedAdapter) -> Any:
    """What tells the adapter's method how the training proceeds."""
    from transformers import TrainerCallback

    class Callback(TrainerCallback):  # type: ignore[misc]  # of no type here
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            attached.method.before_training(attached.model, state.max_steps)

        def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            attached.method.after_step(attached.model, state.global_step + 1)

    return Callback()


def _keep_activations(args: Any, method: str) -> None:
    """Turn gradient checkpointing off, under both of its names."""
    names = [name for name in CHECKPOINTING if getattr(args, name, False)]
    if names:
        logger.info("%s works without gradient checkpointing only, which is turned off", method)
    for name in names:
        setattr(args, name, False)


def _as_if_loaded(trainer: Any) -> Any:
    """The trained model as it would come back from disk, so that both give the same scores.

    That is without the trainer's autocast around `forward`, with adapter weights in float32 (TRL makes them 16-bit on
    quantised bases, PEFT 32-bit when it loads them), and in evaluation mode.
    """
    from peft import PeftModel
    from peft.tuners.tuners_utils import cast_adapter_dtype

    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    if isinstance(model, PeftModel):
        cast_adapter_dtype(model, "default")
        if hasattr(model, "prompt_encoder"):
            model.prompt_encoder.float()
    return model.eval()


def _trained_weights_are_finite(model: Any) -> bool:
    """The loss of the last step is from before its update, which may be the one that breaks the weights."""
    return all(bool(p.isfinite().all()) for p in model.parameters() if p.requires_grad)


def _check_packing(args: Any, loaded: LoadedModel) -> None:
    model_type = loaded.model.config.get_text_config().model_type
    if (args.packing or args.padding_free) and model_type in _LEAKS_WHEN_PACKED:
        raise TrainingError(
            f"packing or padding-free training lets examples see one another on {model_type} models, whose positions "
            "don't restart",
            "remove packing and padding_free from training.trainer_args",
        )


def _rows_of_step(args: Any) -> int:
    return int(args.train_batch_size * args.gradient_accumulation_steps * world_size())


def _count_answer_tokens(dataset: Any) -> int:
    return sum(label != IGNORED for row in dataset["labels"] for label in row)

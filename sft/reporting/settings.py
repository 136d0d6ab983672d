"""What tells configurations apart, under the names of table columns."""

from __future__ import annotations

from typing import Any

from sft.config.names import dataset_name, model_name
from sft.config.schema import NEXT_TOKEN, ExperimentConfig


def settings_of(config: ExperimentConfig, *, trained: bool) -> dict[str, Any]:
    """The settings that a table usually shows.

    trained: whether an adapter was trained; settings of the training are absent otherwise.
    """
    inference = config.inference_or_default
    adapter = config.adapter_spec if trained else None
    is_structured = config.dataset.task_type == "structured"
    settings: dict[str, Any] = {
        "dataset": dataset_name(config),
        "model": model_name(config),
        "task": config.dataset.task_type,
        "shots": "all" if config.dataset.shots is None else config.dataset.shots,
        "ICE inference": inference.icl_examples,
        "method": "logits" if config.scores_answers or config.asks_about_labels else "generate",
        "constrained": {True: "yes", False: "no"}[config.is_constrained] if is_structured else None,
        "normalization": None if inference.score_normalization == "none" else inference.score_normalization,
        "calibration": inference.calibration.method if inference.calibration else None,
        "max input length": config.prompting.max_input_length,
        "max output length": config.prompting.max_output_length,
        "max inference length": inference.max_seq_length,
        "quantization": config.model.quantization.config_class if config.model.quantization else None,
        "adapter": adapter.method if adapter else None,
    }
    if adapter is not None and config.training is not None:
        selected = dict.fromkeys(config.training.select.grid if config.training.select else (), "selected")
        args = {**config.training.trainer_args, **selected}
        settings |= {f"{adapter.method} {name}": value for name, value in adapter.args.items()}
        objective = config.training.objective
        settings |= {f"{objective.method} {name}": value for name, value in objective.args.items()}
        settings |= {
            "objective": None if objective.method == NEXT_TOKEN else objective.method,
            "ICE training": config.training.icl_examples,
            "max training length": args.get("max_length"),
            "learning rate": args.get("learning_rate"),
            "epochs": args.get("num_train_epochs"),
        }
    return settings


def order(setting: Any) -> tuple[int, float, str]:
    """A sort key over absent values, numbers and texts."""
    if isinstance(setting, (int, float)):
        return (1, float(setting), "")
    return (0, 0.0, "") if setting is None else (2, 0.0, str(setting))

"""Run ids: two runs have the same id exactly when their results are meant to be the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from sft.config.schema import NEXT_TOKEN, ExperimentConfig, MethodConfig
from sft.config.secrets import without_secrets

# To be raised when runs with the same config stop having the same results: they are different runs then.
_IDENTITY_VERSION = 1

# Keys that came later, with values that say nothing: those are left out, so that ids are those from before.
_LATER_KEYS: dict[str, dict[str, tuple[Any, ...]]] = {
    "dataset": {"label_separator": (",",)},
    "prompting": {
        "output_columns": (None,),
        "output_schema": (None,),
        "label_question": (None,),
        "candidate_columns": (None,),
    },
    "inference": {"constrained": (None, True), "thresholds": ("auto",)},
}

SeedName = Literal["seed", "data", "icl", "train"]

# Where things are written and how they are shown; no result depends on them.
PRESENTATION_ARGS = frozenset(
    {
        "output_dir",
        "logging_steps",
        "logging_strategy",
        "logging_first_step",
        "log_level",
        "report_to",
        "run_name",
        "project",
        "disable_tqdm",
        "save_steps",
        "save_strategy",
        "save_total_limit",
        "save_only_model",
        "push_to_hub",
        "hub_token",
        "hub_model_id",
        "hub_private_repo",
        "resume_from_checkpoint",
    }
)

# Whichever way labels are scored and texts are generated, they are the same; `score_shots` decides what is stored
# beside the results.
_NO_RESULT_DEPENDS_ON = frozenset({"scorer", "compile", "decoder", "score_shots"})


def run_id(
    config: ExperimentConfig,
    data_fingerprint: str | None,
    *,
    trains: bool,
    checkpoint_fingerprint: str | None = None,
    unlabelled_fingerprint: str | None = None,
    processes: int = 1,
) -> str:
    """12 hexadecimal digits of the hash of what determines a run.

    data_fingerprint: of the rows (None where they couldn't be loaded). trains: whether the run trains an adapter (a
    run that doesn't is the same whatever `lora` and `training` say). checkpoint_fingerprint: of the adapter weights
    that are evaluated, where there are any. unlabelled_fingerprint: of the file that the calibration reads, likewise.
    processes: that train together, each with batches of the size that the config says.
    """
    identity = {
        "config": canonical(config, trains=trains),
        "data": data_fingerprint,
        "checkpoint": checkpoint_fingerprint,
        "schema": _IDENTITY_VERSION,
    }
    if unlabelled_fingerprint is not None:
        identity["unlabelled"] = unlabelled_fingerprint
    if trains and processes > 1:
        identity["processes"] = processes
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def configuration_id(config: ExperimentConfig, *, trains: bool) -> str:
    """Like `run_id`, for the runs that differ in their seeds only."""
    values = {k: v for k, v in canonical(config, trains=trains).items() if not k.endswith("seed")}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def seeds_that_matter(config: ExperimentConfig, *, trains: bool) -> frozenset[SeedName]:
    """The seeds on which the results of a run may depend: none, for zero-shot label scoring.

    `seed` itself only draws sampled texts; the others choose shots, in-context examples (and the random words of
    calibrations), and initialise and shuffle training.
    """
    inference = config.inference_or_default
    seeds: set[SeedName] = set()
    scores = config.scores_answers or config.asks_about_labels
    if not scores and inference.generation_args.get("do_sample"):
        seeds.add("seed")
    shown = inference.icl_examples + (config.training.icl_examples if trains and config.training else 0)
    if config.dataset.shots != 0 or inference.icl_examples:
        seeds.add("data")
    if shown or inference.calibration is not None:
        seeds.add("icl")
    if trains:
        seeds.add("train")
    return frozenset(seeds)


def canonical(config: ExperimentConfig, *, trains: bool) -> dict[str, Any]:
    """The config's resolved values in one form: defaults filled in, short forms expanded, 8.0 written 8.

    Of the seeds, those that matter. Without access tokens, which come and go.
    """
    seeds = {"seed", "data_seed", "icl_seed", "train_seed"}
    values = config.model_dump(mode="json", exclude={"lora", "adapter", "training", "resources", *seeds})
    adapter, training = config.adapter_spec, config.training
    if trains and adapter is not None and training is not None:
        args = {k: v for k, v in training.trainer_args.items() if k not in PRESENTATION_ARGS}
        values["adapter"] = adapter.model_dump(mode="json")
        # What is not selected, and the objective of old, say nothing: ids are those from before there was a choice.
        unset = {"batches", "compile"} | ({"select"} if training.select is None else set())
        unset |= {"objective"} if training.objective == MethodConfig(method=NEXT_TOKEN) else set()
        values["training"] = {**training.model_dump(mode="json", exclude=unset), "trainer_args": args}
    values["inference"] = config.inference_or_default.model_dump(mode="json", exclude=set(_NO_RESULT_DEPENDS_ON))
    if config.dataset.task_type == "multilabel":
        values["prompting"]["label_question"] = config.label_question.model_dump(mode="json")
    for section, keys in _LATER_KEYS.items():
        for name, silent in keys.items():
            if values[section][name] in silent:
                del values[section][name]
    for name in seeds_that_matter(config, trains=trains):
        if name == "seed":
            values["seed"] = config.seed
        else:
            values[f"{name}_seed"] = config.seed_for(name)
    result = _plain_numbers(without_secrets(values))
    assert isinstance(result, dict)
    return result


def _plain_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    return value

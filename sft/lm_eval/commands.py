"""The command lines that run an exported task."""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple

from sft.config.schema import ModelConfig
from sft.config.secrets import public_args
from sft.lm_eval.task_files import placed
from sft.models.load import main_device
from sft.models.source import ModelSource

_DEFAULT_LENGTH = 2048  # tokens that the harness keeps where neither model nor tokenizer name a limit
_OFFLINE = "HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1"


class HarnessModel(NamedTuple):
    """A model of the harness: the program that knows it, its name there and its arguments."""

    program: str
    model: str
    arguments: dict[str, Any]

    def command(self, task: str) -> str:
        """To be run in the exported folder, offline: model and rows are there."""
        args = " ".join(shlex.quote(f"{name}={value}") for name, value in self.arguments.items())
        return (
            f"{_OFFLINE} {self.program} run --model {self.model} --model_args {args} --tasks {shlex.quote(task)} "
            f"--include_path . --device {main_device().type} --batch_size 8 --log_samples --output_path results"
        )


def hf_model(
    config: ModelConfig, source: ModelSource, add_bos: bool | None, unlimited_length: int | None
) -> HarnessModel | None:
    """lm-eval's own; None for a model that its command line can't describe (quantised, placed by hand).

    unlimited_length: tokens of the longest row, where the model has no limit. Roundings are those of `sft` on this
    machine: the same dtype, and probabilities in float32.
    """
    given = public_args(config.model_args)
    dtype = given.pop("dtype", given.pop("torch_dtype", None))
    if config.quantization is not None or not all(isinstance(value, (str, int, float)) for value in given.values()):
        return None
    arguments: dict[str, Any] = {"pretrained": placed(source.base)}
    if source.adapter is not None:
        arguments["peft"] = placed(str(source.adapter))
        if (source.adapter / "tokenizer_config.json").exists():
            arguments["tokenizer"] = arguments["peft"]
    arguments["dtype"] = dtype or ("float32" if main_device().type == "cpu" else "auto")
    arguments["softmax_dtype"] = "float32"
    arguments |= _bos(add_bos)
    if unlimited_length is not None and unlimited_length > _DEFAULT_LENGTH:
        arguments["max_length"] = unlimited_length
    return HarnessModel("lm_eval", "hf", {**arguments, **given})


def sft_model(config: str, checkpoint: str | None, add_bos: bool | None) -> HarnessModel:
    """The one that `python -m sft.lm_eval` adds to the harness."""
    trained = {} if checkpoint is None else {"checkpoint": placed(checkpoint)}
    return HarnessModel("python -m sft.lm_eval", "sft", {"config": config, **trained, **_bos(add_bos)})


def _bos(add_bos: bool | None) -> dict[str, Any]:
    return {} if add_bos is None else {"add_bos_token": add_bos}

"""Loading a model as the config says, onto the devices that are there."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sft.config.schema import ModelConfig
from sft.distributed import refuse_several
from sft.errors import MissingPackageError, ModelError, SftError
from sft.models.quantization import Quantization, find_quantization
from sft.models.quantized import parameter_count
from sft.models.quantized.trial import check_forward
from sft.models.source import ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


@dataclass
class LoadedModel:
    """A model ready to run, with its tokenizer.

    max_positions: the longest sequence that the architecture can place, None where it has no such limit.
    quantization: None for weights that aren't quantised.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    source: ModelSource
    max_positions: int | None
    quantization: Quantization | None = None

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        device: torch.device = self.model.get_input_embeddings().weight.device
        return main_device() if device.type == "meta" else device

    @property
    def virtual_tokens(self) -> int:
        """Positions that the adapter's own vectors take before every prompt, which only the whole model puts there."""
        config: Any = self.model.active_peft_config if hasattr(self.model, "active_peft_config") else None
        return int(config.num_virtual_tokens) if getattr(config, "is_prompt_learning", False) else 0

    @property
    def base_model(self) -> Any:
        """The transformers model, inside a PEFT wrapper where there is one."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    def describe(self) -> dict[str, Any]:
        """What a record says of the model."""
        config = self.model.config
        return {
            "base": self.source.base,
            "adapter": None if self.source.adapter is None else str(self.source.adapter),
            "architecture": type(self.base_model).__name__,
            "model_type": config.model_type,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "parameters": parameter_count(self.model),
            "device": str(self.device),
            "attention": getattr(config, "_attn_implementation", None),
            "max_positions": self.max_positions,
            "quantization": None if self.quantization is None else self.quantization.describe(self.model),
        }


def keep_soft_capping(model: Any) -> None:
    """Attend without sdpa where attention scores are soft-capped (Gemma 2): it would leave the capping out.

    So it does, silently and by default, in transformers 5.17; 5.23 refuses the combination.
    """
    config = model.config.get_text_config()
    if getattr(config, "attn_logit_softcapping", None) and config._attn_implementation == "sdpa":
        model.set_attn_implementation("eager")


def free_memory() -> None:
    """Give back what models that nobody refers to any more held, before the next one is loaded."""
    _forget_layers()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _forget_layers() -> None:
    """Empty PEFT's caches: it remembers layers that it warned about (SHiRA, SuperTuning), and so their whole models."""
    for name, module in list(sys.modules.items()):
        if name.startswith("peft.tuners."):
            for value in list(vars(module).values()):
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()


def main_device() -> torch.device:
    """The accelerator of this process, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")


def load_model(config: ModelConfig, source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> LoadedModel:
    """Load base weights, and the adapter where there is one, in evaluation mode.

    Weights come in the checkpoint's own dtype on an accelerator and in float32 on a CPU, unless
    `model.model_args.dtype` or the kind of quantised weights says otherwise.
    """
    from transformers import AutoModelForCausalLM

    quantization = find_quantization(config, source)
    args = _from_pretrained_args(config, source, quantization)
    try:
        with only_our_output():
            model = AutoModelForCausalLM.from_pretrained(source.base, **args)
    except ImportError as error:
        raise MissingPackageError(
            error.name or str(error).split("\n")[0], f"model {source.base!r}", str(error)
        ) from error
    except SftError:
        raise
    except Exception as error:  # from_pretrained raises whatever the checkpoint, the hub or a backend raise
        fix = "check model.name and model.model_args; offline, only local folders and cached hub models work"
        reason = None if quantization is None else quantization.why_not()
        if reason is not None:
            fix = "install what model.quantization needs, or choose other weights"
        said = reason or error
        raise ModelError(f"can't load the model {source.base!r}: {type(said).__name__}: {said}", fix) from error
    if quantization is not None:
        quantization.kind.guard(model, quantization.asked)
        check_forward(model)
    keep_soft_capping(model)
    if source.adapter is not None:
        model = put_adapter(model, source)
    model.eval()
    return LoadedModel(model, tokenizer, source, max_positions(model.config), quantization)


def max_positions(config: Any) -> int | None:
    """The longest sequence that an architecture (a transformers config) can place, None where it has no such limit."""
    positions: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return positions


@contextlib.contextmanager
def only_our_output() -> Iterator[None]:
    """What libraries print goes to stderr; that a checkpoint was given loading options is no news, they are ours."""
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You passed `quantization_config` or equivalent parameters")
        yield


def _from_pretrained_args(
    config: ModelConfig, source: ModelSource, quantization: Quantization | None
) -> dict[str, Any]:
    args = {"trust_remote_code": False, **config.model_args}
    parallelize = args.pop("parallelize", False)
    if parallelize or "device_map" in args:
        refuse_several(
            f"model.model_args.{'parallelize' if parallelize else 'device_map'}, which places one model on devices,",
            "remove it: each process has a device and a model of its own; or start a single process",
        )
    no_split = args.pop("no_split_module_classes", None)
    if "torch_dtype" in args:
        args.setdefault("dtype", args.pop("torch_dtype"))
        args.pop("torch_dtype", None)
    if quantization is not None and (made := quantization.config()) is not None:
        args["quantization_config"] = made
    if main_device().type == "cpu":
        args.setdefault("dtype", torch.float32 if quantization is None else quantization.kind.cpu_dtype)
    args.setdefault("dtype", "auto")
    if isinstance(args.get("max_memory"), dict):
        args["max_memory"] = {int(k) if k.isdigit() else k: v for k, v in args["max_memory"].items()}
    if parallelize:
        args["device_map"] = "auto" if no_split is None else _device_map(source.base, args, no_split, quantization)
        args.setdefault("offload_folder", _offload_folder())
    elif "device_map" not in args and main_device().type != "cpu":
        args["device_map"] = {"": main_device()}
    return args


def _device_map(
    base: str, args: dict[str, Any], no_split: list[str], quantization: Quantization | None
) -> dict[str, Any]:
    """Which module goes to which device, filling GPUs, then CPU, then disk, and never splitting the given classes."""
    from accelerate import infer_auto_device_map, init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    trust = args["trust_remote_code"]
    with init_empty_weights():
        empty = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(base, trust_remote_code=trust), trust_remote_code=trust
        )
    empty.tie_weights()
    classes = {type(module).__name__ for module in empty.modules()}
    unknown = [name for name in no_split if name not in classes]
    if unknown:
        raise ModelError(
            f"model.model_args.no_split_module_classes: {base!r} has no module of class {', '.join(unknown)}",
            f"its classes: {', '.join(sorted(classes))}",
        )
    dtype = args["dtype"]
    if quantization is not None:
        dtype = torch.int8
    elif isinstance(dtype, str):
        dtype = empty.config.dtype if dtype == "auto" else getattr(torch, dtype)
    device_map: dict[str, Any] = infer_auto_device_map(
        empty, max_memory=args.get("max_memory"), no_split_module_classes=no_split, dtype=dtype
    )
    return device_map


_temporary = contextlib.ExitStack()


def _offload_folder() -> str:
    """A folder for weights that fit neither GPUs nor CPU; it goes with the process."""
    import atexit

    atexit.register(_temporary.close)
    return _temporary.enter_context(tempfile.TemporaryDirectory(prefix="sft-offload-"))


def put_adapter(model: Any, source: ModelSource) -> Any:
    """The base model with the adapter of `source` on it. Raises `ModelError` where it doesn't fit."""
    from peft import PeftModel

    # PEFT would distribute an offloaded model anew, and for that write a copy of it into the working directory.
    placed = model.__dict__.pop("hf_device_map", None)
    try:
        with only_our_output(), warnings.catch_warnings():
            # Only a warning for PEFT, but layers without their trained weights would silently stay as the base's.
            warnings.filterwarnings("error", message="Found missing adapter keys")
            # AdaLoRA's `rank_pattern` isn't LoRA's, and PEFT 0.21 looks for modules of those names.
            warnings.filterwarnings("ignore", message="The following rank_pattern keys did not match")
            wrapped = PeftModel.from_pretrained(model, str(source.adapter), low_cpu_mem_usage=placed is not None)
    except (ValueError, RuntimeError, KeyError, UserWarning) as error:
        raise ModelError(
            f"can't put the adapter {source.adapter} on {source.base!r}: {error}", "use the base that it was trained on"
        ) from error
    if placed is not None:
        model.hf_device_map = placed
        _place_adapter_of_offloaded_layers(wrapped, source)
    return wrapped


def _place_adapter_of_offloaded_layers(wrapped: Any, source: ModelSource) -> None:
    """PEFT puts an adapter's weights where those of its layer are, which for an offloaded layer is nowhere yet."""
    from accelerate.utils import set_module_tensor_to_device
    from peft.utils import load_peft_weights

    weights = load_peft_weights(str(source.adapter), device="cpu")
    for name, parameter in list(wrapped.named_parameters()):
        if not parameter.is_meta or ".default" not in name:
            continue
        saved = weights.get(name.replace(".default", ""))
        if saved is None:
            raise ModelError(
                f"can't put the adapter {source.adapter} on an offloaded model: {name} is not among its weights",
                "raise model.model_args.max_memory, or merge the adapter first",
            )
        set_module_tensor_to_device(wrapped, name, main_device(), value=saved)

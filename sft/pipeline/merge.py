"""An adapter merged into its base: a plain Hugging Face folder that gives the same outputs."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sft.config.schema import ModelConfig
from sft.config.secrets import without_secrets
from sft.errors import ModelError, SftError
from sft.models.load import LoadedModel, load_model, main_device, put_adapter
from sft.models.source import ADAPTER_CONFIG, MARKER, ModelSource, adapter_fingerprint, base_of
from sft.models.tokenizer import load_tokenizer
from sft.pipeline.model_card import model_card
from sft.progress import hush_libraries
from sft.records import RunRecord, find_records, write_json, write_text, writing

logger = logging.getLogger(__name__)

_TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Q: How many days does a week have?\nA: Seven.\n\nQ: And a year?\nA:",
    "Das Wetter war gestern schöner als heute; 12,5 °C und 3 mm Regen.",
)
# Root mean square of the difference, in standard deviations of the logits. In 16 bits, what rounding the weights does.
_TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
# Weights are merged in host memory, whatever the machine has.
_NOT_FOR_MERGING = ("device_map", "dtype", "max_memory", "no_split_module_classes", "parallelize", "torch_dtype")
_OLD_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "*.bin", ADAPTER_CONFIG)


class Merged(NamedTuple):
    """What was written, and how near the merged model's logits are to those of base and adapter.

    difference: root mean square, in standard deviations of the logits; rounded: the same of the weights in the dtype
    that was written. metrics_of: runs whose metrics are in the model card.
    """

    folder: Path
    dtype: str
    difference: float
    rounded: float
    metrics_of: list[str]


def merge_model(
    checkpoint: str | Path, out: str | Path, *, results_path: str | Path | None = None, overwrite: bool = False
) -> Merged:
    """Merge a trained adapter into its base and write a plain Hugging Face folder with a model card.

    Weights are merged in float32, in host memory, and written in the dtype of the base's checkpoint. A base that was
    quantised for training is loaded unquantised. results_path: a folder of results, where the metrics of this adapter
    may be found. Raises `SftError`, with nothing written, for an adapter that can't be merged, or where the merged
    model gives other logits.
    """
    hush_libraries()
    checkpoint, out = Path(checkpoint), Path(out)
    _check_folders(checkpoint, out, overwrite=overwrite)
    marker = _marker(checkpoint)
    notes: list[str] = []
    loaded = _load(checkpoint, marker, notes)
    dtype = _dtype_of(loaded.source.base, marker)
    ids = [loaded.tokenizer(text, return_tensors="pt")["input_ids"] for text in _TEXTS]
    expected = _logits(loaded.model, ids)
    merged = _merge(loaded.model, checkpoint)
    difference = _checked(_logits(merged, ids), expected, torch.float32, checkpoint)
    records = [] if results_path is None else list(_records_of(checkpoint, marker, Path(results_path)))
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        folder = Path(temporary)
        merged.to(dtype).save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
        rounded = _checked(_logits(_reloaded(folder), ids), expected, dtype, checkpoint)
        name = str(dtype).removeprefix("torch.")
        public = _public(marker)
        write_json(folder / MARKER, {**public, "merged_from": str(checkpoint)})
        write_text(
            folder / "README.md", model_card(loaded.source.base, _method(checkpoint), public, records, notes, name)
        )
        _move(folder, out)
    return Merged(out, name, difference, rounded, [record.run_id for record in records])


def _check_folders(checkpoint: Path, out: Path, *, overwrite: bool) -> None:
    if not (checkpoint / ADAPTER_CONFIG).exists():
        what = "complete weights, which need no merging" if (checkpoint / "config.json").exists() else "no adapter"
        raise ModelError(f"{str(checkpoint)!r} holds {what}", "give a folder with a trained adapter")
    adapter_fingerprint(checkpoint)  # or says which file is missing
    if out.exists() and not out.is_dir():
        raise SftError(f"{str(out)!r} is a file", "name a folder")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise SftError(f"{str(out)!r} is not empty", "choose another folder, or pass --overwrite")
    if out.resolve() == checkpoint.resolve():
        raise SftError(f"{str(out)!r} is the adapter's own folder", "choose another folder")
    with writing(str(out)):
        out.parent.mkdir(parents=True, exist_ok=True)


def _marker(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint / MARKER
    value = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return value if isinstance(value, dict) else {}


def _public(marker: dict[str, Any]) -> dict[str, Any]:
    """What may be published with the model."""
    return {**marker, "config": without_secrets(marker["config"])} if "config" in marker else marker


def _load(checkpoint: Path, marker: dict[str, Any], notes: list[str]) -> LoadedModel:
    """Base and adapter in float32. notes: is given what a reader of the model card should know."""
    base = base_of(checkpoint)
    trained = _trained_model(base, marker)
    args = {name: value for name, value in trained.model_args.items() if name not in _NOT_FOR_MERGING}
    if main_device().type != "cpu":
        args["device_map"] = {"": "cpu"}
    if trained.quantization is not None:
        how = trained.quantization.config_class
        notes.append(
            f"The adapter was trained on a quantised base ({how}) and is merged into the unquantised one: outputs "
            "differ slightly from those that it was evaluated with."
        )
    config = ModelConfig(name=base, model_args={**args, "dtype": "float32"})
    source = ModelSource(base, checkpoint)
    loaded = load_model(config, source._replace(adapter=None), load_tokenizer(config, source))
    if getattr(loaded.model, "hf_quantizer", None) is not None:
        notes.append("The base exists in a quantised form only; the merged weights are those, dequantised.")
        loaded.model = _dequantised(loaded.model, base)
    for note in notes:
        logger.warning(note)
    loaded.model = put_adapter(loaded.model, source).eval()
    return loaded


def _dequantised(model: Any, base: str) -> Any:
    try:
        return model.dequantize().float()
    except (NotImplementedError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{base!r} exists in a quantised form only, and its weights can't be dequantised: {error}",
            "use base and adapter together, unmerged",
        ) from error


def _dtype_of(base: str, marker: dict[str, Any]) -> torch.dtype:
    """What the base's checkpoint is in, as its config says; float32 where that is no dtype for plain weights."""
    from transformers import AutoConfig

    given = _trained_model(base, marker).model_args
    args = {name: given[name] for name in ("trust_remote_code", "revision", "token", "cache_dir") if name in given}
    dtype = getattr(AutoConfig.from_pretrained(base, **args).get_text_config(), "dtype", None)
    return dtype if dtype in _TOLERANCE else torch.float32


def _trained_model(base: str, marker: dict[str, Any]) -> ModelConfig:
    """The model section of the config that the adapter was trained with."""
    return ModelConfig(**marker["config"]["model"]) if "config" in marker else ModelConfig(name=base)


@torch.inference_mode()
def _logits(model: Any, ids: list[Tensor]) -> Tensor:
    """[tokens, vocabulary], float32."""
    return torch.cat([model(input_ids=one.to(model.device)).logits[0].float() for one in ids])


def _merge(model: Any, checkpoint: Path) -> Any:
    """The base model with the adapter in its weights."""
    method = _method(checkpoint)
    if getattr(model.active_peft_config, "is_prompt_learning", False):
        raise ModelError(
            f"an adapter of the method {method!r} can't be merged: it changes no weight of the model",
            "use base and adapter together",
        )
    try:
        merged = model.merge_and_unload(safe_merge=True)
    except (NotImplementedError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(
            f"an adapter of the method {method!r} can't be merged into this base: {error}",
            "use base and adapter together",
        ) from error
    return merged.eval()


def _checked(logits: Tensor, expected: Tensor, dtype: torch.dtype, checkpoint: Path) -> float:
    """Their difference. Raises `ModelError` where it is more than rounding."""
    difference = float((logits - expected).square().mean().sqrt() / expected.std())
    if not difference <= _TOLERANCE[dtype]:
        name = str(dtype).removeprefix("torch.")
        raise ModelError(
            f"the merged model doesn't give the logits of base and adapter: they differ by {difference:.1e} standard "
            f"deviations (root mean square), {_TOLERANCE[dtype]:.0e} is allowed in {name}; nothing was written",
            f"use base and the adapter {str(checkpoint)!r} together, and report this",
        )
    return difference


def _reloaded(folder: Path) -> Any:
    config = ModelConfig(name=str(folder), model_args={"dtype": "auto", "device_map": {"": "cpu"}})
    source = ModelSource(str(folder), None)
    return load_model(config, source, load_tokenizer(config, source)).model


def _method(checkpoint: Path) -> str:
    return str(json.loads((checkpoint / ADAPTER_CONFIG).read_text(encoding="utf-8"))["peft_type"]).lower()


def _records_of(checkpoint: Path, marker: dict[str, Any], results_path: Path) -> Iterator[RunRecord]:
    """Finished runs that trained this adapter, or evaluated it."""
    fingerprint = adapter_fingerprint(checkpoint)
    for _, record in find_records(results_path):
        own = record.run_id == marker.get("run_id") or record.model.get("adapter_fingerprint") == fingerprint
        if own and record.status == "completed":
            yield record


def _move(folder: Path, out: Path) -> None:
    """Files into `out`; what else is there stays, but for weights that would be read instead."""
    out.mkdir(exist_ok=True)
    for pattern in _OLD_WEIGHTS:
        for old in out.glob(pattern):
            old.unlink()
    for path in sorted(folder.iterdir()):
        shutil.move(path, out / path.name)

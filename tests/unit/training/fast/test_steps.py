"""Trainings whose steps are computed in other ways end with the same losses and weights; reasons are said."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from sft.config.schema import TrainingConfig
from sft.errors import TrainingError
from sft.models.load import LoadedModel
from sft.prompting.labelled import LabelledIds
from sft.training.arguments import trainer_config
from sft.training.fast import choose
from sft.training.fast.choose import choose_steps
from sft.training.fast.flat import FlatCollator, halves
from sft.training.sequences import loss_labels
from sft.training.train import _rows_of_step
from tests.fakes import make_config
from tests.tiny_models import tiny_loaded
from tests.unit.training.test_train import SEQUENCES, train


def trained_weights(loaded: LoadedModel) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in loaded.model.named_parameters()}


def both_ways(architecture: str, folder: Path, **arguments: Any) -> dict[str, tuple[list[float], dict[str, Any], Any]]:
    found = {}
    for batches in ("flat", "padded"):
        loaded = tiny_loaded(architecture)
        summary = train(loaded, folder, batches=batches, **arguments)
        assert summary.computation["batches"] == batches
        losses = [entry["loss"] for entry in summary.log if "loss" in entry]
        assert len(losses) == 3
        found[batches] = (losses, trained_weights(loaded), summary)
    return found


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("llama", {}),
        ("qwen2", {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}),
        ("gemma2", {"lora": {"r": 4, "target_modules": "all-linear"}}),
        ("gpt2", {"lora": {"r": 4, "fan_in_fan_out": True}}),
        ("llama", {"label_smoothing_factor": 0.1}),
        ("llama", {"completion_only_loss": False}),
        ("llama", {"gradient_checkpointing": True}),
        ("llama", {"lora": {"r": 4, "modules_to_save": ["lm_head"]}}),
        ("llama", {"lora": {}, "method": "full"}),
        ("mistral", {"lora": {"r": 4, "use_dora": True}}),
    ],
)
@pytest.mark.filterwarnings("ignore:`label_smoothing_factor` is deprecated:FutureWarning")
def test_flat_batches_train_as_padded_ones(architecture: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    found = both_ways(architecture, tmp_path, learning_rate=1e-2, optim="sgd", max_grad_norm=0.0, **arguments)
    (losses, weights, summary), (expected, wanted, padded) = found["flat"], found["padded"]
    assert losses == pytest.approx(expected, rel=1e-5)
    assert weights.keys() == wanted.keys()
    moved = 0
    start = trained_weights(tiny_loaded(architecture))
    for name, weight in wanted.items():
        torch.testing.assert_close(weights[name], weight, atol=1e-6, rtol=1e-5, msg=name)
        moved += name not in start or not torch.equal(weight, start[name])
    assert moved
    assert summary.computation["padding"] == 0.0
    assert 0.0 < padded.computation["padding"] < 1.0
    assert summary.answer_tokens == padded.answer_tokens
    logs = [[entry for entry in one.log if "loss" in entry] for one in (summary, padded)]
    for ours, trl in zip(*logs, strict=True):
        assert ours["num_tokens"] == trl["num_tokens"]
        assert ours["mean_token_accuracy"] == pytest.approx(trl["mean_token_accuracy"])
        assert ours["entropy"] == pytest.approx(trl["entropy"], rel=1e-4)


def test_untied_heads_too(tmp_path: Path) -> None:
    found = []
    for batches in ("flat", "padded"):
        loaded = tiny_loaded("llama")
        head = loaded.model.get_output_embeddings()
        head.weight = torch.nn.Parameter(head.weight.detach().clone())
        summary = train(loaded, tmp_path, batches=batches)
        found.append([entry["loss"] for entry in summary.log if "loss" in entry])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("modules_to_save", [None, ["lm_head"]])
def test_flat_batches_project_the_answers_tokens_and_no_others(
    modules_to_save: list[str] | None, tmp_path: Path
) -> None:
    loaded = tiny_loaded()
    projected = []
    head = loaded.model.get_output_embeddings()
    head.register_forward_hook(lambda module, inputs, output: projected.append(inputs[0].shape[1]))
    lora = {"r": 4, "modules_to_save": modules_to_save}
    summary = train(loaded, tmp_path, lora=lora, max_steps=-1, num_train_epochs=1, per_device_train_batch_size=4)
    trained = [count for count in projected if count > 8]  # the trial looks at four positions of two sequences
    assert sum(trained) == summary.answer_tokens


def test_the_padding_of_padded_batches_is_counted(tmp_path: Path) -> None:
    summary = train(tiny_loaded(), tmp_path, batches="padded", per_device_train_batch_size=4, max_steps=1)
    lengths = [len(sequence.ids) for sequence in SEQUENCES]
    assert summary.computation["padding"] == pytest.approx(1 - sum(lengths) / (4 * max(lengths)))


@pytest.mark.parametrize(
    ("architecture", "arguments", "why"),
    [
        ("bloom", {}, "attention interface"),
        ("mamba", {"lora": {"r": 4, "target_modules": ["in_proj"]}}, "attention interface"),
        ("llama", {"padding_free": True, "max_length": None}, "trainer_args.padding_free"),
        ("llama", {"loss_type": "dft"}, "trainer_args.loss_type: dft"),
        ("llama", {"neftune_noise_alpha": 5.0}, "trainer_args.neftune_noise_alpha"),
        ("llama", {"method": "prompt_tuning", "lora": {"num_virtual_tokens": 2}}, "vectors of its own"),
        ("mixtral", {"lora": {"r": 4, "target_modules": ["q_proj"]}}, "router of experts"),
    ],
)
def test_what_is_not_flat_says_why(architecture: str, arguments: dict[str, Any], why: str, tmp_path: Path) -> None:
    summary = train(tiny_loaded(architecture), tmp_path, max_steps=1, **arguments)
    assert summary.computation["batches"] == "padded"
    assert why in summary.computation["why_not"]["flat"]
    if architecture == "bloom":
        with pytest.raises(TrainingError, match=r"training\.batches is flat, and can't be"):
            train(tiny_loaded(architecture), tmp_path, batches="flat")


def steps_for(
    loaded: LoadedModel, folder: Path, asked: dict[str, Any], *, compiles: Any = "auto", **changes: Any
) -> tuple[Any, Any]:
    config = make_config(training={"trainer_args": {"max_steps": 2}})
    args = trainer_config(config, folder, keep_checkpoints=False)
    for name, value in changes.items():
        setattr(args, name, value)
    rows = [LabelledIds(s.ids, loss_labels(s)) for s in SEQUENCES]
    return choose_steps(loaded, args, rows, asked=asked, compiles=compiles), args


def adapted(dtype: torch.dtype, **more: Any) -> LoadedModel:
    from peft import LoraConfig, get_peft_model

    loaded = tiny_loaded()
    loaded.model = get_peft_model(loaded.model.to(dtype), LoraConfig(r=4, target_modules="all-linear", **more))
    return loaded


def test_mixed_precision_is_left_out_where_nothing_needs_it(tmp_path: Path) -> None:
    mixed = {"bf16": True, "mixed_precision": "bf16"}
    steps, args = steps_for(adapted(torch.bfloat16), tmp_path, {}, **mixed)
    assert (args.bf16, args.mixed_precision, steps.report["adapter"]) == (False, "no", "fused")
    for loaded, asked, why in (
        (adapted(torch.float32), {}, "weights are cast"),
        (adapted(torch.bfloat16), {"bf16": True}, "training.trainer_args.bf16"),
        (adapted(torch.bfloat16, modules_to_save=["lm_head"]), {}, "trained parameters beside these factors"),
    ):
        steps, args = steps_for(loaded, tmp_path, asked, **mixed)
        assert (args.bf16, args.mixed_precision, steps.report["adapter"]) == (True, "bf16", "peft")
        assert why in steps.report["why_not"]["fused"]


def test_replicas_of_one_process_compute_as_ever(tmp_path: Path) -> None:
    """What is done to one model's layers is wrong in the copies that `DataParallel` makes of them."""
    changes = {"bf16": True, "mixed_precision": "bf16", "_n_gpu": 2}
    steps, args = steps_for(adapted(torch.bfloat16), tmp_path, {}, **changes)
    assert (steps.flat, steps.fused, steps.compiled, args.bf16) == (False, [], False, True)
    assert "several GPUs" in steps.report["why_not"]["flat"]
    assert "several GPUs" in steps.report["why_not"]["fused"]
    assert _rows_of_step(args) == 2 * args.per_device_train_batch_size
    with pytest.raises(TrainingError, match=r"training\.compile is true, and fails: one process spreads"):
        steps_for(adapted(torch.bfloat16), tmp_path, {}, compiles=True, **changes)


def test_an_architecture_that_attends_otherwise_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes the interface's name and sees its neighbours all the same."""
    from torch.nn.functional import scaled_dot_product_attention
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    def leaking(module: Any, query: Any, key: Any, value: Any, mask: Any, **_: Any) -> Any:
        output = scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        return output.transpose(1, 2).contiguous(), None

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "sft_documents", leaking)
    steps, _ = steps_for(adapted(torch.float32), tmp_path, {})
    assert not steps.flat
    assert "from those of a plain forward pass" in steps.report["why_not"]["flat"]


def test_attention_without_a_backward_pass_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    function = ALL_ATTENTION_FUNCTIONS["sft_documents"]

    def refuse(gradient: torch.Tensor) -> None:
        raise RuntimeError("this kernel has no backward pass")

    def forward_only(*args: Any, **kwargs: Any) -> Any:
        output, weights = function(*args, **kwargs)
        if output.requires_grad:
            output.register_hook(refuse)
        return output, weights

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "sft_documents", forward_only)
    loaded = adapted(torch.float32)
    steps, _ = steps_for(loaded, tmp_path, {})
    assert "no backward" in steps.report["why_not"]["flat"]
    assert all(parameter.grad is None for parameter in loaded.model.parameters())


def test_short_trainings_are_not_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, _ = steps_for(adapted(torch.float32), tmp_path, {})
    assert steps.report["why_not"]["compiled"] == "it is for GPUs"
    assert TrainingConfig().compile == "auto"
    loaded = adapted(torch.float32)
    monkeypatch.setattr(type(loaded), "device", torch.device("cuda"))
    config = make_config(training={"trainer_args": {"max_steps": 2}})
    args = trainer_config(config, tmp_path, keep_checkpoints=False)
    rows = [LabelledIds(s.ids, loss_labels(s)) for s in SEQUENCES]
    assert choose._why_not_compiled(loaded, args, rows, "auto") == "the training is too short for it"
    # Two of the pool's four rows in a step, 17.5 tokens each.
    parameters = sum(p.numel() for p in loaded.base_model.parameters())
    args.max_steps = int(choose.WORTH_COMPILING / (4 * parameters * 17.5 * args.per_device_train_batch_size)) + 1
    assert choose._why_not_compiled(loaded, args, rows, "auto") is None


def test_the_choice_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sft"):
        train(tiny_loaded("bloom"), tmp_path, max_steps=1)
    assert "batches are padded" in caplog.text


@pytest.mark.parametrize("arguments", [{}, {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}])
@pytest.mark.parametrize("fails_in", ["forward", "backward"])
def test_a_batch_that_memory_has_no_room_for_is_computed_in_parts(
    fails_in: str, arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """Memory for 35 tokens; the four sequences have 7, 12, 20 and 31."""
    arguments = {"per_device_train_batch_size": 4, **arguments, "learning_rate": 1e-2, "optim": "sgd"}
    loaded = tiny_loaded()
    whole = train(loaded, tmp_path, **arguments)
    expected, wanted = trained_weights(loaded), [entry for entry in whole.log if "loss" in entry]
    limit, sizes = 35, []

    class Scarce(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, hidden: torch.Tensor) -> torch.Tensor:
            return hidden.clone()

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            if gradient.shape[1] > limit:
                raise torch.OutOfMemoryError("no memory")
            return gradient

    def scarce(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        if not torch.is_grad_enabled():
            return output  # the trial
        sizes.append(output.shape[1])
        if output.shape[1] > limit and fails_in == "forward":
            raise torch.OutOfMemoryError("no memory")
        result: torch.Tensor = Scarce.apply(output)  # type: ignore[no-untyped-call]
        return result

    loaded = tiny_loaded()
    # Between the layers, so that gradients of the second have come when the first one's fail.
    loaded.model.model.layers[1].input_layernorm.register_forward_hook(scarce)
    summary = train(loaded, tmp_path, **arguments)
    for name, weight in trained_weights(loaded).items():
        torch.testing.assert_close(weight, expected[name], atol=1e-6, rtol=1e-5, msg=name)
    logs = [entry for entry in summary.log if "loss" in entry]
    for found, entry in zip(logs, wanted, strict=True):
        assert found["loss"] == pytest.approx(entry["loss"], rel=1e-5)
        assert found["num_tokens"] == entry["num_tokens"]
    assert summary.computation["padding"] == 0.0
    assert "computed in parts" in caplog.text
    failed = [size for size in sizes if size > limit]
    assert failed == sorted(set(failed), reverse=True)  # what failed isn't tried again


def test_single_sequences_that_memory_has_no_room_for_end_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tiny_loaded()

    def full(module: Any, inputs: Any, output: Any) -> None:
        if torch.is_grad_enabled():
            raise torch.OutOfMemoryError("no memory")

    loaded.model.model.layers[0].register_forward_hook(full)
    with pytest.raises(torch.OutOfMemoryError):
        train(loaded, tmp_path, per_device_train_batch_size=4)


def test_halves_of_a_flat_batch_are_flat_batches() -> None:
    rows = [
        {"input_ids": list(range(start, start + n)), "labels": [-100] * (n - 2) + [start + n - 2, start + n - 1]}
        for start, n in ((10, 5), (20, 3), (30, 9), (40, 4))
    ]
    whole = FlatCollator()(rows)
    for half, expected in zip(halves(whole), (FlatCollator()(rows[:2]), FlatCollator()(rows[2:])), strict=True):
        assert half.keys() == expected.keys() == whole.keys()
        for name, value in expected.items():
            assert torch.equal(torch.as_tensor(half[name]), torch.as_tensor(value)), name


def test_a_batch_of_rows_without_answers_adds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of several processes may have nothing else at an epoch's end. This model's loss takes no count of tokens."""
    monkeypatch.setattr("sft.training.trainer.fillers", lambda *_: 2)
    for batches in ("padded", "flat"):
        loaded = tiny_loaded()
        loaded.model.accepts_loss_kwargs = False
        summary = train(loaded, tmp_path, batches=batches, max_steps=-1, num_train_epochs=1)
        losses = [entry["loss"] for entry in summary.log if "loss" in entry]
        assert losses[:2] != [0.0, 0.0]
        assert losses[2] == 0.0

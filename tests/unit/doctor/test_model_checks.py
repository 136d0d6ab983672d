"""Checks of the model, what is trained, memory, fast paths, packages and folders."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from sft.adapters import method_of
from sft.doctor import Setting, diagnose
from sft.doctor.case import Case, Shared, setting_of
from sft.errors import SftError
from sft.pipeline.endpoints import evaluate, run_experiment, train
from sft.prompting.labelled import LabelledIds
from sft.training.estimate import estimate_training
from sft.training.fast.gpus import gpu_registry
from sft.training.sequences import loss_labels
from tests.doctor import diagnosed, levels, the_one
from tests.fakes import byte_tokenizer
from tests.tiny_models import tiny_loaded
from tests.tiny_runs import tiny_run

GIB = 2**30
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="is about a machine without a GPU")


def large_model(folder: Path, **more: Any) -> dict[str, Any]:
    """The section of a model of 5 billion weights in bfloat16, of which there are only config and tokenizer."""
    config = transformers.LlamaConfig(
        vocab_size=128_000,
        hidden_size=8192,
        intermediate_size=32_768,
        num_hidden_layers=3,
        num_attention_heads=64,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        **more,
    )
    config.architectures, config.dtype = ["LlamaForCausalLM"], "bfloat16"
    config.save_pretrained(folder / "large")
    byte_tokenizer().save_pretrained(folder / "large")
    return {"name": str(folder / "large")}


def test_the_model_is_told_by_its_weights(tmp_path: Path) -> None:
    found = the_one(diagnosed(tmp_path), "model", "ok")
    assert found.details["parameters"] == sum(p.numel() for p in tiny_loaded().model.parameters())


def test_a_hub_model_that_can_t_be_had_is_an_error_with_what_works_offline(tmp_path: Path) -> None:
    diagnosis = diagnosed(tmp_path, model={"name": "nobody/such-a-model"})
    errors = [each for each in diagnosis.of("model") if each.level == "error"]
    assert all("nobody/such-a-model" in each.message for each in errors)
    assert any("offline, only local folders" in str(each.fix) for each in errors)
    assert levels(diagnosis, "data") == {"ok"}


@NO_GPU
def test_a_large_model_needs_a_gpu_on_which_its_weights_fit(tmp_path: Path) -> None:
    model = large_model(tmp_path)
    assert "there is no GPU here" in the_one(diagnosed(tmp_path, model=model), "model", "warn").message
    small = the_one(diagnosed(tmp_path, Setting(gpu_bytes=4 * GIB), model=model), "model", "warn")
    expected = 2 * (2 * 128_000 * 8192 + 3 * (4 * 8192**2 + 3 * 8192 * 32_768 + 2 * 8192) + 8192)
    assert small.details["weight_bytes"] == expected
    assert levels(diagnosed(tmp_path, Setting(gpu_bytes=40 * GIB), model=model), "model") == {"ok"}


def test_weights_in_bfloat16_need_a_gpu_that_computes_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    setting, sections = Setting("evaluate", gpu_bytes=GIB), {"model": {"model_args": {"dtype": "bfloat16"}}}
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert levels(diagnosed(tmp_path, setting, **sections), "model") == {"ok"}
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    found = the_one(diagnosed(tmp_path, setting, **sections), "model", "warn")
    assert "bfloat16" in found.message
    assert "float16" in str(found.fix)


@pytest.mark.parametrize("method", ["lora", "ia3", "prefix_tuning"])
def test_what_an_adapter_trains_is_what_it_trains_on_the_model_with_weights(method: str, tmp_path: Path) -> None:
    args: dict[str, Any] = {"num_virtual_tokens": 4} if method == "prefix_tuning" else {"target_modules": "all-linear"}
    if method == "ia3":
        args["feedforward_modules"] = []
    config = tiny_run(tmp_path, lora=None).model_copy(update={"lora": None})
    config = config.model_validate({**config.model_dump(), "adapter": {"method": method, "args": args}})
    assert config.adapter_spec is not None
    real = method_of(config.adapter_spec).wrap(tiny_loaded().model, args)
    trained = sum(p.numel() for p in real.parameters() if p.requires_grad)
    assert the_one(diagnose(config), "adapter", "ok").details["trained"] == trained


def test_layers_that_the_model_doesn_t_have_are_an_error(tmp_path: Path) -> None:
    diagnosis = diagnosed(tmp_path, lora={"r": 4, "target_modules": ["no_such_layer"]})
    assert "no_such_layer" in the_one(diagnosis, "adapter", "error").message
    assert levels(diagnosis, "prompts") == {"ok"}
    assert levels(diagnosis, "fast_paths") == {"skipped"}


def test_the_steps_of_a_training_are_those_that_it_has(tmp_path: Path) -> None:
    args = {"max_steps": -1, "num_train_epochs": 2, "per_device_train_batch_size": 4}
    config = tiny_run(tmp_path, trainer_args=args)
    found = the_one(diagnose(config), "training", "ok")
    config = tiny_run(tmp_path, trainer_args={**args, "output_dir": str(tmp_path / "out")})
    summary = train(config).summary
    assert (found.details["sequences"], found.details["steps"]) == (summary.sequences, summary.steps)


def test_packed_sequences_take_fewer_steps_of_which_the_number_isn_t_told(tmp_path: Path) -> None:
    found = the_one(diagnosed(tmp_path, trainer_args={"packing": True}), "training", "ok")
    assert "packed: at most" in found.message
    assert "steps" not in found.details


def test_what_the_trainer_refuses_is_an_error_and_what_has_no_effect_a_warning(tmp_path: Path) -> None:
    found = the_one(diagnosed(tmp_path, trainer_args={"learning_rate": -1.0}), "training", "error")
    assert "learning_rate" in found.message
    found = the_one(diagnosed(tmp_path, trainer_args={"pad_token": "x"}), "training", "warn")
    assert "pad_token has no effect" in found.message


def test_further_trainings_are_told(tmp_path: Path) -> None:
    sections: dict[str, Any] = {
        "training": {"select": {"grid": {"warmup_steps": [0, 1, 2]}, "folds": 2}},
        "inference": {"calibration": {"method": "temperature"}, "folds": 2},
    }
    told = [each.details.get("trainings") for each in diagnosed(tmp_path, **sections).of("training")]
    assert told == [None, 6, 2]


def test_a_calibration_without_shots_to_learn_from_is_an_error(tmp_path: Path) -> None:
    inference = {"calibration": {"method": "temperature"}}
    assert levels(diagnosed(tmp_path, inference=inference), "calibration") == {"ok"}
    found = the_one(diagnosed(tmp_path, inference=inference, dataset={"shots": 0}), "calibration", "error")
    assert "'temperature' learns from labelled rows" in found.message


def test_the_memory_told_is_that_of_the_estimate(tmp_path: Path) -> None:
    config = tiny_run(tmp_path)
    found = diagnose(config, Setting(gpu_bytes=GIB)).of("memory")
    found = [each for each in found if each.level == "ok"]
    assert len(found) == 2
    prepared_lengths = diagnose(config).of("prompts")[0].details["prompts"]
    assert found[0].details["tokens"] <= 2 * max(each["tokens"] for each in prepared_lengths)
    rows = [LabelledIds(s.ids, loss_labels(s)) for s in Case(config, Setting(), Shared()).training_stage.sequences]
    estimate = estimate_training(config, rows, steps=1, gpu_bytes=GIB)
    assert found[1].details["bytes"] == estimate.fit.memory.total
    little = the_one(diagnose(config, Setting(gpu_bytes=100_000)), "memory", "warn")
    assert little.details["bytes"] > 100_000


def test_the_memory_of_prompts_in_the_loss_is_told_too(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, trainer_args={"completion_only_loss": False})
    stage = Case(config, Setting(), Shared()).training_stage
    rows = [LabelledIds(s.ids, loss_labels(s, answers_only=False)) for s in stage.sequences]
    told = diagnose(config, Setting(gpu_bytes=GIB)).of("memory")[-1]
    assert told.details["bytes"] == estimate_training(config, rows, steps=1, gpu_bytes=GIB).fit.memory.total


def test_the_time_told_is_that_of_the_estimate_for_all_steps(tmp_path: Path) -> None:
    config = tiny_run(tmp_path)
    named = diagnose(config, setting_of("run-experiment", None, "h100", None)).of("memory")
    steps = diagnose(config).of("training")[0].details["steps"]
    rows = [LabelledIds(s.ids, loss_labels(s)) for s in Case(config, Setting(), Shared()).training_stage.sequences]
    h100 = gpu_registry["h100"]
    estimate = estimate_training(config, rows, steps=steps, gpu_bytes=h100.memory, speed=h100)
    assert estimate.seconds is not None
    assert named[2].details["seconds"] == round(estimate.seconds, 1) > 0
    by_sheet = diagnose(config, setting_of("run-experiment", None, "h200", None)).of("memory")
    assert "by the GPU's data sheet" in by_sheet[2].message


def test_the_time_isn_t_told_for_a_gpu_of_which_only_the_memory_is_known(tmp_path: Path) -> None:
    found = the_one(diagnosed(tmp_path, Setting(gpu_bytes=GIB)), "memory", "skipped")
    assert "--gpu a100-40gb" in found.message


def test_a_gpu_that_isn_t_known_is_refused() -> None:
    with pytest.raises(SftError, match="unknown GPU 'h10'"):
        setting_of("run-experiment", None, "h10", None)


QUANTISED = {"quantization": {"config_class": "BitsAndBytesConfig", "args": {"load_in_4bit": True}}}


@pytest.mark.parametrize(
    ("setting", "sections", "reason"),
    [
        pytest.param(Setting(), {}, "there is no GPU here", marks=NO_GPU),
        (Setting(gpu_bytes=GIB), {"model": QUANTISED}, "quantised models"),
        (Setting(gpu_bytes=GIB), {"training": {"objective": "label_cross_entropy"}}, "'label_cross_entropy'"),
        (Setting(gpu_bytes=GIB), {"training": {"batches": "padded"}}, "padded"),
        (Setting(gpu_bytes=GIB), {"trainer_args": {"packing": True}}, "padded (training.trainer_args.packing)"),
    ],
)
def test_where_memory_isn_t_estimated_it_is_said_why(
    setting: Setting, sections: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    assert reason in the_one(diagnosed(tmp_path, setting, **sections), "memory", "skipped").message


def test_several_gpus_of_this_machine_say_nothing_of_the_one_that_is_meant(tmp_path: Path) -> None:
    found = {}
    for setting in (Setting(), Setting(gpu_bytes=GIB)):
        case = Case(tiny_run(tmp_path), setting, Shared())
        case.trainer._n_gpu = 2
        found[setting] = case.foreseen.why_padded
    assert found[Setting()] is not None
    assert found[Setting(gpu_bytes=GIB)] is None


@pytest.mark.parametrize("architecture", ["llama", "mpt", "mamba"])
def test_the_scoring_engine_told_is_the_one_that_the_run_takes(architecture: str, tmp_path: Path) -> None:
    config = tiny_run(tmp_path, architecture=architecture, dataset={"shots": 0})
    told = the_one(diagnose(config), "fast_paths", "ok").details
    scorer = evaluate(config, tmp_path / "results").record.inference["scorer"]
    tried = [engine for engine in (told["engine"], *told["otherwise"]) if engine not in scorer["rejected"]]
    assert tried[0] == scorer["engine"]
    assert told["why_not"].items() <= scorer["rejected"].items()
    assert ("tree" in told["why_not"]) == (architecture != "llama")


@NO_GPU
@pytest.mark.parametrize("sections", [{}, {"lora": {"r": 2, "target_modules": "all-linear", "lora_dropout": 0.1}}])
def test_the_steps_told_are_those_that_the_run_takes(sections: dict[str, Any], tmp_path: Path) -> None:
    config = tiny_run(tmp_path, trainer_args={"max_steps": 1}, **sections)
    told = diagnose(config).of("fast_paths")[0]
    training = run_experiment(config, tmp_path / "results").record.training
    assert training is not None
    assert told.details["why_not"] == training["computation"]["why_not"]
    assert ("fused" in told.details["why_not"]) == bool(sections)


MULTILABEL = {"task_type": "multilabel", "shots": 2}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"inference": {"method": "generate"}}, "by the decoder 'continuous'"),
        ({"inference": {"method": "generate"}, "architecture": "mpt"}, "MptForCausalLM doesn't attend"),
        ({"inference": {"method": "generate", "decoder": "static"}}, "as inference.decoder says"),
        ({"inference": {"method": "generate", "generation_args": {"num_beams": 2}}}, "static batches"),
        ({"inference": {"method": "generate"}, "dataset": MULTILABEL}, "because texts are constrained"),
        ({"inference": {"scorer": "naive"}}, "by the engine 'naive', as inference.scorer says"),
    ],
)
def test_the_way_of_answering_is_told_with_its_reason(sections: dict[str, Any], message: str, tmp_path: Path) -> None:
    found = diagnosed(tmp_path, Setting("evaluate"), **sections)
    assert message in the_one(found, "fast_paths", "ok").message


def test_a_way_that_is_asked_for_and_can_t_be_is_a_warning(tmp_path: Path) -> None:
    diagnosis = diagnosed(tmp_path, Setting("evaluate"), architecture="mpt", inference={"scorer": "tree"})
    assert "inference.scorer 'tree' can't be used" in the_one(diagnosis, "fast_paths", "warn").message
    diagnosis = diagnosed(tmp_path, architecture="mpt", training={"batches": "flat"})
    assert "training.batches is flat" in the_one(diagnosis, "fast_paths", "warn").message


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == package else find(name, *more))


def test_missing_packages_are_errors_with_the_command_that_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    umap = {"r": 2, "target_modules": "all-linear", "init_lora_weights": "umap"}
    for package, sections in {"umap": {"lora": umap}, "bitsandbytes": {"model": QUANTISED}}.items():
        assert levels(diagnosed(tmp_path, **sections), "packages") == {"ok"}  # type: ignore[arg-type]
        with monkeypatch.context() as patched:
            without(patched, package)
            found = the_one(diagnosed(tmp_path, **sections), "packages", "error")  # type: ignore[arg-type]
        assert repr(package) in found.message
        assert "pip install" in str(found.fix)


def test_the_packages_of_a_quantised_checkpoint_are_known_from_its_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = large_model(tmp_path, quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 128})
    without(monkeypatch, "gptqmodel")
    diagnosis = diagnosed(tmp_path, Setting(gpu_bytes=80 * GIB), model=model)
    assert "[gptq]" in str(the_one(diagnosis, "packages", "error").fix)
    assert "'gptq'" not in the_one(diagnosis, "adapter", "ok").message
    assert "quantised" in the_one(diagnosis, "memory", "skipped").message


def test_the_folder_of_a_training_is_looked_at(tmp_path: Path) -> None:
    def of(folder: Path | None) -> Any:
        args = {} if folder is None else {"output_dir": str(folder)}
        return diagnosed(tmp_path, Setting("train"), trainer_args=args)

    assert levels(of(tmp_path / "new" / "folder"), "output") == {"ok"}
    assert "output_dir is missing" in the_one(of(None), "output", "error").message
    (tmp_path / "file").write_text("x")
    assert "is a file" in the_one(of(tmp_path / "file"), "output", "error").message
    assert "can't write into" in the_one(of(tmp_path / "file" / "below"), "output", "error").message
    assert "filled by something else" in the_one(of(tmp_path / "data"), "output", "error").message

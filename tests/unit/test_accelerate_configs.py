"""The files for `accelerate launch` are ones that the installed accelerate reads, and say what the docs say."""

from __future__ import annotations

from pathlib import Path

from accelerate.commands.config.config_args import load_config_from_file


def test_ddp_gives_each_process_a_gpu(repository: Path) -> None:
    config = load_config_from_file(str(repository / "etc/accelerate/ddp.yaml"))
    assert config.distributed_type == "MULTI_GPU"
    assert config.mixed_precision == "no"


def test_fsdp_is_its_second_version_with_wrapped_layers_and_bf16(repository: Path) -> None:
    config = load_config_from_file(str(repository / "etc/accelerate/fsdp2.yaml"))
    assert config.distributed_type == "FSDP"
    assert config.mixed_precision == "bf16"
    assert config.fsdp_config["fsdp_version"] == 2
    assert config.fsdp_config["fsdp_auto_wrap_policy"] == "TRANSFORMER_BASED_WRAP"

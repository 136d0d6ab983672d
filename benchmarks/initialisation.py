"""Seconds that each initialisation takes for one layer, and one by one against all of a 7B model's layers at once.

    python benchmarks/initialisation.py [--device cuda] [--out DIR]

Layers of 4096 × 4096 and 4096 × 14336 (in, out) with random bf16 weights, rank 16; data-driven ones get 2048 tokens of
random inputs or a random gradient. Beside ours stands PEFT's own `pissa` (a full decomposition) and `pissa_niter_8`.
Then `pissa` on `--blocks` transformer blocks of Llama-2-7B's shapes, in batches of one shape as a run does it, and
layer by layer. Each figure is the median of three (of one, where a call takes more than 5 s). Writes
`benchmarks/results/initialisation_{cpu,gpu}.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import commit
from peft import LoraConfig, get_peft_model
from torch import nn

from sft.config.schema import MethodConfig
from sft.environment import environment
from sft.errors import MissingPackageError
from sft.initialization.apply import initialize
from sft.initialization.factors import LowRankFactors
from sft.initialization.initializers import initializer_registry
from sft.initialization.initializers.base import parameters_of
from sft.initialization.measurements import Measurements

SHAPES = [(4096, 4096), (14336, 4096)]  # [out, in]
BLOCK = [(4096, 4096)] * 4 + [(11008, 4096)] * 2 + [(4096, 11008)]
RANK, TOKENS = 16, 2048
OF_PEFT = ("pissa", "pissa_niter_8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--blocks", type=int, default=1, help="Transformer blocks of the model (Llama-2-7B has 32).")
    parser.add_argument("--only", nargs="*", default=None, help="Names of initialisations.")
    parser.add_argument("--commit", default=None, help="Where the tree is no git checkout.")
    arguments = parser.parse_args()
    names = [name for name in initializer_registry if arguments.only is None or name in arguments.only]
    path = arguments.out / f"initialisation_{'cpu' if arguments.device == 'cpu' else 'gpu'}.json"
    path.parent.mkdir(exist_ok=True, parents=True)
    report: dict[str, Any] = {
        "environment": environment(),
        "commit": arguments.commit or commit(),
        "rank": RANK,
        "tokens": TOKENS,
        "model": {"blocks": arguments.blocks, **whole_model(arguments.blocks, arguments.device)},
        "layers": {},
    }
    print(report["model"], flush=True)
    for n_out, n_in in SHAPES:
        layer = layer_of(n_out, n_in, arguments.device)
        seconds = report["layers"][f"{n_out}x{n_in}"] = {}
        for name, call in [*((name, make) for name in names), *((name, make_by_peft) for name in OF_PEFT)]:
            shown = name if call is make else f"PEFT {name}"
            seconds[shown] = attempt(call, name, layer)
            print(f"{n_out} x {n_in}  {shown:20} {seconds[shown]}", flush=True)
            path.write_text(json.dumps(report, indent=2) + "\n")


def layer_of(n_out: int, n_in: int, device: str, seed: int = 0) -> nn.Linear:
    generator = torch.Generator(device).manual_seed(seed)
    layer = nn.Linear(n_in, n_out, bias=False, dtype=torch.bfloat16, device=device)
    with torch.no_grad():
        layer.weight.normal_(0, 0.02, generator=generator)
    return layer


def make(name: str, layer: nn.Linear) -> Any:
    initializer = initializer_registry[name]
    n_out, n_in = layer.weight.shape
    device = layer.weight.device
    needs = {
        "inputs": lambda: torch.randn(TOKENS, n_in, device=device),
        "gradient": lambda: torch.randn(n_out, n_in, device=device),
        "original": lambda: layer.weight.float() + 0.001 * torch.randn(n_out, n_in, device=device),
    }
    given = {need: value() for need, value in needs.items() if need in parameters_of(initializer)}
    return initializer(layer, RANK, **given)


def make_by_peft(name: str, layer: nn.Linear) -> Any:
    model = nn.ModuleDict({"layer": nn.Linear(1, 1)})
    model["layer"] = nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
    model["layer"].weight = nn.Parameter(layer.weight.detach().clone())
    return get_peft_model(model, LoraConfig(r=RANK, target_modules=["layer"], init_lora_weights=name))


def attempt(call: Callable[..., Any], *arguments: Any) -> float | str:
    """Median seconds, or why there are none."""
    try:
        return seconds_of(lambda: call(*arguments))
    except MissingPackageError as error:
        return error.message


def seconds_of(call: Callable[[], Any]) -> float:
    """Median of three calls after a first one, which may compile or allocate; of that one where it takes long."""
    first = once(call)
    return round(first if first > 5 else statistics.median(once(call) for _ in range(3)), 4)


def once(call: Callable[[], Any]) -> float:
    synchronize()
    started = time.perf_counter()
    call()
    synchronize()
    return time.perf_counter() - started


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def whole_model(blocks: int, device: str) -> dict[str, float]:
    """Seconds of `pissa` on all layers, together and one by one."""
    factors = []
    for number, (n_out, n_in) in enumerate(BLOCK * blocks):
        layer = layer_of(n_out, n_in, device, seed=number)
        a, b = (nn.Parameter(torch.empty(shape, device=device)) for shape in ((RANK, n_in), (n_out, RANK)))
        factors.append(LowRankFactors(str(number), layer, layer, a, b, 1.0))
    spec = MethodConfig(method="pissa")
    measurements = Measurements(None, [], 0)
    together = once(lambda: initialize(factors, spec, measurements, 0))
    apart = once(lambda: [initialize([one], spec, measurements, 0) for one in factors])
    return {"layers": len(factors), "seconds": round(together, 3), "seconds_layer_by_layer": round(apart, 3)}


if __name__ == "__main__":
    main()

"""Texts of configs are read back by JSONNET itself."""

from __future__ import annotations

import json
from typing import Any

import _jsonnet
import pytest

from sft.init.draft import entry, nested
from sft.init.write import json_text, jsonnet_text, sweep_text

ENTRIES = [
    entry("dataset.path", "my data/ملف.csv", "a file"),
    entry("dataset.labels", {"0": 'say "no"', "error": "إيجابي", "a\nb": "\\", "π" * 60: "long"}, "why\n} // not"),
    entry("prompting.input_columns", ["text", "السؤال"]),
    entry("training.trainer_args.learning_rate", 2e-4, "usual"),
    entry("seed", 13, "a seed"),
]


def evaluated(text: str) -> Any:
    return json.loads(_jsonnet.evaluate_snippet("test", text))


def test_jsonnet_and_json_hold_the_same_values() -> None:
    value = nested(ENTRIES)
    assert value["training"] == {"trainer_args": {"learning_rate": 2e-4}}
    assert evaluated(jsonnet_text(ENTRIES, ["head", "with\na line end"])) == value
    assert json.loads(json_text(ENTRIES)) == value


def test_each_reason_is_a_comment_on_one_line_above_its_value() -> None:
    lines = [line.strip() for line in jsonnet_text(ENTRIES, []).splitlines()]
    assert lines[lines.index("// usual") + 1] == "learning_rate: 0.0002,"
    assert "// why } // not" in lines


@pytest.mark.parametrize("seeds", [[1], [1, 2, 3]])
def test_a_sweep_is_every_method_with_every_seed_over_what_they_share(seeds: list[int]) -> None:
    methods = {
        "zero-shot": [entry("dataset.shots", 0)],
        "lora": [entry("dataset.shots", 4, "few"), entry("training.trainer_args.max_steps", 2, "short")],
    }
    configs = evaluated(sweep_text(ENTRIES, methods, seeds, ["head"]))["configs"]
    # Without anything drawn or trained, seeds make no difference.
    assert set(configs) == {"zero-shot seed=1", *(f"lora seed={seed}" for seed in seeds)}
    for name, config in configs.items():
        method, seed = name.split(" seed=")
        assert config == {**nested([*ENTRIES, *methods[method]]), "seed": int(seed)}

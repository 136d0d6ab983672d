"""The model `sft` of lm-eval gives what the harness's own `hf` gives on the same weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from sft.errors import ConfigError, SftError
from tests.fakes import byte_tokenizer, config_value, write_config
from tests.tiny_models import chain_model, save_tiny_model

huggingface = pytest.importorskip("lm_eval.models.huggingface", reason="lm_eval is not installed")
Instance = pytest.importorskip("lm_eval.api.instance").Instance
SftLM = pytest.importorskip("sft.lm_eval.model").SftLM
get_model = pytest.importorskip("lm_eval.api.registry").get_model

LENGTH = 48
CONTEXT = "Which of the letters comes first? "
PAIRS = [
    (CONTEXT, "alpha"),
    (CONTEXT, "alphabet"),
    (CONTEXT, "beta"),
    (CONTEXT, "beta"),
    ("Something else:", " beta"),
    ("", "begins with nothing"),
    ("long " * 40, "and cut on the left"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Any:
    return get_model("sft").create_from_arg_obj({"pretrained": str(folder), "max_length": LENGTH}, {"device": "cpu"})


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return hf(folder, max_length=LENGTH)


def hf(folder: Path, **arguments: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return huggingface.HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=4, **arguments)


def saved_chain(folder: Path, certainty: float) -> Path:
    """A model that says the alphabet, with that much on the next letter."""
    tokenizer = byte_tokenizer()
    model = chain_model(tokenizer, "abcdefgh ijklmno")
    with torch.no_grad():
        model.lm_head.weight.mul_(certainty)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def asked(kind: str, *arguments: tuple[Any, ...]) -> list[Any]:
    return [Instance(kind, {}, each, i) for i, each in enumerate(arguments)]


def both(ours: Any, theirs: Any, kind: str, *arguments: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = getattr(theirs, kind)(asked(kind, *arguments), disable_tqdm=True)
    return getattr(ours, kind)(asked(kind, *arguments), disable_tqdm=True), expected


def test_log_likelihoods_are_those_of_hf(ours: Any, theirs: Any) -> None:
    found, expected = both(ours, theirs, "loglikelihood", *PAIRS)
    assert [one[0] for one in found] == pytest.approx([one[0] for one in expected], abs=1e-4)
    assert [one[1] for one in found] == [one[1] for one in expected]


@pytest.mark.parametrize("certainty", [1.0, 50.0], ids=["far from sure", "sure"])
def test_what_is_greedy_is_found_among_several(certainty: float, tmp_path: Path) -> None:
    model = saved_chain(tmp_path / "chain", certainty)
    ours, theirs = SftLM(pretrained=str(model)), hf(model)
    ends = ["cde", "cd", "c", "cdx", "cx", "x", "xde", "cdefgh ij"]
    pairs = [("ab", end) for end in ends]
    found, expected = both(ours, theirs, "loglikelihood", *pairs)
    assert [one[1] for one in found] == [one[1] for one in expected]
    assert [end for end, one in zip(ends, found, strict=True) if one[1]] == ["cde", "cd", "c", "cdefgh ij"]
    singles = [both(ours, theirs, "loglikelihood", pair) for pair in pairs]
    assert [one[0][0][1] for one in singles] == [one[1][0][1] for one in singles]


def test_white_space_around_a_text_is_kept(tmp_path: Path) -> None:
    model = saved_chain(tmp_path / "chain", 1.0)
    found, expected = both(SftLM(pretrained=str(model)), hf(model), "generate_until", ("gh", {"max_gen_toks": 3}))
    assert found == expected == [" ij"]


@pytest.mark.parametrize("length", [0, 1, LENGTH, LENGTH + 1, 3 * LENGTH + 5])
def test_rolling_log_likelihoods_are_those_of_hf(length: int, ours: Any, theirs: Any) -> None:
    text = ("Some words of a longer text. " * 10)[:length]
    found, expected = both(ours, theirs, "loglikelihood_rolling", (text,), ("another",))
    assert found == pytest.approx(expected, abs=1e-3)


def test_texts_are_those_of_hf(ours: Any, theirs: Any) -> None:
    plain = both(ours, theirs, "generate_until", (CONTEXT, {"max_gen_toks": 12}))[1][0]
    stop = plain[4:6]
    requests = [
        (CONTEXT, {"max_gen_toks": 12, "until": []}),
        (CONTEXT, {"max_gen_toks": 12, "until": [stop]}),
        ("long " * 40, {"max_gen_toks": 5, "until": ["\n"]}),
        ("other", {"max_gen_toks": 12, "until": [stop, "zz"], "do_sample": False}),
    ]
    found, expected = both(ours, theirs, "generate_until", *requests)
    assert found == expected
    assert len(found[1]) < len(found[0])


def test_a_config_says_which_model_and_how(folder: Path, tmp_path: Path) -> None:
    value = config_value(model={"name": str(folder)}, inference={"scorer": "naive", "batch_size": 2})
    model = SftLM(config=str(write_config(tmp_path / "config.json", value)))
    pair = ("Something else:", " beta")
    peer = SftLM(pretrained=str(folder))
    assert model.loglikelihood(asked("loglikelihood", pair))[0][0] == pytest.approx(
        peer.loglikelihood(asked("loglikelihood", pair))[0][0], abs=1e-5
    )
    assert model._scorer.report()["engine"] == "naive"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, SftError, "config or pretrained"),
        ({"config": "a.json", "pretrained": "b"}, SftError, "config or pretrained"),
        ({"config": "a.json", "dtype": "float32"}, ConfigError, "dtype: is not known beside config"),
    ],
)
def test_arguments_that_say_nothing_clear_are_refused(
    arguments: dict[str, Any], error: type[SftError], message: str
) -> None:
    with pytest.raises(error, match=message):
        SftLM(**arguments)

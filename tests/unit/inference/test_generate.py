"""Generated answers against a greedy loop without cache, padding or `generate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from sft.errors import SftError
from sft.inference.generation.generator import Generator
from sft.models.load import LoadedModel
from sft.prompting.plain import PlainFormat
from tests.adapters import with_lora
from tests.tiny_models import ARCHITECTURES, chain_model, random_ids, tiny_loaded

PROMPTS = random_ids((1, 3, 4, 9, 17, 30))


def plain(loaded: LoadedModel) -> PlainFormat:
    return PlainFormat("", "{text} is", loaded.tokenizer.eos_token_id, [])


def generate(
    loaded: LoadedModel,
    prompts: Sequence[list[int]] = PROMPTS,
    *,
    max_new_tokens: int = 12,
    ends_at_separator: bool = False,
    batch_size: Any = 4,
    seed: int = 1,
    **arguments: Any,
) -> list[str]:
    generator = Generator(
        loaded,
        plain(loaded),
        arguments,
        max_new_tokens=max_new_tokens,
        ends_at_separator=ends_at_separator,
        batch_size=batch_size,
    )
    return generator.generate(prompts, seed)


@torch.no_grad()
def greedy_ids(model: Any, prompt: list[int], max_new_tokens: int, ends: set[int]) -> list[int]:
    """The likeliest token at each step, by a full forward of the one sequence."""
    ids = list(prompt)
    for _ in range(max_new_tokens):
        token = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
        if token in ends:
            break
        ids.append(token)
    return ids[len(prompt) :]


def greedy(loaded: LoadedModel, max_new_tokens: int = 12, ends: set[int] | None = None) -> list[str]:
    ends = ends or {loaded.tokenizer.eos_token_id}
    answers = [greedy_ids(loaded.model, prompt, max_new_tokens, ends) for prompt in PROMPTS]
    return [loaded.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in answers]


def with_adapter(loaded: LoadedModel) -> LoadedModel:
    """A LoRA adapter that changes the model."""
    torch.manual_seed(0)
    loaded.model = with_lora(loaded.model, {"r": 2, "init_lora_weights": "gaussian"})
    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 1)
    loaded.model.eval()
    return loaded


@pytest.mark.parametrize("batch_size", [1, 4, "auto"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_ragged_prompts_get_the_answers_of_a_greedy_loop(architecture: str, batch_size: Any) -> None:
    loaded = tiny_loaded(architecture)
    expected = greedy(loaded)
    assert len(set(expected)) >= 3, "the answers are too alike to tell anything"
    assert generate(loaded, batch_size=batch_size) == expected


def test_what_a_checkpoint_suggests_is_not_used() -> None:
    loaded = tiny_loaded()
    expected = greedy(loaded)
    loaded.model.generation_config = GenerationConfig(
        do_sample=True, temperature=9.0, repetition_penalty=20.0, max_length=3, no_repeat_ngram_size=1, eos_token_id=256
    )
    assert generate(loaded) == expected


def test_an_adapter_on_the_model_is_used() -> None:
    bare = greedy(tiny_loaded())
    loaded = with_adapter(tiny_loaded())
    expected = greedy(loaded)
    assert expected != bare
    assert generate(loaded) == expected


@pytest.mark.parametrize("wrap", [lambda loaded: loaded, with_adapter], ids=["bare", "with adapter"])
def test_the_models_own_generation_config_is_back_afterwards(wrap: Any) -> None:
    loaded = wrap(tiny_loaded())
    inner = loaded.model.get_base_model() if hasattr(loaded.model, "get_base_model") else loaded.model
    own = GenerationConfig(do_sample=True, temperature=0.3, eos_token_id=7)
    inner.generation_config = own
    generate(loaded)
    assert loaded.model.generation_config is own
    assert inner.generation_config is own


def test_the_models_own_generation_config_is_back_after_an_error() -> None:
    loaded = tiny_loaded()
    own = loaded.model.generation_config
    with pytest.raises(IndexError):
        generate(loaded, [[10**6]])
    assert loaded.model.generation_config is own


def test_every_eos_that_the_model_names_ends_an_answer() -> None:
    loaded = tiny_loaded()
    first = greedy_ids(loaded.model, PROMPTS[3], 12, set())
    loaded.model.generation_config.eos_token_id = [300, first[4]]
    ends = {loaded.tokenizer.eos_token_id, first[4]}
    expected = greedy(loaded, ends=ends)
    assert expected[3] == loaded.tokenizer.decode(first[: first.index(first[4])]).strip()
    assert generate(loaded) == expected


def answer_of_chain(text: str, prompt: str, **arguments: Any) -> str:
    loaded = tiny_loaded()
    loaded.model = chain_model(loaded.tokenizer, text)
    return generate(loaded, [loaded.tokenizer(prompt)["input_ids"]], **arguments)[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "abcdefgh"),
        ({"max_new_tokens": 3}, "abc"),
        ({"stop_strings": ["ef"]}, "abcd"),
        ({"stop_strings": "c"}, "ab"),
        ({"stop_strings": ["g", "d"]}, "abc"),
    ],
)
def test_an_answer_ends_where_it_is_told_to(arguments: dict[str, Any], expected: str) -> None:
    assert answer_of_chain(":abcdefgh", "is:", **arguments) == expected


def test_generation_arguments_win_over_the_default_of_new_tokens() -> None:
    loaded = tiny_loaded()
    loaded.model = chain_model(loaded.tokenizer, ":abcdefgh")
    arguments = {"max_new_tokens": 2}
    generator = Generator(
        loaded, plain(loaded), arguments, max_new_tokens=5, ends_at_separator=False, batch_size="auto"
    )
    assert generator.generate([loaded.tokenizer("is:")["input_ids"]], seed=0) == ["ab"]


def test_an_answer_ends_where_the_next_example_would_begin() -> None:
    """Characters of the chain are all different, so "\\n\\n" is made of a format's own separator."""
    loaded = tiny_loaded()
    loaded.model = chain_model(loaded.tokenizer, ": one\tdrah")
    layout = plain(loaded)
    layout.separator = "\td"
    prompts = [loaded.tokenizer("is:")["input_ids"]]

    def answer(ends_at_separator: bool) -> str:
        made = Generator(loaded, layout, {}, max_new_tokens=20, ends_at_separator=ends_at_separator, batch_size="auto")
        return made.generate(prompts, seed=0)[0]

    assert answer(ends_at_separator=True) == "one"
    assert answer(ends_at_separator=False) == "one\tdrah"


def test_a_separator_before_the_answer_does_not_empty_it() -> None:
    loaded = tiny_loaded()
    loaded.model = chain_model(loaded.tokenizer, ":\nabc")
    layout = plain(loaded)
    layout.separator = "\n"
    made = Generator(loaded, layout, {}, max_new_tokens=20, ends_at_separator=True, batch_size="auto")
    assert made.generate([loaded.tokenizer("is:")["input_ids"]], seed=0) == ["abc"]


def test_sampling_repeats_under_a_seed_and_differs_under_another() -> None:
    loaded = tiny_loaded()
    sample = {"do_sample": True, "temperature": 1.5, "top_k": 0}
    first = generate(loaded, seed=3, **sample)
    assert generate(loaded, seed=3, **sample) == first
    assert generate(loaded, seed=4, **sample) != first
    assert first != greedy(loaded)


def test_answers_come_in_the_order_of_the_prompts() -> None:
    loaded = tiny_loaded()
    assert generate(loaded, PROMPTS[::-1]) == greedy(loaded)[::-1]


def test_sampling_leaves_the_global_random_state_alone() -> None:
    loaded = tiny_loaded()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    generate(loaded, do_sample=True)
    assert torch.equal(torch.rand(3), expected)


def test_whole_numbers_serve_where_transformers_wants_floats() -> None:
    """JSONNET writes 2.0 as 2."""
    loaded = tiny_loaded()
    whole = generate(loaded, do_sample=True, temperature=2, repetition_penalty=3)
    assert whole == generate(loaded, do_sample=True, temperature=2.0, repetition_penalty=3.0)


@pytest.mark.parametrize(
    "arguments",
    [
        {"temperature": -1.0, "do_sample": True},
        {"repetition_penalty": 0.0},
        {"early_stopping": "nonsense", "num_beams": 2},
        {"max_new_tokens": 0},
    ],
)
def test_values_that_transformers_refuses_are_an_error_that_names_the_key(arguments: dict[str, Any]) -> None:
    loaded = tiny_loaded()
    arguments = dict(arguments)
    with pytest.raises(SftError, match=r"inference\.generation_args"):
        Generator(loaded, plain(loaded), arguments, max_new_tokens=5, ends_at_separator=False, batch_size=1).generate(
            PROMPTS, seed=0
        )

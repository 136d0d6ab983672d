"""The ways of decoding against transformers' `generate` on one row at a time, and against each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import LogitsProcessor

from sft.errors import SftError
from sft.inference.generation import choose, session
from sft.inference.generation.choose import choose_decoder
from sft.inference.generation.decoders import DecoderOptions, Prompt, decoder_registry
from sft.inference.generation.generator import Generator
from sft.inference.generation.settings import Decoding, generation_config
from sft.inference.generation.slots import StepPass
from sft.models.load import LoadedModel
from sft.prompting.plain import PlainFormat
from tests.tiny_models import ARCHITECTURES, chain_model, random_ids, tiny_loaded

DECODERS = ("continuous", "static")
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
# Models whose layers attend through transformers' attention interface, and take positions.
CONTINUOUS = frozenset(ARCHITECTURES) - {"bloom", "mamba"}
SHARED = random_ids((20,), seed=3)[0]
PROMPTS = random_ids((1, 3, 4, 9, 17, 30, 30, 2))
AFTER_SHARED = [SHARED + ids for ids in PROMPTS]
SAMPLE: dict[str, Any] = {"do_sample": True, "temperature": 1.5, "top_p": 0.95}


def decoding(loaded: LoadedModel, ends: Sequence[int] = (), **arguments: Any) -> Decoding:
    arguments = {"max_new_tokens": 10, **arguments}
    config = generation_config(loaded, arguments, loaded.tokenizer.eos_token_id, 10)
    config.eos_token_id = list(ends) or config.eos_token_id
    return Decoding(config)


def decoded(
    loaded: LoadedModel, name: str, prompts: Sequence[Prompt], asked: Decoding, *, seed: int = 1, **options: Any
) -> dict[int, list[int]]:
    """Row → its tokens. Every row is handed over once."""
    rows: dict[int, list[int]] = {}

    def done(number: int, ids: list[int]) -> None:
        assert number not in rows
        rows[number] = ids

    decoder_registry[name](loaded, asked, DecoderOptions(**options))(prompts, seed, done)
    assert sorted(rows) == sorted(prompt.number for prompt in prompts)
    return {number: until_end(ids, asked.ends) for number, ids in rows.items()}


def until_end(ids: list[int], ends: frozenset[int]) -> list[int]:
    """Batches go on after a row's end, with padding."""
    return ids[: next((i + 1 for i, token in enumerate(ids) if token in ends), len(ids))]


def numbered(prompts: Sequence[list[int]], limit: int = 10) -> list[Prompt]:
    return [Prompt(i, ids, limit) for i, ids in enumerate(prompts)]


def one_by_one(loaded: LoadedModel, prompts: Sequence[Prompt], asked: Decoding) -> dict[int, list[int]]:
    """By transformers alone."""
    rows = {}
    for prompt in prompts:
        ids = torch.tensor([prompt.ids], device=loaded.device)
        found = loaded.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=asked.config,
            tokenizer=loaded.tokenizer,
        )
        rows[prompt.number] = found[0, len(prompt.ids) :].tolist()
    return rows


def lively(architecture: str) -> LoadedModel:
    """With a head of its own: a random model whose head is its embeddings says the same token for ever."""
    loaded = tiny_loaded(architecture)
    head = loaded.model.get_output_embeddings()
    head.weight = torch.nn.Parameter(torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(0)))
    return loaded


@pytest.mark.parametrize("prompts", [PROMPTS, AFTER_SHARED], ids=["ragged", "with a shared prefix"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma2", "gemma3", "gpt2", "gpt_oss", "mistral"])
@pytest.mark.parametrize("device", DEVICES)
def test_greedy_tokens_are_those_of_generate_on_one_row_at_a_time(
    device: str, architecture: str, prompts: list[list[int]]
) -> None:
    loaded = lively(architecture)
    loaded.model.to(device)
    free = one_by_one(loaded, numbered(prompts), decoding(loaded))
    # Tokens that come early in some answers end them.
    ends = [free[3][2], free[5][4]]
    asked = decoding(loaded, ends)
    expected = one_by_one(loaded, numbered(prompts), asked)
    assert len({len(ids) for ids in expected.values()}) >= 3, "answers should differ in length"
    for name in DECODERS:
        assert decoded(loaded, name, numbered(prompts), asked, batch_size=3) == expected, name


@pytest.mark.parametrize("name", DECODERS)
def test_a_row_ends_at_a_limit_of_its_own(name: str) -> None:
    loaded = tiny_loaded()
    asked = decoding(loaded, [300])
    whole = one_by_one(loaded, numbered(PROMPTS), asked)
    prompts = [prompt._replace(limit=1 + prompt.number) for prompt in numbered(PROMPTS)]
    found = decoded(loaded, name, prompts, asked, batch_size=3)
    assert found == {number: ids[: 1 + number] for number, ids in whole.items()}


def read_tokens(loaded: LoadedModel, work: Any) -> int:
    """How many tokens the model reads, padding among them."""
    count = 0

    def hook(_: Any, arguments: Any) -> None:
        nonlocal count
        count += arguments[0].numel()

    handle = loaded.model.get_input_embeddings().register_forward_pre_hook(hook)
    work()
    handle.remove()
    return count


def test_a_shared_prefix_is_read_once() -> None:
    loaded = tiny_loaded()
    equally_long = numbered([SHARED + ids for ids in random_ids((5, 5, 5, 5))], limit=3)
    asked = decoding(loaded, [300])
    read = read_tokens(loaded, lambda: decoded(loaded, "continuous", equally_long, asked))
    assert read == len(SHARED) + 4 * 4 + 4 * 3  # the rest but its last token, which is read in the first step


def test_no_row_waits_for_a_longer_one() -> None:
    """Two slots: one long row, and short ones one after the other beside it."""
    loaded = tiny_loaded()
    prompts = [Prompt(i, ids, 16 if i == 0 else 3) for i, ids in enumerate(random_ids((4, 4, 4, 4, 4)))]
    order: list[int] = []
    decoder = decoder_registry["continuous"](loaded, decoding(loaded, [300]), DecoderOptions(batch_size=2))
    steps = read_tokens(loaded, lambda: decoder(prompts, 0, lambda number, _: order.append(number)))
    assert order == [1, 2, 3, 4, 0]
    assert steps == 5 * 3 + 16 + 4 * 3


def test_a_row_is_handed_over_as_soon_as_it_ends() -> None:
    loaded = tiny_loaded()
    prompts = [Prompt(i, ids, limit) for i, (ids, limit) in enumerate(zip(PROMPTS[:3], (9, 2, 5), strict=True))]
    order: list[int] = []
    decoder = decoder_registry["continuous"](loaded, decoding(loaded, [300]), DecoderOptions())
    decoder(prompts, 0, lambda number, _: order.append(number))
    assert order == [1, 2, 0]


def generator(loaded: LoadedModel, decoder: Any = "auto", batch_size: Any = 3, **arguments: Any) -> Generator:
    layout = PlainFormat("", "{text} is", loaded.tokenizer.eos_token_id, [])
    return Generator(
        loaded, layout, arguments, max_new_tokens=10, ends_at_separator=False, batch_size=batch_size, decoder=decoder
    )


@pytest.mark.parametrize("arguments", [SAMPLE, {"do_sample": True, "num_beams": 2}], ids=["sampling", "beam sampling"])
def test_sampled_texts_depend_on_seed_and_row_alone(arguments: dict[str, Any]) -> None:
    loaded = tiny_loaded()
    expected = generator(loaded, batch_size=1, **arguments).generate(PROMPTS, 5)
    assert len(set(expected)) == len(expected)
    for decoder in DECODERS if arguments is SAMPLE else ("static",):
        for batch_size in (3, "auto"):
            assert generator(loaded, decoder, batch_size, **arguments).generate(PROMPTS, 5) == expected
    assert generator(loaded, **arguments).generate(PROMPTS, 6) != expected
    alike = generator(loaded, **arguments).generate([PROMPTS[3]] * 4, 5)
    assert len(set(alike)) > 1, "rows with one prompt have draws of their own"


@pytest.mark.parametrize("name", DECODERS)
def test_sampling_from_one_token_is_greedy(name: str) -> None:
    loaded = tiny_loaded()
    greedy = generator(loaded).generate(PROMPTS, 0)
    assert generator(loaded, name, do_sample=True, top_k=1).generate(PROMPTS, 0) == greedy


def test_beams_are_those_of_one_row_at_a_time() -> None:
    loaded = tiny_loaded()
    asked = decoding(loaded, num_beams=3)
    expected = one_by_one(loaded, numbered(PROMPTS), asked)
    found = decoded(loaded, "static", numbered(PROMPTS), asked, batch_size=3)
    assert found == {number: until_end(ids, asked.ends) for number, ids in expected.items()}
    assert found != decoded(loaded, "static", numbered(PROMPTS), decoding(loaded))


@pytest.mark.parametrize("stop", [["ef"], ["c"], ["g", "d"], [":a"]], ids=str)
def test_stop_strings_end_a_row_where_generate_ends_it(stop: list[str]) -> None:
    """Also one that begins in the prompt."""
    loaded = tiny_loaded()
    loaded.model = chain_model(loaded.tokenizer, ":abcdefgh")
    prompts = numbered([loaded.tokenizer(text)["input_ids"] for text in ("is:", "a", "very long: b", "d")])
    asked = decoding(loaded, stop_strings=stop)
    expected = one_by_one(loaded, prompts, asked)
    assert len(set(map(len, expected.values()))) > 1
    for name in DECODERS:
        pad = loaded.tokenizer.pad_token_id
        found = decoded(loaded, name, prompts, asked, batch_size=2)
        assert {n: [t for t in ids if t != pad] for n, ids in found.items()} == {
            n: [t for t in ids if t != pad] for n, ids in expected.items()
        }, name


def test_rows_end_where_the_next_example_would_begin() -> None:
    loaded = tiny_loaded()
    loaded.model = chain_model(loaded.tokenizer, ":abcdefghijklmnopqrstuvwxyz")
    for name in DECODERS:
        asked = Decoding(decoding(loaded, max_new_tokens=20).config, separator="c")
        prompts = [Prompt(i, loaded.tokenizer(text)["input_ids"], 20) for i, text in enumerate(("is:", "d:"))]
        found = decoded(loaded, name, prompts, asked)
        assert all(loaded.tokenizer.decode(ids).startswith("abc") and len(ids) < 20 for ids in found.values()), name


def choice(loaded: LoadedModel, prompts: Sequence[list[int]] = PROMPTS, **arguments: Any) -> dict[str, Any]:
    return choose_decoder(loaded, decoding(loaded, **arguments), DecoderOptions(), numbered(prompts)).report()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rows_are_generated_continuously_where_the_model_allows_it(architecture: str) -> None:
    found = choice(tiny_loaded(architecture))
    assert found["name"] == ("continuous" if architecture in CONTINUOUS else "static")
    assert (found["rejected"] == {}) == (architecture in CONTINUOUS)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"num_beams": 2}, "beam search"),
        ({"num_beams": 2, "do_sample": True}, "beam sample"),
        ({"repetition_penalty": 1.2}, "RepetitionPenaltyLogitsProcessor"),
        ({"no_repeat_ngram_size": 2}, "NoRepeatNGramLogitsProcessor"),
        ({"min_new_tokens": 3}, "MinNewTokensLengthLogitsProcessor"),
        ({"max_time": 60.0}, "MaxTimeCriteria"),
        ({"cache_implementation": "static"}, "cache_implementation"),
        ({"use_cache": False}, "use_cache"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_settings_that_see_more_than_a_rows_own_scores_are_left_to_static_batches(
    arguments: dict[str, Any], why: str
) -> None:
    loaded = tiny_loaded()
    found = choice(loaded, **arguments)
    assert found["name"] == "static"
    assert why in found["rejected"]["continuous"]
    with pytest.raises(SftError, match=f"inference.decoder 'continuous' can't be used: .*{why}"):
        generator(loaded, "continuous", **arguments).generate(PROMPTS, 0)


@pytest.mark.parametrize("arguments", [{}, SAMPLE, {"stop_strings": ["a"]}, {"suppress_tokens": [5]}], ids=str)
def test_settings_that_look_at_a_rows_own_scores_run_continuously(arguments: dict[str, Any]) -> None:
    assert choice(tiny_loaded(), **arguments)["name"] == "continuous"


def test_a_decoder_that_differs_from_the_model_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    right = StepPass.mask
    monkeypatch.setattr(StepPass, "mask", lambda self, n, window: right(self, n, 2))
    found = choice(tiny_loaded())
    assert found["name"] == "static"
    assert "from those of a plain forward pass" in found["rejected"]["continuous"]


def test_a_decoder_that_fails_in_the_trial_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("nobody foresaw this")

    monkeypatch.setattr(choose, "Session", broken)
    assert choice(tiny_loaded())["rejected"] == {"continuous": "KeyError: 'nobody foresaw this'"}


def test_virtual_tokens_before_the_prompt_are_left_to_static_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoadedModel, "virtual_tokens", property(lambda _: 3))
    assert "virtual tokens" in choice(tiny_loaded())["rejected"]["continuous"]


def test_too_few_rows_are_not_worth_a_trial() -> None:
    assert "too little" in choice(tiny_loaded(), PROMPTS[:2])["rejected"]["continuous"]


def test_the_models_own_attention_is_back_afterwards() -> None:
    loaded = tiny_loaded()
    before = loaded.model.config._attn_implementation
    generator(loaded).generate(PROMPTS, 0)
    assert loaded.model.config._attn_implementation == before


def test_rows_that_have_ended_stay_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device has room for two rows, and says so after a few steps."""
    loaded = tiny_loaded()
    prompts = [prompt._replace(limit=1 + 2 * (prompt.number % 4)) for prompt in numbered(PROMPTS)]
    asked = decoding(loaded, [300])
    expected = decoded(loaded, "static", prompts, asked)
    tried: list[int] = []
    launch = session.Session._launch

    def limited(self: Any) -> Any:
        launched = launch(self)
        if len(self._rows) > 2 and max(row.launched for row in self._rows if row is not None) > 3:
            tried.append(len(self._rows))
            raise torch.cuda.OutOfMemoryError("no room")
        return launched

    monkeypatch.setattr(session.Session, "_launch", limited)
    assert decoded(loaded, "continuous", prompts, asked, batch_size=8) == expected
    assert tried == [8, 4]


def test_one_row_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("no room")

    monkeypatch.setattr(session.Session, "_launch", full)
    loaded = tiny_loaded()
    with pytest.raises(torch.cuda.OutOfMemoryError):
        decoded(loaded, "continuous", numbered(PROMPTS), decoding(loaded))


class OnlyDigits:
    """A constraint: three digits, then the end of the turn."""

    def __init__(self, tokenizer: Any) -> None:
        self.end = tokenizer.eos_token_id
        self.digits = tokenizer("0123456789")["input_ids"]
        self.batches: list[tuple[int, int]] = []

    def processor(self, rows: int, max_new_tokens: int) -> Any:
        self.batches.append((rows, max_new_tokens))
        return _ThreeDigits(self.digits, self.end)


class _ThreeDigits(LogitsProcessor):
    def __init__(self, digits: list[int], end: int) -> None:
        self.digits, self.end, self.width = digits, end, 0

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        self.width = self.width or input_ids.shape[1]
        allowed = self.digits if input_ids.shape[1] - self.width < 3 else [self.end]
        masked = torch.full_like(scores, -torch.inf)
        masked[:, allowed] = scores[:, allowed]
        return masked


@pytest.mark.parametrize("arguments", [{}, SAMPLE, {"num_beams": 2}], ids=["greedy", "sampling", "beams"])
def test_a_constraint_says_what_a_text_may_be(arguments: dict[str, Any]) -> None:
    loaded = tiny_loaded()
    constraint = OnlyDigits(loaded.tokenizer)
    made = generator(loaded, **arguments)
    texts = made.generate(PROMPTS, 1, constraint=constraint)
    assert all(len(text) == 3 and text.isdigit() for text in texts)
    assert len(set(texts)) > 1
    assert constraint.batches == [(3, 10), (3, 10), (2, 10)]
    assert "constrained" in made.report()["rejected"]["continuous"]

"""Training sequences: the loss is over the answer and its end-of-turn, and nothing is cut from them."""

from __future__ import annotations

from typing import Any

import pytest

from sft.data.sampling import InContextExamples
from sft.errors import TrainingError
from sft.prompting.build import PromptBuilder, TrainingSequence
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from sft.prompting.labelled import IGNORED, LabelledIds
from sft.training.sequences import as_dataset, loss_labels, training_sequences
from tests.fakes import LABELS, byte_tokenizer, label_set, make_config, make_examples

POOL = make_examples([0, 1, 2, 0, 1, 2])


def sequences(*, chat: bool = False, limit: int | None = None, shown: int = 0) -> tuple[Any, list[TrainingSequence]]:
    """The tokenizer, and the training sequences of the pool with `shown` in-context examples per label."""
    tokenizer = byte_tokenizer(chat=chat)
    encoder = TextEncoder(tokenizer)
    prompting = make_config(prompting={"instruction": "Say what it is."}).prompting
    builder = PromptBuilder(encoder, choose_format(tokenizer, encoder, prompting), prompting, label_set(), limit)
    in_context = InContextExamples(POOL, label_set(), shown, purpose="training", sampling="fixed", seed=1)
    return tokenizer, training_sequences(POOL, in_context, builder)


@pytest.mark.parametrize(
    ("chat", "prompt_end", "answer", "end"),
    [(False, "\nLabel:", " {}", "<|endoftext|>"), (True, "<|im_start|>assistant\n", "{}", "<|im_end|>")],
    ids=["plain", "chat"],
)
@pytest.mark.parametrize("shown", [0, 1])
def test_the_labels_are_the_answer_and_its_end_of_turn(
    chat: bool, prompt_end: str, answer: str, end: str, shown: int
) -> None:
    tokenizer, made = sequences(chat=chat, shown=shown)
    assert len(made) == len(POOL)
    for example, sequence in zip(POOL, made, strict=True):
        labels = loss_labels(sequence)
        assert len(labels) == len(sequence.ids)
        trained = [label for label in labels if label != IGNORED]
        assert tokenizer.decode(trained) == answer.format(LABELS[example.label or 0]) + end
        prompt = [token for token, label in zip(sequence.ids, labels, strict=True) if label == IGNORED]
        assert tokenizer.decode(prompt).endswith(prompt_end)
        assert f"text {example.row}" in tokenizer.decode(prompt)
        assert [IGNORED] * len(prompt) + trained == labels, "the answer isn't one stretch at the end"


def test_the_whole_sequence_is_in_the_loss_where_it_is_asked_for() -> None:
    sequence = TrainingSequence([5, 6, 7, 8], 3)
    assert loss_labels(sequence) == [IGNORED, IGNORED, IGNORED, 8]
    assert loss_labels(sequence, answers_only=False) == [IGNORED, 6, 7, 8]


def test_the_first_token_is_never_in_the_loss_because_nothing_predicts_it() -> None:
    assert loss_labels(TrainingSequence([5, 6], 0)) == [IGNORED, 6]


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_a_limit_never_cuts_an_answer(chat: bool) -> None:
    _, whole = sequences(chat=chat, shown=2)
    _, bare = sequences(chat=chat)
    longest, shortest = max(len(s.ids) for s in whole), max(len(s.ids) for s in bare)
    assert longest > shortest + 50
    for limit in (longest - 1, (longest + shortest) // 2, shortest, shortest - 4):
        _, cut = sequences(chat=chat, shown=2, limit=limit)
        assert max(len(s.ids) for s in cut) <= limit
        assert [s.ids[s.n_prompt :] for s in cut] == [s.ids[s.n_prompt :] for s in whole]


def test_an_empty_pool_is_refused() -> None:
    with pytest.raises(TrainingError, match="no row to train on"):
        training_sequences([], None, None)  # type: ignore[arg-type]


def test_the_data_set_holds_ids_and_labels_and_nothing_else() -> None:
    made = as_dataset([LabelledIds([5, 6, 7], [IGNORED, 6, 7]), LabelledIds([8, 9], [IGNORED, 9])])
    assert made.to_dict() == {"input_ids": [[5, 6, 7], [8, 9]], "labels": [[IGNORED, 6, 7], [IGNORED, 9]]}

"""Metrics of generated texts against published examples, hand-computed values and second implementations."""

from __future__ import annotations

import json
import logging
import os
import re
import string
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sft.errors import ModelError
from sft.evaluation.metrics import compute_metrics
from sft.evaluation.outcome import GenerationOutcome

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
ASSETS = Path(__file__).resolve().parents[3] / os.environ.get("SFT_TEST_ASSETS", "../shared")

first_call_imports = settings(deadline=None)  # the first example waits for sacreBLEU and rouge_score
answers = st.text(st.sampled_from("aAbT tehn .,-$`é\n"), max_size=25)
answer_rows = st.lists(st.tuples(answers, st.lists(answers, min_size=1, max_size=3)), min_size=1, max_size=5)


def results_of(
    predictions: Sequence[str], references: Sequence[Sequence[str]], *names: str, **arguments: Any
) -> dict[str, Any]:
    outcome = GenerationOutcome([list(texts) for texts in references], list(predictions))
    return compute_metrics(outcome, names or None, arguments)


@pytest.fixture(scope="module")
def byte_level_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a byte-level tokenizer that knows `Paris` and `ĠParis` as two tokens, as GPT-2's does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1000, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["Paris is in Paris", "in Paris is Paris", "is in", "the the"] * 5, trainer)
    folder = tmp_path_factory.mktemp("byte_level_tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return str(folder)


# --- exact match and token F1


def official_words(text: str) -> list[str]:
    """SQuAD's `normalize_answer`, from its description: lower, drop ASCII punctuation, drop articles, split."""
    lowered = text.lower().translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", lowered).split()


def official_f1(prediction: str, reference: str) -> float:
    """SQuAD 2.0's `compute_f1`, through precision and recall."""
    guess, truth = official_words(prediction), official_words(reference)
    if not guess or not truth:
        return float(guess == truth)
    shared = sum(min(guess.count(word), truth.count(word)) for word in set(guess))
    if shared == 0:
        return 0.0
    precision, recall = shared / len(guess), shared / len(truth)
    return 2 * precision * recall / (precision + recall)


LEVIS = [  # SQuAD 1.1 dev, question 56be4db0acb8001400a502ee: "Where did Super Bowl 50 take place?"
    "Santa Clara, California",
    "Levi's Stadium",
    "Levi's Stadium in the San Francisco Bay Area at Santa Clara, California.",
]


@pytest.mark.parametrize(
    ("prediction", "references", "exact", "f1"),
    [
        ("the Denver Broncos!", ["Denver Broncos", "Denver Broncos", "Denver Broncos"], 1.0, 1.0),
        ("santa clara california", LEVIS, 1.0, 1.0),
        ("LEVIS STADIUM", LEVIS, 1.0, 1.0),
        ("Stadium in Santa Clara, California", LEVIS, 0.0, 3 * 2 / (5 + 3)),
        ("San Francisco", LEVIS, 0.0, 2 * 2 / (2 + 11)),
        ("Oakland", LEVIS, 0.0, 0.0),
        ("", LEVIS, 0.0, 0.0),
        ("", [""], 1.0, 1.0),
        ("The.", [""], 1.0, 1.0),
        ("x x x", ["x"], 0.0, 2 * 1 / (3 + 1)),
        ("An apple, a pear", ["the apple pear"], 1.0, 1.0),
    ],
)
def test_answers_to_squad_questions_score_as_computed_by_hand(
    prediction: str, references: list[str], exact: float, f1: float
) -> None:
    results = results_of([prediction], [references], "exact_match", "token_f1")
    assert results == {"exact_match": exact, "token_f1": pytest.approx(f1)}


@given(answer_rows)
def test_exact_match_and_token_f1_equal_the_official_script_on_texts_without_unicode_punctuation(
    rows: list[tuple[str, list[str]]],
) -> None:
    results = results_of([guess for guess, _ in rows], [truths for _, truths in rows], "exact_match", "token_f1")
    hits = [max(official_words(guess) == official_words(truth) for truth in truths) for guess, truths in rows]
    f1 = [max(official_f1(guess, truth) for truth in truths) for guess, truths in rows]
    assert results["exact_match"] == pytest.approx(sum(hits) / len(rows))
    assert results["token_f1"] == pytest.approx(sum(f1) / len(rows))


@pytest.mark.parametrize(
    ("prediction", "reference", "exact"),
    [
        ("¿Qué?", "qué", 1.0),
        ("«Москва»", "москва", 1.0),
        ("ما هو؟", "ما هو", 1.0),
        ("北京。", "北京", 1.0),
        ("el gato", "gato", 0.0),  # articles of other languages stay
        ("a Madrid", "Madrid", 1.0),  # and Spanish "a" looks like the English one
        ("C++", "C", 1.0),  # ASCII symbols go, as in the official script
        ("5 €", "5", 0.0),  # other symbols stay
    ],
)
def test_unicode_punctuation_is_ignored_and_only_english_articles_are(
    prediction: str, reference: str, exact: float
) -> None:
    assert results_of([prediction], [[reference]], "exact_match")["exact_match"] == exact


# --- BLEU and chrF

SACREBLEU_README = (  # https://github.com/mjpost/sacrebleu, "Using sacreBLEU from Python": 48.53 and 59.73
    ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."],
    [
        ["The dog bit the man.", "The dog had bit the man."],
        ["It was not unexpected.", "No one was surprised."],
        ["The man bit him first.", "The man had bitten the dog."],
    ],
)


def test_bleu_and_chrf_of_sacrebleus_own_example_are_as_published() -> None:
    results = results_of(*SACREBLEU_README, "bleu", "chrf")
    assert results["bleu"] == pytest.approx(48.53, abs=0.005)
    assert results["chrf"] == pytest.approx(59.73, abs=0.005)
    assert re.fullmatch(r"nrefs:2\|case:mixed\|eff:no\|tok:13a\|smooth:exp\|version:.+", results["bleu_signature"])
    assert re.fullmatch(r"nrefs:2\|case:mixed\|eff:yes\|nc:6\|nw:0\|space:no\|version:.+", results["chrf_signature"])


def test_bleu_clips_counts_over_all_references_of_a_row() -> None:
    # Papineni et al. 2002: two of seven unigrams; the higher orders have no hit: 1/2, 1/4, 1/8 of one each (smooth:exp)
    references = ["the cat is on the mat", "there is a cat on the mat"]
    results = results_of(["the the the the the the the"], [references], "bleu")
    assert results["bleu"] == pytest.approx(100 * (2 / 7 * 1 / (2 * 6) * 1 / (4 * 5) * 1 / (8 * 4)) ** (1 / 4))


def chrf_by_hand(prediction: str, reference: str) -> float:
    """chrF2 of one text (Popović 2015): mean precision and recall over the orders that both texts have."""
    precisions, recalls = [], []
    for n in range(1, 7):
        guess, truth = (
            Counter(text[i : i + n] for i in range(len(text) - n + 1))
            for text in (prediction.replace(" ", ""), reference.replace(" ", ""))
        )
        if guess and truth:
            shared = sum((guess & truth).values())
            precisions.append(shared / sum(guess.values()))
            recalls.append(shared / sum(truth.values()))
    if sum(precisions) == 0:
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return 100 * 5 * precision * recall / (4 * precision + recall)


@first_call_imports
@given(st.text("ab ü", max_size=12), st.text("ab ü", max_size=12))
def test_chrf_equals_a_second_implementation(prediction: str, reference: str) -> None:
    expected = chrf_by_hand(prediction, reference)
    assert results_of([prediction], [[reference]], "chrf")["chrf"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["bleu", "chrf"])
@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_rows_may_have_different_numbers_of_references(name: str, order: slice) -> None:
    predictions = ["the dog bit the man", "no one was really surprised", "it rained all day long"]
    references = [["quite another text", predictions[0]], [predictions[1]], ["1 2", "3 4 5", predictions[2]]]
    results = results_of(predictions[order], references[order], name)
    assert results[name] == pytest.approx(100)
    assert results[f"{name}_signature"].startswith("nrefs:var|")


def test_a_hundred_tokenized_sentences_draw_no_warning_from_sacrebleu(
    byte_level_tokenizer: str, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ["Paris is in Paris ."] * 120
    results = results_of(texts, [[text] for text in texts], "bleu", tokenizer_name=byte_level_tokenizer)
    assert results["bleu"] == pytest.approx(100)
    assert not caplog.records


def test_the_signature_of_bleu_names_the_tokenizer(byte_level_tokenizer: str) -> None:
    results = results_of(["Paris"], [["Paris"]], "bleu", tokenizer_name=byte_level_tokenizer)
    assert f"|tok:{byte_level_tokenizer}|" in results["bleu_signature"]


# --- ROUGE


@pytest.mark.parametrize(
    ("prediction", "rouge1", "rouge2", "rouge_l"),
    [("police kill the gunman", 3 / 4, 1 / 3, 3 / 4), ("the gunman kill police", 3 / 4, 1 / 3, 2 / 4)],
)
def test_rouge_of_lins_example_is_as_published(prediction: str, rouge1: float, rouge2: float, rouge_l: float) -> None:
    results = results_of([prediction], [["police killed the gunman"]], "rouge")
    assert results == pytest.approx({"rouge1": rouge1, "rouge2": rouge2, "rougeL": rouge_l, "rougeLsum": rouge_l})


def test_the_stemmer_makes_kill_and_killed_one_word() -> None:
    texts = (["police kill the gunman"], [["police killed the gunman"]])
    assert results_of(*texts, "rouge", use_stemmer=True) == dict.fromkeys(ROUGE, 1.0)


def test_rouge_lsum_takes_the_union_over_lines_as_in_lins_example() -> None:
    # Lin 2004, 3.2: reference w1..w5; the union of both lines' LCS is w1 w2 w3 w5
    results = results_of(["w1 w3 w8 w9 w5\nw1 w2 w6 w7 w8"], [["w1 w2 w3 w4 w5"]], "rouge")
    assert results["rougeLsum"] == pytest.approx(2 * 4 / (10 + 5))
    assert results["rougeL"] == pytest.approx(2 * 3 / (10 + 5))


def test_each_rouge_takes_its_best_reference_of_each_row() -> None:
    results = results_of(["a b c d", "x"], [["d c b a", "a b", "none"], ["y"]], "rouge")
    assert results["rouge1"] == pytest.approx((1.0 + 0) / 2)  # d c b a
    assert results["rouge2"] == pytest.approx((2 * 1 / (3 + 1) + 0) / 2)  # a b
    assert results["rougeL"] == pytest.approx((2 * 2 / (4 + 2) + 0) / 2)  # a b


def test_a_word_is_the_same_token_at_the_start_and_inside_of_a_text(byte_level_tokenizer: str) -> None:
    from transformers import AutoTokenizer

    plain = AutoTokenizer.from_pretrained(byte_level_tokenizer)
    assert plain.tokenize("Paris") == ["Paris"]
    assert plain.tokenize("in Paris") == ["in", "ĠParis"], "the tokenizer has the quirk that the test is about"
    results = results_of(["Paris"], [["in Paris"]], "rouge", tokenizer_name=byte_level_tokenizer)
    assert results["rouge1"] == pytest.approx(2 / 3)


def test_a_stemmer_beside_a_tokenizer_is_said_to_have_no_effect(
    byte_level_tokenizer: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "sft"):
        results_of(["Paris"], [["Paris"]], "rouge", tokenizer_name=byte_level_tokenizer, use_stemmer=True)
    assert "use_stemmer has no effect" in caplog.text


def test_rows_that_rouge_cannot_read_are_counted_in_a_warning(
    byte_level_tokenizer: str, caplog: pytest.LogCaptureFixture
) -> None:
    references = [["باريس"], ["باريس", "Paris"], ["42"], ["،"], ["北京", "北京市"]]
    with caplog.at_level(logging.WARNING, "sft"):
        results_of(["x"] * 5, references, "rouge", tokenizer_name=byte_level_tokenizer)
        assert caplog.text == ""
        results_of(["x"] * 5, references, "rouge")
    assert "the references of 2 of 5 rows have none" in caplog.text


@pytest.mark.skipif(not (ASSETS / "data/xquad_ar").is_dir(), reason=f"no Arabic data set under {ASSETS}")
def test_identical_arabic_texts_need_a_tokenizer_for_their_rouge() -> None:
    lines = (ASSETS / "data/xquad_ar/test.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in lines]
    arabic = [text for text in questions if not re.search("[a-zA-Z0-9]", text)][:50]
    assert len(arabic) == 50
    references = [[text] for text in arabic]
    assert results_of(arabic, references, "rouge") == dict.fromkeys(ROUGE, 0.0)
    tokenizer_name = str(ASSETS / "tokenizers/qwen3")
    results = results_of(arabic, references, "rouge", "bleu", tokenizer_name=tokenizer_name)
    assert {kind: results[kind] for kind in ROUGE} == dict.fromkeys(ROUGE, 1.0)
    assert results["bleu"] == pytest.approx(100)
    other = [*references[1:], references[0]]  # of another question, with which a few words are shared
    assert results_of(arabic, other, "rouge") == dict.fromkeys(ROUGE, 0.0)
    assert 0 < results_of(arabic, other, "rouge", tokenizer_name=tokenizer_name)["rouge1"] < 0.5


@pytest.mark.skipif(not (ASSETS / "tokenizers/qwen3").is_dir(), reason=f"no tokenizer under {ASSETS}")
def test_chinese_words_are_those_of_the_tokenizer() -> None:
    """rouge_score sees no word in Chinese; a tokenizer's tokens can be counted by hand."""
    from transformers import AutoTokenizer

    name = str(ASSETS / "tokenizers/qwen3")
    prediction, reference = "今天天气很好，我们去公园散步", "我们去公园散步，今天天气很好"
    assert results_of([prediction], [[reference]], "rouge") == dict.fromkeys(ROUGE, 0.0)
    tokenizer = AutoTokenizer.from_pretrained(name)
    guess, truth = tokenizer.tokenize(prediction), tokenizer.tokenize(reference)
    shared = sum((Counter(guess) & Counter(truth)).values())
    results = results_of([prediction], [[reference]], "rouge", tokenizer_name=name)
    assert shared > 2
    assert results["rouge1"] == pytest.approx(2 * shared / (len(guess) + len(truth)))
    assert results["rougeL"] < results["rouge1"]


# --- all of them


@pytest.mark.parametrize("content", ["nothing", "an empty folder", "a broken tokenizer.json"])
@pytest.mark.parametrize("name", ["bleu", "rouge"])
def test_a_tokenizer_that_cannot_be_loaded_is_named_with_what_to_do(name: str, content: str, tmp_path: Path) -> None:
    folder = tmp_path / content.replace(" ", "_")
    if content != "nothing":
        folder.mkdir()
    if content == "a broken tokenizer.json":
        (folder / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"evaluation\.tokenizer_name: can't load") as caught:
        results_of(["x"], [["x"]], name, tokenizer_name=str(folder))
    assert str(folder) in caught.value.message
    assert caught.value.hint


def test_empty_predictions_score_0_and_crash_nothing() -> None:
    results = results_of(["", ""], [["some text"], ["another", "text"]])
    numbers = [value for value in results.values() if not isinstance(value, str)]
    assert len(numbers) == 8
    assert numbers == [0.0] * 8


@first_call_imports
@given(answer_rows, st.randoms())
def test_no_score_but_chrf_depends_on_the_order_of_references(rows: list[tuple[str, list[str]]], random: Any) -> None:
    # chrF sums the counts of each row's best reference, and of two equally good ones sacreBLEU takes the first
    names = ("exact_match", "token_f1", "bleu", "rouge")
    predictions = [guess for guess, _ in rows]
    before = results_of(predictions, [truths for _, truths in rows], *names)
    after = results_of(predictions, [random.sample(truths, len(truths)) for _, truths in rows], *names)
    assert after == pytest.approx(before)


@first_call_imports
@given(st.lists(st.lists(st.text("abcxyz", min_size=1), min_size=4, max_size=9).map(" ".join), min_size=1, max_size=4))
def test_texts_that_equal_a_reference_score_the_maximum(texts: list[str]) -> None:
    results = results_of(texts, [["other", text] for text in texts])
    assert (results["bleu"], results["chrf"]) == pytest.approx((100, 100))
    assert results["exact_match"] == results["token_f1"] == 1.0
    assert {kind: results[kind] for kind in ROUGE} == pytest.approx(dict.fromkeys(ROUGE, 1.0))

"""Calibration in a run: what the record says and what predictions rest on, from scores computed apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sft.errors import DataError, ModelError, PromptError, SftError
from sft.label_scores import LabelScores
from sft.pipeline.endpoints import Run, evaluate, run_experiment, start
from sft.pipeline.predict import predict
from sft.pipeline.support import ALWAYS_STORED, support_prompts
from sft.prompting.build import LabelPrompt
from sft.records import read_items, read_support
from tests.fakes import LABELS, labelled_rows, write_jsonl
from tests.integration.test_in_context import prompt, scores_of
from tests.scorer_spy import spy_on_scoring
from tests.tiny_runs import tiny_run

TRAIN = labelled_rows(4, prefix="known ")
TEST = labelled_rows(3, prefix="unseen ")
LENGTHS = np.array([len(label) for label in LABELS])


def softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def run_with(folder: Path, method: str | None, args: dict[str, Any] | None = None, **inference: Any) -> Run:
    sections = {name: inference.pop(name) for name in ("dataset", "prompting") if name in inference}
    if method is not None:
        inference["calibration"] = {"method": method, "args": args or {}}
    prompting = {"instruction": "Say which.", **sections.pop("prompting", {})}
    config = tiny_run(folder, train=TRAIN, test=TEST, prompting=prompting, inference=inference, **sections)
    return evaluate(config, folder / "results")


def own_scores(run: Run, texts: list[str]) -> np.ndarray:
    """Scores of inputs in the zero-shot prompt."""
    return scores_of(run.record.model["base"], [prompt((), text) for text in texts])


def scores_of_test_rows(run: Run) -> np.ndarray:
    return own_scores(run, [row["text"] for row in TEST])


def stored(run: Run, kind: str) -> list[dict[str, Any]]:
    return [item for item in read_support(run.folder) if item["kind"] == kind]


def check(run: Run, expected: np.ndarray, *, changes_predictions: bool = True) -> None:
    """Items show uncalibrated scores and calibrated probabilities, on which predictions rest."""
    items = read_items(run.folder)
    np.testing.assert_allclose([item["probabilities"] for item in items], expected, atol=2e-5)
    predictions = [LABELS[i] for i in expected.argmax(axis=1)]
    assert [item["prediction"] for item in items] == predictions
    uncalibrated = np.array([item["scores"] for item in items])
    np.testing.assert_allclose(uncalibrated, scores_of_test_rows(run), atol=1e-4)
    changed = [LABELS[i] for i in uncalibrated.argmax(axis=1)] != predictions
    assert changed is changes_predictions
    hits = [item["reference"] == prediction for item, prediction in zip(items, predictions, strict=True)]
    assert run.record.results["accuracy"] == pytest.approx(sum(hits) / len(hits))


def test_every_run_stores_scores_of_inputs_without_content(tmp_path: Path) -> None:
    run = run_with(tmp_path, None)
    texts = [item["inputs"]["text"] for item in stored(run, "content_free")]
    assert texts == ["N/A", "", "[MASK]"]
    words = [item["inputs"]["text"] for item in stored(run, "random_words")]
    assert len(words) == 20
    assert len(stored(run, "premise")) == 1
    assert stored(run, "shot") == []
    want = own_scores(run, [*texts, *words, ""])
    np.testing.assert_allclose([item["scores"] for item in read_support(run.folder)], want, atol=1e-4)
    assert run.record.inference["support"]["inputs"] == {"content_free": 3, "random_words": 20, "premise": 1}
    assert run.record.inference["calibration"] is None
    check(run, softmax(scores_of_test_rows(run)), changes_predictions=False)


def test_contextual_calibration_scores_content_free_inputs_in_the_runs_own_prompt(tmp_path: Path) -> None:
    run = run_with(tmp_path, "contextual")
    prior = np.exp(own_scores(run, ["N/A", "", "[MASK]"])).mean(axis=0)
    check(run, softmax(scores_of_test_rows(run) - np.log(prior / prior.sum())))
    assert run.record.inference["calibration"] == {
        "method": "contextual",
        "args": {},
        "transductive": False,
        "fitted": {},
        "labelled_inputs": 0,
        "unlabelled_inputs": {},
        "warnings": [],
    }


def test_the_configs_own_content_free_inputs_are_used(tmp_path: Path) -> None:
    run = run_with(tmp_path, "contextual", {"content_free_inputs": ["nothing"]})
    check(run, softmax(scores_of_test_rows(run) - own_scores(run, ["nothing"])))
    assert [item["inputs"]["text"] for item in stored(run, "content_free")] == ["nothing", "N/A", "", "[MASK]"]


def test_domain_calibration_divides_by_the_mean_of_random_training_words(tmp_path: Path) -> None:
    run = run_with(tmp_path, "domain", {"samples": 7})
    words = [item["inputs"]["text"] for item in stored(run, "random_words")]
    check(run, softmax(scores_of_test_rows(run) - np.log(softmax(own_scores(run, words[:7])).mean(axis=0))))
    assert run.record.inference["calibration"]["unlabelled_inputs"] == {"words_of_training_rows": 7}
    assert run.record.inference["support"]["training_rows_for_random_words"] == len(TRAIN)


def test_random_words_never_come_from_test_rows(tmp_path: Path) -> None:
    run = run_with(tmp_path, None)
    words = {word for item in stored(run, "random_words") for word in item["inputs"]["text"].split()}
    assert words <= {word for row in TRAIN for word in row["text"].split()}
    assert "unseen" not in words


def test_batch_calibration_removes_the_mean_over_the_test_rows(tmp_path: Path) -> None:
    run = run_with(tmp_path, "batch")
    logs = np.log(softmax(scores_of_test_rows(run)))
    check(run, softmax(logs - logs.mean(axis=0)))
    assert run.record.inference["calibration"]["transductive"] is True
    assert run.record.inference["calibration"]["unlabelled_inputs"] == {"test_rows": len(TEST)}


def test_batch_calibration_on_a_file_removes_the_mean_over_the_file(tmp_path: Path) -> None:
    texts = ["something else", "أهلا 😀", "known message"]
    path = write_jsonl(tmp_path / "more.jsonl", [{"text": text, "id": i} for i, text in enumerate(texts)])
    run = run_with(tmp_path, "batch", {"estimate_on": "unlabelled", "unlabelled_path": str(path)})
    bias = np.log(softmax(own_scores(run, texts))).mean(axis=0)
    check(run, softmax(scores_of_test_rows(run) - bias))
    assert [(item["row"], item["inputs"]["text"]) for item in stored(run, "unlabelled")] == list(enumerate(texts))
    assert run.record.inference["calibration"]["transductive"] is False
    assert run.record.inference["calibration"]["unlabelled_inputs"] == {"rows_of_a_file": 3}
    write_jsonl(path, [{"text": "other"}, {"text": "texts"}])
    again = run_with(tmp_path, "batch", {"estimate_on": "unlabelled", "unlabelled_path": str(path)})
    assert again.record.run_id != run.record.run_id, "another file is another run"


@pytest.mark.parametrize("method", ["batch", "batch_adjustable"])
@pytest.mark.parametrize(
    ("args", "dataset", "message"),
    [
        ({}, {"max_n_test": 1}, "needs several rows .*got 1 test rows"),
        ({"estimate_on": "unlabelled"}, {}, "needs several rows .*got 1 rows of unlabelled_path"),
    ],
    ids=["test", "file"],
)
def test_one_row_to_estimate_a_bias_on_is_refused_before_the_model_is_loaded(
    args: dict[str, Any], dataset: dict[str, Any], message: str, method: str, tmp_path: Path
) -> None:
    if args:
        args = {**args, "unlabelled_path": str(write_jsonl(tmp_path / "one.jsonl", [{"text": "alone"}]))}
    config = tiny_run(
        tmp_path,
        model={"name": "nobody/no-such-model"},
        dataset=dataset,
        inference={"calibration": {"method": method, "args": args}},
    )
    for attempt in (
        lambda: evaluate(config, tmp_path / "results"),
        lambda: run_experiment(config, tmp_path / "results"),
        lambda: predict(config, tmp_path / "predictions.tsv"),
    ):
        with pytest.raises(SftError, match=message):
            attempt()


def test_predicting_one_row_of_many_test_rows_is_refused_and_many_of_one_are_not(tmp_path: Path) -> None:
    """The rows that are answered count, whatever the data set's test split holds."""
    many = str(write_jsonl(tmp_path / "many.jsonl", [{"text": f"some {i}"} for i in range(3)]))
    one = str(write_jsonl(tmp_path / "one.jsonl", [{"text": "alone"}]))
    batch = {"calibration": {"method": "batch"}}
    gone = tiny_run(tmp_path, model={"name": "nobody/no-such-model"}, inference=batch)
    with pytest.raises(SftError, match="got 1 test rows"):
        predict(gone, tmp_path / "predictions.tsv", input_path=one)
    config = tiny_run(tmp_path, dataset={"max_n_test": 1}, inference=batch)
    assert predict(config, tmp_path / "predictions.tsv", input_path=many).exists()


@pytest.mark.parametrize(("name", "message"), [("nowhere.jsonl", "no file or folder"), ("data", "is not a file")])
def test_a_file_that_is_not_there_is_told_before_the_model_is_loaded(name: str, message: str, tmp_path: Path) -> None:
    args = {"estimate_on": "unlabelled", "unlabelled_path": str(tmp_path / name)}
    calibration = {"method": "batch", "args": args}
    config = tiny_run(tmp_path, model={"name": "nobody/no-such-model"}, inference={"calibration": calibration})
    with pytest.raises(SftError, match=f"unlabelled_path.*{message}"):
        evaluate(config, tmp_path / "results")


def test_pmi_subtracts_the_scores_after_empty_inputs(tmp_path: Path) -> None:
    run = run_with(tmp_path, None, score_normalization="pmi")
    check(run, softmax(scores_of_test_rows(run) - own_scores(run, [""])))
    assert run.record.inference["score_normalization"] == "pmi"


def test_pmi_subtracts_the_scores_after_a_premise_that_is_the_whole_prompt(tmp_path: Path) -> None:
    run = run_with(tmp_path, None, score_normalization="pmi", pmi_premise="The label is:")
    check(run, softmax(scores_of_test_rows(run) - scores_of(run.record.model["base"], ["The label is:"])))
    assert stored(run, "premise")[0]["prompt"] == "The label is:"


def test_a_premise_without_words_is_refused_with_a_fix_that_helps(tmp_path: Path) -> None:
    """The premise is the whole prompt: an instruction or another template would change nothing."""
    with pytest.raises(PromptError, match=r"inference\.pmi_premise is ''") as caught:
        run_with(tmp_path, None, score_normalization="pmi", pmi_premise="")
    assert "set it to null" in (caught.value.hint or "")
    assert stored(run_with(tmp_path, None, pmi_premise=""), "premise") == [], "nobody needs it"
    run_with(tmp_path, None, score_normalization="pmi", pmi_premise="Label:")
    run_with(tmp_path, None, score_normalization="pmi")


def test_in_context_examples_come_before_inputs_without_content_too(tmp_path: Path) -> None:
    run = run_with(tmp_path, None, icl_examples=1, score_normalization="pmi", dataset={"shots": 1})
    pool = [TRAIN[i] for i in run.record.data["pool_row_numbers"]]
    (premise,) = stored(run, "premise")
    fits = 0
    for order in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]):
        shown = tuple(pool[i] for i in order)
        want = scores_of(run.record.model["base"], [prompt(shown, text) for text in ("", TEST[0]["text"])])
        have = [premise["scores"], read_items(run.folder)[0]["scores"]]
        fits += bool(np.abs(want - have).max() < 1e-4)
    assert fits == 1, "the premise doesn't follow the examples of the test rows"


@pytest.mark.parametrize("name", ["tokens", "characters", "bytes"])
def test_length_normalisations_divide_by_the_length_of_the_label(name: str, tmp_path: Path) -> None:
    """For the byte tokenizer tokens, bytes and characters differ by the space before the label alone."""
    run = run_with(tmp_path, None, score_normalization=name)
    lengths = LENGTHS + (name == "tokens")
    check(run, softmax(scores_of_test_rows(run) / lengths), changes_predictions=name != "none")


def test_calibrated_tokens_divide_by_content_free_inputs_of_the_same_length(tmp_path: Path) -> None:
    run = run_with(tmp_path, None, score_normalization="calibrated_tokens")
    content_free = np.exp(own_scores(run, ["N/A", "", "[MASK]"]) / (LENGTHS + 1)).mean(axis=0)
    check(run, softmax(scores_of_test_rows(run) / (LENGTHS + 1) - np.log(content_free)))


def test_what_a_calibration_sees_is_normalised_like_the_test_rows(tmp_path: Path) -> None:
    run = run_with(tmp_path, "domain", score_normalization="characters")
    words = [item["inputs"]["text"] for item in stored(run, "random_words")]
    prior = softmax(own_scores(run, words) / LENGTHS).mean(axis=0)
    check(run, softmax(scores_of_test_rows(run) / LENGTHS - np.log(prior)))


def test_a_prior_per_prompt_follows_every_rows_own_examples(tmp_path: Path) -> None:
    """With one example per prompt, which of the pool's rows it is can be told from the row's own scores."""
    config = tiny_run(
        tmp_path,
        train=TRAIN,
        test=TEST,
        dataset={"shots": 2},
        prompting={"instruction": "Say which.", "icl_sampling": "per_prompt"},
        inference={
            "icl_examples": 1,
            "calibration": {"method": "contextual", "args": {"prior": "per_prompt", "content_free_inputs": ["N/A"]}},
        },
    )
    run = evaluate(config, tmp_path / "results")
    per_prompt = {item["test_row"]: item for item in stored(run, "content_free") if "test_row" in item}
    items = read_items(run.folder)
    assert sorted(per_prompt) == [item["row"] for item in items]
    assert len({tuple(item["scores"]) for item in per_prompt.values()}) > 1, "all rows have the same prior"
    scores, priors = (
        np.array([one["scores"] for one in ones]) for ones in (items, [per_prompt[i["row"]] for i in items])
    )
    np.testing.assert_allclose([item["probabilities"] for item in items], softmax(scores - priors), atol=2e-6)
    prepared = start(config, tmp_path / "other", trains=False).prepared
    shown = prepared.inference_examples()
    for example in prepared.test[:3]:
        before = tuple({"text": e.inputs["text"], "label": LABELS[e.label or 0]} for e in shown.for_query(example))
        want = scores_of(run.record.model["base"], [prompt(before, "N/A")])
        np.testing.assert_allclose([per_prompt[example.row]["scores"]], want, atol=1e-4)


def test_everything_is_scored_in_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scorer that shares common beginnings finds them within a call."""
    calls = spy_on_scoring(monkeypatch)
    run_with(tmp_path, "temperature", score_normalization="pmi", dataset={"shots": 2})
    assert [len(prompts) for prompts in calls] == [len(TEST) + 3 + 20 + 1 + 6]


def test_a_label_without_a_space_before_it_is_calibrated_alike(tmp_path: Path) -> None:
    """The answer follows the template verbatim, in a script that writes no spaces."""
    names = dict(zip(LABELS, ["坏", "一般", "很好"], strict=True))
    run = run_with(
        tmp_path,
        "domain",
        score_normalization="bytes",
        dataset={"labels": names},
        prompting={"instruction": "", "template": "评论：{text}\n评价：", "format": "plain"},
    )
    scores = np.array([item["scores"] for item in read_items(run.folder)]) / [3, 6, 6]
    words = np.array([item["scores"] for item in stored(run, "random_words")]) / [3, 6, 6]
    want = softmax(scores - np.log(softmax(words).mean(axis=0)))
    np.testing.assert_allclose([item["probabilities"] for item in read_items(run.folder)], want, atol=2e-6)
    assert all(item["token_counts"] == [3, 6, 6] for item in read_support(run.folder))


def test_an_input_that_nobody_needs_and_that_cannot_be_scored_is_left_out(tmp_path: Path) -> None:
    """A template that begins with the input, and a tokenizer that joins what follows with the label."""
    prepared = start(tiny_run(tmp_path), tmp_path / "results", trains=False).prepared

    class Builder:
        def label_prompt(self, example: Any, shown: Any) -> LabelPrompt:
            return LabelPrompt([1] if example.inputs["text"] else [], [[2]])

    def made(needed: Any) -> int:
        shown = prepared.inference_examples()
        return len(support_prompts(prepared, Builder(), [], shown, needed=needed, also=[ALWAYS_STORED]))  # type: ignore[arg-type]

    assert made([]) == 2 + 20, "the empty input and the premise are left out"
    assert made([ALWAYS_STORED]) == 3 + 20 + 1, "the scorer will say why it can't score them"


def test_only_shots_are_scored_with_their_labels(tmp_path: Path) -> None:
    run = run_with(tmp_path, "temperature", dataset={"shots": 2})
    shots = stored(run, "shot")
    assert [item["row"] for item in shots] == run.record.data["pool_row_numbers"]
    assert [(item["inputs"]["text"], item["reference"]) for item in shots] == [
        (TRAIN[item["row"]]["text"], TRAIN[item["row"]]["label"]) for item in shots
    ]
    assert run.record.counts["label_budget"] == dict.fromkeys(LABELS, 2)
    assert run.record.inference["calibration"]["labelled_inputs"] == 6


# (section inference, how many prompts it needs beside those of the test rows)
NEEDED: list[tuple[dict[str, Any], int]] = [
    ({}, 0),
    ({"score_normalization": "tokens", "calibration": {"method": "batch"}}, 0),
    ({"score_normalization": "pmi"}, 1),
    ({"calibration": {"method": "domain", "args": {"samples": 4}}}, 4),
    ({"score_normalization": "calibrated_tokens", "calibration": {"method": "contextual"}}, 3),
    ({"calibration": {"method": "contextual", "args": {"prior": "per_prompt"}}}, 3 * len(TEST)),
    ({"calibration": {"method": "temperature"}}, 6),
]


@pytest.mark.parametrize(("inference", "extra"), NEEDED, ids=str)
def test_predict_scores_only_what_its_config_needs(
    inference: dict[str, Any], extra: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = spy_on_scoring(monkeypatch)
    config = tiny_run(tmp_path, train=TRAIN, test=TEST, dataset={"shots": 2}, inference=inference)
    predict(config, tmp_path / "predictions.tsv")
    assert [len(prompts) for prompts in calls] == [len(TEST) + extra]


def test_a_run_that_dies_before_its_record_leaves_a_whole_file_of_scores_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = []
    replace = Path.replace

    def dies_at_the_record(self: Path, target: Path) -> Path:
        if target.name == "record.json":
            raise KeyboardInterrupt
        renamed.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dies_at_the_record)
    with pytest.raises(KeyboardInterrupt):
        run_with(tmp_path, None)
    assert renamed[0] == "made_with.json"
    assert renamed[-2:] == ["items.jsonl", "support.jsonl"]
    assert all(name.endswith(".npy") for name in renamed[1:-2])
    (folder,) = (tmp_path / "results").iterdir()
    assert len(read_support(folder)) == 24
    assert not (folder / "record.json").exists()


def test_scores_that_leave_nothing_to_compare_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label that is impossible after every input has no calibrated score."""

    def without_the_first_label(scores: LabelScores) -> None:
        scores.log_probs[:, 0] = -np.inf

    spy_on_scoring(monkeypatch, without_the_first_label)
    run = run_with(tmp_path, None)
    assert all(item["probabilities"][0] == 0 for item in read_items(run.folder))
    with pytest.raises(ModelError, match="no numbers"):
        run_with(tmp_path, "contextual")


def test_a_generation_task_stores_no_label_scores(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, inference={"method": "generate", "generation_args": {"max_new_tokens": 2}})
    run = evaluate(config, tmp_path / "results")
    assert sorted(path.name for path in run.folder.iterdir()) == ["items.jsonl", "record.json", "run.log"]
    assert read_support(run.folder) == []


def test_an_unlabelled_file_without_the_columns_is_told(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "more.jsonl", [{"texte": "x"}, {"texte": "y"}])
    with pytest.raises(DataError, match=r"unlabelled_path .*has no column 'text'"):
        run_with(tmp_path, "batch", {"estimate_on": "unlabelled", "unlabelled_path": str(path)})

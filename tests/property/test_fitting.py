"""For any examples, query and limit: what is cut is the least that fits, in the order that is promised."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sft.data.example import Example
from sft.errors import PromptError
from sft.prompting.build import PromptBuilder
from sft.prompting.choose import choose_format
from sft.prompting.encoder import TextEncoder
from tests.fakes import byte_tokenizer, label_set, make_config

TOKENIZER = byte_tokenizer()
ENCODER = TextEncoder(TOKENIZER)
LABELS = label_set(" yes", " certainly not")
PROMPTING = make_config(prompting={"format": "plain", "template": "[{text}] It is", "instruction": "Go."}).prompting
FORMAT = choose_format(TOKENIZER, ENCODER, PROMPTING)
TEXTS = st.text("ab é😀\u064e", max_size=12).map(str.strip)
EXAMPLES = st.lists(st.tuples(TEXTS, st.integers(0, 1)), max_size=4)


def rendered(shown: list[Example], text: str) -> str:
    """The plain format by hand."""
    parts = [f"[{e.inputs['text']}] It is{LABELS.verbalisations[e.label or 0]}\n\n" for e in shown]
    return f"Go.\n\n{''.join(parts)}[{text}] It is"


@settings(deadline=None)
@given(drawn=EXAMPLES, text=TEXTS, label=st.integers(0, 1), limit=st.integers(1, 120))
def test_a_training_sequence_is_the_fullest_that_fits(
    drawn: list[tuple[str, int]], text: str, label: int, limit: int
) -> None:
    shown = [Example(i, {"text": shown_text}, label=of) for i, (shown_text, of) in enumerate(drawn)]
    builder = PromptBuilder(ENCODER, FORMAT, PROMPTING, LABELS, limit)
    answer = LABELS.verbalisations[label]

    def length(first: int, kept: str) -> int:
        return len((rendered(shown[first:], kept) + answer).encode()) + 1

    query = Example(99, {"text": text}, label=label)
    if length(len(shown), "") > limit:
        try:
            builder.training_sequence(query, shown)
        except PromptError:
            return
        raise AssertionError("an impossible limit was accepted")
    ids, n_prompt = builder.training_sequence(query, shown)
    prompt = TOKENIZER.decode(ids[:n_prompt])
    assert len(ids) <= limit
    assert TOKENIZER.decode(ids[n_prompt:-1]) == answer
    assert ids[-1] == FORMAT.eot_id
    first = next((n for n in range(len(shown) + 1) if length(n, text) <= limit), None)
    if first is not None:
        assert prompt == rendered(shown[first:], text)
        assert builder.counts.examples_dropped == first
        assert not builder.counts.prompts_with_shortened_input
    else:
        kept = [text[:end].rstrip() for end in range(len(text)) if prompt == rendered([], text[:end].rstrip())]
        assert kept
        assert builder.counts.prompts_with_shortened_input == 1
        # One more whole character, with the marks on it, would not have fitted.
        longer = [text[:end] for end in range(len(kept[0]) + 1, len(text) + 1) if not text[:end].endswith(" ")]
        following = next((t for t in longer if ENCODER.cut(text, len(t.encode())) == t), text)
        assert length(len(shown), following) > limit

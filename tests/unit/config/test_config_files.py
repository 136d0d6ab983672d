"""Reading JSON and JSONNET: the same values, and the place of a mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sft.config.load import load_config, read_value
from sft.errors import SftError
from tests.fakes import config_value, write_config

# (file name, content, what the message holds beside the file's name)
BROKEN: list[tuple[str, str, str]] = [
    ("trailing comma.json", '{\n  "a": 1,\n}', ":3:1: invalid JSON"),
    ("comment.json", '{\n  // no\n  "a": 1}', ":2:3: invalid JSON"),
    ("empty.json", "", ":1:1: invalid JSON"),
    ("not a number.json", '{"a": NaN}', "NaN is not JSON"),
    ("infinite.json", '{"a": -Infinity}', "-Infinity is not JSON"),
    ("twice.json", '{"a": {"shots": 1, "shots": 2}}', "the key 'shots' is given twice in one object"),
    ("twice.jsonnet", "{\n  shots: 1,\n  shots: 2,\n}", ":3:3-8: duplicate field: shots"),
    ("brace.jsonnet", "{\n  a: 1,\n  b: \n}", ":4:1: unexpected"),
    ("variable.jsonnet", "{\n  a: b,\n}", ":2:6: Unknown variable: b"),
    ("error.jsonnet", "{\n  a: error 'no such thing',\n}", "no such thing"),
    ("import.jsonnet", "{\n  a: import 'missing.libsonnet',\n}", ":2:6-32"),
    ("function.jsonnet", "function(shots) { shots: shots }", "parameter shots not bound"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_a_syntax_error_is_told_with_file_and_place(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SftError) as caught:
        read_value(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_file_and_a_folder_and_wrong_encoding_are_told(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes('{"é": 1}'.encode("latin-1"))
    for name, message in [("none.json", "no such config"), (".", "can't read"), ("latin.json", "can't read")]:
        with pytest.raises(SftError, match=message):
            read_value(tmp_path / name)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "bom.json").write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa9"}')
    assert read_value(tmp_path / "bom.json") == {"a": "é"}


def test_jsonnet_and_json_of_the_same_values_give_the_same_config(tmp_path: Path) -> None:
    plain = write_config(tmp_path / "x.json", config_value(dataset={"shots": 6}))
    (tmp_path / "common.libsonnet").write_text(json.dumps(config_value()), encoding="utf-8")
    functional = tmp_path / "x.jsonnet"
    functional.write_text("local c = import 'common.libsonnet'; c + { dataset+: { shots: 2 * 3 } }", encoding="utf-8")
    assert load_config(functional) == load_config(plain)


def test_a_problem_names_the_file_it_is_in(tmp_path: Path) -> None:
    path = write_config(tmp_path / "wrong.json", config_value(dataset={"shots": -1}))
    with pytest.raises(SftError, match=r"wrong\.json: 1 problem"):
        load_config(path)

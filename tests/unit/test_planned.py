"""What a sweep set out to run is kept, and read back whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from sft.errors import SftError
from sft.planned import Planned, read_plans, write_plan

ONE, TWO = Planned("one", "1" * 12, {"seed": 1}), Planned("two", "2" * 12, {"seed": 2})


def test_plans_of_several_sweeps_are_read_as_one_list(tmp_path: Path) -> None:
    assert read_plans(tmp_path) == []
    first = write_plan(tmp_path, [ONE])
    assert write_plan(tmp_path, [ONE]) == first
    write_plan(tmp_path, [TWO, ONE._replace(name="one again")])
    assert sorted(run.plan_id for run in read_plans(tmp_path)) == [ONE.plan_id, TWO.plan_id]
    assert {run.config["seed"] for run in read_plans(tmp_path)} == {1, 2}


@pytest.mark.parametrize("content", ["{", "[]", '{"runs": [{"name": "x"}]}', '{"runs": 3}'])
def test_a_file_that_is_no_plan_is_named(tmp_path: Path, content: str) -> None:
    path = write_plan(tmp_path, [ONE])
    path.write_text(content)
    with pytest.raises(SftError, match=path.name):
        read_plans(tmp_path)

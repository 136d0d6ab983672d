"""The arguments of a dataclass, read from its source."""

from __future__ import annotations

import ast


def field_names(node: ast.ClassDef) -> frozenset[str]:
    """The fields that the class itself declares and its constructor takes."""
    return frozenset(
        statement.target.id
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and "ClassVar" not in ast.unparse(statement.annotation)
        and not _is_init_false(statement.value)
    )


def _is_init_false(value: ast.expr | None) -> bool:
    """Whether a field is written `field(init=False)`: such a field is no argument."""
    keywords = value.keywords if isinstance(value, ast.Call) else []
    return any(k.arg == "init" and isinstance(k.value, ast.Constant) and k.value.value is False for k in keywords)

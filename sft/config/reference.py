"""The configuration reference: `python -m sft.config.reference` prints docs/configuration.md from the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sft.config.schema import ExperimentConfig

_SECTIONS = ("dataset", "model", "lora", "adapter", "prompting", "training", "inference", "evaluation")


def reference() -> str:
    """Markdown: the hand-written introduction, then one table per section with keys, types, defaults, meanings."""
    schema = ExperimentConfig.model_json_schema()
    definitions = schema["$defs"]
    properties = schema["properties"]
    parts = [(Path(__file__).parent / "reference.md").read_text(encoding="utf-8").rstrip()]
    for name in _SECTIONS:
        parts.append(f"## {name}")
        section = _section(properties[name], definitions)
        if "description" in properties[name]:
            parts.append(properties[name]["description"])
        elif section is not None:
            parts.append(section["description"].split("\n")[0])
        if section is not None:
            parts.append(_table(section, definitions))
    top = {name: value for name, value in properties.items() if name not in _SECTIONS}
    parts += ["## Top level", _table({"properties": top, "required": []}, definitions)]
    return "\n\n".join(parts) + "\n"


def _table(section: dict[str, Any], definitions: dict[str, Any]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, value in section["properties"].items():
        default = "required" if name in section.get("required", []) else _code(value.get("default"))
        if "default" not in value and name not in section.get("required", []):
            default = "`{}`"
        meaning = value.get("description") or _of_section(value, definitions)
        lines.append(f"| `{name}` | {_type(value, definitions)} | {default} | {meaning} |")
    return "\n".join(lines)


def _of_section(value: dict[str, Any], definitions: dict[str, Any]) -> str:
    section = _section(value, definitions)
    if section is None:
        return ""
    keys = "; ".join(f"`{name}`: {item.get('description', '')}" for name, item in section["properties"].items())
    return f"{section['description'].split(chr(10))[0]} {keys}"


def _section(value: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any] | None:
    for option in value.get("anyOf", [value]):
        if "$ref" in option:
            found: dict[str, Any] = definitions[option["$ref"].rsplit("/", 1)[1]]
            return found
    return None


def _type(value: dict[str, Any], definitions: dict[str, Any]) -> str:
    names = {"integer": "integer", "string": "text", "boolean": "true/false", "number": "number", "null": "null"}
    kinds = []
    for option in value.get("anyOf", [value]):
        if "enum" in option:
            kinds += [_code(item) for item in option["enum"]]
        elif "const" in option:
            kinds.append(_code(option["const"]))
        elif option.get("type") == "array":
            kinds.append(f"list of {_type(option.get('items', {}), definitions)}")
        elif "$ref" in option or option.get("type") == "object":
            kinds.append("object")
        else:
            kinds.append(names.get(option.get("type", ""), "any"))
    return " or ".join(dict.fromkeys(kinds))


def _code(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`"


if __name__ == "__main__":
    print(reference(), end="")

"""`aggregated_results.tex`: the table of configurations for a paper, with booktabs."""

from __future__ import annotations

from sft.reporting.caption import common_settings, reading
from sft.reporting.columns import Cell, configuration_cells
from sft.reporting.rows import ReportTable

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "±": r"$\pm$", "–": "--", "≈": r"$\approx$",
    "ˢ": r"\textsuperscript{s}", "\n": " ", '"': r"\textquotedbl{}",
}  # fmt: skip


def as_latex(table: ReportTable) -> str:
    """A `table` environment; needs the package booktabs, and T1 fonts for quotation marks. Notes are in the caption."""
    header, rows = configuration_cells(table)
    texts = [*reading(table), common_settings(table), *table.notes]
    columns = "l" * len(table.varying) + "r" * (len(header) - len(table.varying))
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{' '.join(latex_escape(text) for text in texts if text)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(latex_escape(title) for title in header) + r" \\",
        r"\midrule",
        *(" & ".join(_cell(cell) for cell in row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex_escape(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)


def _cell(cell: Cell) -> str:
    if cell.mark != "best":
        return latex_escape(cell.plain)
    return rf"\textbf{{{latex_escape(cell.text)}}} {latex_escape(cell.interval)}".strip()

"""How the numbers and marks of a table are to be read."""

from __future__ import annotations

from sft.reporting.columns import OVER_SEEDS_ONLY, TIED, headline_metrics, in_common
from sft.reporting.rows import ReportTable


def reading(table: ReportTable) -> list[str]:
    """Sentences on what is shown; only on what is there."""
    metrics = headline_metrics(table)
    over = {
        row.metrics[name].interval_over for row in table.configurations for name in metrics if name in row.metrics
    } - {None}
    sentences = ["Mean ± standard deviation over seeds."]
    if over - {"seeds"}:
        sentences.append(
            f"In brackets: 95 % interval of the mean, by a bootstrap of {table.resamples:,} samples over seeds and "
            "test rows, crossed; over test rows alone where no seed matters or one was tried."
        )
    if "seeds" in over:
        sentences.append(f"{OVER_SEEDS_ONLY}: 95 % interval over seeds only, the test rows taken as they are.")
    if table.comparisons:
        sentences += _marks(table)
    return sentences


def common_settings(table: ReportTable) -> str:
    """Empty where configurations share no setting that is set."""
    shared = in_common(table)
    return f"In common: {'; '.join(shared)}." if shared else ""


def _marks(table: ReportTable) -> list[str]:
    marks = {mark for row in table.configurations for mark in row.marks.values()}
    test = f"paired crossed bootstrap, Holm-corrected over the table's {len(table.comparisons)} tests"
    if not marks:
        return [f"No mark: in no column is any configuration shown to be worse than the best (p < 0.05; {test})."]
    sentences = []
    if "best" in marks:
        sentences.append(f"Bold: better than every other configuration on the same test rows (p < 0.05; {test}).")
    if "tied" in marks:
        more = "" if sentences else f" (p < 0.05; {test})"
        sentences.append(f"{TIED}: the best mean, or not shown to be worse than it while others are{more}.")
    return [*sentences, "A column without marks: no difference was shown."]

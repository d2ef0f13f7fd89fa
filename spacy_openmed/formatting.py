"""How things are written for people."""

from textwrap import fill
from typing import Any

WIDTH = 80  # of a terminal
# For wasabi's tables: ids of checkpoints in full, with the columns still fitting.
TABLE: dict[str, Any] = {"max_col": 62, "spacing": 2}
# What a spreadsheet takes for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def count(n: int, noun: str) -> str:
    """RETURNS (str): A number of things: "1 row", "1,000 rows"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def without_formula(value: Any) -> Any:
    """RETURNS (Any): The value of a cell. A text that a spreadsheet would take for a formula begins
    with `'`."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def format_score(score: float | None) -> str:
    """RETURNS (str): A score or a threshold, from 0 to 1, to four digits; "-" if there is none."""
    return "-" if score is None else f"{score:.4g}"


def wrap_text(text: str, indent: str = "") -> str:
    """Break a text into lines that fit a terminal. Names and ids stay whole.

    text (str): The text.
    indent (str): What the lines after the first begin with.
    RETURNS (str): The lines.
    """
    return fill(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )

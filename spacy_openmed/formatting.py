"""How things are written for people."""

from typing import Any

# What a spreadsheet takes for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def count(n: int, noun: str) -> str:
    """RETURNS (str): A number of things: "1 row", "1,000 rows"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def without_formula(value: Any) -> Any:
    """RETURNS (Any): The value of a cell. A text that a spreadsheet would take for a formula begins
    with `'`."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value

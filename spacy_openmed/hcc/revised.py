"""The code of a mention, which the rules change."""

from dataclasses import dataclass, field

from spacy.tokens import Span


@dataclass(eq=False)
class Revised:
    """The code of a mention while the rules are applied.

    name (Span): The words that were looked up.
    code (str | None): Its code; None if it has none.
    is_historical (bool): Whether it is mentioned as history.
    rule (str): The source of the rule that gave the code.
    score (float): How likely the code is.
    also (list[tuple[str, str]]): Further codes, each with its rule.
    is_dropped (bool): Whether another mention's code covers it.
    is_symptom (bool): Whether it is a symptom that should not be reported.
    """

    name: Span
    code: str | None
    is_historical: bool = False
    rule: str = ""
    score: float = 1.0
    also: list[tuple[str, str]] = field(default_factory=list)
    is_dropped: bool = False
    is_symptom: bool = False

"""The tables of the rules, `data/icd10cm_rules.json`. Each has its source."""

import re
from functools import cache
from typing import Any

import srsly

from ..paths import DATA_PATH

PATH = DATA_PATH / "icd10cm_rules.json"


@cache
def load_rules() -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The tables by their names."""
    return srsly.read_json(PATH)


@cache
def load_patterns(name: str) -> dict[str, re.Pattern[str]]:
    """RETURNS (dict[str, re.Pattern]): The patterns of a table by their names."""
    table = load_rules()[name]
    return {key: re.compile(value) for key, value in table.items() if key != "source"}


def read_rule_codes() -> set[str]:
    """RETURNS (set[str]): The codes of drugs and transplants that the rules give."""
    rules = load_rules()
    transplants = rules["transplants"]["codes"].values()
    return {*rules["adverse"]["drugs"], *(code for row in transplants for code in row.values())}

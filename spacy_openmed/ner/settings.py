"""What the settings of `openmed_ner` may be."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Errors, Warnings
from ..labels import LABELS
from ..suggestions import nearest

# What each setting of the component may be.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "aggregation_strategy": ("auto", "first", "average", "max"),
    "decoding": ("viterbi", "greedy"),
    "alignment_mode": ("token", "strict", "contract", "expand"),
    "label_scheme": ("canonical", "native"),
    "annotate": ("both", "ents", "spans"),
    "ents_policy": ("keep", "replace", "longest", "score"),
}
SWITCHES = ("trim", "abbreviations", "consistency", "votes")
MAX_BIAS = 20  # e^20 to 1: more has no effect
_KNOWN = {*LABELS, *(native for natives in LABELS.values() for native in natives)}


def check_threshold(value: Any) -> None:
    """Check a threshold.

    value (Any): Its value.
    RAISES (ValueError): If it is neither a number from 0 to 1 nor "recommended".
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value != "recommended" and not (is_number and 0 <= value <= 1):
        raise ValueError(Errors.OM001.format(threshold=repr(value)))


def check_bias(value: Any) -> None:
    """Check a bias.

    value (Any): Its value.
    RAISES (ValueError): If it is neither a number from -20 to 20 nor a table of such numbers.
    """
    for number in value.values() if isinstance(value, Mapping) else [value]:
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
        if not (is_number and abs(number) <= MAX_BIAS):
            raise ValueError(Errors.OM006.format(most=MAX_BIAS, value=repr(value)))


def warn_of_labels(
    name: str, given: Mapping[str, Iterable[str]], known: Iterable[str], *, guess: bool
) -> set[str]:
    """Warn of names of labels that have no effect, as nothing is called so.

    name (str): Name of the component.
    given (Mapping[str, Iterable[str]]): The names, by setting.
    known (Iterable[str]): The checkpoint's labels, by all their names. Labels of other
        checkpoints, as far as `labels.LABELS` has them, are not warned of.
    guess (bool): Only warn of names that are like a known one: training may add others.
    RETURNS (set[str]): The names that were warned of.
    """
    own = {*known}
    told = set()
    for setting, names in given.items():
        for label in sorted({*names} - own - _KNOWN):
            near = nearest(label, sorted(own | _KNOWN, reverse=True))  # DISEASE, not Disease
            if near or not guess:
                told.add(label)
                warnings.warn(
                    Warnings.OM900.format(name=name, setting=setting, label=label, nearest=near),
                    stacklevel=3,
                )
    return told

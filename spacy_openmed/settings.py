"""Check the settings of a component, and say what a misspelt one may have meant."""

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .errors import Errors, Warnings
from .labels import LABELS
from .suggestions import nearest

ENGINES = ("auto", "torch", "openvino", "onnx")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
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


def check_choice(setting: str, value: Any, known: Iterable[str]) -> None:
    """Check a setting that takes one of a few values.

    setting (str): Its name.
    value (Any): Its value.
    known (Iterable[str]): The values there are.
    RAISES (ValueError): If the value is none of them.
    """
    known = [*known]
    if value not in known:
        near = nearest(value, known) if isinstance(value, str) else ""
        expected = ", ".join(f'"{name}"' for name in known)
        raise ValueError(
            Errors.OM004.format(setting=setting, value=repr(value), nearest=near, known=expected)
        )


def check_threshold(value: Any) -> None:
    """Check a threshold.

    value (Any): Its value.
    RAISES (ValueError): If it is neither a number from 0 to 1 nor "recommended".
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value != "recommended" and not (is_number and 0 <= value <= 1):
        raise ValueError(Errors.OM001.format(threshold=repr(value)))


def check_switch(setting: str, value: Any) -> None:
    """Check a setting that is on or off.

    setting (str): Its name.
    value (Any): Its value.
    RAISES (ValueError): If it is neither true nor false.
    """
    if not isinstance(value, bool):
        raise ValueError(Errors.OM005.format(setting=setting, value=repr(value)))


def check_bias(value: Any) -> None:
    """Check a bias.

    value (Any): Its value.
    RAISES (ValueError): If it is neither a number from -20 to 20 nor a table of such numbers.
    """
    for number in value.values() if isinstance(value, Mapping) else [value]:
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
        if not (is_number and abs(number) <= MAX_BIAS):
            raise ValueError(Errors.OM006.format(most=MAX_BIAS, value=repr(value)))


@contextmanager
def naming_settings() -> Iterator[None]:
    """Say which settings are wrong, without the whole config, which spaCy's error prints.

    RAISES (ValueError): If settings are wrong.
    """
    from confection import ConfigValidationError

    try:
        yield
    except ConfigValidationError as error:
        raise ValueError(describe_settings(error)) from None


def describe_settings(error: Any) -> str:
    """Say which settings are wrong.

    error (ConfigValidationError): The error.
    RETURNS (str): The message.
    """
    config = error.config if isinstance(error.config, Mapping) else {}
    problems = "; ".join(_describe_setting(row, config) for row in error.errors or ())
    return Errors.OM010.format(problems=problems or error.desc)


def _describe_setting(row: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """One of the errors of a config."""
    parts = [str(part) for part in row.get("loc", ())]
    problem = str(row.get("msg", "")).removeprefix("at root: ")
    choice = re.fullmatch(r"'([^']*)' is not (?:typing\.)?Literal\[(.*)\]", problem)
    if choice is not None:
        near = nearest(choice[1], re.findall(r"'([^']*)'", choice[2]))
        problem = f"'{choice[1]}' is not one of {choice[2]}.{near}"
    elif problem.startswith(("unexpected argument", "extra fields")):
        name = parts[-1]
        own = (str(key) for key in config if key != name and str(key)[0] != "@")
        problem = f"there is no such setting.{nearest(name, own)}"
    return f"{'.'.join(parts)}: {problem.rstrip('.')}"


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

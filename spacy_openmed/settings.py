"""Check settings of any component, and say what a misspelt one may have meant."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .errors import Errors
from .suggestions import nearest


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


def check_switch(setting: str, value: Any) -> None:
    """Check a setting that is on or off.

    setting (str): Its name.
    value (Any): Its value.
    RAISES (ValueError): If it is neither true nor false.
    """
    if not isinstance(value, bool):
        raise ValueError(Errors.OM005.format(setting=setting, value=repr(value)))


def check_probability(setting: str, value: Any) -> None:
    """Check a setting that is a probability.

    setting (str): Its name.
    value (Any): Its value.
    RAISES (ValueError): If it is no number from 0 to 1.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and 0 <= value <= 1):
        raise ValueError(Errors.OM011.format(setting=setting, value=repr(value)))


def check_count(setting: str, value: Any, least: int = 1) -> None:
    """Check a setting that is a number of things.

    setting (str): Its name.
    value (Any): Its value.
    least (int): The smallest number that makes sense.
    RAISES (ValueError): If it is no whole number, or a smaller one.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(Errors.OM012.format(setting=setting, value=repr(value), least=least))


def check_names(setting: str, value: Iterable[str]) -> tuple[str, ...]:
    """Check a setting that is a list of names.

    setting (str): Its name.
    value (Iterable[str]): Its value.
    RETURNS (tuple[str, ...]): The names.
    RAISES (ValueError): If it is a single name, or has anything but strings.
    """
    if isinstance(value, str) or not all(isinstance(name, str) for name in value):
        raise ValueError(Errors.OM013.format(setting=setting, value=repr(value)))
    return tuple(value)


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

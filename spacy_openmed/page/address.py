"""What the address of the page remembers: the domains, the size and the lowest score.

It is the only place that does, and the text is never in it. Reloading the page, or giving the
address to somebody, restores the choices.
"""

import json
from collections.abc import Sequence
from urllib.parse import parse_qs

from .. import catalogue

DOMAIN, SIZE, THRESHOLD = "domain", "size", "threshold"

# Without a new entry in the browser's history: "back" leaves the page.
_REMEMBER = """(...values) => {
    const query = new URLSearchParams(location.search);
    %s.forEach((name, i) => {
        query.delete(name);
        const chosen = [values[i]].flat();
        for (const value of chosen.length ? chosen : [""]) query.append(name, value);
    });
    history.replaceState(history.state, "", "?" + query);
    return [];
}"""

# A choice that was changed before the answer came stays.
_RESTORE = """(given, ...values) => {
    const first = %s;
    const isFirst = (i) => JSON.stringify(values[i]) === JSON.stringify(first[i]);
    return values.map((value, i) => given && isFirst(i) ? given[i] : value);
}"""


def remember(names: Sequence[str]) -> str:
    """Write choices into the address.

    names (Sequence[str]): What is chosen: some of "domain", "size" and "threshold".
    RETURNS (str): A function in JavaScript that takes their values in this order.
    """
    return _REMEMBER % json.dumps(names)


def restore(domains: Sequence[str], size: str, threshold: float) -> str:
    """Take over the choices of the address, unless the user has chosen otherwise since the page
    was opened.

    domains (Sequence[str]), size (str), threshold (float): The choices at first.
    RETURNS (str): A function in JavaScript. It takes what `read_choices` returns (or null) and the
        domains, size and lowest score that are chosen now; it returns those to show.
    """
    return _RESTORE % json.dumps([[*domains], size, threshold])


def read_choices(
    query: str, domains: Sequence[str], size: str, threshold: float
) -> tuple[list[str], str, float]:
    """Read choices from the address. What it does not say, or what is not valid, is as it was at
    first.

    query (str): The query of the address.
    domains (Sequence[str]): The domains at first. An empty `domain=` stands for none.
    size (str): The size at first.
    threshold (float): The lowest score at first.
    RETURNS (tuple[list[str], str, float]): Domains, size and lowest score.
    """
    given = parse_qs(query, keep_blank_values=True)
    known = catalogue.domains()
    chosen = [name for name in dict.fromkeys(given.get(DOMAIN, domains)) if name in known]
    [*_, new_size] = given.get(SIZE, [size])
    [*_, score] = given.get(THRESHOLD, [""])
    return (
        chosen,
        new_size if new_size in catalogue.SIZES else size,
        _read_score(score, threshold),
    )


def _read_score(value: str, default: float) -> float:
    try:
        score = float(value)
    except ValueError:
        return default
    return score if 0 <= score <= 1 else default

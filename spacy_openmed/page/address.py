"""Keep the choices of the page in its address: the domains, the size and the threshold.

They are stored nowhere else, and the text is never part of the address. Reloading the page, or
sharing the address, restores the choices.
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

# Keep a choice that was changed before the response arrived.
_RESTORE = """(given, ...values) => {
    const first = %s;
    const isFirst = (i) => JSON.stringify(values[i]) === JSON.stringify(first[i]);
    return values.map((value, i) => given && isFirst(i) ? given[i] : value);
}"""


def remember(names: Sequence[str]) -> str:
    """Write choices into the address.

    names (Sequence[str]): The choices: any of "domain", "size" and "threshold".
    RETURNS (str): A JavaScript function that takes their values in this order.
    """
    return _REMEMBER % json.dumps(names)


def restore(domains: Sequence[str], size: str, threshold: float) -> str:
    """Restore the choices from the address, except those that the user has changed since the page
    was opened.

    domains (Sequence[str]), size (str), threshold (float): The initial choices.
    RETURNS (str): A JavaScript function. It takes what `read_choices` returns (or null) and the
        current domains, size and threshold, and returns those to show.
    """
    return _RESTORE % json.dumps([[*domains], size, threshold])


def read_choices(
    query: str, domains: Sequence[str], size: str, threshold: float
) -> tuple[list[str], str, float]:
    """Read choices from the address. Missing or invalid ones keep their initial value.

    query (str): The query string of the address. An empty `domain=` stands for no domain.
    domains (Sequence[str]): The initial domains.
    size (str): The initial size.
    threshold (float): The initial threshold.
    RETURNS (tuple[list[str], str, float]): Domains, size and threshold.
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

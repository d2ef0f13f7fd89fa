"""The load test counts right: what is wrong, what is lost, and how long it took."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

import serve

BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "serve.py"
ENTITY = {"start": 0, "end": 6, "label": "DISEASE", "score": 0.5, "text": "asthma", "dataset": "a"}


def answer(*entities: dict) -> dict:
    return {"results": [{"id": 0, "entities": list(entities), "error": None}]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answer(ENTITY), True),
        (answer({**ENTITY, "score": 0.5001}), True),
        (answer({**ENTITY, "score": 0.51}), False),
        (answer({**ENTITY, "end": 7}), False),
        (answer(ENTITY, ENTITY), False),
        (answer(), False),
        ({"results": [{"id": 0, "entities": None, "error": "[OM007]"}]}, False),
        ({"results": []}, False),
        ({"detail": "[OM755]"}, False),
    ],
)
def test_what_is_the_same(given: dict, expected: bool):
    assert serve.is_same(given, [ENTITY]) is expected


def test_row_of_rounds():
    own = [serve.Round(9, [9.0, 9.0], 1, 100), serve.Round(1, [0.4, 0.6], 0, 101)]
    base = [serve.Round(9, [9.0, 9.0], 0, 100), serve.Round(3, [1.0, 2.0], 0, 100)]
    row = dict(zip(serve.HEADER, serve.summarize("batched", 2, own, base), strict=True))
    assert row == {
        "clients": 2,
        "requests": "batched",
        "requests/s": 2,
        "ratio": 3,
        "p50, ms": pytest.approx(500),
        "p99, ms": pytest.approx(598),
        "sent": 4,
        "wrong": 1,
        "MB, first round": 100,
        "MB, last round": 101,
    }


@pytest.mark.slow
def test_nothing_is_lost():
    options = ["--number", "12", "--clients", "3", "--rounds", "1", "--json"]
    command = [sys.executable, str(BENCHMARK), *options]
    result = subprocess.run(command, check=True, capture_output=True, encoding="utf8")
    rows = json.loads(result.stdout)
    assert [(row["requests"], row["sent"], row["wrong"]) for row in rows] == [
        ("batched", 24, 0),
        ("one at a time", 24, 0),
    ]

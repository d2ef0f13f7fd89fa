"""Fuzzed documents through the two commands, as `scripts/fuzz.py` sends many more."""

from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("fastapi")

import fuzz
from conftest import make_nlp


def test_nothing_is_lost_or_told(
    keyword_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    make_nlp(keyword_checkpoint).to_disk(tmp_path / "pipeline")
    args = ["--documents", "200", "--long", "1", "--model", str(tmp_path / "pipeline")]
    code = fuzz.main(args)
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "0 wrong" in printed


@pytest.mark.parametrize(
    ("error", "entities"),
    [
        (None, None),
        (None, [{"start": 0, "end": 3, "text": "not"}]),
        ("[OM007] zqk00\n00007xj", None),
        ("[OM007]", None),
    ],
)
def test_what_is_wrong_is_seen(error: str | None, entities: list | None):
    run = fuzz.Run(10, 0, 0, 100, [])
    case = fuzz.Case("words", b"", "Asthma", is_good=True)
    run.check_row("here", case, {"error": None, "entities": []})
    assert not run.wrong
    run.check_row("here", case, {"error": error, "entities": entities})
    assert run.wrong

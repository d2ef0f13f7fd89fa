"""`benchmarks/deid.py` counts right, on texts whose every number is known beforehand."""

import json
from pathlib import Path

import deid
import pytest
import spacy

pytest.importorskip("presidio_anonymizer", reason="needs the extra [deid]")
pytest.importorskip("pyarrow", reason="needs the extra [batch]")

import deid_batch

from spacy_openmed.deid import deidentify


def read(monkeypatch: pytest.MonkeyPatch, folder: Path, title: str, rows: list[dict]) -> list:
    (folder / "ner").mkdir(exist_ok=True)
    (folder / "deid").mkdir(exist_ok=True)
    lines = "\n".join(map(json.dumps, rows))
    (folder / "deid" / f"{title}.jsonl").write_text(lines, encoding="utf8")
    monkeypatch.setenv("OPENMED_CORPORA", str(folder))
    return list(deid.read_texts(title))


def test_only_unseen_texts_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    rows = [{"text": f"{i}", "entities": [], "template_id": i} for i in range(20)]
    texts = read(monkeypatch, tmp_path, "presidio-synth-v2", rows)
    assert [text.text for text in texts] == ["9", "19"]
    texts = read(monkeypatch, tmp_path, "mlei06-discharge-summaries", rows)
    assert len(texts) == 20


def test_what_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    text = "Mr. Lund, 45, or 93, a Dane."
    found = [(0, 8, "NAME"), (10, 12, "AGE"), (17, 19, "AGE"), (23, 27, "NRP")]
    row = {"text": text, "entities": found}
    [read_text] = read(monkeypatch, tmp_path, "mlei06-discharge-summaries", [row])
    assert read_text.gold == [(4, 8, "name"), (17, 19, "date")]
    assert read_text.ignored == [(0, 4), (10, 12), (23, 27)]


def test_counts():
    texts = [
        deid.Text("Amy Lund saw Bo.", [(0, 8, "name"), (13, 15, "name")], []),
        deid.Text("On 4/5 in Rome.", [(3, 6, "date")], [(10, 14)]),
        deid.Text("Nobody has gout.", [], [], [(11, 15), (0, 6)]),
    ]
    # Amy and Bo; the date, the place that does not count, and "On", which is nothing.
    marked = {texts[0].text: [(0, 3), (13, 15)], texts[1].text: [(0, 6), (10, 14)]}
    assert deid.summarise(deid.count(lambda text: [], texts[:1]))[-2:] == (None, None)
    counts = deid.count(lambda text: marked.get(text, []), texts)
    assert deid.summarise(counts) == (2, 4, 75.0, 75.0, 3, pytest.approx(200 / 3), 50.0, 2, 0.0)
    others = deid.count(lambda text: [(12, 13)], texts[2:])
    assert (others.items, others.taken) == (2, 1)
    assert list(deid.by_identifier(counts)) == [
        ("name", 3, pytest.approx(200 / 3), 2, 50.0),
        ("date", 1, 100.0, 1, 100.0),
    ]


def test_an_audit_is_complete_if_it_accounts_for_every_change():
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_phi", config={"spans_key": None})
    text = "Dr. Lund, MRN: 00482913."
    done = deidentify(nlp(text), "encrypt", key=deid_batch.KEY)
    audit = done.to_dict()
    row = {"text": done.text, "entities": audit.pop("replacements"), **audit}
    assert len(row["entities"]) == 2
    assert deid_batch.is_complete(text, row)
    assert not deid_batch.is_complete(text, row | {"entities": row["entities"][1:]})
    assert not deid_batch.is_complete(text, row | {"text_check": ""})

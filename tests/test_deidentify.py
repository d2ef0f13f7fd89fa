"""Texts without their identifiers, the way back, and what is carried over."""

import json
import logging
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span, SpanGroup
from spacy.tokens.underscore import Underscore
from spacy.vocab import Vocab
from typer.testing import CliRunner

pytest.importorskip("presidio_anonymizer", reason="needs the extra [deid]")

from spacy_openmed.cli import openmed_cli
from spacy_openmed.deid.anonymize import ACTIONS, KEYED, decrypt, deidentify
from spacy_openmed.deid.audit import Deidentified, carry_over
from spacy_openmed.deid.identifiers import IDENTIFIERS
from spacy_openmed.deid.surrogates import Surrogates, read_people

KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
OTHER_KEY = "another key of 24 bytes."
NLP = spacy.blank("en")
TEXT = "John Miller, seen 03/04/2021 and 03/19/2021. Mr. Miller has asthma; ZIP 03601, aged 93."
FOUND = [
    (0, 11, "PERSON"),
    (18, 28, "DATE"),
    (33, 43, "DATE"),
    (49, 55, "PERSON"),
    (72, 77, "ZIP_CODE"),
    (84, 86, "AGE"),
]


def make_doc(text: str = TEXT, found: list[tuple[int, int, str]] | None = None) -> Doc:
    """A document as openmed_phi leaves it."""
    doc = NLP.make_doc(text)
    found = FOUND if found is None else found
    spans = [doc.char_span(s, e, label, alignment_mode="expand") for s, e, label in found]
    attrs = {
        "scores": [0.9] * len(found),
        "rules": ["" if label == "PERSON" else "Rule" for *_, label in found],
        "char_offsets": [[s, e] for s, e, _ in found],
    }
    doc.spans["phi"] = SpanGroup(doc, name="phi", spans=spans, attrs=attrs)
    return doc


def test_redact():
    expected = (
        "[PERSON], seen [DATE] and [DATE]. Mr. [PERSON] has asthma; ZIP [ZIP_CODE], aged [AGE]."
    )
    assert deidentify(make_doc()).text == expected


def test_mask_keeps_the_length():
    text = deidentify(make_doc(), "mask").text
    assert text.startswith("***********, seen **********")
    assert len(text) == len(TEXT)


def test_generalise():
    text = deidentify(make_doc(), "generalise").text
    expected = "[PERSON], seen 2021 and 2021. Mr. [PERSON] has asthma; ZIP 000**, aged 90+."
    assert text == expected


def test_hashes_are_the_same_for_the_same_text_and_key():
    twice = make_doc("Lund saw Lund.", [(0, 4, "PERSON"), (9, 13, "PERSON")])
    first, second = deidentify(twice, "hash", key=KEY).text.removesuffix(".").split(" saw ")
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert first == second
    assert first not in deidentify(twice, "hash", key=OTHER_KEY).text


def test_surrogates_are_the_same_within_a_patient():
    first, again, other = (
        deidentify(make_doc(), "surrogate", key=KEY, patient=p).text for p in ("1", "1", "2")
    )
    assert first == again
    assert first != other
    name, surname = re.findall(r"^(.+), seen|Mr\. (\S+) has", first)
    assert name[0].split()[1] == surname[1]
    assert not {"John", "Miller"} & set(first.split())


def test_surrogates_are_the_same_across_documents_and_spellings():
    doc = make_doc("MILLER, JOHN came.", [(0, 12, "PERSON")])
    upper = deidentify(doc, "surrogate", key=KEY, patient="1").text
    title = deidentify(make_doc(), "surrogate", key=KEY, patient="1").text
    given, surname = title.split(",")[0].split()
    assert upper == f"{surname.upper()}, {given.upper()} came."


@pytest.mark.parametrize(
    ("label", "text", "form"),
    [
        ("PERSON", "Maria Lopez7731", r"[A-Z][a-z]+ [A-Z][a-z]+(?!7731)\d{4}"),
        ("PERSON", "Smith_1975", r"[A-Z][a-z]+_(?!1975)\d{4}"),
        ("SURNAME", "Smith 123-45-6789", r"[A-Z][a-z]+ (?!123)\d{3}-(?!45)\d\d-(?!6789)\d{4}"),
        ("PERSON", "Jose\u0301 Garci\u0301a", r"[A-Z][a-z]+ [A-Z][a-z]+"),
        ("PERSON", "Garci\u0308\u0301a", r"[A-Z][a-z]+"),
    ],
)
def test_nothing_of_a_name_stays(label: str, text: str, form: str):
    assert re.fullmatch(form, Surrogates(b"secret")(label, text))


@pytest.mark.parametrize(
    ("label", "text", "other"),
    [
        ("PHONE", "617-555-1234", "(617) 555-1234"),
        ("SSN", "123-45-6789", "123 45 6789"),
        ("PERSON", "O'Brien", "O’BRIEN"),
        ("PERSON", "Jos\u00e9", "Jose\u0301"),
    ],
)
def test_one_value_in_two_forms_has_one_surrogate(label: str, text: str, other: str):
    first, second = (Surrogates(b"secret")(label, form) for form in (text, other))
    assert re.sub(r"\W", "", first.lower()) == re.sub(r"\W", "", second.lower())


@given(
    st.sampled_from([label for labels in IDENTIFIERS.values() for label in labels]),
    st.text("abcXYZ 0123-./@", min_size=1, max_size=20).filter(str.strip),
)
def test_surrogates_depend_on_the_value_and_the_secret_alone(label: str, text: str):
    made = Surrogates(b"secret")(label, text)
    Surrogates(b"secret")("PERSON", "Somebody Else")
    assert Surrogates(b"secret")(label, text) == made


@pytest.mark.parametrize(
    ("label", "text", "form"),
    [
        ("PHONE", "(919) 555-0143", r"\(\d{3}\) 555-01\d\d"),
        ("SSN", "123-45-6789", r"9\d\d-\d\d-\d{4}"),
        ("MEDICAL_RECORD_NUMBER", "AB-12345x", r"[A-Z]{2}-\d{5}[a-z]"),
        ("EMAIL", "a.b@hospital.local", r"\w+@example\.(com|org|net)"),
        ("URL", "https://x.org/john-miller", r"https://[\w-]+\.example\.org"),
        ("ORGANIZATION", "Duke University Hospital", r"\w+ (University|Hospital)"),
        ("ZIP_CODE", "02138", r"\d{5}"),
        ("LOCATION", "Tillingham", r"[^\d]+"),
    ],
)
def test_surrogates_are_of_the_kind(label: str, text: str, form: str):
    made = Surrogates(b"secret")(label, text)
    assert re.fullmatch(form, made)
    assert made != text


def surrogates(text: str, *found: tuple[str, str]) -> str:
    """A text with surrogates for these parts of it, in order."""
    spans, end = [], 0
    for part, label in found:
        start = text.index(part, end)
        end = start + len(part)
        spans.append((start, end, label))
    return deidentify(make_doc(text, spans), "surrogate", key=KEY).text


def test_a_person_has_one_surrogate_in_every_format():
    text = "Robert Jones (MR. JONES, R. Jones, RJ, Jones', Jones, Robert, jones) Jr."
    parts = ["Robert Jones", "JONES", "R. Jones", "RJ", "Jones", "Jones, Robert", "jones"]
    given, surname, *rest = re.findall(
        r"\w+", surrogates(text, *((part, "PERSON") for part in parts))
    )
    initials = given[0] + surname[0]
    assert rest == [
        *("MR", surname.upper(), given[0], surname, initials, surname),
        *(surname, given, surname.lower(), "Jr"),
    ]


def test_suffixes_and_possessives_stay():
    text = surrogates(
        "John Brown Jr. met Peter Hall III. Brown's son.",
        *((part, "PERSON") for part in ("John Brown Jr", "Peter Hall III", "Brown's")),
    )
    assert re.fullmatch(r"\w+ (\w+) Jr\. met \w+ \w+ III\. \1's son\.", text)


def test_a_family_has_the_surname():
    text = surrogates(
        "Ingrid Lund. The Lunds' home.", ("Ingrid Lund", "PERSON"), ("Lunds", "PERSON")
    )
    assert re.fullmatch(r"\w+ (\w+)\. The \1s' home\.", text)


def test_the_sex_of_a_rare_given_name_is_kept():
    from faker.providers.person.en_US import Provider

    made = surrogates("His wife Philippa Quayle.", ("Philippa Quayle", "PERSON"))
    assert made.split()[2] in Provider.first_names_female
    made = surrogates("Mr. Oluwaseun Quayle.", ("Oluwaseun Quayle", "PERSON"))
    assert made.split()[1] in Provider.first_names_male


@pytest.mark.parametrize(
    ("text", "name", "sex"),
    [
        ("his wife, Mr. Terry Quayle says", "Terry Quayle", "male"),
        ("seen by Mr Terry Quayle", "Mr Terry Quayle", "male"),
        ("Terry Quayle is a 40-year-old woman", "Terry Quayle", "female"),
        ("Terry Quayle, 62M", "Terry Quayle", "male"),
        ("Terry Quayle has asthma. She smokes", "Terry Quayle", "female"),
        ("the son of Maria Quayle", "Maria Quayle", "female"),
    ],
)
def test_the_sex_that_the_text_tells_is_kept(text: str, name: str, sex: str):
    from faker.providers.person.en_US import Provider

    before, behind = map(re.escape, text.split(name))
    made = re.fullmatch(rf"{before}(?:Mr )?(\w+) \w+{behind}", surrogates(text, (name, "PERSON")))
    assert made is not None
    assert made[1] in getattr(Provider, f"first_names_{sex}")


def test_a_ruled_line_behind_an_age_is_read_at_once():
    line = f"Terry Quayle, 62{'-' * 130}\n"
    found = [(at, at + 12, "PERSON") for at in range(0, 10 * len(line), len(line))]
    start = time.process_time()
    read_people(10 * line, found)
    assert time.process_time() - start < 1


def test_a_number_has_one_surrogate_in_every_format():
    numbers = ("617-555-1234", "(617) 555-1234", "6175551234", "+1 617.555.1234")
    labels = ("PHONE", "PHONE", "UNIQUE_ID", "PHONE")
    text = surrogates(" or ".join(numbers), *zip(numbers, labels, strict=True))
    figures = [re.sub(r"\D", "", number) for number in text.split(" or ")]
    assert {number[-10:] for number in figures} == {figures[0]}
    assert figures[3][0] == "1"
    text = surrogates("00482913 BW-00482913", ("00482913", "ID"), ("BW-00482913", "ID"))
    assert text.split()[1].endswith(f"-{text.split()[0]}")


def test_the_structure_of_an_address_stays():
    text = surrogates(
        "Apt 4B, 31 Quarry St, Boston, MA",
        *(("Apt 4B", "STREET_ADDRESS"), ("31 Quarry St", "STREET_ADDRESS")),
        *(("Boston", "CITY"), ("MA", "LOCATION")),
    )
    assert re.fullmatch(r"Apt \d[A-Z], \d\d \w+ St, [\w ]+, [A-Z]{2}", text)


def test_a_number_in_json_stays_json():
    text = '{"mrn": 482913, "a": 1}'
    for action in ("redact", "surrogate"):
        doc = make_doc(text, [(8, 14, "ID")])
        json.loads(deidentify(doc, action, key=KEY).text)


def test_dates_of_a_patient_are_shifted_alike():
    texts = [deidentify(make_doc(), "shift", key=KEY, patient=str(p)).text for p in range(5)]
    shifts = set()
    for text in texts:
        first, second = (
            datetime.strptime(found, "%m/%d/%Y") for found in re.findall(r"\d\d/\d\d/\d{4}", text)
        )
        assert (second - first).days == 15
        shifts.add((first - datetime(2021, 3, 4)).days)
        assert text.startswith("[PERSON], seen")
    assert len(shifts) > 1
    assert all(-364 <= days < 0 and days % 7 == 0 for days in shifts)


@pytest.mark.parametrize(
    ("date", "label"),
    [("last spring", "DATE"), ("3/14/1901", "DATE"), ("3/14/31", "DATE_OF_BIRTH")],
)
def test_dates_that_can_not_be_shifted_are_redacted(date: str, label: str):
    doc = make_doc(f"Seen {date}.", [(5, 5 + len(date), label)])
    result = deidentify(doc, "shift", key=KEY)
    assert result.text == f"Seen [{label}]."
    assert result.replacements[0].action == "redact"


def test_labels_can_have_actions_of_their_own():
    result = deidentify(make_doc(), actions={"DATE": "shift", "AGE": "keep"}, key=KEY)
    assert result.text.endswith("aged 93.")
    assert [r.action for r in result.replacements] == [
        *("redact", "shift", "shift", "redact", "redact", "keep")
    ]


def test_labels_with_actions_are_read_in_any_spelling():
    doc = make_doc()
    doc.spans["phi"].append(doc.char_span(60, 66, "MOOD"))
    result = deidentify(doc, actions={"name": "keep", "mood": "mask"})
    assert result.text.startswith("John Miller, seen [DATE]")
    assert "has ******;" in result.text


def test_the_audit_has_everything_but_the_text():
    result = deidentify(make_doc(), "encrypt", key=KEY)
    row = result.to_dict()["replacements"][0]
    assert row == {
        "start": 0,
        "end": 11,
        "new_start": 0,
        "new_end": result.text.index(","),
        "label": "PERSON",
        "identifier": "name",
        "source": "model",
        "rule": "",
        "score": 0.9,
        "action": "encrypt",
    }
    written = json.dumps(result.to_dict())
    assert re.fullmatch("[0-9a-f]{32}", result.text_check)
    shown = written.replace(result.text_check, "")  # any figures may be in it
    assert not any(word in shown for word in ("Miller", "03/04", "93", "asthma", result.text[:8]))
    assert Deidentified.from_dict(result.text, json.loads(written)) == result


def test_spans_added_by_hand_count():
    doc = make_doc()
    doc.spans["phi"].append(doc.char_span(60, 66, "ID"))
    result = deidentify(doc)
    assert "[ID]" in result.text
    assert len(result.replacements) == len(FOUND) + 1


def test_offsets_of_another_span_go_for_nothing():
    doc = make_doc("Lund met Okafor.", [(0, 4, "PERSON")])
    attrs = doc.spans["phi"].attrs
    doc.spans["phi"] = SpanGroup(doc, spans=[Span(doc, 2, 3, "PERSON")], attrs=attrs)
    assert deidentify(doc).text == "Lund met [PERSON]."


def test_no_text_in_the_log(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    for action in ACTIONS:
        deidentify(make_doc(), action, key=KEY)  # type: ignore[arg-type]
    assert not re.search("miller|03/04", caplog.text, re.IGNORECASE)


# Random texts and identifiers


@st.composite
def docs(draw: st.DrawFn) -> Doc:
    text = draw(st.text(min_size=1, max_size=60).filter(str.strip))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=10)))
    labels = st.sampled_from(["PERSON", "DATE", "ID", "ZIP_CODE", "LOCATION", "EMAIL"])
    found = [(s, e, draw(labels)) for s, e in zip(cuts[::2], cuts[1::2], strict=False)]
    return make_doc(text, [(s, e, label) for s, e, label in found if text[s:e].strip()])


@given(docs(), st.sampled_from(["0123456789abcdef", b"\x00" * 40]))
def test_what_is_encrypted_comes_back(doc: Doc, key: str | bytes):
    assert decrypt(deidentify(doc, "encrypt", key=key), key) == doc.text


def test_a_key_may_end_with_a_line_break():
    result = deidentify(make_doc(), "encrypt", key=KEY)
    assert decrypt(result, KEY + "\n") == make_doc().text


@given(docs(), st.sampled_from(ACTIONS))
def test_offsets(doc: Doc, action):
    result = deidentify(doc, action, key=KEY)
    old, new = 0, 0
    for r in result.replacements:
        # What stands between stays, and is where the offsets say.
        assert doc.text[old : r.start] == result.text[new : r.new_start]
        if old < r.start:
            assert result.map_offsets(old, r.start) == (new, r.new_start)
        assert result.map_offsets(r.start, r.end) == (r.new_start, r.new_end)
        old, new = r.end, r.new_end
    assert doc.text[old:] == result.text[new:]
    for start in range(len(doc.text)):
        for end in range(start + 1, len(doc.text) + 1):
            new_start, new_end = result.map_offsets(start, end)
            assert 0 <= new_start < new_end <= len(result.text)
            if not any(r.start < end and r.end > start for r in result.replacements):
                assert result.text[new_start:new_end] == doc.text[start:end]


@given(docs(), st.sampled_from(ACTIONS))
def test_everything_is_carried_over_somewhere(doc: Doc, action):
    result = deidentify(doc, action, key=KEY)
    doc.spans["all"] = [doc[i : i + 1] for i in range(len(doc))]
    new = carry_over(doc, NLP.make_doc(result.text), result)
    kept = [t for t in doc if not result.is_replaced(t.idx, t.idx + len(t))]
    assert len(new.spans["all"]) == len(kept)
    assert len(new.spans["phi"]) == len(doc.spans["phi"])


# Carrying over


@pytest.fixture
def extension() -> Iterator[str]:
    Span.set_extension("is_sure", default=False)
    yield "is_sure"
    Underscore.span_extensions.pop("is_sure")


def test_entities_are_carried_over(extension: str):
    doc = make_doc()
    asthma = Span(doc, *doc_range(doc, "asthma"), "DISEASE", kb_id="J45", span_id="a1")
    asthma._.is_sure = True
    doc.ents = [asthma, doc.char_span(0, 11, "NAME")]
    group = SpanGroup(doc, spans=[asthma], attrs={"scores": [0.7], "char_offsets": [[60, 66]]})
    doc.spans["openmed"] = group
    result = deidentify(doc, "surrogate", key=KEY)
    new = carry_over(doc, NLP.make_doc(result.text), result)
    [ent] = new.ents
    assert (ent.text, ent.label_, ent.kb_id_, ent.id_) == ("asthma", "DISEASE", "J45", "a1")
    assert ent._.is_sure
    [span] = new.spans["openmed"]
    start, end = new.spans["openmed"].attrs["char_offsets"][0]
    assert (span.text, result.text[start:end]) == ("asthma", "asthma")
    assert new.spans["openmed"].attrs["scores"] == [0.7]
    assert [s.label_ for s in new.spans["phi"]] == [label for *_, label in FOUND]
    assert new.spans["phi"][0].text == result.text.split(",")[0]


def doc_range(doc: Doc, text: str) -> tuple[int, int]:
    span = doc.char_span(doc.text.index(text), doc.text.index(text) + len(text))
    return span.start, span.end


def test_what_is_replaced_in_part_takes_in_the_rest():
    doc = make_doc("Lund syndrome is rare.", [(0, 4, "PERSON")])
    doc.ents = [Span(doc, 0, 2, "DISEASE")]
    result = deidentify(doc)
    new = carry_over(doc, NLP.make_doc(result.text), result)
    assert [ent.text for ent in new.ents] == ["[PERSON] syndrome"]


class Counted(tuple):
    passes = 0

    def __iter__(self):
        Counted.passes += 1
        return super().__iter__()


def test_replacements_are_gone_through_once_for_all_spans():
    result = deidentify(make_doc())
    result = replace(result, replacements=Counted(result.replacements))
    for i in range(len(TEXT)):
        result.map_offsets(i, i + 1)
        result.is_replaced(i, i + 1)
    assert Counted.passes == 1


# What can't be done


@pytest.mark.parametrize("action", sorted(KEYED))
def test_no_key_is_an_error(action):
    with pytest.raises(ValueError, match=f"OM505.*{action}"):
        deidentify(make_doc(), action)


def test_other_errors():
    doc = make_doc()
    with pytest.raises(ValueError, match="OM504.*'erase'"):
        deidentify(doc, "erase")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="OM507.*5 bytes"):
        deidentify(doc, "hash", key="short")
    with pytest.raises(ValueError, match="OM513.*'NAMES'"):
        deidentify(doc, actions={"DATE": "keep", "NAMES": "redact"})
    with pytest.raises(ValueError, match="OM506"):
        deidentify(Doc(Vocab(), words=["Lund"]))
    with pytest.raises(ValueError, match="OM508.*redact"):
        decrypt(deidentify(doc), KEY)
    with pytest.raises(ValueError, match="OM512"):
        Deidentified.from_dict("", {"replacements": [{"start": 1}]})
    result = deidentify(doc, "encrypt", key=KEY)
    with pytest.raises(ValueError, match="OM509"):
        decrypt(result, OTHER_KEY)
    with pytest.raises(ValueError, match="OM514"):
        decrypt(deidentify(make_doc("No names.", []), "redact"), KEY)
    for text in ("x" + result.text, result.text.replace("asthma", "anemia")):
        with pytest.raises(ValueError, match="OM510"):
            decrypt(replace(result, text=text), KEY)
    with pytest.raises(ValueError, match="OM511"):
        carry_over(doc, NLP.make_doc("Another text."), result)


# The command

NOTE = "Dr. Amy Lund saw John Miller on 03/04/2021, MRN: 00482913.\r\n"


def run(*args: object, input: str | None = None) -> str:
    result = CliRunner().invoke(openmed_cli, ["deid", *map(str, args)], input=input)
    assert result.exit_code == 0, result.output
    return result.stdout


def fail(*args: object) -> str:
    result = CliRunner().invoke(openmed_cli, ["deid", *map(str, args)])
    assert result.exit_code == 1, result.output
    return " ".join(result.output.split())


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY + "\n", encoding="utf8")
    return path


def test_command_redacts():
    expected = "Dr. [PERSON] saw [PERSON] on [DATE], MRN: [MEDICAL_RECORD_NUMBER]."
    assert run(NOTE).strip() == expected


def test_command_ends_the_line_of_a_text_that_is_an_argument():
    assert run("See a@b.local") == "See [EMAIL]\n"


def test_command_prints_what_is_encrypted_exactly(key_file: Path):
    assert not run("See a@b.local", "-a", "encrypt", "-k", key_file).endswith("\n")


def test_command_encrypts_and_decrypts(tmp_path: Path, key_file: Path):
    note, out, audit = (tmp_path / name for name in ("note.txt", "out.txt", "audit.json"))
    note.write_bytes(NOTE.encode())
    args = ["deid", note, "-a", "encrypt", "-k", key_file, "-o", out, "-A", audit]
    result = CliRunner().invoke(openmed_cli, [*map(str, args)])
    assert (result.stdout, result.stderr) == ("", f"Wrote the text to {out}\n")
    assert not re.search("Lund|Miller|0048", out.read_text("utf8") + audit.read_text("utf8"))
    run(out, "--decrypt", "-k", key_file, "-A", audit, "-o", tmp_path / "back.txt")
    assert (tmp_path / "back.txt").read_bytes() == NOTE.encode()


def test_command_takes_the_key_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENMED_DEID_KEY", KEY)
    output = run(NOTE, "--label", "DATE=shift", "--patient", "7")
    assert re.search(r"on \d\d/\d\d/202[01], MRN: \[", output)
    assert "03/04/2021" not in output


def test_an_empty_key_in_the_environment_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENMED_DEID_KEY", "")
    assert run(NOTE).startswith("Dr. [PERSON] saw")
    assert "[OM505]" in fail(NOTE, "-a", "hash")


def test_command_takes_a_pipeline(tmp_path: Path):
    nlp = spacy.blank("en")
    nlp.add_pipe("openmed_phi", config={"spans_key": None})
    nlp.to_disk(tmp_path)
    assert run("See a@b.local", "--pipeline", tmp_path).strip() == "See [EMAIL]"


def test_command_says_what_is_wrong(tmp_path: Path):
    assert "[OM505]" in fail(NOTE, "-a", "hash")
    assert "[OM504]" in fail(NOTE, "-a", "erase")
    assert "[OM714] --label takes LABEL=ACTION, not 'DATE'." in fail(NOTE, "-L", "DATE")
    assert "[OM715]" in fail(NOTE, "--decrypt")
    assert "[OM513] actions names 'NAMES'" in fail(NOTE, "-L", "NAMES=redact")
    assert "[OM600] There is no file" in fail(NOTE, "-k", tmp_path / "none")


def test_command_says_that_there_is_no_text():
    assert "[OM716]" in fail("")


# Tables

NOTES = [
    {"id": "a", "patient": "1", "text": "Dr. Amy Lund saw Rosa Quayle on 03/04/2021."},
    {"id": "b", "patient": "1", "text": "Rosa Quayle, seen 03/19/2021, is well."},
    {"id": "c", "patient": "2", "text": None},
    {"id": "d", "patient": "2", "text": "Rosa Quayle, MRN: 00482913."},
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    pytest.importorskip("pyarrow")
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps(note) + "\n" for note in NOTES), "utf8")
    return path


def run_table(table: Path, *args: object) -> tuple[int, list[dict]]:
    output = table.parent / "out"
    result = CliRunner().invoke(
        openmed_cli,
        ["deid", str(table), "-o", str(output), "--patient-column", "patient", *map(str, args)],
    )
    path = output / "part-00000.parquet"
    if not path.is_file():
        return result.exit_code, []
    from pyarrow import parquet

    return result.exit_code, parquet.read_table(path).to_pylist()


def test_command_does_a_table_with_one_key(table: Path, key_file: Path):
    code, rows = run_table(table, "-a", "surrogate", "-k", key_file)
    assert code == 3  # one row has no text
    assert [row["id"] for row in rows] == ["a", "b", "c", "d"]
    assert not re.search("Quayle|Lund|0048", json.dumps(rows))
    names = [re.search(r"saw (\w+ \w+)|^(\w+ \w+),", row["text"] or "") for row in rows]
    assert names[0][1] == names[1][2] != names[3][2]  # type: ignore[index]
    assert rows[2]["text"] is None
    assert rows[2]["error"]
    assert [r["label"] for r in rows[3]["entities"]] == ["PERSON", "MEDICAL_RECORD_NUMBER"]


def test_a_table_is_decrypted_exactly(table: Path, key_file: Path):
    from spacy_openmed.deid import decrypt_row

    _, rows = run_table(table, "-a", "encrypt", "-k", key_file)
    texts = [decrypt_row(row, KEY) for row in rows if row["text"]]
    assert texts == [note["text"] for note in NOTES if note["text"]]
    with pytest.raises(ValueError, match="OM515.*'note'.*id, text"):
        decrypt_row(rows[0], KEY, text_column="note")


def test_a_table_goes_on_with_the_same_key_alone(table: Path, key_file: Path):
    code, rows = run_table(table, "-a", "hash", "-k", key_file)
    assert run_table(table, "-a", "hash", "-k", key_file) == (code, rows)
    manifest = (table.parent / "out" / "_manifest.json").read_text("utf8")
    assert KEY not in manifest
    other = table.parent / "other"
    other.write_text(OTHER_KEY, "utf8")
    assert run_table(table, "-a", "hash", "-k", other) == (1, rows)


def test_a_folder_of_texts_is_done(tmp_path: Path):
    pytest.importorskip("pyarrow")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "1.txt").write_text(NOTE, "utf8")
    run(tmp_path / "notes", "-o", tmp_path / "out", "--to", "jsonl")
    row = json.loads((tmp_path / "out" / "part-00000.jsonl").read_text("utf8"))
    assert row["text"].startswith("Dr. [PERSON] saw [PERSON] on [DATE], MRN: [")


def test_a_field_of_a_table_is_also_read_on_its_own():
    table = 'id,text\n1,"Margaret Quayle called about her cough."\n2,"Lena Fischer was seen."\n'
    assert run(table) == (
        'id,text\n[UNIQUE_ID],"[PERSON] called about her cough."\n'
        '[UNIQUE_ID],"[PERSON] was seen."\n'
    )


def test_a_message_in_a_table_is_read_field_by_field(tmp_path: Path):
    pytest.importorskip("pyarrow")
    message = "MSH|^~\\&|LAB|||\rPID|1||12345||DOE^JANE\rNTE|1||Thandiwe phoned about her results"
    path = tmp_path / "messages.jsonl"
    path.write_text(json.dumps({"text": message}), "utf8")
    run(path, "-o", tmp_path / "out", "--to", "jsonl")
    row = json.loads((tmp_path / "out" / "part-00000.jsonl").read_text("utf8"))
    assert row["text"].endswith("NTE|1||[PERSON] phoned about her results")


def test_intervals_to_dates_without_a_year_stay(key_file: Path):
    text = "Seen March 5, 2024. Again on April 2nd."
    shifted = run(text, "-a", "shift", "-k", key_file)
    first, second = re.findall(r"[A-Z][a-z]+ \d+", shifted)[:2]
    days = [datetime.strptime(f"{day} 2023", "%B %d %Y") for day in (first, second)]
    assert (days[1] - days[0]).days == 28


def test_a_csv_of_another_delimiter_and_encoding_is_done(tmp_path: Path):
    pytest.importorskip("pyarrow")
    table = tmp_path / "notes.csv"
    table.write_bytes("id;text\n7;Ménière seen by Dr. Amy Lund\n".encode("cp1252"))
    options = ["--text-column", "text", "--delimiter", ";", "--encoding", "cp1252"]
    run(table, "-o", tmp_path / "out", "--to", "jsonl", *options)
    row = json.loads((tmp_path / "out" / "part-00000.jsonl").read_text("utf8"))
    assert (row["id"], row["text"]) == ("7", "Ménière seen by Dr. [PERSON]")


def test_a_format_that_the_ending_does_not_tell_is_named(tmp_path: Path):
    pytest.importorskip("pyarrow")
    export = tmp_path / "export.dat"
    export.write_text("id,text\n7,Seen by Dr. Amy Lund\n", "utf8")
    run(export, "-o", tmp_path / "out", "--to", "jsonl", "--format", "csv")
    row = json.loads((tmp_path / "out" / "part-00000.jsonl").read_text("utf8"))
    assert row["text"] == "Seen by Dr. [PERSON]"


def test_files_of_a_folder_that_are_left_out_are_counted(tmp_path: Path):
    pytest.importorskip("pyarrow")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "1.txt").write_text(NOTE, "utf8")
    (tmp_path / "notes" / "scan.pdf").write_bytes(b"")
    assert "1 file left out" in run(tmp_path / "notes", "-o", tmp_path / "out")


def test_many_texts_need_a_folder(table: Path):
    assert "[OM717]" in fail(table)
    assert "[OM718]" in fail(table, "-o", table.parent / "out", "--patient", "7")


@pytest.mark.parametrize(
    ("label", "text", "leaked"),
    [
        ("PERSON", "Anh Do", "Do"),
        ("PERSON", "Md Rahman", "Md"),
        ("STREET_ADDRESS", "12 Hill Street", "Hill"),
    ],
)
def test_names_that_are_credentials_or_kinds_of_roads_are_replaced(label, text, leaked):
    made = Surrogates(b"0" * 32)(label, text)
    assert leaked not in made.split()


def test_a_record_number_that_begins_with_1_is_replaced_whole():
    numbers = [
        Surrogates(bytes([i]) * 32)("MEDICAL_RECORD_NUMBER", "12345678901") for i in range(8)
    ]
    assert {number[0] for number in numbers} != {"1"}


def test_a_surname_in_capitals_is_one_surname():
    text = "LEE, ANN came. Mrs. Lee left."
    doc = make_doc(text, [(0, 8, "PERSON"), (20, 23, "PERSON")])
    made = deidentify(doc, "surrogate", key=KEY).text
    first, second = re.findall(r"^(\w+), |Mrs\. (\w+)", made)
    assert first[0].lower() == second[1].lower()


@pytest.mark.parametrize("action", ["mask", "hash", "redact", "surrogate"])
@pytest.mark.parametrize("text", ['{"mrn": 4411223}', '{"mrn": [1, 4411223]}'])
def test_json_numbers_leave_json(action, text):
    start = text.index("4411223")
    doc = make_doc(text, [(start, start + 7, "MEDICAL_RECORD_NUMBER")])
    assert json.loads(deidentify(doc, action, key=KEY).text)


@pytest.mark.parametrize(
    ("option", "value"), [("--patient-column", "mrn"), ("--encoding", "cp1252")]
)
def test_options_of_tables_are_refused_for_one_text(option: str, value: str):
    assert "OM719" in fail("a text", option, value)


def test_surrogates_in_threads():
    surrogates = Surrogates(b"secret")
    names = [f"{first} Miller" for first in ("John", "Mary", "Ngozi", "Aoife")] * 50
    expected = [surrogates("PERSON", name) for name in names]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(partial(surrogates, "PERSON"), names)) == expected

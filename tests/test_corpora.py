"""Reading the corpora: made-up files here, the real ones where they are."""

import json
from pathlib import Path

import pytest
from corpora import Document, Sentence, find_corpora, read_documents, read_sentences


def write(folder: Path, name: str, lines: list[str]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf8")
    return folder


def test_sentences_end_at_blank_lines(tmp_path: Path):
    lines = ["Renal\tB-Disease", "failure\tI-Disease", ".\tO", "", "", "None\tO"]
    write(tmp_path, "ner/made-up/test.iob", lines)
    assert read_sentences("made-up", "test", folder=tmp_path) == [
        Sentence(0, ("Renal", "failure", "."), ("B-Disease", "I-Disease", "O")),
        Sentence(0, ("None",), ("O",)),
    ]


def test_documents_begin_at_marks_in_the_file(tmp_path: Path):
    mark, word = "-DOCSTART- (7)\tO", "aspirin\tB-Chemical"
    lines = [mark, "", word, "", word, "", mark, "", word, ""]
    write(tmp_path, "ner/made-up/train.iob", lines)
    sentences = read_sentences("made-up", "train", folder=tmp_path)
    assert [s.doc for s in sentences] == [1, 1, 2]
    assert {s.tokens for s in sentences} == {("aspirin",)}


def test_documents_begin_where_a_table_beside_the_file_says(tmp_path: Path):
    write(tmp_path, "ner/made-up/dev.iob", ["asthma\tB-Disease", ""] * 4)
    table = ["document\tfirst_sentence\tsentences", "a\t0\t1", "b\t1\t2", "c\t3\t1"]
    write(tmp_path, "ner/made-up/dev.docs.tsv", table)
    sentences = read_sentences("made-up", "dev", folder=tmp_path)
    assert [s.doc for s in sentences] == [1, 2, 2, 3]


def test_documents_have_character_offsets(tmp_path: Path):
    text = "Ménière\u2028and asthma"
    rows = [
        {"id": "1", "text": text, "entities": [[0, 7, "Disease"], [12, 18, "Disease"]]},
        {"id": "2", "text": "", "entities": [], "relations": []},
    ]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    write(tmp_path, "docs/made-up/test.jsonl", lines)
    first, second = read_documents("made-up", "test", folder=tmp_path)
    assert first == Document("1", text, ((0, 7, "Disease"), (12, 18, "Disease")))
    assert [first.text[start:end] for start, end, _ in first.entities] == ["Ménière", "asthma"]
    assert second == Document("2", "", ())


def test_the_folder_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, "ner/made-up/test.iob", ["asthma\tO"])
    monkeypatch.setenv("OPENMED_CORPORA", str(tmp_path))
    assert find_corpora() == tmp_path
    assert read_sentences("made-up", "test")[0].tokens == ("asthma",)


@pytest.mark.parametrize("value", [None, ""])
def test_else_the_folder_is_assets(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "assets" / "ner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    if value is None:
        monkeypatch.delenv("OPENMED_CORPORA", raising=False)
    else:
        monkeypatch.setenv("OPENMED_CORPORA", value)
    assert find_corpora() == Path("assets")


def test_no_folder_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENMED_CORPORA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="OM250.*set the environment variable"):
        read_sentences("NCBI-disease", "test")


@pytest.mark.parametrize("read", [read_sentences, read_documents])
def test_no_file_is_an_error_that_names_it(read, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"OM251.*'made-up'.*'test'.*made-up.test\."):
        read("made-up", "test", folder=tmp_path)


# Published counts of the test sets
@pytest.mark.parametrize(
    ("corpus", "sentences", "entities", "documents"),
    [
        ("NCBI-disease", 940, 960, 100),
        ("BC5CDR", 4797, 5385 + 4424, 500),
        ("JNLPBA", 3856, 8662, 404),
        ("BC2GM", 5038, 6325, None),
    ],
)
def test_real_sentences(
    corpora: Path, corpus: str, sentences: int, entities: int, documents: int | None
):
    rows = read_sentences(corpus, "test", folder=corpora)
    assert len(rows) == sentences
    assert sum(tag.startswith("B-") for row in rows for tag in row.tags) == entities
    if documents is not None:
        assert {row.doc for row in rows} == set(range(1, documents + 1))


def test_real_documents(corpora: Path):
    documents = read_documents("NCBI-disease", "test", folder=corpora)
    assert len(documents) == 100
    assert sum(len(document.entities) for document in documents) == 960
    for document in documents:
        for start, end, _ in document.entities:
            mention = document.text[start:end]
            assert mention
            assert mention == mention.strip()

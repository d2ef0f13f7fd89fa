"""Five components, one contract for errors: a document that fails is never passed for done."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from pyarrow import parquet
from spacy.language import Language
from spacy.tokens import Doc
from typer.testing import CliRunner

for package in ("hccinfhir", "negspacy", "presidio_anonymizer", "pyarrow", "sklearn"):
    pytest.importorskip(package)

from failing import ERRORS, EXPECTED, FAILS, GOOD, TEXTS, make_failing_nlp, summarize

from spacy_openmed.batch.annotator import annotate
from spacy_openmed.batch.results import read_annotated
from spacy_openmed.cli import openmed_cli


@pytest.fixture(scope="module")
def made(impossible_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Language:
    return make_failing_nlp(impossible_checkpoint, tmp_path_factory.mktemp("weights"))


@pytest.fixture
def nlp(made: Language) -> Language:
    """The pipeline, with spaCy's own handler."""
    made.set_error_handler(spacy.util.raise_error)
    return made


@pytest.fixture(scope="module")
def saved(made: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "pipeline"
    made.to_disk(folder)
    return folder


def test_pipe_gives_only_failed_documents_to_the_handler(nlp: Language):
    failed: list[tuple[str, list[str], type]] = []

    def note(name: str, proc: object, docs: list[Doc], error: Exception) -> None:
        failed.append((name, [doc.text for doc in docs], type(error)))

    nlp.set_error_handler(note)
    pairs = list(nlp.pipe(((text, i) for i, text in enumerate(TEXTS)), as_tuples=True))
    assert [i for _, i in pairs] == [i for i, text in enumerate(TEXTS) if text == GOOD]
    assert all(
        doc.ents[0]._.is_negated and doc.spans["phi"] and doc._.hcc == doc._.relations == []
        for doc, _ in pairs
    )
    assert failed == [(name, [text], error) for name, (text, error) in FAILS.items()]


@pytest.mark.parametrize("name", FAILS)
def test_the_default_handler_raises_the_error_itself(nlp: Language, name: str):
    text, error = FAILS[name]
    with pytest.raises(error) as raised:
        nlp(text)
    assert type(raised.value) is error


@pytest.mark.parametrize("name", FAILS)
def test_a_call_returns_no_document_that_failed(nlp: Language, name: str):
    nlp.set_error_handler(spacy.util.ignore_error)
    with pytest.raises(ValueError, match=f"E005.*{name}"):
        nlp(FAILS[name][0])


@pytest.mark.parametrize("name", FAILS)
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda pipe: pickle.loads(pickle.dumps(pipe))]
)
def test_a_component_that_was_used_can_be_copied(nlp: Language, name: str, duplicate: Callable):
    nlp(GOOD)
    copied = duplicate(nlp.get_pipe(name))
    assert type(copied) is type(nlp.get_pipe(name))
    assert copied.name == name


def test_settings_that_no_text_can_follow_are_not_passed_for_done(tmp_path: Path):
    nlp = spacy.blank("en")
    config = {"model": {"name": str(tmp_path / "nowhere"), "local_files_only": True}}
    nlp.add_pipe("openmed_ner", config=config)
    nlp.set_error_handler(spacy.util.ignore_error)
    with pytest.raises(ValueError, match="E005"):
        nlp(GOOD)


def test_annotate(saved: Path):
    rows = annotate([{"text": text} for text in TEXTS], saved).to_pylist()
    assert summarize(rows) == EXPECTED


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("notes") / "notes.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), "utf8")
    return path


def process(*args: object) -> str:
    result = CliRunner().invoke(openmed_cli, ["process", *map(str, args)])
    assert result.exit_code == 3, result.output
    return result.output


def test_process(saved: Path, notes: Path, tmp_path: Path):
    printed = process(saved, notes, tmp_path / "out")
    [path] = (tmp_path / "out").glob("*.parquet")
    rows = parquet.read_table(path).to_pylist()
    assert summarize(rows) == EXPECTED
    assert "Lund" not in printed


def test_nothing_of_a_failed_document_reaches_the_graph(saved: Path, notes: Path, tmp_path: Path):
    process(saved, notes, tmp_path / "out", "--to", "spacy")
    [path] = (tmp_path / "out").glob("*.spacy")
    assert b"failphi" not in path.read_bytes()
    docs = [doc for _, doc in read_annotated(str(tmp_path / "out"))]
    assert [doc and doc.text for doc in docs] == [None if error else GOOD for error in ERRORS]


def test_deid_shows_nothing_of_a_text_that_failed(saved: Path):
    text = FAILS["openmed_phi"][0]
    result = CliRunner().invoke(openmed_cli, ["deid", text, "--pipeline", str(saved)])
    assert result.exit_code == 1
    assert "[OM007] The pipeline failed: ValueError." in result.output
    assert "Lund" not in result.output


def test_serve(nlp: Language):
    from test_serve import serving

    with serving(nlp) as client:
        rows = client.post("/entities", json={"texts": TEXTS}).json()["results"]
    assert summarize(rows) == EXPECTED

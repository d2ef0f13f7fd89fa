"""Tables of texts: every row comes back, with its entities or with what is wrong with it."""

import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import spacy
import torch
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Span

pa = pytest.importorskip("pyarrow")

from checkpoints import make_keyword_checkpoint
from conftest import make_nlp

from spacy_openmed.apply.pipelines import _load_pipeline, load_pipeline, to_model
from spacy_openmed.apply.texts import process, read_entities
from spacy_openmed.batch.annotator import Annotator, annotate
from spacy_openmed.errors import describe


@pytest.fixture(scope="session")
def saved(keyword_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A saved pipeline that finds the `KEYWORDS`."""
    folder = tmp_path_factory.mktemp("saved") / "pipeline"
    make_nlp(keyword_checkpoint).to_disk(folder)
    return str(folder)


def entities(table: "pa.Table") -> list[list[str] | None]:
    rows = table["entities"].to_pylist()
    return [None if row is None else [entity["text"] for entity in row] for row in rows]


def test_rows_come_back_in_their_order(saved: str):
    texts = ["No asthma.", "Nothing here.", "", "Aspirin for renal failure"]
    table = pa.table({"id": ["d", "c", "b", "a"], "ward": [4, 3, 2, 1], "text": texts})
    result = annotate(table, saved, id_column="id", columns=("ward",))
    assert result.column_names == ["id", "ward", "entities", "error"]
    assert result["id"].to_pylist() == ["d", "c", "b", "a"]
    assert result["ward"].to_pylist() == [4, 3, 2, 1]
    assert entities(result) == [["asthma"], [], [], ["Aspirin", "renal failure"]]
    assert result["error"].null_count == 4


def test_what_is_known_of_an_entity(saved: str):
    table = pa.table({"text": ["é 😀 asthma"]})
    (entity,) = annotate(table, saved)["entities"].to_pylist()[0]
    score = entity.pop("score")
    assert 0.5 < score <= 1
    assert entity.pop("dataset")
    assert entity == {"start": 4, "end": 10, "label": "DISEASE", "text": "asthma"}


def test_record_batches_and_bytes(saved: str):
    batch = pa.record_batch({"text": pa.array([b"No asthma.", b"\xff\xfe", None])})
    result = annotate(batch, saved)
    assert entities(result) == [["asthma"], None, None]
    assert [error and error[:7] for error in result["error"].to_pylist()] == [
        None,
        "[OM302]",
        "[OM301]",
    ]


@pytest.mark.parametrize("values", [[1, 2], [True, None], [[1], []]], ids=str)
def test_what_is_no_text_is_an_error_of_its_row(saved: str, values: list):
    result = annotate(pa.table({"text": values}), saved)
    assert entities(result) == [None, None]
    assert all("OM301" in error for error in result["error"].to_pylist())


def test_strings_that_are_no_utf8(saved: str):
    broken = pa.array([b"asthma", b"\xc3\x28"], pa.binary()).view(pa.binary())
    column = pa.Array.from_buffers(pa.string(), 2, broken.buffers())
    result = annotate(pa.table({"text": column}), saved)
    assert entities(result) == [["asthma"], None]


def test_document_of_millions_of_characters(keyword_checkpoint: Path):
    text = " " * 5_000_000 + "asthma"
    config = {"model": {"name": str(keyword_checkpoint)}}
    result = annotate(pa.table({"text": ["word", text]}), config)
    assert entities(result) == [[], ["asthma"]]


def test_document_that_is_too_long_for_a_pipeline(saved: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Annotator(saved).load(), "max_length", 100)
    long = "asthma " * 20
    result = annotate(pa.table({"text": [long, "No asthma."]}), saved)
    assert entities(result) == [None, ["asthma"]]
    assert result["error"].to_pylist() == ["[OM007] The pipeline failed: ValueError [E088].", None]


def test_a_document_that_fails_is_alone(impossible_checkpoint: Path):
    config = {"model": {"name": str(impossible_checkpoint)}}
    texts = ["No asthma.", "impossible asthma", "Aspirin."]
    result = annotate(pa.table({"text": texts}), config)
    assert entities(result) == [["asthma"], None, ["Aspirin"]]
    (error,) = result["error"].drop_null().to_pylist()
    assert "OM211" in error
    assert "asthma" not in error


class FailsByBatch:
    """Gives up a whole batch if one of its documents fails, as spaCy's trainable pipes do."""

    def __call__(self, doc: Doc) -> Doc:
        return doc

    def set_error_handler(self, handler: Callable) -> None:
        self.handler = handler

    def pipe(self, docs, batch_size: int):
        docs = list(docs)
        if any("fail" in doc.text for doc in docs):
            self.handler("fails", self, docs, KeyError("the text of a patient"))
        else:
            yield from docs


def test_a_batch_that_is_given_up_is_tried_again_one_by_one(keyword_checkpoint: Path):
    annotator = Annotator(to_model({"model": {"name": str(keyword_checkpoint)}}))
    Language.factory("fails_by_batch", func=lambda nlp, name: FailsByBatch())
    annotator.load().add_pipe("fails_by_batch")
    result = annotator(pa.table({"text": ["No asthma.", "fail", "Aspirin."]}))
    _load_pipeline.cache_clear()
    assert entities(result) == [["asthma"], None, ["Aspirin"]]
    assert result["error"].to_pylist()[1] == "[OM007] The pipeline failed: KeyError."


class Repeats(Pipe):
    """Treats a document that holds a word as a broken component might."""

    def __init__(self, way: str) -> None:
        self.name = way
        self.way = way

    def pipe(self, stream, *, batch_size: int = 128):
        for doc in stream:
            if "odd" not in doc.text:
                yield doc
            elif self.way == "copies":
                yield doc.copy()
            elif self.way == "returns nothing":
                yield None
            elif self.way == "repeats":
                yield from (doc, doc)
            elif self.way == "raises":
                raise OSError(doc.text)
            elif self.way == "yields what failed":
                self.get_error_handler()(self.name, self, [doc], OSError(doc.text))
                yield doc


ODD = ["No asthma.", "odd asthma", "Aspirin."]


def make_odd(checkpoint: Path, way: str) -> Language:
    """A pipeline with a broken component, and one after it."""
    nlp = make_nlp(checkpoint)
    Language.factory("odd", func=lambda nlp, name: Repeats(way))
    nlp.add_pipe("odd", name=way, first=True)
    return nlp


@pytest.mark.parametrize(
    ("way", "error"),
    [
        ("drops", "[OM303] The pipeline dropped this document without reporting an error."),
        ("returns nothing", "[OM305] Component 'returns nothing' returned an object of type None"),
        ("repeats", "[OM304] Component 'repeats' returned 2 documents for one."),
        ("raises", "[OM007] The pipeline failed: OSError."),
        ("yields what failed", "[OM007] The pipeline failed: OSError."),
    ],
)
def test_broken_components_cost_their_row(keyword_checkpoint: Path, way: str, error: str):
    first, row, last = process(make_odd(keyword_checkpoint, way), ODD)
    assert [ent.text for doc in (first, last) for ent in doc.ents] == ["asthma", "Aspirin"]
    assert row.startswith(error)


def test_components_may_return_another_document(keyword_checkpoint: Path):
    docs = process(make_odd(keyword_checkpoint, "copies"), ODD)
    assert [[ent.text for ent in doc.ents] for doc in docs] == [["asthma"], ["asthma"], ["Aspirin"]]


def test_error_of_a_document_that_a_component_made(impossible_checkpoint: Path):
    nlp = make_odd(impossible_checkpoint, "copies")
    first, row, last = process(nlp, ["No asthma.", "odd and impossible", "Aspirin."])
    assert [ent.text for doc in (first, last) for ent in doc.ents] == ["asthma", "Aspirin"]
    assert row.startswith("[OM211]")


def test_settings_that_no_text_can_follow_raise(keyword_checkpoint: Path):
    nlp = make_nlp(keyword_checkpoint, threshold="recommended")
    with pytest.raises(ValueError, match="OM204"):
        process(nlp, ["asthma"])


def test_error_handlers_are_restored(impossible_checkpoint: Path):
    nlp = make_nlp(impossible_checkpoint)
    nlp.add_pipe("sentencizer")

    def ours(*_: object) -> None:
        pass

    def theirs(*_: object) -> None:
        pass

    nlp.set_error_handler(ours)
    nlp.get_pipe("sentencizer").set_error_handler(theirs)
    process(nlp, ["asthma", "impossible"])
    assert nlp.default_error_handler is ours
    assert nlp.get_pipe("openmed_ner").get_error_handler() is ours
    assert nlp.get_pipe("sentencizer").get_error_handler() is theirs


def test_threads_are_set_with_each_load(keyword_checkpoint: Path):
    model = to_model({"model": {"name": str(keyword_checkpoint)}})
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 1):
            load_pipeline(model, threads=threads)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_threads_share_a_pipeline(impossible_checkpoint: Path):
    config = {"model": {"name": str(impossible_checkpoint)}}
    texts = [f"{'impossible' if i % 5 == 0 else 'asthma'} {i}" for i in range(40)]

    def run(start: int) -> list[bool]:
        table = pa.table({"text": texts[start:] + texts[:start]})
        return [row is None for row in entities(annotate(table, config))]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, [0, 1, 2, 3] * 3))
    failed = ["impossible" in text for text in texts]
    assert found == [failed[i:] + failed[:i] for i in [0, 1, 2, 3] * 3]


@pytest.mark.parametrize("message", ["[OM301] Jane", "[OM999] Jane", "[E123456] Jane", "Jane"])
def test_messages_of_others_are_not_told(message: str):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        raise ValueError(message)
    assert describe(raised.value) == "[OM007] The pipeline failed: ValueError."


def test_spans_that_were_added_later_have_no_score(keyword_checkpoint: Path):
    doc = make_nlp(keyword_checkpoint)("No asthma.")
    doc.spans["openmed"].append(Span(doc, 0, 1, "OTHER"))
    found = read_entities(doc, ["openmed"])
    assert [(row["text"], row["score"] is None) for row in found] == [
        ("No", True),
        ("asthma", False),
    ]


def test_rows_with_an_error_keep_it(saved: str):
    table = pa.table({"text": ["asthma"] * 3, "error": ["unreadable", None, ""]})
    result = annotate(table, saved)
    assert entities(result) == [None, ["asthma"], ["asthma"]]
    assert result["error"].to_pylist() == ["unreadable", None, None]


def test_column_that_is_not_there(saved: str):
    with pytest.raises(ValueError, match="OM008.*column note, ward.*are: text"):
        annotate(pa.table({"text": ["a"]}), saved, id_column="note", columns=("ward",))


# Data in other formats


@pytest.mark.parametrize("name", ["text", "ward"])
def test_a_column_that_is_there_twice(saved: str, name: str):
    pandas = pytest.importorskip("pandas")
    names = ["text", "ward", name]
    frame = pandas.DataFrame([["secret"] * 3], columns=names)
    for data in (frame, pa.table([["secret"]] * 3, names=names)):
        with pytest.raises(ValueError, match=rf"OM376\] The column '{name}'") as error:
            annotate(data, saved, columns=["ward"])
        assert "secret" not in str(error.value)


def test_pandas(saved: str):
    pandas = pytest.importorskip("pandas")
    texts = ["No asthma.", None, float("nan"), 3, "half \ud83d of a pair", b"Aspirin."]
    frame = pandas.DataFrame({"ward": [1, 2, 3, 4, 5, 6], "text": texts}, index=list("abcdef"))
    frame.index.name = "id"
    rows = annotate(frame, saved, id_column="id", columns=("ward",))
    assert entities(rows) == [["asthma"], None, None, None, None, ["Aspirin"]]
    assert rows["id"].to_pylist() == list("abcdef")
    assert rows["ward"].to_pylist() == [1, 2, 3, 4, 5, 6]
    assert rows["error"].null_count == 2


def test_lists_of_dicts_and_texts(saved: str):
    data = [
        {"text": "No asthma.", "id": 1, "error": None},
        {"text": "Aspirin.", "id": "b", "error": "unreadable"},
        {"id": None},
        "Aspirin.",
        {"text": "half \ud83d of a pair", "id": "\ud83d"},
    ]
    rows = annotate(data, saved, id_column="id")
    assert entities(rows) == [["asthma"], None, None, ["Aspirin"], None]
    assert rows["id"].to_pylist() == ["1", "b", None, None, "\\ud83d"]
    errors = [error and error[:10] for error in rows["error"].to_pylist()]
    assert errors == [None, "unreadable", "[OM301] The"[:10], None, errors[4]]
    assert errors[4]
    assert annotate([], saved, id_column="id").num_rows == 0


def test_arrow_streams(saved: str):
    table = pa.table({"text": ["No asthma.", "Aspirin."]})
    assert entities(annotate(table.to_reader(), saved)) == [["asthma"], ["Aspirin"]]


@pytest.mark.parametrize("data", ["No asthma.", {"text": ["No asthma."]}, None], ids=str)
def test_what_is_no_table(saved: str, data: object):
    with pytest.raises(ValueError, match=r"OM350.*pyarrow.table\(\{\"note\"") as raised:
        annotate(data, saved, text_column="note")
    assert "asthma" not in str(raised.value)


def test_a_column_called_error_that_holds_no_errors(saved: str):
    with pytest.raises(ValueError, match="OM351.*bool"):
        annotate([{"text": "asthma", "error": False}], saved)


def test_a_pipeline_that_is_loaded_already(keyword_checkpoint: Path):
    with pytest.raises(ValueError, match="OM306.*English"):
        annotate([{"text": "asthma"}], make_nlp(keyword_checkpoint))


def test_pipeline_with_other_entities(tmp_path: Path):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "ROUTE", "pattern": "orally"}])
    nlp.to_disk(tmp_path)
    (row,) = annotate(pa.table({"text": ["Take orally."]}), tmp_path)["entities"].to_pylist()
    expected = {"start": 5, "end": 11, "label": "ROUTE", "text": "orally"}
    assert row == [{**expected, "score": None, "dataset": None}]


def save_ruler(folder: Path, *names: str) -> str:
    """Save a pipeline of rules and further components."""
    nlp = spacy.blank("en")
    patterns = [{"label": "DISEASE", "pattern": "asthma"}, {"label": "CHEMICAL", "pattern": "drug"}]
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    for name in names:
        nlp.add_pipe(name)
    nlp.to_disk(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("names", "attribute", "message"),
    [
        ((), "is_negated", "OM309.*'is_negated'. Add openmed_context .*set: none"),
        ((), "is_negatd", "OM309.*Did you mean 'is_negated'.*Add openmed_context"),
        (
            ("openmed_context",),
            "is_famly",
            "Did you mean 'is_family'. The attr.*set: context, context_score, is_family, is_h",
        ),
        (("openmed_context",), "severity", "'severity'. Add a component that sets it"),
        (("sets_rare",), "rar", "OM309"),
    ],
)
def test_attributes_that_nothing_sets(tmp_path: Path, names: tuple, attribute: str, message: str):
    annotator = Annotator(save_ruler(tmp_path, *names), attributes=(attribute,))
    table = pa.table({"text": ["No asthma."]})
    with pytest.raises(ValueError, match=message):
        annotator(table)
    if not names or names == ("openmed_context",):  # known without loading the pipeline, as on
        with pytest.raises(ValueError, match=message):  # the driver of Spark
            annotator.schema(table.schema)


@Language.component("sets_rare")
def set_rare(doc: Doc) -> Doc:
    for ent in doc.ents:
        ent._.is_rare = True
    return doc


def test_attributes_of_other_peoples_components(tmp_path: Path):
    Span.set_extension("is_rare", default=False, force=True)
    annotator = Annotator(save_ruler(tmp_path, "sets_rare"), attributes=("is_rare",))
    table = pa.table({"text": ["No asthma."]})
    ((entity,),) = annotator(table)["entities"].to_pylist()
    assert entity["is_rare"] is True
    assert annotator.schema(table.schema) == annotator(table).schema


@Language.component("sets_ids", assigns=["token.ent_kb_id"])
def set_ids(doc: Doc) -> Doc:
    doc.ents = [Span(doc, e.start, e.end, e.label, kb_id=f"X:{e.text}") for e in doc.ents]
    return doc


def test_what_is_found_beside_entities(tmp_path: Path):
    pytest.importorskip("negspacy", reason="needs the extra [clinical]")
    names = ("sets_ids", "openmed_context", "openmed_relation")
    annotator = Annotator(save_ruler(tmp_path, *names))
    table = pa.table({"text": ["A drug caused asthma.", "No asthma.", None]})
    result = annotator(table)
    assert result.schema == annotator.schema(table.schema)
    (_, asthma), (negated,) = result["entities"].to_pylist()[:2]
    assert (asthma["kb_id"], asthma["is_negated"]) == ("X:asthma", False)
    assert (negated["is_negated"], negated["is_family"]) == (True, False)
    assert (negated["context"], negated["context_score"]) == ("ABSENT", None)
    doc = annotator.load()("A drug caused asthma.")
    (relation,), none, failed = result["relations"].to_pylist()
    assert relation["head"] == doc._.relations[0]["head"] == "X:drug"
    assert relation["evidence"] == [
        {key: list(place) for key, place in doc._.relations[0]["evidence"][0].items()}
    ]
    assert (none, failed) == ([], None)


def test_annotators_travel_without_their_pipeline(saved: str):
    annotator = Annotator(saved, id_column="id")
    annotator.load()
    sent = pickle.dumps(annotator)
    assert len(sent) < 1000
    assert pickle.loads(sent) == annotator
    assert hash(pickle.loads(sent)) == hash(annotator)


def test_a_pipeline_saved_anew_is_loaded_anew(keyword_checkpoint: Path, tmp_path: Path):
    make_nlp(keyword_checkpoint).to_disk(tmp_path)
    table = pa.table({"text": ["No asthma."]})
    old = Annotator(to_model(tmp_path))
    assert entities(old(table)) == [["asthma"]]
    make_nlp(keyword_checkpoint, labels_to_ignore=["DISEASE"]).to_disk(tmp_path)
    assert entities(annotate(table, tmp_path)) == [[]]
    assert entities(pickle.loads(pickle.dumps(Annotator(to_model(tmp_path))))(table)) == [[]]
    assert entities(old(table)) == [["asthma"]]  # one run, one pipeline


def test_a_checkpoint_saved_anew_is_loaded_anew(keyword_checkpoint: Path, tmp_path: Path):
    folder = shutil.copytree(keyword_checkpoint, tmp_path / "checkpoint")
    config = {"model": {"name": str(folder)}}
    first = Annotator(to_model(config)).load()
    make_keyword_checkpoint(folder, {"fever": "Disease"})
    assert Annotator(to_model(config)).load() is not first


def test_pipeline_is_loaded_once(saved: str):
    assert Annotator(saved).load() is Annotator(saved, text_column="note").load()


@pytest.mark.parametrize(
    ("settings", "near"),
    [({"domian": "disease"}, "domain"), ({"model": {"presicion": "fp32"}}, "precision")],
)
def test_a_setting_that_is_misspelt_prints_no_config(settings: dict, near: str):
    with pytest.raises(ValueError, match=rf"^\[OM010\].* Did you mean '{near}'") as error:
        annotate(["No asthma."], settings)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("model", "setting"), [("disease", "domain"), ("bc2gm", "dataset"), ("mini", "size")]
)
def test_a_domain_in_place_of_a_pipeline(model: str, setting: str):
    with pytest.raises(ValueError, match=rf"OM307.*Did you mean {{'{setting}': '{model}'}}"):
        annotate(["No asthma."], model)


def test_strings_do_not_pile_up(saved: str):
    annotator = Annotator(saved)
    annotator(pa.table({"text": ["asthma"]}))
    before = len(annotator.load().vocab.strings)
    annotator(pa.table({"text": [" ".join(f"word{i}" for i in range(1000))]}))
    assert len(annotator.load().vocab.strings) <= before + 10


def test_package_that_is_not_installed(run_python: Callable):
    printed = run_python(
        "import sys\n"
        "sys.modules['pyarrow'] = None\n"
        "try: from spacy_openmed.batch import annotate\n"
        "except ImportError as error: print(error)"
    )
    assert "OM002" in printed
    assert "spacy-openmed[batch]" in printed


def test_a_parser_takes_no_error_handler(keyword_checkpoint: Path):
    nlp = spacy.blank("en")
    nlp.add_pipe("parser").add_label("dep")
    nlp.initialize()
    nlp.add_pipe("openmed_ner", config={"model": {"name": str(keyword_checkpoint)}})
    default = nlp.default_error_handler
    [doc] = process(nlp, ["asthma"])
    assert isinstance(doc, Doc)
    assert doc.ents
    assert nlp.default_error_handler is default

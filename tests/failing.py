"""A pipeline of our five components, each of which fails on a text of its own.

Workers import this module too: with the annotator below, for the factories of the test's classes.
"""

from dataclasses import replace
from pathlib import Path

import spacy
import srsly
from conftest import add_openmed
from spacy.language import Language
from spacy.tokens import Doc

from spacy_openmed.batch.annotator import Annotator
from spacy_openmed.clinical.component import OpenMedContext
from spacy_openmed.deid.component import OpenMedPHI
from spacy_openmed.hcc.component import OpenMedHCC
from spacy_openmed.hcc.icd10cm import Code, Vocabulary
from spacy_openmed.relations.component import PATH
from spacy_openmed.relations.weights import RelationModel

# By the name of the component: a text, and the error. The checkpoint does not know a piece of its
# tokenizer; the weights of relations have no threshold; the others are subclasses that fail.
FAILS = {
    "openmed_ner": ("An impossible asthma.", IndexError),
    "openmed_phi": ("Dr. Lund has asthma, failphi.", ValueError),
    "openmed_context": ("Dr. Lund has asthma, failcontext.", ValueError),
    "openmed_hcc": ("Dr. Lund has asthma, failhcc.", ValueError),
    "openmed_relation": ("Aspirin gave Dr. Lund asthma.", TypeError),
}
GOOD = "Dr. Lund has no asthma."
TEXTS = [GOOD, *(text for bad, _ in FAILS.values() for text in (bad, GOOD))]
FAILED = "[OM007] The pipeline failed: {}."
# What stands in the column "error": the start of it.
ERRORS = [
    *(None, "[OM211] The tokenizer of ", None, FAILED.format("ValueError"), None),
    *(FAILED.format("ValueError"), None, FAILED.format("ValueError"), None),
    *(FAILED.format("TypeError"), None),
]


def summarize(rows: list[dict]) -> list[tuple[list[str] | None, str | None]]:
    """The texts of the entities of each row, and the start of its error."""
    return [
        (
            row["entities"] and [entity["text"] for entity in row["entities"]],
            row["error"] and row["error"][: len(ERRORS[i] or "")],
        )
        for i, row in enumerate(rows)
    ]


EXPECTED = [(None if error else ["asthma"], error) for error in ERRORS]
VOCABULARY = Vocabulary(
    {"J45.909": Code("J45.909", "Unspecified asthma", "J45", True)}, {"asthma": "J45.909"}
)


def fail(doc: Doc, word: str) -> None:
    """Raise an error whose message looks like one of ours, and holds the text."""
    if word in doc.text:
        raise ValueError(f"[OM301] {doc.text}")


class FailingPHI(OpenMedPHI):
    def predict(self, doc):
        fail(doc, "failphi")
        return super().predict(doc)


class FailingContext(OpenMedContext):
    def predict(self, doc):
        fail(doc, "failcontext")
        return super().predict(doc)


class FailingHCC(OpenMedHCC):
    def predict(self, doc):
        fail(doc, "failhcc")
        return super().predict(doc)


@Language.factory("test_phi")
def make_phi(nlp: Language, name: str):
    return FailingPHI(nlp.vocab, name)


@Language.factory("test_context")
def make_context(nlp: Language, name: str):
    return FailingContext(nlp.vocab, name, tokenizer=nlp.tokenizer, span_keys=["openmed"])


@Language.factory("test_hcc")
def make_hcc(nlp: Language, name: str):
    return FailingHCC(nlp.vocab, name)


class FailingAnnotator(Annotator):
    """Makes the processes that it is sent to import this module."""


def make_failing_nlp(checkpoint: Path, folder: Path) -> Language:
    """Make the pipeline.

    checkpoint (Path): One of `make_impossible_checkpoint`.
    folder (Path): Where to write the weights of relations.
    """
    weights = folder / "relation.npz"
    bundled = RelationModel.from_bytes(PATH.read_bytes())
    weights.write_bytes(replace(bundled, threshold=None).to_bytes())
    nlp = spacy.blank("en")
    add_openmed(nlp, checkpoint)
    for name in ("phi", "context", "hcc"):
        nlp.add_pipe(f"test_{name}", name=f"openmed_{name}")
    nlp.add_pipe("openmed_relation", config={"path": str(weights)})
    rows = srsly.msgpack_dumps(VOCABULARY.to_rows())
    nlp.get_pipe("openmed_hcc").from_bytes(srsly.msgpack_dumps({"vocabulary": rows}))
    return nlp

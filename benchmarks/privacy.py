"""The privacy head on texts that it was not trained on, and another checkpoint on the same.

    python benchmarks/privacy.py [--other FOLDER]

Sentences, questions and notes are the test part of the data from `scripts/privacy_data.py`; the
discharge summaries are `deid/mlei06-discharge-summaries` of the corpora. Checkpoints have different
types, so tokens are scored as personal data or not. Ages, which the head was not trained on, are
ignored.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import spacy
import typer
from spacy.language import Language
from spacy.tokens import Doc
from util import OUTPUT, print_rows, save_results

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from corpora import find_corpora
from privacy_data import TYPES, read_privacy

IGNORED = ""  # of tokens that count neither way
HEADER = ("checkpoint", "texts", "kind", "tokens", "P", "R", "F1")
ALL = "all"
Text = tuple[Doc, dict[int, str]]  # the kind of each token that is personal data


def main(
    checkpoint: str | None = typer.Option(None, help="Folder of the first one (default: mini)"),
    other: Path | None = typer.Option(None, help="Folder of another checkpoint"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
) -> None:
    """
    Measure how much personal data is found (folder: OPENMED_CORPORA).
    """
    rows = []
    for name, model in (("mini", checkpoint), (other.name if other else "", other)):
        if not name:
            continue
        nlp = spacy.blank("en")
        config = {"annotate": "ents", "model": {"name": str(model)} if model else {}}
        if name == "mini":
            config["dataset" if model else "domain"] = "privacy"
        nlp.add_pipe("openmed_ner", config=config)
        sets = {"made": read_made(nlp), "discharge summaries": read_summaries(nlp)}
        for title, texts in sets.items():
            rows += [(name, title, *row) for row in score(nlp, texts)]
    print_rows(HEADER, rows, as_json)
    save_results(output, {"privacy": (HEADER, rows)})


def read_made(nlp: Language) -> list[Text]:
    """RETURNS (list[Text]): The test part of the texts that were made up."""
    texts = []
    for sentence in read_privacy("test"):
        doc = Doc(nlp.vocab, words=list(sentence.tokens))
        texts.append((doc, {i: tag[2:] for i, tag in enumerate(sentence.tags) if tag != "O"}))
    return texts


def read_summaries(nlp: Language) -> list[Text]:
    """RETURNS (list[Text]): The discharge summaries."""
    path = find_corpora() / "deid" / "mlei06-discharge-summaries.jsonl"
    texts = []
    for line in path.read_text(encoding="utf8").splitlines():
        row = json.loads(line)
        doc = nlp.make_doc(row["text"])
        kinds: dict[int, str] = {}
        for start, end, label in row["entities"]:
            span = doc.char_span(start, end, alignment_mode="expand")
            kinds |= {token.i: TYPES.get(label, IGNORED) for token in span or ()}
        texts.append((doc, kinds))
    return texts


def score(nlp: Language, texts: Sequence[Text]) -> list[tuple]:
    """Count tokens that are found to be personal data, of whatever kind.

    nlp (Language): The pipeline.
    texts (Sequence[Text]): The texts.
    RETURNS (list[tuple]): Kind, tokens, and P, R and F1 in per cent; of a single kind only R.
    """
    right: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    n_found = 0
    for doc, kinds in texts:
        gold = {i: kind for i, kind in kinds.items() if kind != IGNORED}
        found = {token.i for ent in nlp(doc.copy()).ents for token in ent} - (kinds.keys() - gold)
        right.update(kind for i, kind in gold.items() if i in found)
        wanted.update(gold.values())
        n_found += len(found)
    n_right, n_gold = right.total(), wanted.total()
    precision, recall = n_right / max(n_found, 1), n_right / max(n_gold, 1)
    f1 = 2 * n_right / max(n_found + n_gold, 1)
    return [(ALL, n_gold, 100 * precision, 100 * recall, 100 * f1)] + [
        (kind, n, None, 100 * right[kind] / n, None) for kind, n in wanted.most_common()
    ]


if __name__ == "__main__":
    typer.run(main)

"""Fit the temperature and the threshold of a checkpoint's heads on dev.

    python scripts/fit_mini.py CHECKPOINT OUTPUT [--heads scripts/mini_heads.json] [--only HEAD ...]

For every bundled head, finds the temperature with the smallest calibration error on dev, and the
threshold that then has the best strict F1 on dev, on raw texts where the corpus has them.
`bundle_mini.py --facts` reads the output. The checkpoint must not have learned from the dev parts,
so use the one before the last training stage. Heads whose corpus is not available are left out.
With `--only`, the output keeps the rows of the other heads.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from corpora import Sentence
from mini_data import Corpus, read_documents, read_heads, read_iob
from spacy.language import Language

from spacy_openmed.checkpoints.heads import Head
from spacy_openmed.labels import canonical_label
from spacy_openmed.ner.component import OpenMedNER

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
from accuracy import best_threshold
from calibration import (
    calibration_error,
    entity_scores,
    fit_temperature,
    is_there,
    predict,
    read_texts,
)
from util import (
    GOLD,
    Text,
    make_gold_text,
    make_pipeline,
    print_rows,
    quiet_transformers,
    read_raw_texts,
)

HEADER = ("dataset", "entities", "temperature", "ECE, %", "threshold", "F1 with it")
Row = tuple[str, int, float, float, float, float]  # as in the header


def read_held_out(corpus: Corpus, head: Head, nlp: Language) -> list[Text]:
    """RETURNS (list[Text]): The dev part held out of a corpus' training set."""
    labels = {t: canonical_label(t) for t in corpus.heads[head.dataset].values() if t}
    if corpus.reader == "iob":
        column = list(corpus.heads).index(head.dataset)
        return [
            make_gold_text(
                [Sentence(row.doc, tuple(row.tokens), tuple(row.tags[column]))], labels, nlp.vocab
            )
            for row in read_iob(corpus, "dev")
        ]
    return [
        Text(
            nlp.make_doc(text.text),
            {(s.start, s.end, labels[s.type]) for s in text.layers["entities"] if s.type in labels},
        )
        for text in read_documents(corpus, "dev")
    ]


@dataclass(frozen=True)
class Sample:
    """How much of a dev part to use: its first texts, until they have enough tokens and mentions.

    words (int): Number of tokens.
    mentions (int): Number of mentions.
    """

    words: int
    mentions: int

    def take(self, texts: Sequence[Text]) -> Sequence[Text]:
        """RETURNS (Sequence[Text]): The first texts; all, if there are not enough."""
        words = mentions = 0
        for i, text in enumerate(texts):
            if words >= self.words and mentions >= self.mentions:
                return texts[:i]
            words, mentions = words + len(text.doc), mentions + len(text.gold)
        return texts


def fit(
    nlp: Language, component: OpenMedNER, head: Head, corpus: Corpus, sample: Sample
) -> Row | None:
    """Find a head's temperature and threshold.

    nlp (Language): The pipeline.
    component (OpenMedNER): Its component.
    head (Head): The head.
    corpus (Corpus): The corpus that the head is made for.
    sample (Sample): How much of its dev part to use.
    RETURNS (tuple | None): The columns of `HEADER`; None if the corpus is not available.
    """
    raw: list[Text] = []
    if corpus.held_out:
        texts = read_held_out(corpus, head, nlp)
    elif is_there(head, "dev"):
        texts = read_texts(nlp, component, head, "dev", None)
        if head.dataset in GOLD:
            raw = read_raw_texts(head.dataset, "dev", nlp)
    else:
        return None
    batches = predict(component, head, sample.take(texts))
    temperature = fit_temperature(component, head, batches, "entities")
    head = replace(head, temperature=temperature)
    error = calibration_error(*entity_scores(component, head, batches))
    if raw:
        batches = predict(component, head, sample.take(raw))
    scores, right = entity_scores(component, head, batches)
    n_gold = sum(len(text.gold) for batch in batches for text in batch.texts)
    threshold, f1 = best_threshold(scores.tolist(), right.tolist(), n_gold)
    return head.dataset, len(scores), temperature, 100 * error, threshold, 100 * f1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path, help="JSON file to write")
    parser.add_argument("--heads", type=Path, default=Path(__file__).parent / "mini_heads.json")
    parser.add_argument("--words", type=int, default=30_000, help="to use at least, of a dev part")
    parser.add_argument("--mentions", type=int, default=300, help="to use at least, of a dev part")
    parser.add_argument("--only", nargs="+", help="heads to fit; default: all that are kept")
    args = parser.parse_args()

    quiet_transformers()
    heads, corpora = read_heads(args.heads)
    kept = args.only or [head.dataset for head in heads if head.is_kept]
    sample = Sample(args.words, args.mentions)
    nlp = make_pipeline(str(args.checkpoint), {"annotate": "spans"})
    component = cast(OpenMedNER, nlp.get_pipe("openmed_ner"))
    rows, missing = [], []
    for head in component.shim.heads:
        if head.dataset not in kept:
            continue
        corpus = next(corpus for corpus in corpora if head.dataset in corpus.heads)
        row = fit(nlp, component, head, corpus, sample)
        if row is None:
            missing.append(head.dataset)
            continue
        rows.append(row)
        print(
            *(f"{x:.2f}" if isinstance(x, float) else x for x in row), file=sys.stderr, flush=True
        )
    print_rows(HEADER, rows, as_json=False)
    if missing:
        print(f"No corpora for: {', '.join(missing)}.", file=sys.stderr)
    before = json.loads(args.output.read_text(encoding="utf8")) if args.only else []
    facts = {row["dataset"]: row for row in before} | {
        name: {"dataset": name, "recommended_confidence": threshold, "temperature": temperature}
        for name, _, temperature, _, threshold, _ in rows
    }
    lines = ",\n".join(f"  {json.dumps(row)}" for row in facts.values())
    args.output.write_text(f"[\n{lines}\n]\n", encoding="utf8")


if __name__ == "__main__":
    main()

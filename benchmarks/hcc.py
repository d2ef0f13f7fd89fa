"""HCC coding support: linking, notes with planted diagnoses, and hccinfhir beside hccpy.

    python benchmarks/hcc.py
    python benchmarks/hcc.py --part codes      # only the codes of sentences and notes

It needs the extra `hcc` and, for the last part, hccpy; no corpora.

Linking: 1,000 inclusion terms of ICD-10-CM (without injuries and external causes) are taken out,
and the code of each must be found by the descriptions and the other terms. The ranking was fitted
on 1,000 others (`scripts/icd10cm_ranker.py`), and our aliases are left out. The baseline is the
cosine of character n-grams. `HCC F1` is measured on the categories of the first code.
Thresholds: the same, without codes that score below a threshold.
Aliases: the phrases of `ALIASES`, written after the alias file by the same authors. Few of them are
in it verbatim.
Notes: those of `examples/hcc_notes.jsonl`, written for this benchmark: diagnoses with their codes,
and diseases that are denied, of the family, or only possible. The rules were revised once after a
look at them.
Codes: those of `texts/diagnoses.tsv`, 120 diagnosis sentences of which 20 have no code, and those
of whole notes of the notes corpus (`--split`), by class. They are scored once with all components,
and once with gold problems and assertions instead of found mentions, which tests the linking alone,
without status codes. A code counts once per text.
Blind sentences: those of `texts/diagnoses_blind.jsonl`, written by two coders who had not seen the
rules. Half of them were `seen` while the rules were revised. Codes in `also` are optional beside
the `codes`, and `alt` lists, for a code, equally good ones.
"""

import json
import random
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time

import numpy as np
import spacy
import typer
from spacy.scorer import PRFScore
from spacy.tokens import Doc
from util import OUTPUT, Table, print_rows, save_results

from spacy_openmed.clinical.component import BY_MODEL
from spacy_openmed.clinical.termsets import AXES
from spacy_openmed.hcc.component import add_hcc_pipes
from spacy_openmed.hcc.icd10cm import read_vocabulary
from spacy_openmed.hcc.linking import Candidate, Linker
from spacy_openmed.hcc.ranking import NGRAMS
from spacy_openmed.hcc.report import find_counted, patient_report
from spacy_openmed.hcc.risk import MODELS, calculate, find_hccs

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from icd10cm_ranker import Term, split_terms, without_terms
from notes_codes import ALL, NoteCode, add_counts, read_note_codes

from notes_corpus import annotate, read_notes

DIAGNOSES = Path(__file__).parent / "texts" / "diagnoses.tsv"
BLIND = Path(__file__).parent / "texts" / "diagnoses_blind.jsonl"
NOTES = Path(__file__).parent.parent / "examples" / "hcc_notes.jsonl"
OTHERS = ("distractors", "hypothetical")  # parts of a note beside its diagnoses
N_PATIENTS = 400
SEED = 0
THRESHOLDS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
LINKING = ("linking", "terms", "code@1", "code@5", "category@1", "HCC F1 V24", "HCC F1 V28")
THRESHOLD = ("terms", "threshold", "coded", "category right", "HCC P", "HCC R", "HCC F1 V28")
FOUND = (
    *("notes", "number", "gold", "P", "R", "F1"),
    *("denied or family coded", "possible coded", "mean abs. RAF error"),
)
CODES = ("codes", "texts", "gold", "P", "R", "F1", "wrongly coded", "CPU ms a text")
SEEN, UNSEEN = "seen half", "unseen half"
KINDS = ("blind sentences", "texts", "gold", "P", "R", "F1", "wrongly coded")
TOLERATED = ("Z79.899", "Z79.6")  # long-term drugs, which coders add or leave out
SENTENCES = "diagnosis sentences"
SAME = ("hccinfhir and hccpy", "patients", "same categories", "same score")
# fmt: off
ALIASES = {
    "CHF exacerbation": "I50.9", "worsening HFrEF": "I50.20", "A. fib": "I48.91",
    "htn, uncontrolled": "I10", "DM type II": "E11.9", "type-2 diabetes": "E11.9",
    "T2DM, uncontrolled": "E11.65", "diabetes type 2": "E11.9", "CKD, stage IIIb": "N18.32",
    "stage 4 chronic renal disease": "N18.4", "kidney failure, acute": "N17.9",
    "ESRD on HD": "N18.6", "COPD, severe": "J44.9", "acute COPD exacerbation": "J44.1",
    "coronary disease": "I25.10", "CA of breast": "C50.919", "cancer of prostate": "C61",
    "carcinoma of the pancreas": "C25.9", "lung malignancy": "C34.90", "renal cell CA": "C64.9",
    "mets to liver": "C78.7", "brain mets": "C79.31", "bony metastases": "C79.51",
    "Parkinson disease": "G20.A1", "Alzheimer dementia": "G30.9", "hep C, chronic": "B18.2",
    "alcoholic cirrhosis of the liver": "K70.30", "NASH cirrhosis": "K75.81",
    "peripheral vascular disease": "I73.9", "left sided hemiparesis": "G81.94",
    "acute DVT": "I82.409", "acute PE": "I26.99", "ruptured AAA": "I71.30",
    "major depression, recurrent": "F33.9", "EtOH dependence": "F10.20", "lupus": "M32.9",
    "RA": "M06.9", "ulcerative colitis": "K51.90", "Crohn's": "K50.90", "AKI": "N17.9",
}
# fmt: on


def main(
    as_json: bool = typer.Option(False, "--json", help="Print JSON"),
    output: Path | None = OUTPUT,
    limit: int | None = typer.Option(None, help="Take no more terms and patients than this"),
    part: str = typer.Option("all", help="all, or codes: those of sentences and notes only"),
    split: str = typer.Option("dev", help="Split of the notes corpus"),
) -> None:
    """
    Measure linking, HCC categories of notes, and risk scores.
    """
    tables: dict[str, Table] = {"codes": (CODES, score_codes(split))}
    tables["blind"], tables["kinds"] = ((KINDS, rows) for rows in score_blind(BLIND))
    if part != "codes":
        linking, thresholds = score_linking(limit)
        tables["linking"] = LINKING, linking
        tables["thresholds"] = THRESHOLD, thresholds
        tables["aliases"] = ("aliases", "phrases", "code@1", "code@5"), score_aliases()
        tables["notes"] = FOUND, score_notes()
        tables["calculators"] = SAME, compare_calculators(limit or N_PATIENTS)
    for header, rows in tables.values():
        print_rows(header, rows, as_json)
    save_results(output, tables)


def score_linking(limit: int | None = None) -> tuple[list[tuple], list[tuple]]:
    """RETURNS (tuple[list[tuple], list[tuple]]): How often the code of a term that was taken out
    is found, and the same with abstention."""
    dev, test = split_terms()
    rows, thresholds = [], []
    for part, terms in (("dev", dev), ("test", test)):
        # The test part's vocabulary has the dev terms; neither has those it is asked for.
        vocabulary = without_terms(read_vocabulary(), [*terms, *(test if part == "dev" else ())])
        linker = Linker(vocabulary)
        asked = terms[:limit]
        baseline = rank_by_characters(linker, [term.text for term in asked])
        candidates = [linker.rank(term.text) for term in asked]
        ranked = [[c.code for c in found] for found in candidates]
        first = [found[0] for found in candidates]
        thresholds += [(part, *score_threshold(asked, first, value)) for value in THRESHOLDS]
        rows.append((f"character TF-IDF, {part}", *score_ranking(asked, baseline)))
        rows.append((f"ours, {part}", *score_ranking(asked, ranked)))
    return rows, thresholds


def score_threshold(
    terms: Sequence[Term], first: Sequence[Candidate], threshold: float
) -> tuple[float, ...]:
    """RETURNS (tuple[float, ...]): The threshold, and in per cent: terms that get a code, how many
    of these have the right category of ICD-10-CM, and P, R and F1 of the categories of V28."""
    prf = PRFScore()
    taken = []
    for term, candidate in zip(terms, first, strict=True):
        is_taken = candidate.score >= threshold
        found = set(find_hccs(candidate.code, "v28")) if is_taken else set()
        prf.score_set(found, set(find_hccs(term.code, "v28")))
        if is_taken:
            taken.append(candidate.code[:3] == term.code[:3])
    shares = (len(taken) / len(terms), np.mean(taken), prf.precision, prf.recall, prf.fscore)
    return threshold, *(100 * float(share) for share in shares)


def rank_by_characters(linker: Linker, texts: Sequence[str]) -> list[list[str]]:
    """RETURNS (list[list[str]]): Codes by the cosine of their nearest term's n-grams."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    names = [(name, c.code) for c in linker.codes for name in (c.description, *c.terms)]
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=NGRAMS, dtype=np.float32)
    matrix = vectorizer.fit_transform(name for name, _ in names).T.tocsr()
    ranked = []
    for text in texts:
        cosines = (vectorizer.transform([text]) @ matrix).toarray().ravel()
        best = np.argsort(-cosines, kind="stable")[:100]
        ranked.append(list(dict.fromkeys(names[i][1] for i in best)))
    return ranked


def score_ranking(terms: Sequence[Term], ranked: Sequence[Sequence[str]]) -> tuple:
    """RETURNS (tuple): Number of terms, code@1, code@5, category@1, and F1 of the categories of
    HCC by the first code, for V24 and V28."""
    pairs = [(term.code, codes) for term, codes in zip(terms, ranked, strict=True)]
    hits = [
        np.mean([codes[0] == code for code, codes in pairs]),
        np.mean([code in codes[:5] for code, codes in pairs]),
        np.mean([codes[0][:3] == code[:3] for code, codes in pairs]),
    ]
    scores = []
    for model in MODELS:
        prf = PRFScore()
        for code, codes in pairs:
            prf.score_set(set(find_hccs(codes[0], model)), set(find_hccs(code, model)))
        scores.append(prf.fscore)
    return len(pairs), *(f"{value:.3f}" for value in (*hits, *scores))


def score_aliases() -> list[tuple]:
    """RETURNS (list[tuple]): How often the phrases of `ALIASES` get their code."""
    vocabulary = read_vocabulary()
    rows = []
    for name, linker in (
        ("with", Linker(vocabulary)),
        ("without", Linker(without_terms(vocabulary, []))),
    ):
        found = [[c.code for c in linker.link(phrase)] for phrase in ALIASES]
        pairs = list(zip(ALIASES.values(), found, strict=True))
        first = np.mean([codes[0] == code for code, codes in pairs])
        rows.append(
            (
                f"{name} the alias file",
                len(pairs),
                f"{first:.3f}",
                f"{np.mean([code in codes for code, codes in pairs]):.3f}",
            )
        )
    return rows


def score_notes() -> list[tuple]:
    """RETURNS (list[tuple]): Categories of HCC, and codes, found in the notes."""
    notes = [json.loads(line) for line in NOTES.read_text(encoding="utf8").splitlines()]
    nlp = spacy.blank("en")
    add_hcc_pipes(nlp)
    reports = []
    for note in notes:
        demographics = {"age": note["age"], "sex": note["sex"]}
        doc = nlp(note["text"])
        reports.append(patient_report([doc], patient=note["patient"], demographics=demographics))
    rows = []
    coded = [{row["code"] for row in report["codes"] if row["counted"]} for report in reports]
    for model in MODELS:
        prf, errors = PRFScore(), []
        wrong = dict.fromkeys(OTHERS, 0)
        for note, report in zip(notes, reports, strict=True):
            gold = calculate(note["codes"], model, report["demographics"])
            found = report["models"][model]
            prf.score_set(_hccs(found), _hccs(gold))
            errors.append(abs(found["raf"] - gold["raf"]))
            extra = _hccs(found) - _hccs(gold)
            for key in OTHERS:
                wrong[key] += len(extra & {h for c in note[key] for h in find_hccs(c, model)})
        error = float(np.mean(errors))
        rows.append((f"HCC {model.upper()}", len(notes), *_values(prf), *wrong.values(), error))
    prf = PRFScore()
    wrong = dict.fromkeys(OTHERS, 0)
    for note, codes in zip(notes, coded, strict=True):
        prf.score_set(codes, set(note["codes"]))
        for key in OTHERS:
            wrong[key] += len(codes & set(note[key]))
    return [*rows, ("codes", len(notes), *_values(prf), *wrong.values(), None)]


def score_codes(split: str) -> list[tuple]:
    """RETURNS (list[tuple]): Codes of sentences, and of the notes corpus."""
    nlp = spacy.blank("en")
    add_hcc_pipes(nlp)
    nlp("Stenosis of a renal artery")  # makes the index
    rows = [line.split("\t") for line in DIAGNOSES.read_text(encoding="utf8").splitlines()]
    sentences = [(nlp.make_doc(text), set(codes.split())) for text, codes in rows]
    wanted = read_note_codes(split)
    notes = [note for note in read_notes(split=split) if note.id in wanted]
    texts = [annotate(note) for note in notes]
    codes_of = [wanted[note.id] for note in notes]
    docs = [nlp.make_doc(text.text) for text in texts]
    gold = [nlp.make_doc(text.text) for text in texts]
    for doc, text in zip(gold, texts, strict=True):
        spans = []
        for entity in text.entities:
            span = doc.char_span(entity.start, entity.end, label="DISEASE", alignment_mode="expand")
            if entity.label == "PROBLEM" and span is not None:
                spans.append(span)
                if entity.assertion in BY_MODEL:
                    span._.set(AXES[BY_MODEL[entity.assertion]], True)
        doc.spans["openmed"] = spans
    linker = nlp.get_pipe("openmed_hcc")
    return [
        _score_codes(SENTENCES, sentences, nlp),
        *_score_notes(f"notes, {split}", list(zip(docs, codes_of, strict=True)), nlp),
        *_score_notes(f"gold problems, {split}", list(zip(gold, codes_of, strict=True)), linker),
    ]


def score_blind(path: Path) -> tuple[list[tuple], list[tuple]]:
    """Score sentences of a coder who had not seen the rules.

    path (Path): The sentences, a JSON object a line.
    RETURNS (tuple[list[tuple], list[tuple]]): The scores of all of them and of each half, and the
        scores of each kind.
    """
    nlp = spacy.blank("en")
    add_hcc_pipes(nlp)
    scores: dict[str, tuple[PRFScore, list[int]]] = {}
    for line in path.read_text(encoding="utf8").splitlines():
        row = json.loads(line)
        found = find_counted(nlp(row["text"]))
        wanted = set(row["codes"])
        alternatives = {code: {code, *row.get("alt", {}).get(code, ())} for code in wanted}
        hits = {code for code, as_good in alternatives.items() if as_good & found}
        tolerated = wanted.union(row.get("also", ()), *alternatives.values())
        extra = {code for code in found - tolerated if not code.startswith(TOLERATED)}
        for kind in ("all", SEEN if row["seen"] else UNSEEN, row["kind"]):
            prf, counts = scores.setdefault(kind, (PRFScore(), [0, 0]))
            prf.tp += len(hits)
            prf.fp += len(extra)
            prf.fn += len(wanted - hits)
            counts[0] += 1
            counts[1] += bool(extra) and not wanted
    halves = ("all", SEEN, UNSEEN)
    rows = {k: (k, counts[0], *_values(prf), counts[1]) for k, (prf, counts) in scores.items()}
    return [rows[k] for k in halves], [rows[k] for k in sorted(rows.keys() - set(halves))]


def _score_codes(name: str, rows: Sequence[tuple[Doc, set[str]]], component: Callable) -> tuple:
    prf, n_wrong = PRFScore(), 0
    start = process_time()
    for doc, codes in rows:
        found = find_counted(component(doc))
        prf.score_set(found, codes)
        n_wrong += bool(found) and not codes
    milliseconds = 1000 * (process_time() - start) / len(rows)
    return name, len(rows), *_values(prf), n_wrong, milliseconds


def _score_notes(
    name: str, rows: Sequence[tuple[Doc, list[NoteCode]]], component: Callable
) -> list[tuple]:
    scores: dict[str, PRFScore] = {}
    n_wrong = 0
    start = process_time()
    for doc, codes in rows:
        found = find_counted(component(doc))
        add_counts(scores, found, codes)
        n_wrong += bool(found) and not codes
    milliseconds = 1000 * (process_time() - start) / len(rows)
    return [
        (f"{name}: {kind}", len(rows), *_values(prf), *others)
        for kind, prf in scores.items()
        for others in [(n_wrong, milliseconds) if kind == ALL else (None, None)]
    ]


def _hccs(result: dict) -> set[str]:
    return {row["hcc"] for row in result["hccs"]}


def _values(prf: PRFScore) -> tuple:
    return prf.tp + prf.fn, 100 * prf.precision, 100 * prf.recall, 100 * prf.fscore


def compare_calculators(n_patients: int) -> list[tuple]:
    """RETURNS (list[tuple]): How often hccinfhir and hccpy agree on random patients."""
    with warnings.catch_warnings():  # pkg_resources, which hccpy imports, is deprecated
        warnings.simplefilter("ignore")
        from hccpy.hcc import HCCEngine

    rng = random.Random(SEED)
    rows = []
    for model, version in (("v24", "24"), ("v28", "28")):
        engine = HCCEngine(version)
        known = sorted(
            set(engine.dx2cc)
            & {
                c.code.replace(".", "")
                for c in read_vocabulary().codes.values()
                if find_hccs(c.code, model)
            }
        )
        categories = scores = 0
        for _ in range(n_patients):
            codes = rng.sample(known, rng.randint(1, 8))
            age, sex = rng.randint(65, 94), rng.choice("MF")
            ours = calculate(
                codes,
                model,
                {"age": age, "sex": sex, "orec": "0", "crec": "0", "dual_elgbl_cd": "00"},
            )
            theirs = engine.profile(codes, age=age, sex=sex, elig="CNA", orec="0")
            wanted = {
                name.removeprefix("HCC")
                for name in theirs["hcc_lst"]
                if name.removeprefix("HCC").isdigit()
            }
            categories += _hccs(ours) == wanted
            scores += abs(ours["raf"] - theirs["risk_score"]) < 0.0015
        rows.append((model.upper(), n_patients, categories, scores))
    return rows


if __name__ == "__main__":
    typer.run(main)

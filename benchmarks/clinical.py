"""Which problems and drugs a checkpoint finds in short texts and whole summaries of our own.

    python benchmarks/clinical.py [--checkpoint FOLDER] [--output FILE.json]
    python benchmarks/clinical.py --page docs/clinical-notes.md BEFORE.json AFTER.json

`texts/short.txt` has a text a line: single words, lists, headings with items, short sentences.
`texts/summaries.txt` has eleven summaries, each of another specialty, in shorthand. Both are in the
markup of the notes corpus. Their author had not seen the corpus, and nothing is trained on them. A
mention is found if its characters and its label are exact.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import typer
from spacy.language import Language
from util import SPANS_KEY, make_pipeline

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from mini_words import parse

from notes_corpus import Text

TEXTS = Path(__file__).parent / "texts"
KINDS = {"DISEASE": "problems", "CHEMICAL": "drugs"}
GOLD = {"PROBLEM": "DISEASE", "DRUG": "CHEMICAL"}

Mention = tuple[int, int, str]


def main(
    checkpoint: str | None = typer.Option(None, help="Folder or hub id (default: mini)"),
    output: Path | None = typer.Option(None, help="Write the results there"),
    page: Path | None = typer.Option(None, help="Write a page that compares two results"),
    results: list[Path] = typer.Argument(None, help="With --page: two results"),
) -> None:
    """Find the problems and drugs of short texts and summaries."""
    if page is not None:
        if len(results or ()) != 2:
            raise typer.BadParameter("--page needs two results")
        before, after = (json.loads(path.read_text(encoding="utf8")) for path in results)
        page.write_text(render(before, after), encoding="utf8")
        return
    found = {name: run(checkpoint, texts) for name, texts in read_texts().items()}
    for name, rows in found.items():
        n = sum(len(row["found"]) + len(row["missed"]) for row in rows)
        hits, extra = (sum(len(row[key]) for row in rows) for key in ("found", "extra"))
        print(f"{name}: {hits} of {n} mentions found ({100 * hits / n:.1f} %), {extra} others")
    if output is not None:
        output.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf8")


def read_texts() -> dict[str, list[tuple[str, Text]]]:
    """RETURNS (dict[str, list[tuple[str, Text]]]): Title and text, by file."""
    short = (TEXTS / "short.txt").read_text(encoding="utf8").splitlines()
    parts = re.split(r"^=== (.+)\n", (TEXTS / "summaries.txt").read_text("utf8"), flags=re.M)[1:]
    summaries = zip(parts[::2], parts[1::2], strict=True)
    return {
        "short texts": [("", parse(line)) for line in short if line.strip()],
        "summaries": [(title, parse(markup.strip())) for title, markup in summaries],
    }


def run(checkpoint: str | None, texts: list[tuple[str, Text]]) -> list[dict[str, Any]]:
    """RETURNS (list[dict]): For each text, its title, the mentions that were found and missed, and
    the other spans that were found."""
    nlp = make_clinical(checkpoint)
    rows = []
    for (title, text), doc in zip(texts, nlp.pipe(text.text for _, text in texts), strict=True):
        gold = {(s.start, s.end, GOLD[s.label]) for s in text.entities if s.label in GOLD}
        own = {
            (span.start_char, span.end_char, span.label_)
            for span in doc.spans[SPANS_KEY]
            if span.label_ in KINDS
        }

        def words(mentions: set[Mention], source: str = text.text) -> list[list[str]]:
            return [[source[a:b].replace("\n", " "), KINDS[k]] for a, b, k in sorted(mentions)]

        rows.append(
            {
                "title": title,
                "text": text.text,
                "found": words(gold & own),
                "missed": words(gold - own),
                "extra": words(own - gold),
            }
        )
    return rows


def make_clinical(checkpoint: str | None) -> Language:
    """RETURNS (Language): A pipeline that finds problems and drugs in notes, with the notes head if
    the checkpoint has one, or else with the heads for diseases and chemicals."""
    nlp = make_pipeline(checkpoint, {"annotate": "spans"})
    component: Any = nlp.get_pipe("openmed_ner")
    heads = {head.dataset for head in component.shim.heads}
    own = ["notes"] if "notes" in heads else ["bc5cdr_disease", "ncbi_disease", "bc5cdr_chem"]
    return make_pipeline(checkpoint, {"dataset": own, "annotate": "spans"})


def render(before: dict[str, Any], after: dict[str, Any]) -> str:
    """RETURNS (str): The page."""
    lines = [
        "# What mini finds in notes",
        "",
        "This page shows which problems and drugs `mini` finds in our own texts, which are in the "
        "shorthand that clinicians type. It compares version 0.1, whose heads for diseases and "
        "chemicals had learned only from abstracts, with the head `notes` of this version. A "
        "mention counts as found if its characters and its label are exact. "
        "`python benchmarks/clinical.py` makes the figures.",
        "",
        "| | mentions | found, 0.1 | found, `notes` | wrong, 0.1 | wrong, `notes` |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, rows in after.items():
        n = sum(len(row["found"]) + len(row["missed"]) for row in rows)
        counts = [sum(len(row["found"]) for row in part[name]) for part in (before, after)]
        wrong = [sum(len(row["extra"]) for row in part[name]) for part in (before, after)]
        lines.append(
            f"| {name} | {n} | {100 * counts[0] / n:.0f} % | {100 * counts[1] / n:.0f} % "
            f"| {wrong[0]} | {wrong[1]} |"
        )
    lines += [
        "",
        "*Wrong* counts spans that do not equal a mention.",
        "",
        "`mini` was not trained on these texts, and their author had not seen the notes that it "
        "was trained on. The test is not blind: the texts were in the repository while this "
        "version was trained.",
        "",
    ]
    for old, new in zip(before["summaries"], after["summaries"], strict=True):
        _, specialty, country, _ = new["title"].split(" | ")
        lines += [f"## {specialty.capitalize()}, {country}", "", "```text", new["text"], "```", ""]
        for title, row in (("Version 0.1", old), ("`notes`", new)):
            for key, words in (("missed", row["missed"]), ("wrong", row["extra"])):
                names = ", ".join(f"`{word}`" for word, _ in words) or "nothing"
                n = len(row["found"]) + len(row["missed"])
                count = f" {len(row['found'])} of {n} found;" if key == "missed" else ""
                lines.append(f"- {title}:{count} {key} {names}")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)

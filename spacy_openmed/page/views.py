"""The results for a text, in HTML."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from spacy import displacy
from spacy.tokens import Doc
from spacy.util import filter_spans

from ..hcc.report import patient_report
from ..hcc.report_files import to_table

CONTEXT, CONTEXT_SCORE = "context", "context_score"
PRESENT = "PRESENT"
# The contexts of `openmed_context`: a word to show, and an explanation.
CONTEXTS = {
    "ABSENT": ("absent", "negated: the text says that it is not there"),
    "POSSIBLE": ("possible", "suspected, or not excluded"),
    "CONDITIONAL": ("conditional", "a risk, or a reason to return"),
    "HISTORICAL": ("historical", "in the past"),
    "FAMILY": ("family", "a relative has it"),
    "STOPPED": ("stopped", "no longer taken"),
    "NOT_TAKEN": ("not taken", "refused, avoided or only planned"),
    "ALLERGY": ("allergy", "not tolerated"),
}

MARK = (
    '<mark class="entity {context}" style="background: {bg}" title="{title}">{text}'
    "<b>{label}</b>{word}<small>{score}</small></mark>"
)
RELATIONS = """<table>
<thead><tr><th>Head</th><th>Relation</th><th>Tail</th><th>Score</th><th>Evidence</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>"""
# Each context has its own word and border, to be recognisable without colours.
CSS = """
.entities {line-height: 2.1 !important; white-space: pre-wrap; overflow-wrap: anywhere}
.entities mark, .legend mark {padding: 0.3em 0.4em; border-radius: 0.35em; color: black;
    box-decoration-break: clone; -webkit-box-decoration-break: clone}
.entities mark b {font-size: 0.7em; margin-left: 0.6em}
.entities mark small {font-size: 0.7em; margin-left: 0.4em}
.entities mark i, .legend mark i {font-style: normal; font-size: 0.7em; margin-left: 0.4em;
    padding: 0.1em 0.4em; border-radius: 0.3em; background: black; color: white}
.legend {display: flex; flex-wrap: wrap; gap: 0 1.5em; margin: 0 0 1em; padding: 0;
    list-style: none; font-size: 0.9em; line-height: 2.1}
.legend mark {background: #eeeeee; margin-right: 0.4em}
.legend mark i {margin-left: 0}
mark.absent, mark.not_taken {border: 2px dashed #555555}
mark.possible, mark.conditional {border: 2px dotted #555555}
mark.historical, mark.stopped {border: 4px double #555555}
mark.family, mark.allergy {border: 2px solid #555555}
.found table {border-collapse: collapse; width: 100%}
.found th, .found td {text-align: left; vertical-align: top; padding: 0.35em 0.6em !important;
    border: 0 solid #bbbbbb !important; border-bottom-width: 1px !important}
.found mark {background: #ffe9a8; color: black}
.found .off {opacity: 0.7}
"""


def to_html(doc: Doc, rows: Sequence[Mapping[str, Any]]) -> str:
    """Show entities in their text, in displaCy's colours, with a legend of their contexts.

    doc (Doc): The document.
    rows (Sequence[Mapping[str, Any]]): Its entities. If some overlap, the longest is shown, or the
        one with the highest score.
    RETURNS (str): HTML.
    """
    by_score = sorted(rows, key=lambda row: -_score(row))
    spans = [doc.char_span(row["start"], row["end"], label=row["label"]) for row in by_score]
    by_place = {(row["start"], row["end"], row["label"]): row for row in rows}
    shown = [
        by_place[span.start_char, span.end_char, span.label_]
        for span in filter_spans(span for span in spans if span is not None)
    ]
    ents = [
        {**{key: row[key] for key in ("start", "end", "label")}, "params": _to_params(row)}
        for row in shown
    ]
    marks = displacy.render(
        {"text": doc.text, "ents": ents},
        style="ent",
        manual=True,
        jupyter=False,
        options={"template": MARK},
    )
    return (make_legend(shown) if ents else "<p>No entities found.</p>") + marks


def _score(row: Mapping[str, Any]) -> float:
    return 1.0 if row["score"] is None else row["score"]


def _to_params(row: Mapping[str, Any]) -> dict[str, str]:
    score = "" if row["score"] is None else f"{row['score']:.2f}"
    title = ", ".join(
        filter(None, [score and f"score {score}", row["dataset"], describe_context(row)])
    )
    context = row.get(CONTEXT) or PRESENT
    is_present = context == PRESENT
    return {
        "label": escape(row["label"]),
        "score": score,
        "title": escape(title),
        "context": "" if is_present else escape(context.lower()),
        "word": "" if is_present else f"<i>{escape(to_word(context))}</i>",
    }


def describe_context(row: Mapping[str, Any]) -> str:
    """RETURNS (str): The context of an entity and its source: "absent (model, 0.98)"; empty if the
    pipeline does not set it."""
    context = row.get(CONTEXT)
    if not context:
        return ""
    score = row[CONTEXT_SCORE]
    return f"{to_word(context)} ({'rules' if score is None else f'model, {score:.2f}'})"


def to_word(context: str) -> str:
    """RETURNS (str): A context in words, for people."""
    return CONTEXTS.get(context, (context.lower().replace("_", " "), ""))[0]


def make_legend(rows: Iterable[Mapping[str, Any]]) -> str:
    """RETURNS (str): HTML that explains the contexts of entities; empty if all are present."""
    found = {row.get(CONTEXT) for row in rows}
    items = "".join(
        f'<li><mark class="{context.lower()}"><i>{word}</i></mark>{meaning}</li>'
        for context, (word, meaning) in CONTEXTS.items()
        if context in found
    )
    return f'<ul class="legend">{items}</ul>' if items else ""


def to_codes(doc: Doc) -> str:
    """RETURNS (str): The codes that `openmed_hcc` found, in HTML: each with its description, HCC
    categories and evidence."""
    report = patient_report([doc])
    return f'<div class="found"><p>{escape(report["notice"])}</p>{to_table(report)}</div>'


def to_relations(doc: Doc) -> str:
    """RETURNS (str): The relations that `openmed_relation` found, in HTML: each with its evidence,
    the most probable first."""
    text = doc.text  # spaCy joins it anew each time
    rows = "\n".join(_to_relation(text, relation) for relation in doc._.relations)
    rows = rows or '<tr><td colspan="5">No relations.</td></tr>'
    return f'<div class="found">{RELATIONS.format(rows=rows)}</div>'


def _to_relation(text: str, relation: Mapping[str, Any]) -> str:
    first = relation["evidence"][0]
    head, tail = (" ".join(text[slice(*first[end])].split()) for end in ("head", "tail"))
    cells = (head, relation["label"], tail, f"{relation['score']:.2f}")
    evidence = "<br>".join(_to_quote(text, place) for place in relation["evidence"])
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}<td>{evidence}</td></tr>"


def _to_quote(text: str, place: Mapping[str, Any]) -> str:
    """A sentence, with the two mentions marked."""
    at, end = place["sentence"]
    parts = []
    for start, stop in sorted((place["head"], place["tail"])):
        if start >= at:  # one mention may lie inside the other
            parts.append(f"{escape(text[at:start])}<mark>{escape(text[start:stop])}</mark>")
            at = stop
    parts.append(escape(text[at:end]))
    return f"“{''.join(parts).strip()}”"

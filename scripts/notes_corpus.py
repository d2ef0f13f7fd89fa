"""Check, count and convert the notes corpus (`notes_corpus/`; its markup: GUIDELINE.md there).

python scripts/notes_corpus.py check
python scripts/notes_corpus.py count
python scripts/notes_corpus.py convert OUTPUT --format jsonl --seed 0
"""

import hashlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import typer
from notes_identifiers import LOCALES, PLACEHOLDER, Filler, find_fault
from wasabi import msg

CORPUS = Path(__file__).parent.parent / "notes_corpus"
SPLITS = ("train", "dev", "test")
SECOND = "agreement"  # the folder of second annotations
LABELS = {
    "P": "PROBLEM",
    "D": "DRUG",
    "B": "DRUG",
    "DO": "DOSE",
    "FO": "FORM",
    "RO": "ROUTE",
    "FR": "FREQUENCY",
    "DU": "DURATION",
    "T": "TEST",
    "R": "TEST_RESULT",
    "PR": "PROCEDURE",
    "DV": "DEVICE",
    "A": "ANATOMY",
}
# The first value of each is the default, which the markup leaves out.
ASSERTIONS = {
    "PROBLEM": {
        "": "PRESENT",
        "no": "ABSENT",
        "maybe": "POSSIBLE",
        "if": "CONDITIONAL",
        "past": "HISTORICAL",
        "family": "FAMILY",
    },
    "DRUG": {"": "TAKEN", "stopped": "STOPPED", "allergy": "ALLERGY", "none": "NOT_TAKEN"},
}
CODED = ("PRESENT", "HISTORICAL")
CODE = re.compile(r"[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?")
HEADER = re.compile(
    r"=== (?P<id>(?P<kind>[a-z0-9-]+)-(?P<batch>[a-z]+)(?P<number>\d+)) \| (?P<specialty>[^|\n]+)"
    r" \| (?P<country>[A-Z]{2}) \| (?:(?P<sex>[FMX]) (?P<age>\d{1,3})|-)"
)
MARK = re.compile(r"\[\[([^\[\]|]*)\|([^\[\]|]*)\]\]")
LONG_LINE, SHARED_RUN, SHORT_RUN, MAX_SHARED = 40, 15, 8, 0.02


class Span(NamedTuple):
    """A stretch of a text.

    start, end (int): Its characters.
    label (str): Entity label or type of identifier.
    assertion (str | None): See `ASSERTIONS`.
    code (str | None): ICD-10-CM code.
    is_brand (bool): Whether it is a brand name.
    """

    start: int
    end: int
    label: str
    assertion: str | None = None
    code: str | None = None
    is_brand: bool = False


@dataclass(frozen=True)
class Note:
    """A note as written, with markup.

    id (str): Its id.
    kind (str): Kind of note, the folder it is in.
    split (str): "train", "dev" or "test".
    batch (str): Its author's batch.
    specialty, country, sex (str): From the header; sex is "X" where unknown.
    age (int | None): The patient's age in years.
    markup (str): The text with its markup.
    path (Path): The file.
    line (int): The header's line in the file, from 1.
    """

    id: str
    kind: str
    split: str
    batch: str
    specialty: str
    country: str
    sex: str
    age: int | None
    markup: str
    path: Path
    line: int


@dataclass
class Text:
    """A note's text with its annotation.

    text (str): The text.
    entities (list[Span]): Layers 1, 2 and 4.
    identifiers (list[Span]): Layer 3.
    """

    text: str = ""
    entities: list[Span] = field(default_factory=list)
    identifiers: list[Span] = field(default_factory=list)


class Fault(NamedTuple):
    """Something wrong in the corpus."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(self.path.parent.parent)}:{self.line}: {self.message}"


def read_notes(folder: Path = CORPUS, split: str | None = None) -> list[Note]:
    """Read the corpus.

    folder (Path): Its folder.
    split (str | None): Only this split.
    RETURNS (list[Note]): The notes, by file and place in it.
    RAISES (ValueError): If a file or header is malformed.
    """
    notes = []
    for path in sorted(folder.glob("*/*.txt")):
        if path.parent.name == SECOND:
            continue
        notes += [note for note in read_file(path) if split in (None, note.split)]
    return notes


def read_file(path: Path) -> list[Note]:
    """Read the notes of one file.

    path (Path): The file: KIND/SPLIT-BATCH.txt.
    RETURNS (list[Note]): Its notes.
    RAISES (ValueError): If its name or a header is malformed.
    """
    split, _, batch = path.stem.partition("-")
    if split not in SPLITS or not batch:
        raise ValueError(f"{path}: expected a file name such as train-c.txt")
    notes: list[Note] = []
    header: re.Match[str] | None = None
    body: list[str] = []
    start = 0

    def finish() -> None:
        if header is None:
            if any(line.strip() for line in body):
                raise ValueError(f"{path}:1: text before the first header")
            return
        age = header["age"]
        notes.append(
            Note(
                header["id"],
                path.parent.name,
                split,
                batch,
                header["specialty"],
                header["country"],
                header["sex"] or "X",
                int(age) if age else None,
                "\n".join(body).strip("\n"),
                path,
                start,
            )
        )

    for number, line in enumerate(path.read_text(encoding="utf8").split("\n"), start=1):
        if not line.startswith("==="):
            body.append(line)
            continue
        finish()
        header, body, start = HEADER.fullmatch(line.rstrip()), [], number
        if header is None:
            raise ValueError(f"{path}:{number}: malformed header")
        if (header["kind"], header["batch"]) != (path.parent.name, batch):
            raise ValueError(f"{path}:{number}: the id does not fit the folder and the batch")
    finish()
    return notes


def annotate(note: Note, seed: int | None = 0) -> Text:
    """Take the markup out of a note and fill its placeholders.

    note (Note): The note, without faults.
    seed (int | None): Another seed gives other identifiers. None: placeholders stay.
    RETURNS (Text): Its text and annotation.
    """
    filler = Filler(f"{note.id}/{seed}", note.country, note.sex, note.age)
    result = Text()

    def add(piece: str) -> None:
        end = 0
        for match in PLACEHOLDER.finditer(piece) if seed is not None else ():
            result.text += piece[end : match.start()]
            value, kind = filler.fill(match)
            start = len(result.text)
            result.text += value
            result.identifiers.append(Span(start, len(result.text), kind))
            end = match.end()
        result.text += piece[end:]

    end = 0
    for match in MARK.finditer(note.markup):
        add(note.markup[end : match.start()])
        start = len(result.text)
        result.text += match[1]
        result.entities.append(_read_tag(match[2], start, len(result.text)))
        end = match.end()
    add(note.markup[end:])
    return result


def _read_tag(tag: str, start: int, end: int) -> Span:
    """Read the part of a span after the bar: "P past Z85.3"."""
    name, *words = tag.split()
    label = LABELS[name]
    values = ASSERTIONS.get(label)
    if values is None:
        if words:
            raise ValueError(f"{name} takes no '{words[0]}'")
        return Span(start, end, label)
    assertion = values[words.pop(0) if words and words[0] in values else ""]
    code = words.pop(0) if words and label == "PROBLEM" and CODE.fullmatch(words[0]) else None
    if words:
        raise ValueError(f"{name} takes no '{words[0]}'")
    return Span(start, end, label, assertion, code, name == "B")


def find_faults(notes: Iterable[Note]) -> list[Fault]:
    """Check notes one by one and against each other.

    notes (Iterable[Note]): The notes.
    RETURNS (list[Fault]): What is wrong.
    """
    faults: list[Fault] = []
    ids: set[str] = set()
    lines: dict[str, list[Note]] = defaultdict(list)
    for note in notes:
        if note.id in ids:
            faults.append(Fault(note.path, note.line, f"the id {note.id} stands twice"))
        ids.add(note.id)
        if note.country not in LOCALES:
            faults.append(Fault(note.path, note.line, f"unknown country {note.country}"))
        if not note.markup.strip():
            faults.append(Fault(note.path, note.line, "the note is empty"))
        own = _find_in_note(note)
        faults += own
        if not own:
            text = annotate(note, None).text
            for line in {_normalise(line) for line in text.split("\n")}:
                if len(line) > LONG_LINE:
                    lines[line].append(note)
    shared: Counter[tuple[str, str]] = Counter()
    where = {}
    for owners in lines.values():
        for i, first in enumerate(owners):
            for second in owners[i + 1 :]:
                shared[first.id, second.id] += 1
                where[first.id, second.id] = second
    for (first_id, second_id), count in shared.items():
        if count > 1:
            note = where[first_id, second_id]
            faults.append(
                Fault(
                    note.path, note.line, f"{second_id} shares {count} long lines with {first_id}"
                )
            )
    return faults


def _find_in_note(note: Note) -> list[Fault]:
    faults: list[Fault] = []

    def fault(at: int, message: str) -> None:
        line = note.line + 1 + note.markup.count("\n", 0, at)
        faults.append(Fault(note.path, line, message))

    rest = list(note.markup)
    for match in MARK.finditer(note.markup):
        content, tag = match.groups()
        rest[match.start() : match.end()] = " " * (match.end() - match.start())
        if not content or content != content.strip():
            fault(match.start(), f"a span may not begin or end with a space: {content!r}")
        elif content[-1] in ".,;:" and not re.search(r"\b(\w\.)+$|\bvs\.$", content):
            fault(match.start(), f"a span may not end with punctuation: {content!r}")
        if PLACEHOLDER.search(content):
            fault(match.start(), "a span may not hold a placeholder")
        if not tag.split() or tag.split()[0] not in LABELS:
            fault(match.start(), f"unknown tag {tag!r}")
            continue
        try:
            span = _read_tag(tag, 0, 0)
        except ValueError as error:
            fault(match.start(), str(error))
            continue
        if span.code and span.assertion not in CODED:
            fault(match.start(), f"a problem that is {span.assertion} takes no code")
        elif span.code and not is_code(span.code):
            fault(match.start(), f"{span.code} is not in ICD-10-CM")
    outside = "".join(rest)
    for match in re.finditer(r"\[\[|\]\]", outside):
        fault(match.start(), f"unpaired {match[0]}")
    for match in PLACEHOLDER.finditer(note.markup):
        if problem := find_fault(match):
            fault(match.start(), problem)
    for match in re.finditer(r"\{[A-Za-z][^{}\s\"]*\}", outside):
        if not PLACEHOLDER.fullmatch(match[0]):
            fault(match.start(), f"malformed placeholder {match[0]}")
    return faults


@cache
def is_code(code: str) -> bool:
    """RETURNS (bool): Whether a code is in ICD-10-CM."""
    import simple_icd_10_cm

    return bool(simple_icd_10_cm.is_valid_item(code))


def find_unmarked(note: Note) -> list[str]:
    """Find strings that are marked as problem or drug in one place of a note and left unmarked
    in another: "every repeat is marked".

    note (Note): The note.
    RETURNS (list[str]): The strings.
    """
    text = annotate(note, None)
    covered = [False] * len(text.text)
    marked: dict[str, None] = {}  # as an ordered set
    for span in text.entities:
        covered[span.start : span.end] = [True] * (span.end - span.start)
        if span.label in ("PROBLEM", "DRUG"):
            marked[text.text[span.start : span.end]] = None
    found = []
    for string in marked:
        for match in re.finditer(rf"(?<!\w){re.escape(string)}(?!\w)", text.text):
            if not any(covered[match.start() : match.end()]):
                found.append(string)
                break
    return found


def _normalise(text: str) -> str:
    return " ".join(re.findall(r"\w+", PLACEHOLDER.sub(" ", text).lower()))


def find_copies(notes: Sequence[Note], corpora: Path) -> list[Fault]:
    """Check that no note copies a text from other corpora. No run of 15 words may be shared.
    Shorter runs, from 8 words, may cover 2 % of a note, or more if there is only one. Stock phrases
    do not count.

    notes (Sequence[Note]): The notes.
    corpora (Path): A folder with texts in JSON lines ("text"), searched with its subfolders.
    RETURNS (list[Fault]): What is copied.
    """
    stock = {_normalise(line) for line in _read_lines(CORPUS / "stock_phrases.txt")}
    words_of = {}
    runs: dict[tuple[str, ...], list[tuple[Note, int]]] = defaultdict(list)
    for note in notes:
        words = _normalise(annotate(note, None).text).split()
        words_of[note.id] = words
        for i in range(len(words) - SHORT_RUN + 1):
            runs[tuple(words[i : i + SHORT_RUN])].append((note, i))
    shared: dict[str, set[int]] = defaultdict(set)
    for text in _read_texts(corpora):
        words = _normalise(text).split()
        for i in range(len(words) - SHORT_RUN + 1):
            for note, at in runs.get(tuple(words[i : i + SHORT_RUN]), ()):
                shared[note.id].update(range(at, at + SHORT_RUN))
    faults = []
    for note in notes:
        covered, words = sorted(shared[note.id]), words_of[note.id]
        stretches: list[list[int]] = []
        for at in covered:
            if stretches and stretches[-1][-1] == at - 1:
                stretches[-1].append(at)
            else:
                stretches.append([at])
        kept = [
            piece
            for stretch in stretches
            for piece in _without_stock(" ".join(words[i] for i in stretch), stock)
        ]
        if longest := [piece for piece in kept if len(piece.split()) >= SHARED_RUN]:
            faults.append(Fault(note.path, note.line, f"{note.id} copies: {longest[0]!r}"))
        share = sum(len(piece.split()) for piece in kept) / max(len(words), 1)
        if share > MAX_SHARED and len(kept) > 1:
            faults.append(Fault(note.path, note.line, f"{note.id}: {share:.0%} of it is shared"))
    return faults


def _without_stock(phrase: str, stock: Iterable[str]) -> list[str]:
    """The rest of a shared run without stock phrases, in pieces that are long enough."""
    if any(phrase in known for known in stock):
        return []
    pieces = [phrase]
    for known in filter(None, stock):
        pieces = [part for piece in pieces for part in re.split(rf"\b{known}\b", piece)]
    return [piece.strip() for piece in pieces if len(piece.split()) >= SHORT_RUN]


def _read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf8").splitlines() if path.is_file() else []


def read_rows(path: Path) -> Iterator[Any]:
    """Read JSON lines. A text may hold other line separators, such as U+2028.

    path (Path): The file.
    YIELDS (Any): What each line holds.
    """
    for line in path.read_text(encoding="utf8").split("\n"):
        if line.strip():
            yield json.loads(line)


def _read_texts(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.jsonl")):
        for row in read_rows(path):
            if isinstance(row, dict) and isinstance(row.get("text"), str):
                yield row["text"]


def read_second(folder: Path = CORPUS) -> dict[str, str]:
    """Read the blind second annotations: copies of notes in the corpus' markup.

    folder (Path): The corpus.
    RETURNS (dict[str, str]): The markup by the note's id.
    RAISES (ValueError): If a header is malformed.
    """
    found = {}
    for path in sorted((folder / SECOND).glob("*.txt")):
        for part in re.split(r"^(?==== )", path.read_text(encoding="utf8"), flags=re.M)[1:]:
            header, _, markup = part.partition("\n")
            match = HEADER.fullmatch(header.rstrip())
            if match is None:
                raise ValueError(f"{path}: malformed header {header!r}")
            found[match["id"]] = markup.strip("\n")
    return found


def score_agreement(
    notes: Iterable[Note], second: Mapping[str, str]
) -> dict[str, tuple[int, int, int]]:
    """Compare two annotators.

    notes (Iterable[Note]): The notes as the first one marked them.
    second (Mapping[str, str]): The markup of the second one by id.
    RETURNS (dict[str, tuple[int, int, int]]): Spans of the first, of the second, and those that
        are exactly the same, by label. Assertions of problems and drugs are compared where both
        have the same span, and codes where one of them has a code.
    RAISES (ValueError): If the second one changed a text.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for note in notes:
        if note.id not in second:
            continue
        text = annotate(note, None)
        own = {span[:3]: span for span in text.entities}
        try:
            spans = make_standoff(second[note.id], text.text)
        except ValueError as error:
            raise ValueError(f"{note.id}: {error}") from error
        other = {span[:3]: span for span in spans}
        for who, found in (("first", own), ("second", other), ("same", own.keys() & other)):
            for at in found:
                counts[at[2]][who] += 1
        for at in own.keys() & other:
            a, b = own[at], other[at]
            if a.assertion is not None:
                name = f"assertion of {a.label}"
                counts[name].update(first=1, second=1, same=int(a.assertion == b.assertion))
            if a.code or b.code:
                counts["ICD-10-CM"].update(
                    first=int(bool(a.code)), second=int(bool(b.code)), same=int(a.code == b.code)
                )
    return {name: (c["first"], c["second"], c["same"]) for name, c in counts.items()}


def to_row(note: Note, text: Text) -> dict[str, Any]:
    """Make a row of JSON lines, in the format that `python -m spacy openmed convert` reads, with
    further lists parallel to "entities".

    note (Note): The note.
    text (Text): Its text.
    RETURNS (dict[str, Any]): The row.
    """
    return {
        "id": note.id,
        "text": text.text,
        "kind": note.kind,
        "specialty": note.specialty,
        "country": note.country,
        "entities": [[s.start, s.end, s.label] for s in text.entities],
        "assertions": [s.assertion for s in text.entities],
        "codes": [s.code for s in text.entities],
        "identifiers": [[s.start, s.end, s.label] for s in text.identifiers],
    }


STANDOFF = CORPUS / "standoff"


def read_standoff(split: str | None = None) -> list[tuple[str, Text]]:
    """Read the annotation of real sections (`notes_corpus/standoff/*.jsonl`) with their texts,
    which OPENMED_CORPORA has.

    split (str | None): Only "train" or "dev".
    RETURNS (list[tuple[str, Text]]): Id and text of each section whose text is there.
    RAISES (OSError): If the texts are not there.
    RAISES (ValueError): If a text is not the one that was annotated.
    """
    texts = _read_plain()
    found = []
    for file in sorted(STANDOFF.glob("*.jsonl")):
        for row in read_rows(file):
            text = find_text(texts, row["id"])
            if text is None or split not in (None, row["split"]):
                continue
            if fingerprint(text) != row["sha256"]:
                raise ValueError(f"{file}: the text of {row['id']} is another one")
            found.append((row["id"], Text(text, [Span(*span) for span in row["entities"]])))
    return found


PLAIN = ("notes_plain/notes_plain.jsonl", "notes/mtsamples_500.jsonl")


def _read_plain() -> dict[str, str]:
    """The texts that stand-off annotation belongs to, by their ids: see `notes_plain.py`."""
    folder = Path(os.environ.get("OPENMED_CORPORA", ""))
    paths = [folder / name for name in PLAIN]
    # The second file's texts may be in the first one.
    paths = [path for path in paths if path == paths[0] or path.is_file()]
    return {row["id"]: row["text"] for path in paths for row in read_rows(path)}


def find_text(texts: Mapping[str, str], id: str) -> str | None:
    """Get the text that an annotation refers to.

    texts (Mapping[str, str]): Texts by their ids.
    id (str): An id, or "ID:START:END" for a part of a text.
    RETURNS (str | None): The text or the part. None if the text is not there.
    """
    name, *part = id.split(":")
    text = texts.get(name)
    return text if text is None or not part else text[int(part[0]) : int(part[1])]


def make_standoff(markup: str, text: str) -> list[Span]:
    """Extract the annotation from a marked-up copy of a real text.

    markup (str): The copy.
    text (str): The text.
    RETURNS (list[Span]): Its spans.
    RAISES (ValueError): If the copy differs from the text by more than its markup.
    """
    note = Note("", "", "", "", "", "US", "X", None, markup, Path(), 0)
    if faults := _find_in_note(note):
        raise ValueError("; ".join(f"line {fault.line - 1}: {fault.message}" for fault in faults))
    result = annotate(note, None)
    if result.text != text:
        at = next(
            (i for i, (a, b) in enumerate(zip(result.text, text, strict=False)) if a != b),
            min(len(result.text), len(text)),
        )
        near = result.text[max(at - 20, 0) : at + 20]
        raise ValueError(f"the copy differs at character {at}: {near!r}")
    return result.entities


def fingerprint(text: str) -> str:
    """RETURNS (str): The checksum that ties stand-off annotation to its text."""
    return hashlib.sha256(text.encode("utf8")).hexdigest()


app = typer.Typer(
    help=__doc__, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False
)


@app.command()
def check(
    folder: Path = typer.Argument(CORPUS, exists=True, file_okay=False),
    repeats: bool = typer.Option(False, help="Also list repeats that are not marked"),
) -> None:
    """Check the corpus. Where OPENMED_CORPORA names other corpora, nothing may be copied."""
    try:
        notes = read_notes(folder)
    except ValueError as error:
        msg.fail(str(error), exits=1)
    from notes_codes import find_code_faults

    faults = find_faults(notes)
    if not faults:
        faults += find_code_faults(notes, folder)
    if corpora := os.environ.get("OPENMED_CORPORA"):
        faults += find_copies(notes, Path(corpora))
    for fault in faults:
        print(fault)
    if repeats and not faults:
        for note in notes:
            if found := find_unmarked(note):
                print(f"{note.kind}/{note.path.name}:{note.line}: not marked everywhere: {found}")
    if faults:
        msg.fail(f"{len(faults)} faults in {len(notes)} notes", exits=1)
    msg.good(f"{len(notes)} notes without fault")


@app.command()
def agreement(folder: Path = typer.Argument(CORPUS, exists=True, file_okay=False)) -> None:
    """Compare the second annotators with the corpus: strict F1 by label."""
    second = read_second(folder)
    scores = score_agreement(read_notes(folder), second)
    print(f"{len(second)} notes")
    for name, (n, other, same) in sorted(scores.items(), key=lambda item: -item[1][0]):
        print(f"{name:<24} {n:>6} {other:>6} {200 * same / max(n + other, 1):>6.1f}")


@app.command()
def standoff(
    marked: Path = typer.Argument(..., help="Marked-up texts, each after a line `=== ID`"),
    split: Literal["train", "dev"] = typer.Argument(..., help="Split of all of them"),
    output: Path = typer.Argument(..., help="File of JSON lines to write"),
) -> None:
    """Make stand-off annotation of marked-up copies of real texts (OPENMED_CORPORA)."""
    texts = _read_plain()
    parts = re.split(r"^=== (\S+)\n", marked.read_text(encoding="utf8"), flags=re.M)[1:]
    n_faults = 0
    lines = []
    for id, markup in zip(parts[::2], parts[1::2], strict=True):
        text = find_text(texts, id)
        if text is None:
            n_faults += 1
            print(f"{id}: its text is not there")
            continue
        try:
            spans = make_standoff(markup.rstrip("\n") + text[len(text.rstrip("\n")) :], text)
        except ValueError as error:
            n_faults += 1
            print(f"{id}: {error}")
            continue
        row = {"id": id, "split": split, "sha256": fingerprint(text), "entities": spans}
        lines.append(json.dumps(row))
    if n_faults:
        msg.fail(f"{n_faults} of {len(parts) // 2} texts have faults", exits=1)
    output.write_text("".join(f"{line}\n" for line in lines), encoding="utf8")
    msg.good(f"{len(lines)} texts")


Format = Literal["jsonl", "spacy", "brat", "iob"]


@app.command()
def convert(
    output: Path = typer.Argument(..., help="Folder to write to"),
    format: Format = typer.Option("jsonl", help="Format of the output"),
    seed: int = typer.Option(0, help="Another seed fills in other identifiers"),
    folder: Path = typer.Option(CORPUS, exists=True, file_okay=False),
) -> None:
    """Write the splits in an ordinary format, with identifiers filled in."""
    from notes_formats import WRITERS

    output.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        notes = read_notes(folder, split)
        WRITERS[format](output, split, [(note, annotate(note, seed)) for note in notes])
        msg.good(f"{split}: {len(notes)} notes")


@app.command()
def count(folder: Path = typer.Argument(CORPUS, exists=True, file_okay=False)) -> None:
    """Count notes, words and annotation. Where OPENMED_CORPORA names other corpora, compare the
    words with those of real notes."""
    from notes_counts import compare_words, read_plain
    from notes_counts import count as count_notes

    notes = read_notes(folder)
    print(json.dumps(count_notes(notes), indent=2, ensure_ascii=False))
    if corpora := os.environ.get("OPENMED_CORPORA"):
        others = read_plain(Path(corpora))
        if not notes or not others:
            msg.warn("There are no real notes to compare with: see scripts/notes_plain.py")
            return
        texts = [annotate(note).text for note in notes]
        size = min(sum(len(text.split()) for text in group) for group in (texts, others))
        print(json.dumps(compare_words(texts, others, size), indent=2))


if __name__ == "__main__":
    app()

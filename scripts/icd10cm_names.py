"""Collect names of diagnoses that ICD-10-CM and our aliases lack, with their codes:
`spacy_openmed/data/icd10cm_names.tsv`.

    python scripts/icd10cm_names.py

They are names of present diagnoses in the train part of the notes corpus, if all mentions of a name
have the same code. Codes for pregnancy (O), history and status (Z) and injuries depend on more than
the name and are left out, and so are names of fewer than three letters.
"""

import sys
from collections import Counter, defaultdict
from pathlib import Path

import typer

from notes_corpus import annotate, read_notes
from spacy_openmed.hcc.icd10cm import NAMES, Vocabulary, read_vocabulary, to_key
from spacy_openmed.hcc.linking import Linker

LEFT_OUT = tuple("OZSTVWXY")
LEAST = 3  # letters
MOST = 6  # words


def main(output: Path = typer.Option(NAMES, help="File to write")) -> None:
    """
    Write the names.
    """
    vocabulary = read_vocabulary(names=False)
    linker = Linker(vocabulary)
    codes: dict[str, Counter[str]] = defaultdict(Counter)
    texts: dict[str, str] = {}
    for note in read_notes(split="train"):
        text = annotate(note, None)
        for entity in text.entities:
            if entity.code and entity.assertion == "PRESENT":
                name = " ".join(text.text[entity.start : entity.end].split())
                codes[to_key(name)][entity.code] += 1
                texts.setdefault(to_key(name), name)
    rows = sorted(
        (texts[key], code)
        for key, found in codes.items()
        for code in found
        if len(found) == 1
        and (" " in key or found[code] > 1)  # one word alone may need its note
        and is_wanted(texts[key], code, vocabulary)
        and not linker.find_known(key)
    )
    output.write_text("".join(f"{name}\t{code}\n" for name, code in rows), encoding="utf8")
    print(len(rows), output, file=sys.stderr)


def is_wanted(name: str, code: str, vocabulary: Vocabulary) -> bool:
    """RETURNS (bool): Whether a name stands for a code in any context."""
    if code.startswith(LEFT_OUT) or code not in vocabulary.codes:
        return False
    n_letters = sum(map(str.isalpha, name))
    # The site and origin of a metastasis depend on the note.
    is_plain = not any(part in name.lower() for part in (*"{}+?;:", "metasta", " mets", " met"))
    return (
        is_plain
        and n_letters >= LEAST
        and len(name.split()) <= MOST
        and vocabulary.codes[code].is_billable
    )


if __name__ == "__main__":
    typer.run(main)

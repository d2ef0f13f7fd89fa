"""Give the base encoder of `mini` a piece for line breaks.

    python scripts/prepare_mini.py ENCODER OUTPUT

Lines matter in notes: "Denies chest pain" does not apply to the "Asthma" in the next line. BERT's
tokenizer treats line breaks as spaces. Here they get a piece of their own, in place of one of
BERT's unused pieces. spaCy's white-space tokens still get no label.
"""

import argparse
import json
import shutil
from pathlib import Path

UNUSED = "[unused0]"
NEWLINE = "\n"


def add_newline(tokenizer: dict) -> dict:
    """Make line breaks a piece.

    tokenizer (dict): What `tokenizer.json` holds.
    RETURNS (dict): The same with the piece, and without truncation and padding.
    """
    vocabulary = tokenizer["model"]["vocab"]
    number = vocabulary[UNUSED]
    vocabulary = {NEWLINE if piece == UNUSED else piece: i for piece, i in vocabulary.items()}
    piece = {
        "id": number,
        "content": NEWLINE,
        "special": False,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
    }
    added = sorted([*tokenizer["added_tokens"], piece], key=lambda row: row["id"])
    return {
        **tokenizer,
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "model": {**tokenizer["model"], "vocab": vocabulary},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path, help="folder of the base encoder")
    parser.add_argument("output", type=Path)
    args = parser.parse_args()

    args.output.mkdir(parents=True, exist_ok=True)
    for file in (
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "special_tokens_map.json",
    ):
        shutil.copyfile(args.encoder / file, args.output / file)
    tokenizer = json.loads((args.encoder / "tokenizer.json").read_text(encoding="utf8"))
    (args.output / "tokenizer.json").write_text(
        json.dumps(add_newline(tokenizer), ensure_ascii=False), encoding="utf8"
    )


if __name__ == "__main__":
    main()

"""Make the bundled checkpoint out of a trained one: fp16 weights, its tokenizer, its notices.

    python scripts/bundle_mini.py CHECKPOINT ENCODER [--facts FILE] [--window 128]

The facts are a JSON list with a row a head: "dataset", "recommended_confidence" and "f1" (from 0
to 1, on gold tokens of the test set), both from benchmarks/accuracy.py.
"""

import argparse
import json
import shutil
from pathlib import Path

from transformers import AutoModelForTokenClassification

MINI = Path("spacy_openmed/mini")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="folder that train_mini.py wrote")
    parser.add_argument("encoder", type=Path, help="folder of the base encoder")
    parser.add_argument("--facts", type=Path, help="what was measured of the heads")
    parser.add_argument("--window", type=int, help="pieces that it reads best at a time")
    parser.add_argument("--output", type=Path, default=MINI)
    args = parser.parse_args()

    module = AutoModelForTokenClassification.from_pretrained(args.checkpoint)
    if args.window is not None:
        module.config.openmed["window"] = args.window
    if args.facts is not None:
        facts = {row["dataset"]: row for row in json.loads(args.facts.read_text(encoding="utf8"))}
        for head in module.config.openmed["heads"]:
            head |= facts[head["dataset"]]
    module.half().save_pretrained(args.output)
    (args.output / "model.safetensors").chmod(0o644)  # safetensors lets only the owner read them
    # The encoder's own files, as transformers of every version reads them, but without the
    # truncation and padding to 128 that it was used with.
    for file in ("tokenizer_config.json", "special_tokens_map.json", "LICENSE"):
        shutil.copyfile(args.encoder / file, args.output / file)
    tokenizer = json.loads((args.encoder / "tokenizer.json").read_text(encoding="utf8"))
    tokenizer |= {"truncation": None, "padding": None}
    (args.output / "tokenizer.json").write_text(
        json.dumps(tokenizer, ensure_ascii=False), encoding="utf8"
    )


if __name__ == "__main__":
    main()

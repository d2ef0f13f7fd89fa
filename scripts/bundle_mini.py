"""Make the bundled checkpoint from trained ones: fp16 weights, and the encoder's tokenizer.

    python scripts/bundle_mini.py ENCODER CHECKPOINT [CHECKPOINT …] [--facts FILE] [--window 512]
    python scripts/bundle_mini.py … --accuracy FILE    # once the bundled checkpoint is measured

The weights of several checkpoints are averaged. For runs that continue one another, or share a
start, the average is better than each of them (Wortsman et al. 2022, "Model soups"). Heads used
only in training are left out.

The facts are a JSON list with a row per head, as written by `fit_mini.py`: "dataset", and the
measured "recommended_confidence" and "temperature". The accuracy is the output of
`benchmarks/accuracy.py`: its F1 on gold tokens of the test sets becomes "f1", from 0 to 1.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForTokenClassification

MINI = Path("spacy_openmed/mini")
FACTS = ("f1", "recommended_confidence", "temperature")  # of a head that was bundled


def average(checkpoints: Sequence[Path]) -> Any:
    """RETURNS (PreTrainedModel): The first checkpoint, with the mean weights of all. A bundled
    checkpoint may be among them, as heads used only in training are left out."""
    module, *others = map(load, checkpoints)
    if any(other.config.openmed["heads"] != module.config.openmed["heads"] for other in others):
        raise SystemExit("The checkpoints have different heads.")
    states = [other.state_dict() for other in others]
    mean = {
        key: torch.stack([value, *(state[key] for state in states)]).mean(0)
        for key, value in module.state_dict().items()
        if value.is_floating_point()
    }
    module.load_state_dict(mean, strict=False)
    return module


def load(checkpoint: Path) -> Any:
    """RETURNS (PreTrainedModel): A checkpoint, without the heads used only in training, and without
    measured facts."""
    module = AutoModelForTokenClassification.from_pretrained(checkpoint).float()
    keep_heads(module)
    module.config.openmed["heads"] = [
        {key: value for key, value in head.items() if key not in FACTS}
        for head in module.config.openmed["heads"]
    ]
    return module


def keep_heads(module: Any) -> None:
    """Remove the heads used only in training.

    module (PreTrainedModel): The checkpoint. It is changed.
    """
    config = module.config
    heads = [head for head in config.openmed["heads"] if head.pop("keep", True)]
    columns = [head["start"] + i for head in heads for i in range(len(head["labels"]))]
    old, new = module.classifier, torch.nn.Linear(config.hidden_size, len(columns))
    with torch.no_grad():
        new.weight.copy_(old.weight[columns])
        new.bias.copy_(old.bias[columns])
    module.classifier = new
    module.num_labels = len(columns)
    labels = [config.id2label[column] for column in columns]
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: i for i, label in enumerate(labels)}
    start = 0
    for head in heads:
        head["start"] = start
        start += len(head["labels"])
    config.openmed["heads"] = heads


def read_accuracy(path: Path) -> dict[str, float]:
    """RETURNS (dict[str, float]): The F1 of each dataset, from 0 to 1."""
    table = json.loads(path.read_text(encoding="utf8"))["tables"]["accuracy"]
    at = table["columns"].index("F1, gold tokens")
    return {row[0]: round(row[at] / 100, 4) for row in table["rows"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path, help="folder that prepare_mini.py wrote")
    parser.add_argument(
        "checkpoints", type=Path, nargs="+", help="folders that train_mini.py wrote"
    )
    parser.add_argument("--facts", type=Path, help="what fit_mini.py wrote")
    parser.add_argument("--accuracy", type=Path, help="what benchmarks/accuracy.py wrote")
    parser.add_argument("--window", type=int, help="pieces that it reads best at a time")
    parser.add_argument("--output", type=Path, default=MINI)
    args = parser.parse_args()

    module = average(args.checkpoints)
    if args.window is not None:
        module.config.openmed["window"] = args.window
    if args.facts is not None:
        facts = {row["dataset"]: row for row in json.loads(args.facts.read_text(encoding="utf8"))}
        for head in module.config.openmed["heads"]:
            head |= facts.get(head["dataset"], {})
    if args.accuracy is not None:
        scores = read_accuracy(args.accuracy)
        for head in module.config.openmed["heads"]:
            if head["dataset"] in scores:
                head["f1"] = scores[head["dataset"]]
    # The encoder's own files: transformers of every version reads them.
    args.output.mkdir(parents=True, exist_ok=True)
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(args.encoder / file, args.output / file)
    module.half().save_pretrained(args.output)
    (args.output / "model.safetensors").chmod(0o644)  # safetensors lets only the owner read them


if __name__ == "__main__":
    main()

"""What an unknown name may have meant."""

import os
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

# What users of other libraries call things, and what they are called here.
OTHER_NAMES = {
    "tiny": "mini",
    "small": "compact",
    "base": "medium",
    "float32": "fp32",
    "float": "fp32",
    "float16": "fp16",
    "half": "fp16",
    "bfloat16": "bf16",
    "8bit": "int8",
    "pytorch": "torch",
    "onnxruntime": "onnx",
    "none": "first",  # transformers' aggregation strategies, which label pieces
    "simple": "first",
    "drugs": "pharmacology",
    "chemicals": "pharmacology",
    "genes": "genomics",
    "notes": "clinical",
    "cancer": "oncology",
    "phi": "privacy",
    "pii": "privacy",
}


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names an unknown one may have meant.

    name (str): The unknown name.
    known (Iterable[str]): The names there are.
    RETURNS (str): A sentence with a leading space, or "" if none is near.
    """
    by_lower = {k.lower(): k for k in known}
    meant = OTHER_NAMES.get(name.lower())
    matches = [meant] if meant in by_lower else get_close_matches(name.lower(), by_lower, n=3)
    if not matches:  # a slip in another name
        others = [other for other, own in OTHER_NAMES.items() if own in by_lower]
        near = get_close_matches(name.lower(), others, n=1, cutoff=0.8)
        matches = [OTHER_NAMES[other] for other in near]
    guesses = " or ".join(repr(by_lower[match]) for match in matches)
    return f" Did you mean {guesses}?" if matches else ""


def near_path(path: Path, others: Sequence[str] = ()) -> str:
    """Say which paths one that is not there may have meant.

    path (Path): The path.
    others (Sequence[str]): Names that would do too.
    RETURNS (str): A sentence with a leading space, or "" if none is near.
    """
    try:
        names = os.listdir(path.absolute().parent)
    except OSError:
        return ""
    return nearest(path.name, [*names, *others])

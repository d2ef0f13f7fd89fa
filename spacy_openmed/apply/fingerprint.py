"""Fingerprints of pipelines."""

import hashlib
import json
from typing import Any

from spacy.language import Language

from ..checkpoints.checkpoint import Checkpoint
from ..engines.base import fingerprint as hash_weights


def fingerprint(nlp: Language) -> str:
    """RETURNS (str): A hash of a pipeline's settings, weights and labels, the same on every
    device."""
    config = nlp.config.copy()
    for block in config["components"].values():
        if isinstance(block.get("model"), dict):
            block["model"].pop("device", None)
    digest = hashlib.blake2b(config.to_str().encode("utf8"), digest_size=16)
    for _, pipe in nlp.pipeline:
        checkpoint = find_checkpoint(pipe)
        if isinstance(checkpoint, Checkpoint) and not checkpoint.has_no_weights:
            digest.update(hash_weights(checkpoint.stored_weights).encode("ascii"))
            facts = [checkpoint.facts, getattr(pipe, "cfg", {})]
            digest.update(json.dumps(facts, sort_keys=True).encode("utf8"))
        elif hasattr(pipe, "fingerprint"):
            digest.update(pipe.fingerprint().encode("utf8"))
        elif hasattr(pipe, "to_bytes"):
            digest.update(pipe.to_bytes())
    return digest.hexdigest()


def find_checkpoint(pipe: Any) -> Any:
    """RETURNS (Any): The checkpoint of a component; None if it has none."""
    return getattr(getattr(pipe, "shim", None), "checkpoint", None)

"""Annotate a dataset of Ray: one pipeline an actor, on as many machines as there are.

DOCS: https://docs.ray.io/en/latest/data/transforming-data.html
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Read when Ray starts. It would tell its makers of its use; texts here are patients'.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from ..apply.findings import read_findings
from ..apply.pipelines import to_model
from ..errors import hiding_text, missing_extra
from .annotator import Annotator

try:
    import ray.data
except ImportError as error:
    raise missing_extra("ray", error) from error

if TYPE_CHECKING:
    import pyarrow as pa


class Worker:
    """An actor's pipeline, loaded when the actor starts.

    annotator (Annotator): What loads it.
    """

    def __init__(self, annotator: Annotator) -> None:
        self.annotator = annotator
        annotator.load()

    def __call__(self, table: "pa.Table") -> "pa.Table":
        with hiding_text():  # what escapes is in the cluster's logs
            return self.annotator(table)


def annotate(
    dataset: "ray.data.Dataset",
    model: str | Path | Mapping[str, Any],
    *,
    concurrency: int | tuple[int, int] = 1,
    num_cpus: float = 1,
    num_gpus: float = 0,
    batch_size: int = 256,
    **settings: Any,
) -> "ray.data.Dataset":
    """Find the entities of a dataset's texts.

    dataset (ray.data.Dataset): The texts. It needs at least as many blocks as there are actors. A
        single file may be one block; `dataset.repartition` divides it.
    model (str | Path | Mapping): Path or package name of a pipeline, which every machine has, or
        the settings of `openmed_ner`: {"domain": "genomics"}.
    concurrency (int | tuple[int, int]): Actors, or the fewest and the most.
    num_cpus (float): CPUs, and so threads, of an actor.
    num_gpus (float): GPUs of an actor; a share of one, such as 0.5, if several are to use it.
    batch_size (int): Rows annotated at once.
    **settings: Those of `Annotator`: `id_column` and so on. Rows need an id: blocks may come out
        in another order.
    RETURNS (ray.data.Dataset): See `Annotator.__call__`. Nothing runs before it is read.
    """
    settings.setdefault("threads", max(1, int(num_cpus)))
    if num_gpus:
        settings.setdefault("device", "cuda:0")  # Ray shows an actor only its own
    annotator = Annotator(to_model(model), **settings)
    if annotator.attributes:  # fail here rather than in every actor
        read_findings(annotator.model).check(annotator.attributes)
    actors = concurrency if isinstance(concurrency, tuple) else (concurrency, concurrency)
    return dataset.map_batches(
        Worker,
        fn_constructor_args=(annotator,),
        batch_format="pyarrow",
        batch_size=batch_size,
        compute=ray.data.ActorPoolStrategy(min_size=actors[0], max_size=actors[1]),
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        max_restarts=-1,  # an actor that is killed starts again,
        max_task_retries=-1,  # and does again what it was at
    )

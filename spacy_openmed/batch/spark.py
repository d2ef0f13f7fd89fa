"""Annotate a DataFrame of Spark: one pipeline a Python worker.

DOCS: https://spark.apache.org/docs/latest/api/python/reference/pyspark.sql/api/pyspark.sql.DataFrame.mapInArrow.html
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..apply.pipelines import to_model
from ..errors import hiding_text, missing_extra
from .annotator import Annotator

try:
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
except ImportError as error:
    raise missing_extra("spark", error) from error

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Worker:
    """Annotates the batches of a partition, a few rows at a time, whatever Spark's batches are.

    annotator (Annotator): What loads the pipeline, once a Python worker.
    batch_size (int): Rows annotated at once.
    """

    annotator: Annotator
    batch_size: int

    def __call__(self, batches: Iterable["pa.RecordBatch"]) -> "Iterator[pa.RecordBatch]":
        for batch in batches:
            for start in range(0, len(batch), self.batch_size):
                with hiding_text():  # what escapes is in the cluster's logs
                    annotated = self.annotator(batch.slice(start, self.batch_size))
                yield from annotated.to_batches()


def annotate(
    df: "DataFrame",
    model: str | Path | Mapping[str, Any],
    *,
    id_column: str,
    batch_size: int = 256,
    **settings: Any,
) -> "DataFrame":
    """Find the entities of a DataFrame's texts.

    df (DataFrame): The texts. It needs at least as many partitions as there are cores.
    model (str | Path | Mapping): Path or package name of a pipeline, which every machine has, or
        the settings of `openmed_ner`: {"domain": "genomics"}.
    id_column (str): The column that says which row is which.
    batch_size (int): Rows annotated at once.
    **settings: Those of `Annotator`. `threads` is 1: Spark runs a worker a core.
    RETURNS (DataFrame): See `Annotator.__call__`. Nothing runs before it is read.
    RAISES (ValueError): If there is no such column.
    """
    settings.setdefault("threads", 1)
    annotator = Annotator(to_model(model), id_column=id_column, **settings)
    schema = from_arrow_schema(annotator.schema(to_arrow_schema(df.schema)))
    return df.mapInArrow(Worker(annotator, batch_size), schema)

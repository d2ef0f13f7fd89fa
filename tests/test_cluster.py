"""Ray, Spark and `datasets` give what a single process gives, row by row, whatever happens."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pa = pytest.importorskip("pyarrow")

from conftest import make_nlp
from pyarrow import parquet

from spacy_openmed.batch.annotator import Annotator, annotate

pytestmark = pytest.mark.slow

TEXTS = ["No asthma.", None, "Aspirin for renal failure", "", "Nothing here."] * 40


@pytest.fixture(scope="module")
def pipeline(keyword_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "pipeline"
    make_nlp(keyword_checkpoint).to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Parquet files."""
    folder = tmp_path_factory.mktemp("notes")
    for i in range(4):
        rows = range(50 * i, 50 * (i + 1))
        table = pa.table({"note": list(rows), "text": [TEXTS[row] for row in rows]})
        parquet.write_table(table, folder / f"{i}.parquet")
    return folder


@pytest.fixture(scope="module")
def expected(pipeline: Path, notes: Path) -> list[dict]:
    return annotate(parquet.read_table(notes), pipeline, id_column="note").to_pylist()


def in_order(rows: list[dict]) -> list[dict]:
    """Rows by their id; scores differ in the last digit where batches are others."""
    rows = sorted(rows, key=lambda row: row["note"])
    for row in rows:
        for entity in row["entities"] or ():
            entity["score"] = round(entity["score"], 4)
    return rows


@pytest.fixture(scope="module")
def workers_path() -> Iterator[None]:
    """Let workers import what the tests can."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield


# Ray


@pytest.fixture(scope="module")
def ray_session(workers_path: None) -> Iterator[None]:
    ray = pytest.importorskip("ray")
    # More than there are: actors hold theirs, and reading needs one too.
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.mark.filterwarnings("ignore")
def test_ray(ray_session: None, pipeline: Path, notes: Path, expected: list[dict]):
    import ray.data

    from spacy_openmed.batch.ray import annotate

    dataset = ray.data.read_parquet(str(notes))
    rows = annotate(dataset, pipeline, id_column="note", concurrency=2, batch_size=16).take_all()
    assert in_order(rows) == in_order(expected)


@pytest.fixture(scope="module")
def failing_pipeline(impossible_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved pipeline of five components, each of which fails on one row."""
    for package in ("hccinfhir", "negspacy", "presidio_analyzer", "sklearn"):
        pytest.importorskip(package)
    from failing import make_failing_nlp

    folder = tmp_path_factory.mktemp("failing")
    make_failing_nlp(impossible_checkpoint, folder).to_disk(folder / "pipeline")
    return folder / "pipeline"


@pytest.mark.filterwarnings("ignore")
def test_ray_rows_that_fail(
    ray_session: None, failing_pipeline: Path, monkeypatch: pytest.MonkeyPatch
):
    import ray.data
    from failing import EXPECTED, TEXTS, FailingAnnotator, summarize

    import spacy_openmed.batch.ray

    monkeypatch.setattr(spacy_openmed.batch.ray, "Annotator", FailingAnnotator)
    dataset = ray.data.from_items([{"note": i, "text": text} for i, text in enumerate(TEXTS)])
    made = spacy_openmed.batch.ray.annotate(
        dataset, failing_pipeline, id_column="note", batch_size=4
    )
    assert summarize(in_order(made.take_all())) == EXPECTED


@pytest.mark.filterwarnings("ignore")
def test_ray_attribute_that_nothing_sets(pipeline: Path):
    pytest.importorskip("ray")
    from spacy_openmed.batch.ray import annotate

    with pytest.raises(ValueError, match="OM309.*openmed_context"):
        annotate(None, pipeline, attributes=("is_negated",))  # before anything runs


class Deadly(Annotator):
    """Kills its process the first time that it sees a certain row."""

    def __call__(self, table):
        mark = Path(self.model).parent / "killed"
        if 120 in table[self.id_column].to_pylist() and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(table)


@pytest.mark.filterwarnings("ignore")
def test_ray_actor_that_is_killed(
    ray_session: None,
    pipeline: Path,
    notes: Path,
    expected: list[dict],
    monkeypatch: pytest.MonkeyPatch,
):
    import ray.data

    import spacy_openmed.batch.ray

    monkeypatch.setattr(spacy_openmed.batch.ray, "Annotator", Deadly)
    (pipeline.parent / "killed").unlink(missing_ok=True)
    dataset = ray.data.read_parquet(str(notes))
    made = spacy_openmed.batch.ray.annotate(
        dataset, pipeline, id_column="note", concurrency=2, batch_size=16
    )
    assert in_order(made.take_all()) == in_order(expected)
    assert (pipeline.parent / "killed").exists()


# Spark


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory, workers_path: None) -> Iterator:
    sql = pytest.importorskip("pyspark.sql")
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        pytest.skip("needs Java")
    session = (
        # Two workers; a task that fails is tried again.
        sql.SparkSession.builder.master("local[2, 4]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.local.dir", str(tmp_path_factory.mktemp("spark")))
        .config("spark.sql.files.maxPartitionBytes", "1k")  # a file each
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.mark.filterwarnings("ignore")
def test_spark(spark, pipeline: Path, notes: Path, expected: list[dict]):
    from spacy_openmed.batch.spark import annotate

    df = spark.read.parquet(str(notes))
    made = annotate(df, pipeline, id_column="note", batch_size=16)
    assert made.columns == ["note", "entities", "error"]
    assert in_order([row.asDict(recursive=True) for row in made.collect()]) == in_order(expected)


@pytest.mark.filterwarnings("ignore")
def test_spark_rows_that_fail(spark, failing_pipeline: Path, monkeypatch: pytest.MonkeyPatch):
    from failing import EXPECTED, TEXTS, FailingAnnotator, summarize

    import spacy_openmed.batch.spark

    monkeypatch.setattr(spacy_openmed.batch.spark, "Annotator", FailingAnnotator)
    df = spark.createDataFrame(list(enumerate(TEXTS)), ["note", "text"])
    made = spacy_openmed.batch.spark.annotate(df, failing_pipeline, id_column="note", batch_size=4)
    rows = [row.asDict(recursive=True) for row in made.collect()]
    assert summarize(in_order(rows)) == EXPECTED


@pytest.mark.filterwarnings("ignore")
def test_spark_worker_that_is_killed(
    spark, pipeline: Path, notes: Path, expected: list[dict], monkeypatch: pytest.MonkeyPatch
):
    import spacy_openmed.batch.spark

    monkeypatch.setattr(spacy_openmed.batch.spark, "Annotator", Deadly)
    (pipeline.parent / "killed").unlink(missing_ok=True)
    df = spark.read.parquet(str(notes))
    made = spacy_openmed.batch.spark.annotate(df, pipeline, id_column="note", batch_size=16)
    assert in_order([row.asDict(recursive=True) for row in made.collect()]) == in_order(expected)
    assert (pipeline.parent / "killed").exists()


# datasets


@pytest.mark.filterwarnings("ignore")
def test_datasets(pipeline: Path, notes: Path, expected: list[dict], tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    files = sorted(map(str, notes.glob("*.parquet")))
    cache = str(tmp_path / "cache")

    def run():
        dataset = datasets.Dataset.from_parquet(files, cache_dir=cache).with_format("arrow")
        annotator = Annotator(str(pipeline), id_column="note")
        return dataset.map(annotator, batched=True, batch_size=64, remove_columns=["text"])

    first = run()
    rows = first.with_format(None).to_list()
    assert in_order(rows) == in_order(expected)
    assert run()._fingerprint == first._fingerprint

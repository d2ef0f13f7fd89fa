"""Show people how far a job is, and what it came to."""

from tqdm import tqdm
from wasabi import msg

from ..formatting import count
from .job import Job, run
from .output import Summary
from .sources import count_rows


def run_with_progress(job: Job, *, force: bool = False) -> Summary:
    """Annotate all texts as `job.run` does, with a bar of the rows that are done.

    job (Job): What to do.
    force (bool): Begin anew, whatever an earlier run has left.
    RETURNS (Summary): What is in the output.
    """
    total = count_rows(job.source)
    if job.limit is not None and total is not None:
        total = min(total, job.limit)
    with tqdm(total=total, unit="docs", disable=None) as bar:
        n_pieces = 0

        def tick(rows: int, pieces: int) -> None:
            nonlocal n_pieces
            n_pieces += pieces
            bar.update(rows)
            rate = n_pieces / max(bar.format_dict["elapsed"], 1e-9)
            bar.set_postfix_str(f"{rate:,.0f} pieces/s")

        return run(job, force=force, tick=tick)


def print_summary(job: Job, summary: Summary) -> None:
    """Print what a job came to.

    job (Job): What was done.
    summary (Summary): What is in the output.
    """
    source, output = job.source, job.output
    if source.n_left_out:
        msg.warn(f"{count(source.n_left_out, 'file')} left out: not {source.format}")
    by_count = sorted(summary.entities.items(), key=lambda item: (-item[1], item[0]))
    msg.table([(label, f"{n:,}") for label, n in by_count], aligns=("l", "r"))
    for error, n in summary.errors.items():
        msg.warn(
            f"{count(n, 'row')}: {error} {'The first is' if n > 1 else 'It is'} in "
            f"{summary.places[error]}."
        )
    n_entities = summary.entities.total()
    noun = "entity" if n_entities == 1 else "entities"
    found = f"{count(summary.rows, 'row')}, {n_entities:,} {noun}"
    if summary.rows and summary.n_kept == summary.rows:
        msg.good(f"Nothing was left to do. {output} holds {found}.")
    elif summary.n_kept:
        msg.good(
            f"{output} holds {found}. An earlier run wrote {count(summary.n_kept, 'row')} of it."
        )
    else:
        msg.good(f"Wrote {found} to {output}.")

"""Draw what other benchmarks measured.

    python benchmarks/speed.py --output benchmarks/results/speed_amd.json
    python benchmarks/scaling.py buffer --output benchmarks/results/buffer.json
    python benchmarks/plots.py benchmarks/results/{speed_amd,buffer}.json -o docs/plots

Each table becomes an SVG file, by its columns: bars of the ratios by component, or a line of the
last column against the first.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

OURS, OTHERS = "#1f6f8b", "#b8b8b8"
ENGINES = ("auto", "torch-", "openvino-", "onnx-")  # of openmed_ner


def main(
    tables: list[Path] = typer.Argument(..., help="Results in JSON", exists=True, dir_okay=False),
    output: Path = typer.Option(Path("."), "--output", "-o", help="Folder", file_okay=False),
) -> None:
    """
    Draw tables of speed.py and scaling.py.
    """
    import matplotlib

    matplotlib.rcParams["svg.fonttype"] = "none"  # letters, not outlines
    output.mkdir(parents=True, exist_ok=True)
    for path in tables:
        rows = read_rows(path)
        figure = draw_ratios(rows) if "component" in rows[0] else draw_line(rows)
        figure.savefig(output / f"{path.stem}.svg", bbox_inches="tight", metadata={"Date": None})
        print(output / f"{path.stem}.svg")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a table.

    path (Path): What `--output` wrote; its first table is read. Or what `--json` printed.
    RETURNS (list[dict]): The rows by column.
    """
    result = json.loads(path.read_text(encoding="utf8"))
    if isinstance(result, list):
        return result
    table = next(iter(result["tables"].values()))
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def draw_ratios(rows: Sequence[dict[str, Any]]) -> Any:
    """Draw the ratio of each component as a bar, a panel for each set of texts.

    rows (Sequence[dict]): The table of speed.py.
    RETURNS (Figure): The figure.
    """
    from matplotlib.figure import Figure

    sets = list(dict.fromkeys(row["texts"] for row in rows))
    height = 0.3 * max(sum(row["texts"] == name for row in rows) for name in sets)
    figure = Figure(figsize=(4 * len(sets), 0.8 + height), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(sets), squeeze=False)[0], sets, strict=True):
        own = [row for row in rows if row["texts"] == name]
        names = [row["component"] for row in own]
        bars = axes.barh(
            [f"openmed_ner, {each}" if each.startswith(ENGINES) else each for each in names],
            [row["ratio"] for row in own],
            color=[OURS if each.startswith(ENGINES) else OTHERS for each in names],
        )
        axes.bar_label(bars, fmt="%.1f", padding=3)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_title(name)
        axes.set_xlabel("texts a second, ratio")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_line(rows: Sequence[dict[str, Any]]) -> Any:
    """Draw how the second column grows with the first.

    rows (Sequence[dict]): A table of scaling.py.
    RETURNS (Figure): The figure.
    """
    from matplotlib.figure import Figure

    across, up = list(rows[0])[:2]
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([row[across] for row in rows], [row[up] for row in rows], "o-", color=OURS)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    typer.run(main)

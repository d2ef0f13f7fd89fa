"""A picture of a knowledge graph: one page of HTML with SVG in it, no scripts and no network."""

import math
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..colors import DISPLACY_COLORS
from .counts import TOGETHER

if TYPE_CHECKING:
    from networkx import MultiDiGraph

WIDTH, HEIGHT, MARGIN = 1200, 800, 60
MAX_ROWS = 200  # of the table
PLAIN = "#dddddd"  # what displaCy takes for labels without a colour

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Knowledge graph</title>
<style>
body {{ font: 15px system-ui, sans-serif; margin: 2em auto; max-width: {width}px; color: #222; }}
svg {{ width: 100%; height: auto; border: 1px solid #ddd; }}
svg text {{ font-size: 13px; text-anchor: middle; paint-order: stroke; stroke: #fff;
  stroke-width: 3px; }}
.together {{ stroke: #bbb; }}
.relation {{ stroke: #a33; marker-end: url(#arrow); }}
mark {{ padding: .1em .5em; border-radius: .3em; margin-right: .5em; }}
table {{ border-collapse: collapse; margin-top: 1em; }}
td, th {{ text-align: left; padding: .2em .8em; border-bottom: 1px solid #eee; }}
td.number {{ text-align: right; }}
</style>
</head>
<body>
<h1>Knowledge graph</h1>
<p>{n_nodes} things and {n_edges} edges in {n_documents} documents{shown}. A circle is as large as
a thing is often mentioned; grey lines join what is mentioned together, red arrows are
relations.</p>
<p>{legend}</p>
<svg viewBox="0 0 {width} {height}" role="img" aria-label="Knowledge graph">
<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" markerHeight="6"
orient="auto"><path d="M 0 0 L 10 5 L 0 10 z" fill="#a33"/></marker></defs>
{edges}
{nodes}
</svg>
<table>
<tr><th>from</th><th>relation</th><th>to</th><th>documents</th><th>score</th>
<th>first evidence</th></tr>
{rows}
</table>
</body>
</html>
"""


def draw(graph: "MultiDiGraph", *, max_nodes: int = 60) -> str:
    """Draw a graph.

    graph (MultiDiGraph): The graph that `GraphBuilder.build` made.
    max_nodes (int): How many things to show: those of the most documents, as far as
        there are edges between them.
    RETURNS (str): A page of HTML.
    """
    import networkx as nx

    linked = [id for id in graph if graph.degree(id)]
    linked.sort(key=lambda id: (-graph.nodes[id]["documents"], -graph.nodes[id]["mentions"], id))
    part = graph.subgraph(linked[:max_nodes])
    part = part.subgraph(id for id in part if part.degree(id))
    simple = nx.Graph()
    simple.add_nodes_from(sorted(part))
    simple.add_weighted_edges_from(
        sorted((head, tail, math.log1p(n)) for head, tail, n in part.edges(data="documents"))
    )
    layout = nx.spring_layout(simple, seed=0, k=6 / math.sqrt(max(len(part), 1)), iterations=300)
    at = _spread(layout)
    radius = {id: 6 + 4 * math.log1p(part.nodes[id]["mentions"]) for id in part}
    # Relations first, then edges of most documents. They are drawn last, so that they are on top.
    edges = sorted(
        part.edges(keys=True, data=True),
        key=lambda e: (e[2] == TOGETHER, -e[3]["documents"], e[:2]),
    )
    labels = sorted({part.nodes[id]["label"] for id in part})
    return PAGE.format(
        width=WIDTH,
        height=HEIGHT,
        n_nodes=f"{len(graph):,}",
        n_edges=f"{graph.number_of_edges():,}",
        n_documents=f"{graph.graph['documents']:,}",
        shown=f" ({len(part)} of the things are shown)" if len(part) < len(graph) else "",
        legend=" ".join(
            f'<mark style="background: {_colour(label)}">{escape(label)}</mark>' for label in labels
        ),
        edges="\n".join(
            _line(at[head], at[tail], radius[tail], relation, data["documents"])
            for head, tail, relation, data in reversed(edges)
        ),
        nodes="\n".join(_circle(at[id], radius[id], id, **part.nodes[id]) for id in sorted(part)),
        rows="\n".join(_row(graph, *edge) for edge in edges[:MAX_ROWS]),
    )


def _spread(layout: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Positions in the picture: the mean of the layout's coordinates and a node's rank from left to
    right and from top to bottom, so that crowds get room."""
    ids = sorted(layout)
    points = np.array([layout[id] for id in ids]).reshape(-1, 2)
    ranks = points.argsort(axis=0).argsort(axis=0) / max(len(ids) - 1, 1)
    share = (ranks + (points + 1) / 2) / 2
    room = np.array([WIDTH, HEIGHT]) - 2 * MARGIN
    return dict(zip(ids, map(tuple, (MARGIN + share * room).tolist()), strict=True))


def _colour(label: str) -> str:
    return DISPLACY_COLORS.get(label, PLAIN)


def _line(
    start: tuple[float, float], end: tuple[float, float], radius: float, relation: str, n: int
) -> str:
    x, y = end[0] - start[0], end[1] - start[1]
    short = 1 - min(radius / max(math.hypot(x, y), 1), 1)  # ends at the circle, not in its middle
    kind = "together" if relation == TOGETHER else "relation"
    return (
        f'<line class="{kind}" x1="{start[0]:.0f}" y1="{start[1]:.0f}" '
        f'x2="{start[0] + short * x:.0f}" y2="{start[1] + short * y:.0f}" '
        f'stroke-width="{1 + math.log(n):.1f}"><title>{n:,} documents</title></line>'
    )


def _circle(
    at: tuple[float, float], radius: float, id: str, *, name: str, label: str, **counts: int
) -> str:
    x, y = at
    about = f"{name} ({label}, {id}): {counts['mentions']:,} mentions"
    return (
        f'<g><title>{escape(about)}</title><circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.1f}" '
        f'fill="{_colour(label)}" stroke="#555"/>'
        f'<text x="{x:.0f}" y="{y + radius + 13:.0f}">{escape(name)}</text></g>'
    )


def _row(graph: "MultiDiGraph", head: str, tail: str, relation: str, data: dict) -> str:
    score = "" if data["score"] is None else f"{data['score']:.2f}"
    first = data["evidence"][0]
    place = f"{first['document']}, characters {first['sentence'][0]}–{first['sentence'][1]}"
    names = (escape(graph.nodes[id]["name"]) for id in (head, tail))
    return "<tr><td>{}</td><td>{}</td><td>{}</td><td>{:,}</td><td>{}</td><td>{}</td></tr>".format(
        next(names), escape(relation.lower()), next(names), data["documents"], score, escape(place)
    )

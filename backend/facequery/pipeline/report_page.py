"""The report as one HTML page: figures, filmstrip, plots and tables, with nothing to be loaded from elsewhere."""

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

_SIZE = (1100, 150)
_LEFT, _BOTTOM, _TOP = 46, 20, 6


@dataclass(frozen=True)
class Figure:
    """One number at the top of the page; `mood` "", "warn" or "bad"."""

    value: str
    what: str
    mood: str = ""


@dataclass(frozen=True)
class Still:
    """A picture of the filmstrip: a JPEG as base64, its frame, what is to be said of it."""

    jpeg: str
    frame: int
    words: str
    bad: bool = False


@dataclass(frozen=True, eq=False)
class Plot:
    """Curves over the frames: `series` of (F,) values, NaN where there is none, in `unit`."""

    title: str
    unit: str
    series: dict[str, NDArray[np.float64]]


def page(
    title: str,
    under: str,
    figures: Sequence[Figure],
    strips: Mapping[str, Sequence[Still]],
    plots: Sequence[Plot],
    frames: NDArray[np.int64],
    states: Sequence[str],
    tables: Mapping[str, Sequence[tuple[str, str]]],
) -> str:
    """The whole page. `states` (F,): "good", "doubtful", "bridged" or "missed" of every frame. All text is escaped."""
    parts = [f"<h1>{_safe(title)}</h1>", f'<p class="under">{_safe(under)}</p>', '<div class="facts">']
    parts += [
        f'<div class="fact {one.mood}"><b>{_safe(one.value)}</b><span>{_safe(one.what)}</span></div>' for one in figures
    ]
    parts.append("</div>")
    for heading, stills in strips.items():
        if stills:
            parts += [f"<h2>{_safe(heading)}</h2>", '<div class="strip">', *map(_still, stills), "</div>"]
    parts.append("<h2>Over time</h2>")
    parts += [_plot(one, frames, states) for one in plots]
    for heading, rows in tables.items():
        body = "".join(f"<tr><th>{_safe(name)}</th><td>{_safe(value)}</td></tr>" for name, value in rows)
        parts += [f"<h2>{_safe(heading)}</h2>", f"<table>{body}</table>"]
    here = files("facequery.pipeline")
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{_safe(title)}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{style}</style></head>\n<body>\n'
        + "\n".join(parts)
        + f"\n<script>{script}</script>\n</body></html>\n"
    )


def _still(still: Still) -> str:
    return (
        f'<figure class="{"bad" if still.bad else ""}"><img alt="frame {still.frame}" '
        f'src="data:image/jpeg;base64,{still.jpeg}"><figcaption><b>{still.frame}</b> {_safe(still.words)}</figcaption>'
        "</figure>"
    )


def _plot(plot: Plot, frames: NDArray[np.int64], states: Sequence[str]) -> str:
    width, height = _SIZE
    span = max(int(frames[-1] - frames[0]), 1)
    x = _LEFT + (frames - frames[0]) / span * (width - _LEFT - 8)
    values = np.concatenate([np.asarray(v, np.float64) for v in plot.series.values()])
    finite = values[np.isfinite(values)]
    top = _round_up(float(finite.max())) if len(finite) and finite.max() > 0 else 1.0

    def y(value: float) -> float:
        return height - _BOTTOM - value / top * (height - _BOTTOM - _TOP)

    shapes = []
    half = (width - _LEFT - 8) / span / 2
    for first, last, state in _runs(states):
        if state != "good":
            kind = "missed" if state == "missed" else "doubtful"
            left, right = x[first] - half, x[last] + half
            shapes.append(f'<rect class="{kind}" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" '
                          f'height="{height - _TOP - _BOTTOM}"/>')  # fmt: skip
    for step in (0.0, 0.5, 1.0):
        at = y(step * top)
        text = f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{step * top:.3g}</text>'
        line = f'<line x1="{_LEFT}" x2="{width - 8}" y1="{at:.1f}" y2="{at:.1f}"/>'
        shapes.append(f'<g class="axis">{line}{text}</g>')
    for index in np.unique(np.linspace(0, len(frames) - 1, 8).astype(int)):
        shapes.append(f'<g class="axis"><text x="{x[index]:.1f}" y="{height - 5}" text-anchor="middle">'
                      f"{frames[index]}</text></g>")  # fmt: skip
    names = []
    for index, (name, curve) in enumerate(plot.series.items()):
        names.append(f'<i class="s{index}">{_safe(name)}</i>')
        shapes.append(f'<path class="series s{index}" d="{_path(x, [y(v) for v in curve])}"/>')
    shapes.append(f'<line class="cross" x1="0" x2="0" y1="{_TOP}" y2="{height - _BOTTOM}"/>')
    data = {
        "size": _SIZE,
        "unit": plot.unit,
        "frames": frames.tolist(),
        "x": np.round(x, 1).tolist(),
        "states": list(states),
        "series": [{"name": n, "values": [_number(v) for v in curve]} for n, curve in plot.series.items()],
    }
    return (
        f'<div class="plot" data-plot="{html.escape(json.dumps(data), quote=True)}"><div class="title">'
        f"{_safe(plot.title)}, {_safe(plot.unit)}: {', '.join(names)}</div>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{_safe(plot.title)}">{"".join(shapes)}</svg>'
        '<div class="tip"></div></div>'
    )


def _path(x: NDArray[np.float64], y: Sequence[float]) -> str:
    """A line through the finite points, broken where there is none; a lone point is a short dash."""
    words, pen = [], False
    for index, value in enumerate(y):
        if not math.isfinite(value):
            pen = False
            continue
        words.append(f"{'L' if pen else 'M'}{x[index]:.1f} {value:.1f}" + ("" if pen else "h.1"))
        pen = True
    return "".join(words)


def _runs(states: Sequence[str]) -> list[tuple[int, int, str]]:
    runs: list[tuple[int, int, str]] = []
    for index, state in enumerate(states):
        if runs and runs[-1][2] == state:
            runs[-1] = (runs[-1][0], index, state)
        else:
            runs.append((index, index, state))
    return runs


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 4, 5, 8, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 4, 5, 8, 10) if step * power >= value * (1 - 1e-9))


def _number(value: float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None


def _safe(text: str) -> str:
    return html.escape(str(text), quote=True)

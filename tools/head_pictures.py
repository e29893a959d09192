"""Pictures of the head, its bones, its expressions and every layout, to be looked at:

python -m tools.head_pictures OUT
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from facequery.head import HeadModel, QuerySet, layout_names, load_layout
from numpy.typing import NDArray

from tools.head_shading import COLOURS, View, finished, layer, over, vertex_normals

FACE = ("skin", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "gums_tongue")
BONES = ("cranium", "mandible", "teeth_upper", "teeth_lower")
GROUP_COLOURS = ((214, 39, 40), (31, 119, 180), (44, 160, 44), (255, 127, 14), (148, 103, 189), (0, 160, 170),
                 (227, 119, 194), (110, 110, 20), (30, 30, 30), (120, 70, 40))  # fmt: skip


def expression(model: HeadModel, **weights: float) -> NDArray[np.float64]:
    """Expression weights (52,) by ARKit name."""
    out = np.zeros(len(model.expression_names))
    for name, weight in weights.items():
        out[model.expression_names.index(name)] = weight
    return out


def _colours(model: HeadModel, vertices: NDArray) -> NDArray[np.float64]:
    colour = np.zeros((len(vertices), 3))
    for name, part in model.parts.items():
        colour[part.vertices] = COLOURS[name]
    for eye, name in enumerate(("eye_left", "eye_right")):
        span = model.parts[name].vertices
        arm = model.rest[span] - model.eye_centres_rest[eye]
        angle = np.arccos(np.clip(arm[:, 2] / np.linalg.norm(arm, axis=1), -1, 1))
        colour[span][angle < 1.02 * model.limbus_angle] = (0.36, 0.24, 0.14)
        colour[span][angle < 0.45 * model.limbus_angle] = (0.03, 0.03, 0.03)
    return colour


def draw(
    model: HeadModel, view: View, vertices: NDArray | None = None, parts: Sequence[str] = FACE, skin: float = 1.0
) -> NDArray[np.uint8]:
    """Picture (H, W, 3) RGB of some parts; the skin with opacity `skin`."""
    points = model.rest if vertices is None else vertices
    colour, normals = _colours(model, points), vertex_normals(points, model.triangles)
    solid = [n for n in parts if n in model.parts and (n != "skin" or skin == 1)]
    picture, depth = None, None
    if solid:
        triangles = np.concatenate([model.triangles[model.parts[n].triangles] for n in solid])
        picture, _, depth = layer(view, points, triangles, colour, normals)
    if skin < 1:
        top, cover, near = layer(view, points, model.triangles[model.parts["skin"].triangles], colour, normals)
        if picture is None or depth is None:
            picture, depth = np.ones_like(top), np.full_like(near, np.inf)
        picture = over(top, cover * skin * (near < depth), picture)
    assert picture is not None
    return finished(picture)


def draw_queries(
    model: HeadModel,
    queries: QuerySet,
    view: View,
    parts: Sequence[str] = FACE,
    skin: float = 1.0,
    numbers: bool = True,
) -> NDArray[np.uint8]:
    """Picture of a layout on the head at rest, coloured by group; points behind the drawn surface are faint."""
    picture = np.ascontiguousarray(draw(model, view, None, parts, skin))
    xy, depth = view.project(queries.positions)
    solid = [n for n in parts if n in model.parts and (n != "skin" or skin == 1)]
    triangles = np.concatenate([model.triangles[model.parts[n].triangles] for n in solid])
    _, _, surface = layer(view, model.rest, triangles, np.zeros_like(model.rest))
    groups = list(dict.fromkeys(queries.groups))
    size = 4 if len(queries) < 120 else 3 if len(queries) < 250 else 2
    for i, (p, z) in enumerate(zip(xy, depth, strict=True)):
        column, row = (np.clip(p * 2, 0, np.array(view.size) * 2 - 1)).astype(int)
        hidden = z > surface[row, column] + 0.002
        ink = GROUP_COLOURS[groups.index(queries.groups[i]) % len(GROUP_COLOURS)]
        if hidden:
            ink = (int(0.35 * ink[0] + 136), int(0.35 * ink[1] + 136), int(0.35 * ink[2] + 136))
        at = (round(float(p[0]) * 8 - 4), round(float(p[1]) * 8 - 4))
        cv2.circle(picture, at, size * 8, ink, -1 if not hidden else 1, cv2.LINE_AA, 3)
        if numbers and not hidden:
            text, place = str(i), (at[0] // 8 + 4, at[1] // 8 - 3)
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.32, (20, 20, 20), 1, cv2.LINE_AA)
    return picture


def titled(picture: NDArray, text: str) -> NDArray:
    """The picture with a line of text in its corner."""
    out = np.ascontiguousarray(picture)
    cv2.putText(out, text, (10, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (40, 40, 40), 1, cv2.LINE_AA)
    return out


def write(path: Path, rows: Sequence[Sequence[NDArray]]) -> None:
    """Write pictures of one size as a table."""
    cv2.imwrite(str(path), np.vstack([np.hstack(list(row)) for row in rows])[..., ::-1])
    print(path)


def head_pictures(model: HeadModel, out: Path) -> None:
    """Head, skull, jaw, expressions, identities."""
    turns = (0.0, 40.0, 90.0)
    whole: dict[str, Any] = {"height": 0.34, "centre": (0.0, -0.025, -0.06)}
    write(out / "head.png", [[draw(model, View(yaw=y, **whole)) for y in turns]])
    wide = expression(model, jawOpen=1.0)
    write(
        out / "skull.png",
        [
            [draw(model, View(yaw=y, **whole), None, BONES) for y in turns],
            [draw(model, View(yaw=y, **whole), None, BONES, 0.3) for y in turns],
            [draw(model, View(yaw=y, **whole), model.vertices(expression=wide), BONES, 0.3) for y in turns],
        ],
    )
    mouth: dict[str, Any] = {"height": 0.16, "centre": (0.0, -0.06, 0.0)}
    shown = (
        ("jaw open", wide),
        ("smile", expression(model, mouthSmileLeft=1, mouthSmileRight=1, cheekSquintLeft=0.7, cheekSquintRight=0.7,
                             mouthUpperUpLeft=0.5, mouthUpperUpRight=0.5, jawOpen=0.1)),
        ("pucker, jaw left", expression(model, mouthPucker=1, jawLeft=0.7)),
        ("tongue", expression(model, jawOpen=0.5, tongueOut=1)),
        ("blink left, brow", expression(model, eyeBlinkLeft=1, browInnerUp=1, mouthFunnel=0.5)),
        ("sneer, look left", expression(model, noseSneerLeft=1, noseSneerRight=1, eyeLookOutLeft=1, eyeLookInRight=1,
                                        browDownLeft=1, browDownRight=1)),
    )  # fmt: skip
    cells = [titled(draw(model, View(yaw=20, **{**mouth, "height": 0.24, "centre": (0, -0.04, 0)}),
                         model.vertices(expression=e)), n) for n, e in shown]  # fmt: skip
    write(out / "expressions.png", [cells[:3], cells[3:]])
    rng = np.random.default_rng(7)
    people = rng.normal(size=(6, model.identity_size))
    cells = [
        titled(draw(model, View(yaw=15, **whole), v), f"identity {i}") for i, v in enumerate(model.vertices(people))
    ]
    inner = [draw(model, View(yaw=50, **whole), v, BONES, 0.3) for v in model.vertices(people)]
    write(out / "identities.png", [cells[:3], cells[3:], inner[:3], inner[3:]])
    eyes: dict[str, Any] = {"height": 0.05, "centre": (0.031, 0.0, 0.01)}
    blink = [model.vertices(expression=expression(model, eyeBlinkLeft=w)) for w in (0.0, 0.5, 1.0)]
    write(out / "eyes.png", [[draw(model, View(yaw=y, **eyes), v) for v in blink] for y in (0.0, 45.0, -45.0)])


def region_picture(model: HeadModel, out: Path) -> None:
    """The skin's regions in colours; later ones lie over earlier ones."""
    colour = np.full((len(model.rest), 3), 0.8)
    skin = model.parts["skin"]
    for i, (name, mask) in enumerate(model.regions.items()):
        if name not in ("face", "rigid"):
            colour[skin.vertices][mask] = np.array(GROUP_COLOURS[i % len(GROUP_COLOURS)]) / 255
    rigid = colour * 0 + 0.8
    rigid[skin.vertices][model.rigid_mask] = (0.2, 0.5, 0.9)
    rigid[skin.vertices][model.region_mask("face")] *= (1, 0.8, 0.8)
    triangles = model.triangles[skin.triangles]
    rows = []
    for paint in (colour, rigid):
        rows.append([finished(layer(View(yaw=y), model.rest, triangles, paint)[0]) for y in (0.0, 45.0, 120.0)])
    write(out / "regions.png", rows)


def layout_pictures(model: HeadModel, names: Sequence[str], out: Path) -> None:
    """Each layout from the front, three-quarter, and the side."""
    for name in names:
        queries = load_layout(name)
        inside = {"bone", "tooth"} & set(queries.kinds)
        parts, skin = (BONES, 0.25) if inside else (FACE, 1.0)
        span = np.ptp(queries.positions, axis=0).max()
        middle = 0.5 * (queries.positions.max(0) + queries.positions.min(0))
        views = [
            View(yaw=y, centre=tuple(middle), height=float(1.15 * span + 0.02), size=(860, 860))
            for y in (0.0, 40.0, 85.0)
        ]
        write(
            out / f"layout_{name}.png",
            [[draw_queries(model, queries, v, parts, skin, len(queries) < 250) for v in views]],
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layout", action="append", help="only these layouts, and not the head")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    model = HeadModel.load()
    if not args.layout:
        head_pictures(model, args.out)
        region_picture(model, args.out)
    layout_pictures(model, args.layout or layout_names(), args.out)


if __name__ == "__main__":
    main()

"""The diagram of the detector: python -m tools.manual.diagram [--out docs/images/detector.svg].

Sizes are read from the weights that ship, so it is drawn again when they change.
"""

import argparse
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from tools.manual.source import ROOT

WIDTH, HEIGHT = 1180, 560
INK, LINE, PAPER = "#1d2b36", "#5b7083", "#ffffff"
PICTURE, QUERY, BOTH, AFTER = "#dceaf7", "#fde8c9", "#dff1df", "#eee6f6"
_STYLE: Final = (
    "text{font-family:Helvetica,Arial,sans-serif;fill:" + INK + "}"
    ".t{font-size:16px;font-weight:bold}.s{font-size:13px}.n{font-size:13px;fill:" + LINE + "}"
)


class Drawing:
    """An SVG that grows: boxes with text, and arrows between them. Units are pixels, y down."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def box(self, x: int, y: int, w: int, h: int, colour: str, title: str, *lines: str) -> None:
        place = f'x="{x}" y="{y}" width="{w}" height="{h}" rx="9"'
        self.parts.append(f'<rect {place} fill="{colour}" stroke="{LINE}" stroke-width="1.2"/>')
        top = y + (h - 18 * len(lines)) / 2 + 5
        self.text(x + w / 2, top, title, "t")
        for number, line in enumerate(lines, 1):
            self.text(x + w / 2, top + 19 * number, line, "s")

    def text(self, x: float, y: float, words: str, kind: str = "n", anchor: str = "middle") -> None:
        self.parts.append(f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>')

    def arrow(self, *points: tuple[int, int], dashed: bool = False) -> None:
        path = " ".join(f"{x},{y}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{LINE}" stroke-width="2"{dash} marker-end="url(#a)"/>'
        )

    def svg(self, title: str) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
            f"<title>{title}</title><style>{_STYLE}</style>"
            '<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0 0 10 5 0 10z" fill="{LINE}"/></marker></defs>'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}" rx="12"/>'
        )
        return "\n".join([head, *self.parts, "</svg>", ""])


def detector(card: dict[str, Any]) -> str:
    """The diagram as SVG, with the sizes of a weights file's card."""
    parts = card["architecture"]
    size, numbers, code = parts["input_size"], parts["descriptor"], parts["code"]
    encoder = str(parts["encoder"]).replace("_", " ")
    steps = int(parts.get("refine", 0))
    d = Drawing()
    d.text(24, 34, "once for each frame", anchor="start")
    d.box(24, 50, 150, 84, PICTURE, "Picture", "a frame of the plate", "any size")
    d.box(224, 50, 170, 84, PICTURE, "Finder", "faces, and in each", "eyes and mouth corners")
    d.box(444, 50, 170, 84, PICTURE, "Crop", f"{size} x {size} pixels,", "upright, steady in time")
    d.box(664, 50, 200, 84, PICTURE, "Image encoder", encoder, "learned")
    told = ["what this face looks like"]
    if anchors := int(parts.get("anchors", 0)):
        told.append(f"read again at {anchors} points")
    d.box(914, 50, 210, 84, PICTURE, "Descriptor", f"{numbers} numbers:", *told)
    for start, end in ((174, 224), (394, 444), (614, 664), (864, 914)):
        d.arrow((start, 92), (end, 92))

    d.text(24, 224, "for each point, as many as wanted", anchor="start")
    d.box(24, 240, 170, 94, QUERY, "Query", "x, y, z in metres", "on or in the", "canonical head")
    d.box(244, 240, 190, 94, QUERY, "Position encoder", "2 layers", f"{code} numbers")
    d.box(664, 240, 200, 94, BOTH, "Predictor", f"{parts['predictor'].upper()}, learned", "descriptor + code")
    d.arrow((194, 287), (244, 287))
    d.arrow((434, 287), (664, 287))
    d.arrow((1019, 134), (1019, 190), (764, 190), (764, 240))
    last = 864
    if steps:
        d.box(914, 240, 210, 94, BOTH, "Local refinement", "looks again at the picture", f"round the answer, {steps} x")
        d.arrow((864, 287), (914, 287))
        d.arrow((700, 134), (700, 165), (1085, 165), (1085, 240), dashed=True)
        d.text(890, 158, "feature maps")
        last = 1019

    d.box(664, 400, 460, 70, BOTH, "Landmark", "place x, y in the crop, and sigma: how far it may be off, in pixels")
    d.arrow((last if steps else 764, 334), (last if steps else 764, 400))
    d.box(404, 400, 210, 70, AFTER, "Tracks", "plate pixels, sigma, visibility")
    d.arrow((664, 435), (614, 435))
    fits = ("camera, face, skull and jaw: one person,", "all frames at once, each landmark", "weighing by its sigma")
    d.box(24, 384, 330, 102, AFTER, "Fits", *fits)
    d.arrow((404, 435), (354, 435))
    d.text(
        WIDTH / 2,
        528,
        "Training: renders with exact labels of any query, and generated portraits with labels by another network; "
        "encoder, position encoder and predictor learn together, the finder by itself.",
    )
    return d.svg("How the detector works")


def main() -> None:
    from facequery.assets import asset
    from facequery.models.weights import load_weights

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "detector.svg")
    options = parser.parse_args()
    options.out.write_text(detector(load_weights(asset("weights/landmarks.safetensors"))[1]), encoding="utf-8")
    print(options.out)


if __name__ == "__main__":
    main()

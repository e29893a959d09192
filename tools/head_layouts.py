"""Place the layouts that ship and write them to assets/layouts:

    python -m tools.head_layouts --data ../shared/data

Starting vertices come from layout_hints.json of the source data; brows and the frl189 layout lean on the mean of the
Face Research Lab London Set's annotations (CC BY 4.0). No research-only data is read.
"""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from facequery.assets import source_data
from facequery.head import HeadModel, QuerySet
from facequery.head.sampling import on_surface
from numpy.typing import NDArray

from tools.head_contour import Outline
from tools.head_dense_layouts import dense520, segments
from tools.head_frl import FrlMean, frl189
from tools.head_inner_layouts import eyes_layout, jaw_layout, skull_layout, teeth_layout
from tools.head_shifts import shifted

MIRROR = np.array([-1.0, 1.0, 1.0])
IBUG_GROUPS = (("contour", 17), ("brow_right", 5), ("brow_left", 5), ("nose", 9), ("eye_right", 6), ("eye_left", 6),
               ("lips_outer", 12), ("lips_inner", 8))  # fmt: skip
WFLW_GROUPS = (("contour", 33), ("brow_right", 9), ("brow_left", 9), ("nose", 9), ("eye_right", 8), ("eye_left", 8),
               ("lips_outer", 12), ("lips_inner", 8), ("pupils", 2))  # fmt: skip
# MediaPipe's mesh: points on the midline; the others below 248 are the subject's right, and in the same order the
# points from 248 on are their mirror images.
MEDIAPIPE_MIDLINE = (0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 94, 151, 152, 164, 168, 175, 195,
                     197, 199, 200)  # fmt: skip
HINT_LICENCES = "Apache-2.0; starting points from ICT-FaceKit (MIT)"


@dataclass(frozen=True)
class Hints:
    """Source vertices in canonical metres, and the starting vertices of layouts by name."""

    points: NDArray[np.float64]
    jaw: NDArray[np.int64]
    start: dict[str, list[int]]

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.points[self.start[name]].copy()


def read_hints(data: Path, model: HeadModel) -> Hints:
    """Starting points of the layouts from the source data."""
    with np.load(data / "head" / "ict_facekit.npz") as source:
        points = (source["neutral"].astype(np.float64) - model.source_origin) * 0.01
        jaw = np.r_[source["jaw_R"], source["landmarks68"][8], source["jaw_L"]]
    hints = json.loads((data / "head" / "layout_hints.json").read_text(encoding="utf-8"))
    return Hints(points, jaw, {k: v for k, v in hints.items() if isinstance(v, list)})


def symmetrised(points: NDArray, partner: NDArray) -> NDArray[np.float64]:
    """Points (N, 3) averaged with the mirror images of their partners (N,)."""
    return 0.5 * (points + points[partner] * MIRROR)


def nearest_partner(points: NDArray) -> NDArray[np.int64]:
    """Index (N,) of the point nearest each one's mirror image; must pair up."""
    distance = np.linalg.norm(points[None] - (points * MIRROR)[:, None], axis=2)
    partner = distance.argmin(1)
    if not (partner[partner] == np.arange(len(points))).all():
        raise ValueError("the layout's points do not pair up across the midline")
    return partner


def grouped_names(groups: tuple[tuple[str, int], ...]) -> tuple[list[str], list[str]]:
    """Names ("brow_right_17") and groups; the number is the point's index in its data set."""
    labels = [name for name, count in groups for _ in range(count)]
    return [f"{g}_{i}" for i, g in enumerate(labels)], labels


def make(model: HeadModel, name: str, points: NDArray, names: list[str], groups: list[str], **texts: Any) -> QuerySet:
    """A query set named after its layout, with ids "layout.number"."""
    queries = QuerySet.from_positions(model, points, None, names, groups, name)
    return replace(queries, **texts)


def on_skin(model: HeadModel, points: NDArray) -> NDArray[np.float64]:
    """Nearest points of the skin."""
    return on_surface(model, points).positions


# MediaPipe's points of the same meaning as those of iBUG 300-W. Not those of the brows: its mesh has the upper edge up
# to 5 mm above that of the London Set's annotators.
SAME_AS_MEDIAPIPE = {
    31: (98,), 32: (97,), 33: (2,), 34: (326,), 35: (327,),
    48: (61,), 49: (39,), 50: (37,), 51: (0,), 52: (267,), 53: (269,), 54: (291,), 55: (321,), 56: (314,), 57: (17,),
    58: (84,), 59: (91,), 60: (78,), 61: (82,), 62: (13,), 63: (312,), 64: (308,), 65: (317,), 66: (14,), 67: (87,),
}  # fmt: skip


def ibug68_points(
    model: HeadModel, base: NDArray, media: NDArray, contour: NDArray, frl: FrlMean
) -> NDArray[np.float64]:
    """The 68 points of iBUG 300-W: the contour evenly on the outline of a frontal face, the rest on features.

    Brows follow the upper edge that the London Set's annotators drew, as the mark-up of 300-W has them. Base of the
    nose and lips lie in the middle between two placements that know nothing of each other: `base` (68, 3), from the
    source head, and MediaPipe's points of the same meaning, media (478, 3). They are then moved by a millimetre to
    where the edges are in the mean of the portraits' textures.
    """
    points = base.copy()
    right = frl.brow(model, 5, upper=1.0)
    points[17:22], points[22:27] = right, right[::-1] * MIRROR
    for number, same in SAME_AS_MEDIAPIPE.items():
        points[number] = 0.5 * (base[number] + media[list(same)].mean(0))
    points = symmetrised(points, nearest_partner(base))
    points[:17] = contour
    points[:36] = on_skin(model, points[:36])
    points[48:] = on_skin(model, points[48:])
    return shifted(model, points)


def base68_points(model: HeadModel, hints: Hints, frl: FrlMean) -> NDArray[np.float64]:
    """68 points as the source head has them, with the brows of the London mean."""
    points = hints["ibug68"]
    right = frl.brow(model, 5)
    points[17:22] = right
    points[22:27] = right[::-1] * MIRROR
    partner = nearest_partner(points)
    moved = symmetrised(points, partner)
    moved[:27] = on_skin(model, moved[:27])  # lips and lids stay on their own vertices
    return moved


def face68_3d_points(hints: Hints, ibug: NDArray) -> NDArray[np.float64]:
    """The 68 points with the contour where it lies in 3D, along the jaw's edge (as in 300W-LP and AFLW2000-3D)."""
    points = ibug.copy()
    points[:17] = hints.points[hints.jaw]
    return points


def wflw98_points(model: HeadModel, hints: Hints, contour: NDArray, frl: FrlMean) -> NDArray[np.float64]:
    """The 98 points of WFLW: 33 on the contour, both edges of the brows, eight to an eye, pupils."""
    points = hints["wflw98"]
    points[:33] = on_skin(model, contour)
    points[33:42] = frl.brow_outline(model)
    points[42:51] = points[[37, 36, 35, 34, 33, 41, 40, 39, 38]] * MIRROR
    eyes = [model.parts[n].vertices.start for n in ("eye_right", "eye_left")]
    points[96:98] = model.rest[eyes]  # the apex of the cornea over the pupil
    points[:96] = symmetrised(points[:96], nearest_partner(points[:96]))
    points[33:51] = on_skin(model, points[33:51])
    return points


AFLW_NAMES = [
    "brow_right_outer",
    "brow_right_middle",
    "brow_right_inner",
    "brow_left_inner",
    "brow_left_middle",
    "brow_left_outer",
    "eye_right_outer",
    "eye_right_middle",
    "eye_right_inner",
    "eye_left_inner",
    "eye_left_middle",
    "eye_left_outer",
    "ear_right",
    "nose_right",
    "nose_tip",
    "nose_left",
    "ear_left",
    "mouth_right",
    "mouth_middle",
    "mouth_left",
    "chin",
]


def aflw21_points(model: HeadModel, ibug: NDArray) -> NDArray[np.float64]:
    """The 21 points of AFLW, from image-left to image-right, which is the subject's right to left."""
    pupils = model.rest[[model.parts[n].vertices.start for n in ("eye_right", "eye_left")]].astype(np.float64)
    skin = model.rest[model.parts["skin"].vertices]
    ear = model.region_mask("ear_right")
    lobe = skin[ear][skin[ear][:, 1].argmin()].astype(np.float64)
    wing = on_skin(model, np.array([[-0.0175, -0.0405, 0.026]]))[0]
    mouth = 0.5 * (ibug[62] + ibug[66])
    return np.stack(
        [
            ibug[17], ibug[19], ibug[21], ibug[22], ibug[24], ibug[26],
            ibug[36], pupils[0], ibug[39], ibug[42], pupils[1], ibug[45],
            lobe, wing, ibug[30], wing * MIRROR, lobe * MIRROR,
            ibug[48], mouth, ibug[54], ibug[8],
        ]
    )  # fmt: skip


def mediapipe478_points(model: HeadModel, hints: Hints) -> NDArray[np.float64]:
    """MediaPipe's 468 mesh points, symmetrised by its own pairing, and the 10 iris points (468-472 the right eye)."""
    points = hints["mediapipe468"]
    error = np.array(hints.start["mediapipe468_error"], float)
    right = [i for i in range(248) if i not in MEDIAPIPE_MIDLINE]
    left = list(range(248, 468))
    partner = np.arange(468)
    partner[right], partner[left] = left, right
    skin = model.rest[model.parts["skin"].vertices].astype(np.float64)
    delicate = model.region_mask("lips") | model.region_mask("eye_left") | model.region_mask("eye_right")
    is_delicate = delicate[on_surface_vertex(skin, points)]
    mean = symmetrised(points, partner)
    out = on_skin(model, mean)
    # On lips and lids an average can jump to the other lip: both sides take the vertex of the better fit.
    better = np.where(error <= error[partner], np.arange(468), partner)
    mirrored = np.where((better == np.arange(468))[:, None], points, points[partner] * MIRROR)
    out = np.where((is_delicate | is_delicate[partner])[:, None], mirrored, out)
    iris = [iris_points(model, eye) for eye in ("eye_right", "eye_left")]
    return np.concatenate([out, *iris])


def on_surface_vertex(vertices: NDArray, points: NDArray) -> NDArray[np.int64]:
    """Index (N,) of the nearest vertex."""
    from scipy.spatial import cKDTree

    return cKDTree(vertices).query(points)[1]


def iris_points(model: HeadModel, eye: str) -> NDArray[np.float64]:
    """Centre, then the limbus at image-right, top, image-left and bottom (5, 3)."""
    part = model.parts[eye].vertices
    centre = model.eye_centres_rest[("eye_left", "eye_right").index(eye)].astype(np.float64)
    radius = np.linalg.norm(model.rest[part.stop - 1] - centre)
    a = model.limbus_angle
    rim = [[np.sin(a) * np.cos(t), np.sin(a) * np.sin(t), np.cos(a)] for t in (0.0, 0.5 * np.pi, np.pi, 1.5 * np.pi)]
    return np.concatenate([model.rest[part.start : part.start + 1], centre + radius * np.array(rim)])


def mediapipe_groups(model: HeadModel, points: NDArray) -> list[str]:
    """Group of each MediaPipe point by the region of skin it lies on."""
    skin = model.rest[model.parts["skin"].vertices]
    vertex = on_surface_vertex(skin, points)
    groups = np.array(["face"] * len(points), dtype=object)
    for name in (
        "forehead",
        "cheek_right",
        "cheek_left",
        "chin",
        "nose",
        "brow_right",
        "brow_left",
        "lips",
        "eye_right",
        "eye_left",
    ):
        groups[model.region_mask(name)[vertex]] = name
    groups[468:473], groups[473:] = "iris_right", "iris_left"
    return [str(g) for g in groups]


def all_layouts(model: HeadModel, hints: Hints, frl: FrlMean) -> list[QuerySet]:
    """Every layout that ships."""
    base = base68_points(model, hints, frl)
    outline = Outline(model)
    media = mediapipe478_points(model, hints)
    ibug = ibug68_points(model, base, media, outline.contour(), frl)
    names68, groups68 = grouped_names(IBUG_GROUPS)
    names98, groups98 = grouped_names(WFLW_GROUPS)
    solid = face68_3d_points(hints, base)
    aflw = aflw21_points(model, base)
    aflw_groups = [n.split("_")[0] for n in AFLW_NAMES]
    london = "brows after the mean of the Face Research Lab London Set (CC BY 4.0)"
    lips_and_lids = {"origin": london, "licence": HINT_LICENCES}
    sets = [
        make(model, "ibug68", ibug, names68, groups68, licence=HINT_LICENCES, slide=outline.slide(17),
             origin="brows after the upper edge in the mean of the Face Research Lab London Set (CC BY 4.0); lips and "
             "the nose's base half way to MediaPipe's (Apache-2.0), and by eye on the mean texture of generated "
             "portraits; contour: the head's outline",
             description="The 68 points of iBUG 300-W, contour on the face's outline, which slides as the head turns"),
        make(model, "face68_3d", solid, names68, groups68, **lips_and_lids,
             description="The 68 points with the contour along the jaw in 3D"),
        make(model, "wflw98", wflw98_points(model, hints, outline.contour(count=33), frl), names98, groups98,
             origin=london, licence=HINT_LICENCES + " and the QLOT project (MIT)", slide=outline.slide(33),
             description="The 98 points of WFLW, contour on the face's outline, which slides as the head turns"),
        make(model, "aflw21", aflw, list(AFLW_NAMES), aflw_groups, **lips_and_lids,
             description="The 21 points of AFLW, from image-left to image-right"),
        make(model, "mediapipe478", media, [str(i) for i in range(478)], mediapipe_groups(model, media),
             description="MediaPipe's face mesh: 468 points and 5 of each iris", licence="Apache-2.0",
             origin="fitted by running MediaPipe (Apache-2.0) on renders of the source head"),
        frl189(model, frl, base),
        dense520(model, solid, aflw, names68),
        segments(model),
        teeth_layout(model),
        eyes_layout(model),
    ]  # fmt: skip
    if "cranium" in model.parts:
        sets += [skull_layout(model), jaw_layout(model)]
    return sets


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="source data (default: $FACEQUERY_DATA, ../shared/data)")
    parser.add_argument("--out", type=Path, default=Path("assets/layouts"))
    args = parser.parse_args()
    data = args.data or source_data()
    args.out.mkdir(parents=True, exist_ok=True)
    model = HeadModel.load()
    for queries in all_layouts(model, read_hints(data, model), FrlMean.read(data)):
        queries.save(args.out / f"{queries.name}.json")
        kinds = {k: queries.kinds.count(k) for k in sorted(set(queries.kinds))}
        print(f"{queries.name}: {len(queries)} points, {kinds}, {np.sum(queries.mirror_index() < 0)} unpaired")


if __name__ == "__main__":
    main()

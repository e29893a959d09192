"""3D queries: points on, in and just over the canonical head."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from facequery_protocol.layout import HEAD, LayoutError, read_layout, write_layout
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.head.binding import find_places
from facequery.head.model import HeadModel
from facequery.head.slide import Slide

FARTHEST = 0.05  # metres: a query farther than this from every surface is a mistake
ON_SURFACE = 0.001
_KIND = {
    "skin": "skin", "eye_left": "eye", "eye_right": "eye", "teeth_upper": "tooth", "teeth_lower": "tooth",
    "cranium": "bone", "mandible": "bone", "gums_tongue": "volume",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class QuerySet:
    """N queries against the head's rest mesh.

    positions (N, 3) canonical metres; ids (unique), names, groups; kinds: skin, bone, tooth, eye or volume;
    triangle (N,) of the whole head (-1: in the volume) with bary (N, 3) and offset (N, 3) from that point of it.
    name: of the layout; description, origin and licence travel with its file.
    slide: where some of the points go as the head turns, for layouts whose contour is the picture's (None: nowhere).
    """

    positions: NDArray[np.float32]
    ids: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    kinds: tuple[str, ...]
    triangle: NDArray[np.int32]
    bary: NDArray[np.float32]
    offset: NDArray[np.float32]
    name: str = ""
    description: str = ""
    origin: str = ""
    licence: str = ""
    slide: Slide | None = None

    def __len__(self) -> int:
        return len(self.positions)

    @staticmethod
    def from_positions(
        model: HeadModel,
        positions: NDArray,
        ids: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        name: str = "points",
    ) -> "QuerySet":
        """Queries at canonical rest positions (N, 3), tied to the nearest surface within 1 mm, or in front of the skin.

        Raises UserError when a position is not finite or farther than 5 cm from every surface.
        """
        points = np.asarray(positions, np.float64).reshape(-1, 3)
        if not np.isfinite(points).all():
            raise UserError("A query is not a finite position.", "Queries are metres in canonical space.", "FQ110")
        near = find_places(model, points)
        if len(points) and near.foot.distance.max() > FARTHEST:
            i = int(near.foot.distance.argmax())
            who = ids[i] if ids is not None else str(i)
            raise UserError(
                f'The query "{who}" is far outside the head ({near.foot.distance[i] * 100:.0f} cm from any surface).',
                "Queries are metres in canonical space, within 5 cm of the head.",
                "FQ111",
            )
        skin = near.names.index("skin")
        tied = (near.foot.distance <= ON_SURFACE) | ((near.part == skin) & (near.outward > 0.5))
        kinds = np.where(tied, np.array([_KIND[n] for n in near.names])[near.part], "volume")
        kinds = np.where(near.eye >= 0, "eye", kinds)
        count = range(len(points))
        return QuerySet(
            positions=points.astype(np.float32),
            ids=tuple(ids) if ids is not None else tuple(f"{name}.{i}" for i in count),
            names=tuple(names) if names is not None else tuple(str(i) for i in count),
            groups=tuple(groups) if groups is not None else ("",) * len(points),
            kinds=tuple(str(k) for k in kinds),
            triangle=np.where(tied, near.foot.triangle, -1).astype(np.int32),
            bary=np.where(tied[:, None], near.foot.bary, 0).astype(np.float32),
            offset=np.where(tied[:, None], points - near.foot.position, 0).astype(np.float32),
            name=name,
        )

    @staticmethod
    def concat(sets: "Sequence[QuerySet]", name: str = "") -> "QuerySet":
        """All queries one after the other, none of them sliding; ids that would occur twice get their number."""
        ids: list[str] = []
        taken: set[str] = set()
        for i in (i for s in sets for i in s.ids):
            unique, k = i, 1
            while unique in taken:
                k += 1
                unique = f"{i}#{k}"
            taken.add(unique)
            ids.append(unique)
        return QuerySet(
            positions=np.concatenate([s.positions for s in sets]),
            ids=tuple(ids),
            names=tuple(n for s in sets for n in s.names),
            groups=tuple(g for s in sets for g in s.groups),
            kinds=tuple(k for s in sets for k in s.kinds),
            triangle=np.concatenate([s.triangle for s in sets]),
            bary=np.concatenate([s.bary for s in sets]),
            offset=np.concatenate([s.offset for s in sets]),
            name=name or "+".join(s.name for s in sets),
        )

    def subset(self, index: NDArray | Sequence[int]) -> "QuerySet":
        """The queries at `index` (indices or a mask of N)."""
        rows = np.arange(len(self))[np.asarray(index)]
        return QuerySet(
            positions=self.positions[rows],
            ids=tuple(self.ids[i] for i in rows),
            names=tuple(self.names[i] for i in rows),
            groups=tuple(self.groups[i] for i in rows),
            kinds=tuple(self.kinds[i] for i in rows),
            triangle=self.triangle[rows],
            bary=self.bary[rows],
            offset=self.offset[rows],
            name=self.name,
            description=self.description,
            origin=self.origin,
            licence=self.licence,
            slide=None if self.slide is None else self.slide.subset(rows),
        )

    def index(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Indices of the queries of these names. Raises UserError for a name that is missing."""
        where = {n: i for i, n in reversed(list(enumerate(self.names)))}
        missing = [n for n in names if n not in where]
        if missing:
            raise UserError(f'The layout "{self.name}" has no point named "{missing[0]}".', "", "FQ112")
        return np.array([where[n] for n in names], np.int64)

    def mirror_index(self, tolerance: float = 0.003) -> NDArray[np.int64]:
        """Index (N,) of every query's partner across x = 0 (itself on the midline), -1 without one within `tolerance`
        metres. Swapping pairs is what a flipped picture needs."""
        from scipy.spatial import cKDTree

        distance, partner = cKDTree(self.positions).query(self.positions * [-1, 1, 1])
        partner = np.where(distance <= tolerance, partner, -1)
        mutual = (partner >= 0) & (partner[np.maximum(partner, 0)] == np.arange(len(self)))
        return np.where(mutual, partner, -1)

    @staticmethod
    def load(path: Path | str, model: HeadModel | None = None) -> "QuerySet":
        """Read a layout file (facequery_protocol.layout), tied to `model` (default: the head that ships) by position
        where the file does not say to which triangle. Raises UserError in one sentence when it is malformed."""
        try:
            document = read_layout(path)
        except LayoutError as error:
            raise UserError(str(error), "See docs/layouts.md for the format.", "FQ113") from error
        slide = None
        if "slide" in document:
            given = document["slide"]
            slide = Slide(
                np.array(given["indices"], np.int64), np.array(given["yaws"], np.float64),
                np.array(given["positions"], np.float32),
                np.array(given["tilts"], np.float32) if "tilts" in given else None,
            )  # fmt: skip
        if "triangles" not in document:
            tied = QuerySet.from_positions(
                model or HeadModel.load(), np.array(document["positions"]), document["ids"], document["names"],
                document["groups"], document["name"],
            )  # fmt: skip
            texts = {k: document[k] for k in ("description", "origin", "licence")}
            return QuerySet(**{**vars(tied), **texts, "slide": slide})
        triangle = np.array(document["triangles"], np.int32)
        count = len((model or HeadModel.load()).triangles)
        if triangle.min() < -1 or triangle.max() >= count:
            raise UserError(
                f'The layout "{path}" is malformed: it names triangle {triangle.max()}, the head has {count}.',
                "Leave the triangles out to tie the points by position.",
                "FQ113",
            )
        return QuerySet(
            positions=np.array(document["positions"], np.float32),
            ids=tuple(document["ids"]),
            names=tuple(document["names"]),
            groups=tuple(document["groups"]),
            kinds=tuple(document["kinds"]),
            triangle=triangle,
            bary=np.array(document["barycentric"], np.float32),
            offset=np.array(document["offsets"], np.float32),
            slide=slide,
            **{k: document[k] for k in ("name", "description", "origin", "licence")},
        )

    def save(self, path: Path | str) -> None:
        """Write the queries as a layout file, positions to the micrometre."""

        def rounded(values: NDArray, digits: int) -> list:
            return [[round(float(v), digits) + 0.0 for v in row] for row in values]

        document = {
            "schema": "facequery.layout", "version": 1, "head": HEAD, "name": self.name or "points",
            "description": self.description, "origin": self.origin, "licence": self.licence,
            "ids": list(self.ids), "names": list(self.names), "groups": list(self.groups), "kinds": list(self.kinds),
            "positions": rounded(self.positions, 6), "triangles": [int(t) for t in self.triangle],
            "barycentric": rounded(self.bary, 5), "offsets": rounded(self.offset, 6),
        }  # fmt: skip
        if self.slide is not None:
            document["slide"] = {
                "version": 1, "indices": [int(i) for i in self.slide.indices],
                "yaws": [float(y) for y in self.slide.yaws],
                "positions": [rounded(rows, 6) for rows in self.slide.positions],
                **({} if self.slide.tilts is None else {"tilts": rounded(self.slide.tilts, 8)}),
            }  # fmt: skip
        try:
            write_layout(path, document)
        except LayoutError as error:
            raise UserError(f"The layout cannot be written: {error}.", "", "FQ114") from error

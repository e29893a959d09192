"""Points as a table of arrays, and what may be done with them; the layout document is their file form."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .._vendor.facequery_protocol.layout import HEAD, KINDS, SCHEMA, VERSION
from .errors import AddonError

FARTHEST: Final = 0.05  # metres from the nearest surface: beyond it a point is a mistake
ON_MIDLINE: Final = 0.0005  # metres: nearer to the middle a point is its own mirror image
SAME_PLACE: Final = 0.001  # metres: a point this near to a mirror image is that image's partner
_MOVED: Final = 2e-6  # metres between a point and its anchor: more is an edit, less is rounding


@dataclass(frozen=True, eq=False)
class Anchors:
    """Where N points are tied to the head at rest: position = barycentric point of the triangle + offset.

    triangle (N,) of the whole head, -1 in the volume; barycentric (N, 3); offset (N, 3) canonical metres; kind (N,)
    indices into KINDS; distance (N,) metres from the nearest surface.
    """

    triangle: NDArray[np.int32]
    barycentric: NDArray[np.float64]
    offset: NDArray[np.float64]
    kind: NDArray[np.int32]
    distance: NDArray[np.float64]

    def checked(self) -> "Anchors":
        """Itself; raises AddonError when a point is far outside the head."""
        if len(self.distance) and not self.distance.max() <= FARTHEST:
            raise AddonError(
                f"Point {int(self.distance.argmax()) + 1} is {self.distance.max() * 100:.0f} cm away from the head.",
                "Points must lie within 5 cm of it.",
                "FQ730",
            )
        return self


@dataclass(frozen=True, eq=False)
class PointTable:
    """N points.

    number (N,) unique; position (N, 3) canonical metres at rest; their anchors' arrays; group (N,) index or -1;
    selected (N,). labels: number -> (id, name) of the points that have others than `default_label`.
    """

    number: NDArray[np.int32]
    position: NDArray[np.float64]
    triangle: NDArray[np.int32]
    barycentric: NDArray[np.float64]
    offset: NDArray[np.float64]
    kind: NDArray[np.int32]
    group: NDArray[np.int32]
    selected: NDArray[np.bool_]
    labels: dict[int, tuple[str, str]] = field(default_factory=dict)
    next_number: int = 1

    def __len__(self) -> int:
        return len(self.number)

    @staticmethod
    def empty() -> "PointTable":
        """A table without points."""
        none, triples = np.zeros(0, np.int32), np.zeros((0, 3))
        return PointTable(none, triples, none, triples, triples, none, none, np.zeros(0, bool))

    def label(self, number: int) -> tuple[str, str]:
        """Id and name of the point of this number."""
        return self.labels.get(number, default_label(number))

    def rows(self, mask: NDArray) -> "PointTable":
        """The points at a mask or at indices."""
        kept = {name: getattr(self, name)[mask] for name in _ARRAYS}
        present = set(kept["number"].tolist())
        return PointTable(**kept, labels={n: v for n, v in self.labels.items() if n in present},
                          next_number=self.next_number)  # fmt: skip

    def appended(
        self,
        position: NDArray,
        anchors: Anchors,
        group: NDArray | int,
        ids: list[str] | None = None,
        names: list[str] | None = None,
    ) -> "PointTable":
        """The table with M more points, selected alone. Ids that are taken get a number appended."""
        count = len(position)
        number = np.arange(self.next_number, self.next_number + count, dtype=np.int32)
        labels = dict(self.labels)
        if ids is not None and names is not None:
            taken = {self.label(n)[0] for n in self.number.tolist()}
            for n, identifier, name in zip(number.tolist(), ids, names, strict=True):
                unique, k = identifier, 1
                while unique in taken:
                    k += 1
                    unique = f"{identifier}#{k}"
                taken.add(unique)
                labels[n] = (unique, name)
        return PointTable(
            number=np.r_[self.number, number],
            position=np.concatenate([self.position, position]),
            triangle=np.r_[self.triangle, anchors.triangle],
            barycentric=np.concatenate([self.barycentric, anchors.barycentric]),
            offset=np.concatenate([self.offset, anchors.offset]),
            kind=np.r_[self.kind, anchors.kind],
            group=np.r_[self.group, np.broadcast_to(group, count)].astype(np.int32),
            selected=np.r_[np.zeros(len(self), bool), np.ones(count, bool)],
            labels=labels,
            next_number=self.next_number + count,
        )

    def changed(self, **arrays: Any) -> "PointTable":
        """The table with some of its fields replaced."""
        return PointTable(**{**vars(self), **arrays})

    def renumbered(self) -> "PointTable":
        """The table with new numbers, and names of their own, for points that carry another's number (or none)."""
        number = self.number.copy()
        _, first = np.unique(number, return_index=True)
        double = np.ones(len(number), bool)
        double[first] = False
        double |= number <= 0
        if not double.any():
            return self
        labels, following = dict(self.labels), max(self.next_number, int(number.max()) + 1)
        taken = {self.label(n)[1] for n in number.tolist()}
        for row in np.flatnonzero(double):
            old, new = int(number[row]), following
            following += 1
            number[row] = new
            if old in labels:
                base = re.sub(r"\.\d{3}$", "", labels[old][1])
                k = 1
                while (name := f"{base}.{k:03d}") in taken:
                    k += 1
                taken.add(name)
                labels[new] = (default_label(new)[0], name)
        return self.changed(number=number, labels=labels, next_number=following)

    def moved(self, anchor_points: NDArray) -> NDArray[np.bool_]:
        """Which points (N,) have left their anchors, given the barycentric points (N, 3) of their triangles."""
        at_anchor = np.abs(anchor_points + self.offset - self.position).max(axis=1, initial=0.0) <= _MOVED
        return (self.triangle >= 0) & ~at_anchor

    def with_anchors(self, mask: NDArray[np.bool_], anchors: Anchors) -> "PointTable":
        """The table with the anchors of the points in `mask` (N,) replaced."""
        arrays = {name: getattr(self, name).copy() for name in ("triangle", "barycentric", "offset", "kind")}
        for name, values in arrays.items():
            values[mask] = getattr(anchors, name)
        return self.changed(**arrays)

    def missing_mirror_images(self, mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Mirror images (M, 3) of the points in `mask` where no point is yet, and the rows (M,) they are images of."""
        rows = np.flatnonzero(mask & (np.abs(self.position[:, 0]) > ON_MIDLINE))
        images = self.position[rows] * [-1.0, 1.0, 1.0]
        cells: dict[tuple[int, ...], list[int]] = {}
        for i, cell in enumerate(np.floor(self.position / SAME_PLACE).astype(int).tolist()):
            cells.setdefault(tuple(cell), []).append(i)
        steps = [(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)]
        free = []
        for k, image in enumerate(images):
            a, b, c = np.floor(image / SAME_PLACE).astype(int).tolist()
            near = [i for da, db, dc in steps for i in cells.get((a + da, b + db, c + dc), ())]
            if not near or np.linalg.norm(self.position[near] - image, axis=1).min() > SAME_PLACE:
                free.append(k)
        return images[free], rows[free]

    def document(self, name: str, groups: list[str]) -> dict[str, Any]:
        """The layout document of all points; `groups` are the names that `group` indexes."""
        if not len(self):
            raise AddonError("There are no points to save.", "Place some on the head first.", "FQ731")

        def rounded(values: NDArray, digits: int) -> list[list[float]]:
            return (np.round(values, digits) + 0.0).tolist()

        labels = [self.label(n) for n in self.number.tolist()]
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "head": HEAD,
            "name": name,
            "ids": [identifier for identifier, _ in labels],
            "names": [label for _, label in labels],
            "groups": [groups[g] if 0 <= g < len(groups) else "" for g in self.group.tolist()],
            "kinds": [KINDS[k] for k in self.kind.tolist()],
            "positions": rounded(self.position, 6),
            "triangles": self.triangle.tolist(),
            "barycentric": rounded(self.barycentric, 5),
            "offsets": rounded(self.offset, 6),
        }


_ARRAYS: Final = ("number", "position", "triangle", "barycentric", "offset", "kind", "group", "selected")


def default_label(number: int) -> tuple[str, str]:
    """Id and name of a point that was given none."""
    return f"point.{number}", f"point.{number:03d}"


_SIDES: Final = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"))


def mirrored_name(name: str) -> str:
    """The name of the other side's point: left and right, or a last l and r, change places; else ".mirror" is added."""
    for left, right in _SIDES:
        if left in name or right in name:
            return re.sub(f"{left}|{right}", lambda m, a=left, b=right: b if m.group() == a else a, name)
    swapped = re.sub(r"(?<=[._-])[lrLR]$", lambda m: {"l": "r", "r": "l", "L": "R", "R": "L"}[m.group()], name)
    return swapped if swapped != name else f"{name}.mirror"


def numbered_names(pattern: str, count: int) -> list[str]:
    """Names from a pattern whose #s stand for a number ("brow_##": brow_01, brow_02); many without # get one added."""
    if "#" not in pattern:
        return [pattern] if count == 1 else [f"{pattern}.{i:03d}" for i in range(1, count + 1)]
    return [re.sub("#+", lambda m, i=i: f"{i:0{len(m.group())}d}", pattern, count=1) for i in range(1, count + 1)]

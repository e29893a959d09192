"""Regions of the head: the standard set, and a user's own by vertices or by a picture on the head's UVs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, diags

from facequery.errors import UserError
from facequery.files import load_json
from facequery.head.model import HeadModel

STANDARD = ("skin", "nose", "brows", "eyes", "lips", "mouth", "ears", "neck")
SCHEMA, VERSION = "facequery.regions", 1
_EVEN = 4  # rounds of averaging that make a border of whole triangles an even line


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the head. `weights` (V,) over the vertices that a picture can show: inside where above 0.5 (the border
    runs smoothly through triangles); or `picture` (H, W) in [0, 1] on the head's UV atlas, v up."""

    name: str
    weights: NDArray[np.float32] | None = None
    picture: NDArray[np.float32] | None = None


def standard_regions(model: HeadModel, count: int) -> list[Region]:
    """skin (face without brows and lips), nose, brows, eyes (balls), lips, mouth (its inside), ears and neck.

    `count` is the number of vertices that a picture can show. The nose lies on the skin, which has it too.
    """

    def skin(*names: str) -> NDArray[np.bool_]:
        return np.logical_or.reduce([model.region_mask(name) for name in names])

    def parts(*names: str) -> NDArray[np.float32]:
        weights = np.zeros(count, np.float32)
        for name in names:
            weights[model.parts[name].vertices] = 1
        return weights

    brows, lips = skin("brow_left", "brow_right"), skin("lips")
    masks = {
        "skin": skin("face", "forehead") & ~brows & ~lips,
        "nose": skin("nose"),
        "brows": brows,
        "lips": lips,
        "ears": skin("ear_left", "ear_right"),
        "neck": skin("neck") & ~skin("face"),
    }
    even = _averaging(model)
    inside_mouth = ("teeth_upper", "teeth_lower", "gums_tongue")
    made = {"eyes": parts("eye_left", "eye_right"), "mouth": parts(*inside_mouth)}
    for name, mask in masks.items():
        values = mask.astype(np.float32)
        for _ in range(_EVEN):
            values = even @ values
        made[name] = np.zeros(count, np.float32)
        made[name][model.parts["skin"].vertices] = values
    return [Region(name, made[name]) for name in STANDARD]


def _averaging(model: HeadModel):  # type: ignore[no-untyped-def]
    """The matrix that replaces values on the skin's vertices by the mean of themselves and their neighbours."""
    triangles = model.part_triangles("skin")
    count = model.parts["skin"].vertices.stop
    ends = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    ends = np.concatenate([ends, ends[:, ::-1], np.stack([np.arange(count)] * 2, 1)])
    links = coo_matrix((np.ones(len(ends), np.float32), (ends[:, 0], ends[:, 1])), (count, count)).tocsr()
    links.data[:] = 1
    return diags(1 / np.asarray(links.sum(1)).ravel()) @ links


def load_regions(path: Path, count: int) -> list[Region]:
    """A user's regions of a head with `count` vertices from a JSON file, or one from a picture on the UV atlas.

    JSON: {"schema": "facequery.regions", "version": 1, "regions": [{"name": "scar", "vertices": [17, ...], "weights":
    [1.0, ...]}, {"name": "cheek", "uv": "cheek.png"}]}: vertices of the head with weights (1 without), as Blender's
    vertex groups have them, or a picture beside the file, white inside. Raises UserError in one sentence.
    """
    if path.suffix.lower() != ".json":
        return [Region(path.stem, picture=_mask_picture(path))]
    try:
        document: Any = load_json(path)
    except OSError:
        raise UserError(f'There is no file of regions "{path}".', "", "FQ611") from None
    except ValueError as error:
        raise UserError(f'"{path}" is no JSON ({error}).', "", "FQ611") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA or not _several(document.get("regions")):
        raise UserError(f'"{path}" is not a file of regions.', f'"schema" must be "{SCHEMA}".', "FQ611")
    if document.get("version") not in range(1, VERSION + 1):
        raise UserError(f'"version" of "{path}" is not {VERSION}.', "Write it so, or update FaceQuery.", "FQ611")
    regions = [_region(entry, path, count) for entry in document["regions"]]
    names = [region.name for region in regions]
    if len(set(names)) < len(names):
        raise UserError(f'"{path}" names a region twice.', "", "FQ611")
    return regions


def _several(entries: Any) -> bool:
    return isinstance(entries, list) and bool(entries)


def _region(entry: Any, path: Path, count: int) -> Region:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name or any(c in name for c in "/\\:") or name.startswith("."):
        raise UserError(f'A region of "{path}" has no name that a file may have.', "", "FQ611")
    if "uv" in entry:
        return Region(name, picture=_mask_picture(path.parent / str(entry["uv"])))
    try:
        vertices = np.array(entry["vertices"], dtype=np.int64)
        weights = np.array(entry.get("weights", np.ones(len(vertices))), dtype=np.float32)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UserError(f'The region "{name}" has neither "vertices" nor "uv".', "", "FQ611") from None
    if vertices.ndim != 1 or weights.shape != vertices.shape or not np.isfinite(weights).all():
        raise UserError(f'The region "{name}" must have one weight for each vertex.', "", "FQ611")
    if len(vertices) and (vertices.min() < 0 or vertices.max() >= count):
        raise UserError(f'The region "{name}" names vertices that the head lacks (it has {count}).', "", "FQ611")
    full = np.zeros(count, np.float32)
    full[vertices] = weights
    return Region(name, full)


def _mask_picture(path: Path) -> NDArray[np.float32]:
    """(H, W) in [0, 1] of a picture: its first channel, times alpha where it has one."""
    from facequery.shots.colour import as_float
    from facequery.shots.images import read_picture

    picture = as_float(read_picture(path, "region"))
    mask = picture[..., 0]
    if picture.shape[2] in (2, 4):
        mask = mask * picture[..., -1]
    return np.clip(np.nan_to_num(mask), 0, 1).astype(np.float32)

"""How near hair hides: a depth map at which a picture's strands and cards have become opaque."""

import numpy as np

from facequery.synthesis.cycles.take import Take

CELL = 3  # pixels of a cell of the map
OPAQUE = 0.6  # share of a cell that hair must cover to hide what is behind
_STEPS = 3  # points between two points of a strand


def hair_depth(take: Take, index: int, alphas: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Depth (H / CELL, W / CELL) float32, metres, behind which hair hides a point; inf where it never does.

    alphas: opacity pictures (H, W) in 0..1 of the meshes that are hair cards, by mesh name. Strands count by their
    thickness, cards by random points on them; brows and lashes are part of the face and hide nothing.
    """
    points, areas = [np.zeros((0, 3))], [np.zeros(0)]
    for strands in take.strands:
        if strands.name in ("brows", "lashes"):
            continue
        line = strands.points[index].astype(float)
        width = 2 * strands.radius[:, :-1] * np.linalg.norm(np.diff(line, axis=1), axis=2) / _STEPS
        for step in range(_STEPS):
            # At random along the strand, so that strands of one length leave no gaps together.
            part = ((step + rng.random(width.shape)) / _STEPS)[..., None]
            points.append(((1 - part) * line[:, :-1] + part * line[:, 1:]).reshape(-1, 3))
            areas.append(width.ravel())
    for mesh in take.meshes:
        if mesh.name not in alphas or mesh.uv is None:
            continue
        corners = mesh.vertices[index][mesh.faces[:, :3]]
        size = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        count = 60000
        face = rng.choice(len(size), count, p=size / size.sum())
        weight = rng.dirichlet((1, 1, 1), count)
        uv = np.einsum("nk,nkc->nc", weight, mesh.uv[face, :3]) % 1.0
        alpha = alphas[mesh.name]
        rows = ((1 - uv[:, 1]) * alpha.shape[0]).astype(int).clip(0, alpha.shape[0] - 1)
        columns = (uv[:, 0] * alpha.shape[1]).astype(int).clip(0, alpha.shape[1] - 1)
        points.append(np.einsum("nk,nkc->nc", weight, corners[face]))
        areas.append(alpha[rows, columns] * size.sum() / count)
    camera = take.camera
    height, width_cells = -(-camera.height // CELL), -(-camera.width // CELL)
    cloud, area = np.concatenate(points), np.concatenate(areas)
    depth = cloud[:, 2]
    keep = depth > 0.02
    cloud, area, depth = cloud[keep], area[keep], depth[keep]
    fx, fy = camera.fx[index], camera.fy[index]
    column = np.floor((fx * cloud[:, 0] / depth + camera.cx[index]) / CELL).astype(int)
    row = np.floor((fy * cloud[:, 1] / depth + camera.cy[index]) / CELL).astype(int)
    inside = (column >= 0) & (column < width_cells) & (row >= 0) & (row < height)
    cell = (row * width_cells + column)[inside]
    cover = (area * fx * fy / depth**2 / CELL**2)[inside]
    return opaque_depth(cell, depth[inside], cover, height * width_cells).reshape(height, width_cells)


def opaque_depth(cell: np.ndarray, depth: np.ndarray, cover: np.ndarray, cells: int) -> np.ndarray:
    """Per cell, the depth at which points (N,), each hiding `cover` of it, have hidden OPAQUE of it: (cells,) float32.

    What is hidden adds up as 1 - exp(-sum), since strands lie over each other at random.
    """
    result = np.full(cells, np.inf, np.float32)
    order = np.lexsort((depth, cell))
    cell, depth, cover = cell[order], depth[order], cover[order]
    total = np.cumsum(cover)
    first = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]]) if len(cell) else np.zeros(0, int)
    before = np.repeat(np.r_[0.0, total][first], np.diff(np.r_[first, len(cell)]))
    hidden = np.flatnonzero(total - before > -np.log(1 - OPAQUE))[::-1]
    # Written from the back, so that the nearest of a cell stays.
    result[cell[hidden]] = depth[hidden]
    return result


def veiled(depth_map: np.ndarray, pixels: np.ndarray, depth: np.ndarray, slack: float = 0.003) -> np.ndarray:
    """Which points (N, 2) pixels with depth (N,) lie more than `slack` metres behind the hair of a map, (N,) bool."""
    row = (pixels[:, 1] // CELL).astype(int)
    column = (pixels[:, 0] // CELL).astype(int)
    inside = (row >= 0) & (row < depth_map.shape[0]) & (column >= 0) & (column < depth_map.shape[1])
    near = depth_map[np.where(inside, row, 0), np.where(inside, column, 0)]
    result: np.ndarray = inside & (depth > near + slack)
    return result

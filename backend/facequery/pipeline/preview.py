"""preview.mp4: the plate, the landmarks coloured by error, and the fitted face, skull and jaw over the plate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.detection.tracks import Tracks
from facequery.files import whole_file
from facequery.fitting.results import FaceFit, FitQuality, RigidFit
from facequery.geometry.cameras import Camera
from facequery.pipeline.overlay import (
    DrawnMesh,
    Picture,
    caption,
    draw_mesh,
    draw_points,
    error_colours,
    error_legend,
    quad_edges,
)
from facequery.pipeline.progress import Report
from facequery.shots.shot import Shot

_FACE, _SKULL, _JAW = (150, 195, 235), (236, 222, 190), (240, 160, 110)
_PANEL = (480, 960)  # narrowest and widest panel
MOST_POINTS = 3000  # drawn


@dataclass(frozen=True, eq=False)
class Overlay:
    """What a preview shows of one view: its tracks and, where there are, its camera, the fits in camera space of the
    first view, and how far they are to be trusted."""

    tracks: Tracks
    camera: Camera | None = None
    face: FaceFit | None = None
    skull: RigidFit | None = None
    jaw: RigidFit | None = None
    quality: FitQuality | None = None


class Painter:
    """Draws the panels of a preview for any frame of a view."""

    def __init__(self, overlay: Overlay) -> None:
        self.overlay = overlay
        tracks = overlay.tracks
        square = tracks.width * tracks.pixel_aspect
        width = float(np.clip(square, *_PANEL))
        self.scale = np.array([width / tracks.width, width / square])  # plate pixels to panel pixels, x and y
        self.size = (int(width) // 2 * 2, max(2, round(tracks.height * self.scale[1]) // 2 * 2))
        self.camera = None if overlay.camera is None else overlay.camera.for_frames(tracks.frames)
        self.error_scale = self._error_scale()
        self.meshes: dict[str, DrawnMesh] = {}
        if overlay.face is not None:
            edges = quad_edges(overlay.face.vertices[0], overlay.face.triangles)
            self.meshes["face"] = DrawnMesh(overlay.face.triangles, _FACE, 0.55, edges)
        # One mesh, so that skull and jaw hide each other.
        self.bones = [(p, c) for p, c in ((overlay.skull, _SKULL), (overlay.jaw, _JAW)) if p is not None]
        if self.bones:
            starts = np.cumsum([0] + [len(part.vertices) for part, _ in self.bones])
            triangles = [part.triangles + start for (part, _), start in zip(self.bones, starts, strict=False)]
            colours = [np.tile(colour, (len(part.triangles), 1)) for part, colour in self.bones]
            self.meshes["bones"] = DrawnMesh(np.concatenate(triangles).astype(np.int32), np.concatenate(colours), 0.85)

    @property
    def panels(self) -> list[str]:
        """Names of the panels: what there is to show."""
        panels = ["points", *self.meshes]
        return ["plate", *panels] if len(panels) == 3 else panels

    def picture(self, plate: Picture, index: int) -> Picture:
        """All panels of the frame at array `index`, side by side or two by two."""
        base = cv2.resize(plate, self.size, interpolation=cv2.INTER_AREA if self.scale[0] < 1 else cv2.INTER_CUBIC)
        drawn = [self.panel(name, base, index) for name in self.panels]
        if len(drawn) == 4:
            return np.vstack([np.hstack(drawn[:2]), np.hstack(drawn[2:])])
        return np.hstack(drawn)

    def panel(self, name: str, base: NDArray, index: int) -> Picture:
        """One panel over `base`, the plate at the panel's size."""
        picture: Picture = base.astype(np.uint8)
        if name == "plate":
            caption(picture, self._title(index))
        elif name == "points":
            self._points(picture, index)
            error_legend(picture, self.error_scale)
            if "plate" not in self.panels:
                caption(picture, self._title(index))
        elif name == "face":
            self._mesh(picture, "face", index)
            caption(picture, "face")
        else:
            self._mesh(picture, "bones", index)
            names = [("skull", self.overlay.skull), ("jaw", self.overlay.jaw)]
            caption(picture, " and ".join(text for text, part in names if part is not None))
        return picture

    def _title(self, index: int) -> str:
        quality, number = self.overlay.quality, self.overlay.tracks.frames[index]
        return f"frame {number}" if quality is None else f"frame {number}  {quality.at(index)}"

    def _points(self, picture: Picture, index: int) -> None:
        tracks = self.overlay.tracks
        xy, sigma, seen = (np.asarray(a[index]) for a in (tracks.xy, tracks.sigma, tracks.visible))
        if len(xy) > MOST_POINTS:
            some = np.linspace(0, len(xy) - 1, MOST_POINTS).astype(int)
            xy, sigma, seen = xy[some], sigma[some], seen[some]
        radius = float(np.clip(self.size[1] / 190, 1.2, 4.0)) * (0.75 if len(xy) > 300 else 1.0)
        draw_points(picture, xy * self.scale, error_colours(sigma, self.error_scale), radius, seen)

    def _mesh(self, picture: Picture, name: str, index: int) -> None:
        overlay = self.overlay
        if self.camera is None:
            return
        if name == "face":
            assert overlay.face is not None
            vertices = np.asarray(overlay.face.vertices[index], dtype=np.float64)
        else:
            vertices = np.concatenate([part.placed(index) for part, _ in self.bones])
        camera = self.camera.select([index]) if len(self.camera) > 1 else self.camera
        here = camera.to_camera(vertices[None])
        draw_mesh(picture, camera.project(here)[0] * self.scale, here[0], self.meshes[name])

    def _error_scale(self) -> float:
        """Where the colour turns red: 3 % of the face's median size, in pixels, to two digits."""
        found = np.flatnonzero(self.overlay.tracks.found)[:200]
        if not len(found):
            return 1.0
        xy = np.asarray(self.overlay.tracks.xy[found], dtype=np.float64)
        size = float(np.median(np.linalg.norm(np.ptp(xy, axis=1), axis=1)))
        return float(f"{max(0.03 * size, 0.1):.1g}")


def write_preview(path: Path, shot: Shot, overlay: Overlay, report: Report | None = None) -> None:
    """Write a preview video of all frames, h264 at the shot's rate, under a temporary name first."""
    painter = Painter(overlay)
    with whole_file(path) as temporary:
        writer = VideoWriter(temporary, shot.fps)
        try:
            for index, plate in shot.frames(0, len(shot)):
                writer.add(painter.picture(plate, index))
                if report:
                    report(index + 1, len(shot))
        finally:
            writer.close()


class VideoWriter:
    """An h264 video in mp4 that every player takes: RGB pictures of one size with even sides in, in order."""

    def __init__(self, path: Path, fps: float) -> None:
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"})
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        rate = max(1, round(fps * 1000))
        stream: Any = self._container.add_stream(codec, rate=_fraction(rate))
        self._stream = stream
        stream.pix_fmt = "yuv420p"
        # x264's macroblock tree uses memory that it never wrote: the same pictures would give other bytes each time.
        x264 = {"crf": "18", "preset": "veryfast", "x264-params": "mbtree=0"}
        stream.options = x264 if codec == "libx264" else {"qscale": "3"}
        self._open = False

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Append one picture (H, W, 3)."""
        if not self._open:
            self._stream.height, self._stream.width = picture.shape[:2]
            self._open = True
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def close(self) -> None:
        """Finish the file."""
        if self._open:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()


def _fraction(thousandths: int) -> Any:
    from fractions import Fraction

    return Fraction(thousandths, 1000)

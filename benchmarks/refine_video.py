"""How much steadier refinement makes tracks of real video.

    python -m benchmarks.refine_video [--frames 40] [--out benchmarks/results/refine_video.md]

The first frames of the webcam-like clips of the source data, which are for research only and never shown. Shake is the
second difference in time, over the square root of 6: what white noise of that standard deviation gives; median over the
points, per cent of the distance between the outer corners of the eyes. What moves smoothly does not count.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from facequery.assets import source_data
from facequery.pipeline.job import JobRequest
from facequery.pipeline.run import run_job
from numpy.typing import NDArray

CORNERS = (36, 45)  # of ibug68


def shake(xy: NDArray) -> float:
    """Of tracks (F, 68, 2)."""
    eyes = np.linalg.norm(xy[:, CORNERS[0]] - xy[:, CORNERS[1]], axis=1).mean()
    second = (xy[:-2] - 2 * xy[1:-1] + xy[2:]) / np.sqrt(6)
    return float(100 * np.median(np.sqrt((second**2).mean((0, 2)))) / eyes)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/refine_video.md"))
    given = parser.parse_args()
    lines = [
        "# Refinement on real video",
        "",
        f"`python -m benchmarks.refine_video --frames {given.frames}`: shake of 68 landmarks, per cent of the distance "
        "between the outer corners of the eyes (see the command).",
        "",
        "| clip | as detected | refined |",
        "|---|---|---|",
    ]
    clips = sorted(
        p for p in (source_data() / "video").iterdir() if p.suffix in (".mp4", ".webm", ".avi", ".mov", ".ogv")
    )
    for number, clip in enumerate(clips, start=1):
        figures = []
        for refine in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                request = JobRequest((str(clip),), frames=(1, given.frames), refine=refine, preview=False)
                figures.append(shake(np.asarray(run_job(request, Path(folder) / "job").tracks[0].xy)))
        lines.append(f"| {number} | {figures[0]:.3f} | {figures[1]:.3f} |")
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(lines[-1], flush=True)


if __name__ == "__main__":
    main()

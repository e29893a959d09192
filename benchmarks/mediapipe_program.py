"""Run by benchmarks.mediapipe_peer in MediaPipe's own environment: pictures in, face meshes out.

    python mediapipe_program.py JOB.json RESULT.npz

JOB: {"video": false, "shots": [[{"path": ..., "box": [x0, y0, x1, y1] or null, "again": bool}, ...], ...]}. Every shot
gets a mesh detector of its own; `video` lets it follow the face from picture to picture. RESULT: `points` (n, 478, 2)
pixels of the face nearest to the box, NaN where there is none; `count` (n,) faces found; `milliseconds`, the median of
a picture. `again`: where nothing is found, a crop of twice the box is tried too.
"""

import json
import sys
import time

import cv2
import mediapipe
import numpy as np


def faces_in(mesh, view, origin, spent):
    start = time.perf_counter()
    found = mesh.process(np.ascontiguousarray(view)).multi_face_landmarks or []
    spent.append(time.perf_counter() - start)
    size = view.shape[1::-1]
    return [np.array([(p.x, p.y) for p in face.landmark]) * size + origin for face in found]


def nearest(faces, box):
    middle, side = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max()
    near = [face for face in faces if np.linalg.norm(face.mean(0) - middle) < 0.5 * side]
    return min(near, key=lambda face: np.linalg.norm(face.mean(0) - middle)) if near else None


def main():
    with open(sys.argv[1]) as file:
        job = json.load(file)
    points, count, spent = [], [], []
    for shot in job["shots"]:
        mesh = mediapipe.solutions.face_mesh.FaceMesh(
            static_image_mode=not job["video"], max_num_faces=1 if job["video"] else 5, refine_landmarks=True,
            min_detection_confidence=0.5,
        )  # fmt: skip
        for entry in shot:
            image = cv2.imread(entry["path"])[..., ::-1]
            faces = faces_in(mesh, image, np.zeros(2), spent)
            count.append(len(faces))
            best = None
            if entry["box"] is not None:
                box = np.array(entry["box"])
                best = nearest(faces, box)
                if best is None and entry["again"]:
                    middle, side = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max()
                    low = np.maximum(middle - side, 0).astype(int)
                    high = np.minimum(middle + side, image.shape[1::-1]).astype(int)
                    best = nearest(faces_in(mesh, image[low[1] : high[1], low[0] : high[0]], low, spent), box)
            points.append(np.full((478, 2), np.nan) if best is None else best)
        mesh.close()
    np.savez(sys.argv[2], points=np.array(points), count=np.array(count), milliseconds=1000 * np.median(spent))


if __name__ == "__main__":
    main()

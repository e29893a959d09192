"""Run by benchmarks.speed in MediaPipe's own environment: a video through its face mesh, as its users write it.

    python speed_mediapipe.py VIDEO FRAMES

Reads with OpenCV in the same loop, video mode, one face, with the iris as the mesh of 478 points has it. Prints JSON:
{"frames", "found", "wall", "processor"}, seconds of the frames after the first ten.
"""

import json
import sys
import time

import cv2
import mediapipe

_WARM = 10


def main():
    video, count = cv2.VideoCapture(sys.argv[1]), int(sys.argv[2])
    mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=False, max_num_faces=1, refine_landmarks=True)
    found, wall, processor = 0, 0.0, 0.0
    for frame in range(count):
        if frame == _WARM:
            wall, processor = time.perf_counter(), time.process_time()
        good, picture = video.read()
        if not good:
            raise SystemExit(f"The video ended at frame {frame}.")
        found += mesh.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)).multi_face_landmarks is not None
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(json.dumps({"frames": count - _WARM, "found": found, "wall": wall, "processor": processor}))


if __name__ == "__main__":
    main()

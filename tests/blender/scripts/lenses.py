"""The plate that Blender undistorts by a clip's lens shows what an ideal lens would, to a tenth of a pixel.

Fits are drawn over that picture, by a camera without a lens.
"""

import sys
import time
from pathlib import Path

import bpy
import numpy as np
from bl_helpers import fresh_scene, session
from ending import end

root = Path(sys.argv[1])


def undistorted(clip, name, size):
    """The clip's picture (H, W) undistorted: the proxy that Blender keeps of it."""
    clip.use_proxy = clip.use_proxy_custom_directory = True
    clip.proxy.directory, clip.proxy.quality = str(root / name / "proxies"), 100
    clip.proxy.build_25, clip.proxy.build_undistorted_100 = False, True
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.type = "CLIP_EDITOR"
    area.spaces.active.clip = clip
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.clip.rebuild_proxy()
    built, until = [], time.monotonic() + 60
    while len(built) < clip.frame_duration:  # Blender builds them beside the script
        assert time.monotonic() < until
        time.sleep(0.05)
        built = sorted(Path(clip.proxy.directory).glob("*/proxy_100_undistorted/*.jpg"))
    image = bpy.data.images.load(str(built[0]), check_existing=False)
    pixels = np.empty(size[0] * size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(size[1], size[0], 4)[::-1, :, 0].astype(np.float64)


def middle_of(picture, place, half=9):
    """Where the bright dot near a place is, in pixels from the top left."""
    x0, y0 = (int(v) - half for v in place)
    part = picture[y0 : y0 + 2 * half + 1, x0 : x0 + 2 * half + 1]
    weight = np.clip(part - np.percentile(part, 60), 0, None)
    y, x = np.mgrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] + 0.5
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


with session():
    for name in sys.argv[2:]:
        fresh_scene()
        folder, truth = root / name / "face" / "v001", np.load(root / name / "truth.npz")
        assert bpy.ops.facequery.import_job(filepath=str(folder), match_scene=True) == {"FINISHED"}
        clip = bpy.context.scene.active_clip
        assert clip.tracking.camera.distortion_model == name.upper()
        size = tuple(truth["size"].tolist())
        picture = undistorted(clip, name, size)
        error = max(np.abs(middle_of(picture, dot) - dot).max() for dot in truth["dots"])
        assert error < 0.1, (name, error)
        print(f"{name} undistorted, off by {error:.3f} px at most: good")
end()

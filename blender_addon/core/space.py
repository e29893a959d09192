"""Between FaceQuery's spaces and Blender's.

Canonical space: metres, +x the subject's left, +y up, +z out of the face. Blender: +z up, a character looks along -y.
Camera space of results: OpenCV's axes, x right, y down, z forward. Blender's camera: y up, looks along -z.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Row vectors: blender = canonical @ _ROTATION.T. A turn by 90 degrees about x.
_ROTATION: Final = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
OPENCV_TO_BLENDER_CAMERA: Final = np.diag([1.0, -1.0, -1.0])


def canonical_to_blender(points: ArrayLike, inverse: bool = False) -> NDArray[np.float64]:
    """Turn points or vectors (..., 3) from canonical to Blender space, or back. Metres stay metres."""
    p = np.asarray(points, dtype=np.float64)
    return p @ (_ROTATION if inverse else _ROTATION.T)

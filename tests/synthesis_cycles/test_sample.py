"""The sample shot that ships: plates and truth belong together and to the head that ships."""

import cv2
import numpy as np
import pytest
from facequery.assets import asset
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.synthesis.cycles.truth import SampleTruth
from facequery.synthesis.library import in_split

from tools import make_sample


@pytest.fixture(scope="module")
def truth() -> SampleTruth:
    return SampleTruth.load(asset("sample/truth.npz"))


def test_every_frame_has_a_plate(truth: SampleTruth) -> None:
    names = sorted(p.name for p in asset("sample/plate").iterdir())
    assert names == [f"shot.{number}.jpg" for number in truth.frames]
    picture = cv2.imread(str(asset("sample/plate") / names[0]))
    assert picture.shape == (truth.height, truth.width, 3)


def test_truth_is_of_the_head_that_ships(truth: SampleTruth) -> None:
    model = HeadModel.load()
    assert truth.neutral.shape == model.rest.shape
    face = np.flatnonzero(model.region_mask("face"))
    beside = truth.neutral[face] - model.vertices(truth.identity)[face]
    assert 0.001 < np.sqrt((beside**2).sum(1).mean()) < 0.002
    # Teeth and mandible move as one; the head turns, the mouth opens.
    forward = truth.rotation[:, :, 2]
    yaw = np.degrees(np.arctan2(forward[:, 0], -forward[:, 2]))
    assert yaw.min() < -30 and yaw.max() > 30
    opening = np.degrees(np.arccos((np.trace(truth.jaw_rotation, axis1=1, axis2=2) - 1) / 2))
    assert opening.max() > 15


def test_points_lie_on_the_face_in_the_picture(truth: SampleTruth) -> None:
    model, layout = HeadModel.load(), load_layout("ibug68")
    pixels, visible = truth.pixels(model, layout), truth.visible(model, layout)
    assert pixels.min() > 0 and (pixels < [truth.width, truth.height]).all()
    assert 0.6 < visible.mean() < 1.0
    # Lip corners, seen, are darker and redder than the philtrum between nose and lip.
    picture = cv2.imread(str(asset("sample/plate") / "shot.1001.jpg")).astype(float)
    blur = cv2.GaussianBlur(picture, (0, 0), 1.0)

    def at(point: np.ndarray) -> np.ndarray:
        result: np.ndarray = blur[int(point[1]), int(point[0])]
        return result

    lip, skin = at(pixels[0, 57]), at((pixels[0, 33] + pixels[0, 51]) / 2)
    assert lip[2] / lip[1] > skin[2] / skin[1]


def test_material_is_held_out() -> None:
    for name in (make_sample.SKIN, make_sample.EYES, make_sample.BROWS, make_sample.ENVIRONMENT):
        assert in_split(name, "heldout") and not in_split(name, "train")

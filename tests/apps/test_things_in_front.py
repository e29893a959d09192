from dataclasses import replace

import cv2
import numpy as np
import pytest
from facequery.apps.surface_pass import strips
from facequery.apps.things_in_front import SkinLook
from flat_head import SIZE, rotation, true_face

YAWS = (-16, -10, -4, 0, 5, 11, 17)
LIGHT = np.array([0.5, -0.5, -0.7])  # to the camera's left and above, from in front


def portrait(head, yaw, gain=1.0):
    """A picture of a mottled head under a light that does not turn with it, and its exact face."""
    face = true_face(head, yaw)
    p = head.positions * 90
    colour = np.array([0.55, 0.35, 0.27]) * (1 + 0.25 * np.sin(p + 2 * np.roll(p, 1, 1)).mean(1, keepdims=True))
    normal = np.zeros_like(head.positions)
    corners = (head.positions @ rotation(yaw).T)[head.triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    for k in range(3):
        np.add.at(normal, head.triangles[:, k], across)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    lit = colour * (0.35 + 0.65 * np.clip(normal @ LIGHT, 0, None))[:, None] * gain
    picture = np.full((SIZE, SIZE, 3), 0.1)
    for strip in strips(face, head.triangles, SIZE, SIZE, 1):
        here = strip.of_corners(lit[head.triangles])
        picture[strip.window] = np.where((strip.triangle >= 0)[..., None], here, picture[strip.window])
    picture += np.random.default_rng(abs(yaw)).normal(0, 0.004, picture.shape)
    return (255 * picture.clip(0, 1) ** (1 / 2.2)).round().astype(np.uint8), face


def with_hand(picture, middle, axes=(34, 22)):
    """The same behind a smooth thing that is a little redder and brighter than skin; and where that is."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.ellipse(mask, middle, axes, 20, 0, 360, (255,), -1)
    rows = np.linspace(0.6, 0.8, SIZE)[:, None, None]
    thing = 255 * (rows * [1.0, 0.65, 0.5]) ** (1 / 2.2)
    return np.where(mask[..., None] > 0, thing, picture).astype(np.uint8), mask > 0


@pytest.fixture(scope="module")
def film(head):
    return [portrait(head, yaw) for yaw in YAWS]


@pytest.fixture(scope="module")
def look(head, film):
    frames = list(film)
    frames[3] = with_hand(film[3][0], (170, 230))[0], film[3][1]  # what is learned from need not be clean
    return SkinLook.learn(head, frames)


def test_a_thing_in_front_is_found_and_nothing_else(look, film):
    for index, middle in ((3, (170, 230)), (4, (225, 190)), (5, (200, 140))):
        picture, face = film[index]
        hidden, mask = with_hand(picture, middle)
        covered = look.covered(hidden, face)
        assert covered.shape == mask.shape
        assert 0 <= covered.min() <= covered.max() <= 1
        assert covered[mask].mean() > 0.75
        assert covered[~cv2.dilate(mask.astype(np.uint8), np.ones((13, 13))).astype(bool)].max() < 0.1


def test_a_free_face_is_left_whole_though_landmarks_and_light_differ(head, look, film):
    for picture, face in film:
        assert not look.covered(picture, replace(face, xy=face.xy + np.array([2, -1], np.float32))).any()
    brighter, face = portrait(head, 8, gain=1.3)
    assert not look.covered(brighter, face).any()


def test_a_few_frames_teach_nothing(head, film):
    assert SkinLook.learn(head, film[:4]) is None


def test_nothing_is_cut_where_hardly_any_skin_is_as_usual(look, film):
    picture, face = film[4]
    hidden, mask = with_hand(picture, (200, 200), (170, 190))
    hidden[~mask] = picture[~mask]
    assert not look.covered(hidden, face).any()

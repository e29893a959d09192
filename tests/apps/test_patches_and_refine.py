import cv2
import numpy as np
import pytest
from facequery.apps.patches import align_patches, pyramid
from facequery.apps.prints import texture_print
from facequery.apps.project import project_print
from facequery.apps.refine import Look, Refinement, Refiner, to_outline
from facequery.errors import UserError
from flat_head import CROP, SIZE, descriptor, sight, true_face


def texture(side, seed=0):
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(size=(side, side, 3)), (0, 0), 2.5)
    return (128 + 40 * grain / grain.std()).clip(0, 255)


def shifted(picture, dx, dy):
    """The picture moved by (dx, dy) pixels, exactly, by its spectrum."""
    fy, fx = (np.fft.fftfreq(n) for n in picture.shape[:2])
    phase = np.exp(-2j * np.pi * (fx[None] * dx + fy[:, None] * dy))[..., None]
    return np.fft.ifft2(np.fft.fft2(picture, axes=(0, 1)) * phase, axes=(0, 1)).real


def test_patches_are_found_again_to_a_fraction_of_a_pixel_in_other_light():
    one = texture(200)
    two = shifted(one, 3.37, -2.21) * 0.6 + 30
    at = np.array([[x, y] for x in (50.0, 100.3, 150.0) for y in (60.0, 100.0, 141.7)])
    images = [pyramid(np.round(p).clip(0, 255).astype(np.uint8), 2) for p in (one, two)]
    affine = np.tile(np.eye(2), (len(at), 1, 1))
    place, information, score = align_patches(images[0], images[1], at, at, affine, np.full(len(at), 8.0))
    assert score.min() > 0.99
    assert np.abs(place - at - [3.37, -2.21]).max() < 0.06
    assert np.linalg.eigvalsh(information).min() > 1  # each is sure to less than a pixel


def test_light_that_stays_where_it_is_does_not_hold_patches_back():
    grain = (texture(200) - 128) * 0.15  # as faint as skin's
    x = np.arange(200)[None, :, None]
    light = 0.3 + 0.7 * np.exp(-(((x - 110) / 45.0) ** 2))
    pictures = [(150 + g) * light for g in (grain, shifted(grain, 2.6, 1.3))]
    at = np.array([[x, y] for x in (60.0, 75.0, 90.0, 150.0) for y in (60.0, 100.0, 140.0)])
    images = [pyramid(np.round(p).clip(0, 255).astype(np.uint8), 2) for p in pictures]
    place, _, _ = align_patches(
        images[0], images[1], at, at, np.tile(np.eye(2), (len(at), 1, 1)), np.full(len(at), 8.0)
    )
    assert np.linalg.norm(place - at - [2.6, 1.3], axis=1).max() < 0.3


def test_how_far_the_skins_outline_is(head):
    face = true_face(head, 0)
    skin = head.model.parts["skin"].triangles.stop
    brow = face.xy[np.argmin(np.linalg.norm(head.positions - [0, 0.045, 0.05], axis=1))]
    eye = face.xy[head.model.parts["eye_right"].vertices].mean(0)
    rim = face.xy[np.argmax(face.xy[:, 0])]
    points = np.stack([brow, eye, rim, [3.0, 3.0]])
    near = to_outline(face, head.triangles, skin, points)
    assert near[0] > 0.2
    assert near[1] < 0.03 and near[2] < 0.03
    assert near[3] == 0
    covered = np.zeros((SIZE, SIZE), np.float32)
    covered[:, int(brow[0]) + 6 :] = 1
    cut = to_outline(face, head.triangles, skin, points, covered)
    assert cut[0] == pytest.approx(6 / 150, abs=0.015)  # a crop unit is 150 pixels


def test_patches_that_are_not_there_are_not_found():
    images = [pyramid(texture(200, seed).astype(np.uint8), 2) for seed in (0, 1)]
    at = np.array([[100.0, 100.0], [60.0, 120.0]])
    _, information, score = align_patches(images[0], images[1], at, at, np.tile(np.eye(2), (2, 1, 1)), np.full(2, 8.0))
    assert (score < 0.55).all()
    _, information, score = align_patches(
        images[0], images[1], at * 0 + 2, at * 0 + 2, np.tile(np.eye(2), (2, 1, 1)), np.full(2, 8.0)
    )
    assert (score == -1).all()
    assert not information.any()


@pytest.fixture(scope="module")
def film(head):
    """Pictures of a textured head that turns, its true faces, and landmarks that are off by some smooth pixels."""
    printed = texture_print(
        head.model, np.dstack([texture(1500) / 255, np.ones((1500, 1500))]).astype(np.float32), len(head.triangles)
    )
    poses = [(0, 0), (4, 2), (8, 3), (12, 1), (-8, -3)]
    faces = [true_face(head, *pose) for pose in poses]
    pictures = [
        np.round(255 * project_print(face, printed, head.triangles, SIZE, SIZE)[..., :3]).clip(0, 255).astype(np.uint8)
        for face in faces
    ]
    refiner = Refiner(head)
    looks = []
    for k, pose in enumerate(poses):
        look = refiner.look(sight(descriptor(*pose)), CROP)
        error = np.stack([2.5 * np.sin(look.xy[:, 1] / 60 + k), 2.0 * np.cos(look.xy[:, 0] / 70 - 2 * k)], 1)
        looks.append(Look(look.xy + error, look.seen, look.scale))
    return refiner, faces, pictures, looks


def errors(refiner, faces, looks, shift, which):
    """Pixels off the truth, as motion relative to frame 0, at patches seen in all frames."""
    rows = np.searchsorted(refiner.asked, refiner.controls)
    seen = np.logical_and.reduce([look.seen for look in looks])
    off = [look.xy[rows] + s - face.xy[refiner.controls] for look, s, face in zip(looks, shift, faces, strict=True)]
    return np.mean([np.linalg.norm(off[i] - off[0], axis=1)[seen].mean() for i in which])


def test_refined_landmarks_stick_to_the_skin(film):
    refiner, faces, pictures, looks = film
    made = refiner.refine(looks, lambda i: pictures[i], enumerate(pictures), anchor=0)
    before = errors(refiner, faces, looks, np.zeros_like(made.shift), (1, 2, 3, 4))
    after = errors(refiner, faces, looks, made.shift, (1, 2, 3, 4))
    assert before > 1.5
    assert after < 0.4 * before
    assert not made.shift[0].any()  # the anchor is exact


def test_without_an_anchor_no_frame_is_the_master(film):
    refiner, faces, pictures, looks = film
    made = refiner.refine(looks, lambda i: pictures[i], enumerate(pictures))
    assert np.abs(made.shift.mean(0)).mean() < 0.3
    before = errors(refiner, faces, looks, np.zeros_like(made.shift), (1, 2, 3, 4))
    assert errors(refiner, faces, looks, made.shift, (1, 2, 3, 4)) < 0.4 * before


def test_frames_without_a_face_are_left_alone(film):
    refiner, _, pictures, looks = film
    made = refiner.refine([*looks[:2], None], lambda i: pictures[i], enumerate(pictures[:3]), anchor=0)
    assert not made.shift[2].any()
    assert (made.score[2] == -1).all()
    with pytest.raises(UserError):
        refiner.refine([None, None], lambda i: pictures[i], enumerate(pictures[:2]))


def test_a_refinement_is_read_back(film, tmp_path):
    refiner, _, pictures, looks = film
    made = refiner.refine(looks[:2], lambda i: pictures[i], enumerate(pictures[:2]), anchor=0)
    made.save(tmp_path / "r.npz")
    again = Refinement.load(tmp_path / "r.npz")
    np.testing.assert_array_equal(again.shift, made.shift)
    assert again.references == made.references
    # What is asked for at a control is what the control was moved by.
    positions = refiner.head.positions[made.controls]
    np.testing.assert_allclose(again.spread(positions) @ made.shift[1], made.shift[1], atol=0.02)
    (tmp_path / "r.npz").write_bytes(b"no")
    with pytest.raises(UserError):
        Refinement.load(tmp_path / "r.npz")

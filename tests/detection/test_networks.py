"""The detector and the finder round their networks: coordinates, batches, what is kept. Untrained networks do."""

import copy

import numpy as np
import pytest
import torch
from facequery.detection.anchors import Anchors, most_doubt
from facequery.detection.detector import Detector, to_pixels
from facequery.detection.devices import pick_device
from facequery.detection.faces import face_from_points
from facequery.detection.finder import DOUBTFUL, FaceFinder
from facequery.errors import UserError
from facequery.geometry.crops import compose, crop_from_similarity
from facequery.head.model import HeadModel
from facequery.models.finder import FinderNet, FoundFaces
from facequery.models.landmarks import LandmarkConfig, LandmarkNet

FRONTAL = np.array([[-0.5, -0.4], [0.5, -0.4], [-0.35, 0.6], [0.35, 0.6]])


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(LandmarkNet(LandmarkConfig(input_size=96)), units_per_metre=10.0)


def test_shapes_and_ranges(detector):
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (3, 96, 96, 3), dtype=np.uint8)
    xy, sigma = detector.decode(detector.encode(crops), rng.normal(0, 0.05, (7, 3)))
    assert xy.shape == (3, 7, 2) and sigma.shape == (3, 7)
    assert xy.dtype == sigma.dtype == np.float32
    assert np.isfinite(xy).all() and (sigma > 0).all()


def test_what_is_asked_together_changes_nothing(detector, monkeypatch):
    rng = np.random.default_rng(1)
    descriptor = detector.encode(rng.integers(0, 255, (5, 96, 96, 3), dtype=np.uint8))
    positions = rng.normal(0, 0.05, (1300, 3)).astype(np.float32)
    whole, sigma = detector.decode(descriptor, positions)
    monkeypatch.setattr("facequery.detection.detector._PAIRS", 700)
    parts, _ = detector.decode(descriptor, positions)
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    own, _ = detector.decode(descriptor, np.repeat(positions[None], 5, axis=0))
    np.testing.assert_allclose(own, whole, atol=1e-5)
    few, few_sigma = detector.decode(descriptor[2:3], positions[40:50])
    np.testing.assert_allclose(few[0], whole[2, 40:50], atol=1e-5)
    np.testing.assert_allclose(few_sigma[0], sigma[2, 40:50], rtol=1e-4)


def test_the_less_sure_the_finder_the_surer_the_landmarks_must_be(detector):
    picture = np.random.default_rng(3).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    faces = [face_from_points(48 + 20 * FRONTAL, score) for score in (0.4, 0.72, 0.95)]
    anchors = Anchors(detector, HeadModel.load())
    _, sigma = anchors.refine(picture[None], np.array([[[48.0, 0, 48], [0, 48, 48]]]))

    def kept(doubt, **how):  # with landmarks that are as unsure as that
        detector.sigma_map = (doubt / float(sigma[0]), 1.0)
        seen = anchors.look_again([picture], [faces], **how)[0]
        detector.sigma_map = (1.0, 1.0)
        return [face.score for face in seen]

    assert most_doubt(0.4) < most_doubt(0.72) < most_doubt(0.95)
    assert kept(0.01) == [0.4, 0.72, 0.95]
    assert most_doubt(DOUBTFUL) < 0.5 * most_doubt(0.4)
    assert kept(0.08) == [0.72, 0.95]
    assert kept(0.2) == [0.95]
    assert kept(0.2, expected=True) == [0.4, 0.72, 0.95]
    assert kept(0.5) == [] and kept(0.5, keep=True) == [0.4, 0.72, 0.95]


def test_sigma_is_scaled_with_the_crop_and_a_squeezed_one_by_its_mean():
    crop = crop_from_similarity([100.0, 50.0], 40.0, 0.3)
    xy, sigma = to_pixels(np.zeros((1, 2)), np.array([0.1]), crop)
    np.testing.assert_allclose(xy, [[100, 50]])
    np.testing.assert_allclose(sigma, [4.0], rtol=1e-6)
    squeezed = compose(np.array([[0.5, 0, 0], [0, 1, 0.0]]), crop)
    _, sigma = to_pixels(np.zeros((1, 2)), np.array([0.1]), squeezed)
    np.testing.assert_allclose(sigma, [4.0 * 0.5**0.5], rtol=1e-6)


def test_a_device_that_is_not_there():
    with pytest.raises(UserError, match="not available"):
        pick_device("warp")
    assert pick_device("cpu").type == "cpu"


class _KnownFaces(FaceFinder):
    """Answers for the network: faces at known places of the picture, however it was resized or cropped.

    The picture holds its own coordinates: red and green are x and y over 4.
    """

    def __init__(self, faces, scores) -> None:
        super().__init__(FinderNet())
        self.faces, self.scores, self.calls = faces, scores, 0

    def _run(self, pictures, threshold):
        self.calls += 1
        result = []
        for picture in pictures:
            side_y, side_x = picture.shape[:2]
            inner = picture[8 : side_y // 2, 8 : side_x // 2, :2].astype(np.float64)
            y, x = np.mgrid[8 : side_y // 2, 8 : side_x // 2] + 0.5
            design = np.column_stack([x.ravel(), y.ravel(), np.ones(x.size)])
            fit = np.linalg.lstsq(design, 4 * inner.reshape(-1, 2), rcond=None)[0].T  # network input to picture
            back = np.linalg.inv(fit[:, :2])
            points = [(face - fit[:, 2]) @ back.T for face in self.faces]
            result.append(FoundFaces(np.array(points), np.array(self.scores), np.zeros((len(points), 4))))
        return result


def _coordinates(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack([x / 4, y / 4, np.zeros_like(x)], axis=-1).round().astype(np.uint8)


def test_points_come_back_in_the_pixels_of_the_picture():
    truth = FRONTAL * 120 + [400, 260]
    found = _KnownFaces([truth], [0.95]).find(_coordinates(900, 500))
    assert len(found) == 1
    np.testing.assert_allclose(found[0].points, truth, atol=2.0)
    assert found[0].score == pytest.approx(0.95)


def test_small_faces_are_looked_at_again_and_both_opinions_count():
    truth = FRONTAL * 22 + [300, 200]
    finder = _KnownFaces([truth], [0.8])
    found = finder.find(_coordinates(800, 450))
    assert finder.calls == 3
    np.testing.assert_allclose(found[0].points, truth, atol=2.0)


def test_what_is_unsure_both_times_is_no_face():
    assert _KnownFaces([FRONTAL * 100 + [400, 250]], [0.3]).find(_coordinates(800, 450)) == []


class _WrongRoll(_KnownFaces):
    """At first the face is taken for one that is turned by `off`, and it is not seen again when it stands so askew."""

    def __init__(self, face, off: float) -> None:
        c, s = np.cos(off), np.sin(off)
        self.upright = face
        middle = face.mean(0)
        super().__init__([(face - middle) @ np.array([[c, s], [-s, c]]) + middle], [0.6])

    def _run(self, pictures, threshold):
        whole = pictures.shape[1] != pictures.shape[2]
        if not whole:
            self.faces = [self.upright]
        found = super()._run(pictures, threshold)
        eyes = [own.points[0, 1] - own.points[0, 0] for own in found]
        askew = [not whole and abs(np.arctan2(y, x)) > np.radians(50) for x, y in eyes]
        nothing = FoundFaces(np.zeros((0, 4, 2)), np.zeros(0), np.zeros((0, 4)))
        return [nothing if away else own for own, away in zip(found, askew, strict=True)]


@pytest.mark.parametrize("off", [-75, 75])
def test_a_face_whose_roll_was_wrong_is_found_when_it_is_turned(off):
    truth = FRONTAL * 60 + [400, 220]
    found = _WrongRoll(truth, np.radians(off)).find(_coordinates(800, 450))
    assert [face.score for face in found] == [DOUBTFUL]
    np.testing.assert_allclose(found[0].points, truth, atol=2.0)
    assert _WrongRoll(truth, np.radians(150)).find(_coordinates(800, 450)) == []


def test_an_untrained_finder_takes_any_size():
    torch.manual_seed(0)
    finder = FaceFinder(FinderNet())
    for height, width in ((1, 1), (33, 700), (700, 33), (64, 64)):
        assert isinstance(finder.find(np.zeros((height, width, 3), np.uint8)), list)


def test_the_mean_with_the_mirrored_picture_is_symmetric():
    torch.manual_seed(0)
    detector = Detector(LandmarkNet(LandmarkConfig(input_size=96)), units_per_metre=10.0, mirror=True)
    rng = np.random.default_rng(3)
    crops = rng.integers(0, 256, (2, detector.size, detector.size, 3)).astype(np.uint8)
    positions = rng.normal(0, 0.05, (5, 3)).astype(np.float32)
    xy, sigma = detector.look(crops, positions)
    other, spread = detector.look(crops[:, :, ::-1], positions * np.array([-1, 1, 1], np.float32))
    assert np.allclose(xy, other * [-1, 1], atol=1e-4) and np.allclose(sigma, spread, rtol=1e-3)


def test_a_detector_is_told_from_one_with_other_weights():
    network = LandmarkNet(LandmarkConfig(encoder="resnet_dense", input_size=64))
    same, other = copy.deepcopy(network), copy.deepcopy(network)
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 0.01
    marks = [Detector(net).fingerprint for net in (network, same, other)]
    assert marks[0] == marks[1] != marks[2]

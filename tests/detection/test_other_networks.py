"""Weights of every kind of network through the detector: what is asked for and answered is the same for all. Untrained
networks do."""

import numpy as np
import pytest
import torch
from facequery.detection.detector import Detector
from facequery.detection.finder import FaceFinder
from facequery.errors import UserError
from facequery.geometry.crops import crop_from_similarity
from facequery.head.layouts import load_layout
from facequery.models.finder import FinderNet
from facequery.models.landmarks import LandmarkConfig, LandmarkNet
from facequery.models.weights import save_weights

KINDS: dict[str, dict] = {
    "spatial transformer": {"spatial": True},
    "UV": {"query_dims": 2},
    "3D head": {"space": "3d"},
    "refined": {"refine": 2},
    "transformer": {"predictor": "transformer"},
    "all": {"spatial": True, "space": "3d", "refine": 1},
    "all, UV": {"spatial": True, "space": "3d", "query_dims": 2},
}


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
def detector(request, tmp_path) -> Detector:
    torch.manual_seed(0)
    config = LandmarkConfig(encoder="resnet_dense", input_size=64, region=96, reduced=16, local=16, **request.param)
    network = LandmarkNet(config)
    path = tmp_path / "weights.safetensors"
    save_weights(path, network.state_dict(), {"kind": "landmarks", "architecture": config.to_dict()})
    return Detector.from_pretrained(str(path))


def picture(rng: np.random.Generator) -> np.ndarray:
    return np.kron(rng.integers(0, 255, (24, 36, 3), dtype=np.uint8), np.ones((5, 5, 1), np.uint8))


def test_landmarks_of_a_picture(detector):
    """Points and sigma in the picture's pixels: a crop that is moved with the picture gives the landmarks moved."""
    image = picture(np.random.default_rng(0))
    crop = crop_from_similarity([90.0, 60.0], 40.0, 0.2)
    layout = load_layout("ibug68")
    xy, sigma = detector.landmarks(image, layout, crop)
    assert xy.shape == (68, 2) and sigma.shape == (68,) and xy.dtype == sigma.dtype == np.float32
    assert np.isfinite(xy).all() and (sigma > 0).all()
    moved, same = detector.landmarks(
        np.pad(image, ((20, 0), (30, 0), (0, 0))), layout, crop + np.array([[0, 0, 30], [0, 0, 20]])
    )
    np.testing.assert_allclose(moved - [30, 20], xy, atol=0.5)
    np.testing.assert_allclose(same, sigma, rtol=0.02)


def test_a_descriptor_serves_any_queries(detector):
    rng = np.random.default_rng(1)
    crops = rng.integers(0, 255, (3, detector.size, detector.size, 3), dtype=np.uint8)
    descriptors = detector.encode(crops)
    positions = load_layout("ibug68").positions
    xy, sigma = detector.decode(descriptors, positions)
    each, spread = detector.decode(descriptors, np.repeat(positions[None], 3, axis=0))
    np.testing.assert_allclose(each, xy, atol=1e-4)
    np.testing.assert_allclose(spread, sigma, rtol=1e-3)
    if not detector.network.predictor.attends:
        np.testing.assert_allclose(detector.decode(descriptors[1:2], positions[5:9])[0][0], xy[1, 5:9], atol=1e-4)


def test_points_off_the_skin_and_queries_in_space(detector):
    crops = np.zeros((1, detector.size, detector.size, 3), np.uint8)
    skull = load_layout("skull").positions
    if detector.network.config.query_dims == 3:
        assert detector.look(crops, skull)[0].shape == (1, len(skull), 2) and detector.units_per_metre > 0
        return
    with pytest.raises(UserError, match="skin alone"):
        detector.look(crops, skull)
    with pytest.raises(UserError, match="UV"):
        _ = detector.units_per_metre


def test_a_spatial_transformer_needs_no_face_finder(detector, monkeypatch):
    """The whole picture is the region; other weights ask the finder."""

    class Asked(Exception):
        pass

    def asked(**_):
        raise Asked

    monkeypatch.setattr("facequery.detection.finder.FaceFinder.from_pretrained", asked)
    image, layout = picture(np.random.default_rng(2)), load_layout("ibug68")
    if not detector.network.config.spatial:
        with pytest.raises(Asked):
            detector.landmarks(image, layout)
        return
    height, width = image.shape[:2]
    whole = crop_from_similarity([width / 2, height / 2], width / 2)
    np.testing.assert_allclose(detector.landmarks(image, layout)[0], detector.landmarks(image, layout, whole)[0])


def test_weights_that_change_under_their_name_are_read_again(tmp_path):
    path, config = tmp_path / "own.safetensors", LandmarkConfig(encoder="resnet_dense", input_size=64, reduced=16)
    prints = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        save_weights(path, LandmarkNet(config).state_dict(), {"kind": "landmarks", "architecture": config.to_dict()})
        one, other = Detector.from_pretrained(str(path), mirror=False), Detector.from_pretrained(str(path))
        assert one.fingerprint == other.fingerprint and (one.mirror, other.mirror) == (False, True)
        prints.add(one.fingerprint)
    assert len(prints) == 2


def test_a_finder_that_changes_under_its_name_is_read_again(tmp_path):
    path, network = tmp_path / "own.safetensors", FinderNet()
    found = []
    for count in (1, 2):
        card = {"kind": "finder", "architecture": network.config.to_dict(), "count": count}
        save_weights(path, network.state_dict(), card)
        found.append(FaceFinder.from_pretrained(str(path)))
        assert FaceFinder.from_pretrained(str(path)) is found[-1]
    assert [finder.card["count"] for finder in found] == [1, 2]


def test_many_queries_are_answered_as_few_are(detector):
    rng = np.random.default_rng(2)
    descriptors = detector.encode(rng.integers(0, 255, (2, detector.size, detector.size, 3), dtype=np.uint8))
    positions = np.repeat(load_layout("ibug68").positions, 300, axis=0)  # more than are decoded at once
    xy, sigma = detector.decode(descriptors, positions)
    if not detector.network.predictor.attends:
        few, spread = detector.decode(descriptors, positions[::300])
        np.testing.assert_allclose(xy[:, ::300], few, atol=2e-3)
        np.testing.assert_allclose(sigma[:, ::300], spread, rtol=0.05)
    assert np.isfinite(xy).all() and (sigma > 0).all()

"""Each part of the network learns what it is there for, on tasks of seconds: one batch is learned by heart, mirrored
pictures give mirrored landmarks, the transformer finds what it looks for, the 3D head finds poses from 2D landmarks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from facequery.geometry.rotations import euler_to_matrix
from facequery.head.model import HeadModel
from facequery.models.canonical import CameraHead, visible_by_depth
from facequery.models.encoders import make_encoder
from facequery.models.landmarks import LandmarkConfig
from facequery.models.predictors import MLPPredictor, PositionEncoder
from facequery.models.spatial_transformer import Localiser
from facequery.training.configs import CONFIGS, LossConfig
from facequery.training.learner import Learner
from facequery.training.losses import landmark_loss

SIZE, QUERIES = 64, 12
STEPS = 600  # of the test of poses
TINY = LandmarkConfig(
    encoder="resnet_dense", input_size=SIZE, levels=1, reduced=16, descriptor=64, hidden=64, region=80
)


def learner(**changes) -> Learner:
    torch.manual_seed(0)
    loss = LossConfig(kind="wing", offset_weight=0.0, placing_weight=0.0)
    made = Learner(replace(CONFIGS["tiny"], model=replace(TINY, **changes), loss=loss, correction=False))
    if made.network.localiser is not None:  # its own backbone wants ImageNet weights
        made.network.localiser = Localiser(64, 32, make_encoder("resnet_dense"))
    return made


def blobs(count, side, spread=0.5, half=0.3, seed=0):
    """Pictures of a bright blob with a darker one at its right; landmarks lie round the blob: centre + half * query.
    The mirrored pictures follow, with mirrored queries, as a symmetric head's are."""
    rng = np.random.default_rng(seed)
    grid = (np.arange(side) + 0.5) * 2 / side - 1
    centres = rng.uniform(-spread, spread, (count, 2))
    image = np.zeros((count, side, side, 3), np.uint8)
    for i, (u, v) in enumerate(centres):
        light = np.exp(-((grid[None] - u) ** 2 + (grid[:, None] - v) ** 2) / (0.5 * half**2))
        image[i] = (light[..., None] * [255, 220, 150]).astype(np.uint8)
    query = np.broadcast_to(rng.uniform(-1, 1, (QUERIES, 3)), (count, QUERIES, 3)).astype(np.float32)
    xy = (centres[:, None] + half * query[..., :2]).astype(np.float32)
    images = np.concatenate([image, image[:, :, ::-1]])
    queries = np.concatenate([query, query * np.array([-1, 1, 1], np.float32)])
    points = np.concatenate([xy, xy * np.array([-1, 1], np.float32)])
    return [torch.from_numpy(np.ascontiguousarray(a)) for a in (images, queries, points)]


def train(model, images, query, xy, steps, rate=3e-3, unit=1.0):
    count = len(images)
    rest = (torch.ones(xy.shape[:2]), torch.zeros(count, dtype=torch.long), torch.full((count,), unit),
            torch.full((count,), -1))  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), rate)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, 2 * (1 - step / steps))
        loss, parts = model(images, query, xy, *rest)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 50.0)
        optimiser.step()
    return float(parts["error"])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"predictor": "transformer"},
        {"space": "3d"},
        {"spatial": True},
        {"head": "pool"},
        {"query_dims": 2},
        {"refine": 2},
        {"refine": 2, "blocks": 1, "anchors": 70},
    ],
    ids=["plain", "transformer", "3d", "spatial", "pool", "uv", "refine", "second look"],
)
def test_one_batch_is_learned_by_heart_and_its_mirror_too(changes):
    model = learner(**changes)
    images, query, xy = blobs(2, model.config.model.picture)
    first = train(model, images, query, xy, 1)
    slow = changes.keys() & {"predictor", "space", "spatial"}
    steps = 100 if slow else 60
    assert train(model, images, query, xy, steps) < min(1.5, 0.1 * first)
    with torch.no_grad():
        model.train()  # batch normalisation as it was trained
        found, _ = model.predict(images, query, torch.zeros(4, dtype=torch.long))[0][-1]
    mirrored = found[2:] * torch.tensor([-1.0, 1.0])
    assert (found[:2] - mirrored).norm(dim=-1).mean() * SIZE / 2 < 1.5


def test_the_transformer_moves_its_crop_to_where_the_landmarks_are():
    """The landmark loss reaches it through the inverse of the crop alone: nothing else here may learn."""
    model = learner(spatial=True)
    localiser = model.network.localiser
    assert localiser is not None
    model.requires_grad_(False)
    localiser.requires_grad_(True)
    images, query, xy = blobs(6, 80, spread=0.7, half=0.15)
    centre = (xy - 0.15 * query[..., :2]).mean(1)

    def off():
        with torch.no_grad():
            similarity = localiser((images.permute(0, 3, 1, 2).float() / 127.5) - 1)
        return (similarity[:, 2:] - centre).norm(dim=-1).mean()

    before = off()
    train(model, images, query, xy, 60, rate=2e-3, unit=0.3)
    assert off() < 0.4 * before


def test_the_3d_head_finds_the_pose_from_2d_landmarks_alone():
    """Descriptors hold pose and person in a tangle; projected landmarks teach; poses of new descriptors are right."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = HeadModel.load()
    chosen = rng.choice(np.flatnonzero(model.region_mask("face")), 60, replace=False)
    chosen = chosen + model.parts["skin"].vertices.start
    people = 8
    identity = rng.normal(0, 1, (people, len(model.identity_basis))).astype(np.float32)
    shapes = model.vertices(identity, None)[:, chosen] * model.scale
    tangle = rng.normal(0, 0.3, (8 + people, 64))

    def draw(count):
        who, place = rng.integers(people, size=count), rng.uniform(-0.2, 0.2, (count, 2))
        angles = rng.uniform([-0.8, -0.4, -0.3], [0.8, 0.4, 0.3], (count, 3))
        rotation = np.diag([1.0, -1, -1]) @ euler_to_matrix(angles[:, 0], angles[:, 1], angles[:, 2])
        points = np.einsum("nij,nvj->nvi", rotation, shapes[who])
        points = points + np.concatenate([place * 8, np.full((count, 1), 8.0)], 1)[:, None]
        known = np.concatenate([np.sin(angles), np.cos(angles), place, np.eye(people)[who]], 1)
        arrays = (np.tanh(known @ tangle), 7.0 * points[..., :2] / points[..., 2:])
        return *(torch.from_numpy(a.astype(np.float32)) for a in arrays), rotation

    queries = torch.from_numpy((model.rest[chosen] * model.scale).astype(np.float32))[None]
    position, predictor, camera = PositionEncoder(), MLPPredictor(64, 64, 64, 4), CameraHead(64)
    optimiser = torch.optim.Adam([*position.parameters(), *predictor.parameters(), *camera.parameters()], 1e-2)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = 1e-2 * (1 - step / STEPS) + 1e-5
        descriptor, xy, _ = draw(32)
        out, _ = predictor(predictor.prepare(descriptor), position(queries))
        view = camera(descriptor)
        found = view.project(view.to_camera(queries + out[..., :3]))
        loss, _ = landmark_loss(found, out[..., 3] - 3, xy, torch.ones(32, 60), 128, LossConfig())
        loss = loss + 50 * out[..., :3].square().sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    descriptor, _, rotation = draw(100)
    with torch.no_grad():
        got = camera(descriptor).rotation.double().numpy()
    trace = np.einsum("nij,nij->n", got, rotation)
    assert np.median(np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))) < 5.0


def test_what_lies_behind_the_predicted_shape_is_hidden():
    model = HeadModel.load()
    camera = CameraHead(8)(torch.zeros(1, 8))  # a head that looks into the camera
    part = model.parts["skin"]
    skin = torch.from_numpy(model.rest[part.vertices] * model.scale)[None].float()
    triangles = torch.from_numpy(model.triangles[part.triangles] - part.vertices.start)
    shape = camera.to_camera(skin)
    nose = skin[0, :, 2].argmax()
    back = skin[0, :, 2].argmin()
    seen = visible_by_depth(shape[:, [nose, back]], camera, shape, triangles)
    assert seen[0, 0] > 0.8 and seen[0, 1] < 0.1

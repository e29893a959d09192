"""Clips for several cameras: what a take shows is where its truth says, in every view; stopped and started again."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from facequery.assets import source_data
from facequery.errors import UserError
from facequery.head.model import HeadModel
from facequery.synthesis.cycles.clips import CyclesClip, make_clips, open_clips
from facequery.synthesis.cycles.person import outsider
from facequery.synthesis.cycles.take import Take
from facequery.synthesis.library import HELD_OUT, Library

SIZE = (160, 120)


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="module")
def library(model: HeadModel) -> Library:
    try:
        source_data("skins")
    except UserError:
        pytest.skip("needs the source data")
    return Library.load(model, "heldout")


@pytest.fixture(scope="module")
def tip(model: HeadModel) -> int:
    """The skin vertex at the tip of the nose."""
    return int(np.argmax(model.rest[model.parts["skin"].vertices][:, 2]))


class Dots:
    """Instead of Cycles: a white dot where the take's own geometry and camera put one vertex of the skin."""

    def __init__(self, vertex: int):
        self.vertex = vertex
        self.frames = 0

    def __call__(self, take: Take, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        skin = next(mesh for mesh in take.meshes if mesh.name == "skin")
        camera = take.camera
        for index, number in enumerate(take.frames):
            x, y, z = skin.vertices[index, self.vertex]
            u, v = camera.fx[index] * x / z + camera.cx[index], camera.fy[index] * y / z + camera.cy[index]
            picture = np.zeros((camera.height, camera.width, 3), np.uint8)
            cv2.circle(picture, (round((u - 0.5) * 256), round((v - 0.5) * 256)), 900, (255,) * 3, -1, cv2.LINE_AA, 8)
            cv2.imwrite(str(out / f"{number:04d}.png"), picture)
            self.frames += 1


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, model: HeadModel, library: Library, tip: int) -> CyclesClip:
    out = tmp_path_factory.mktemp("clips")
    return make_clips(out, 1, 3, 3, size=SIZE, seed=4, render=Dots(tip), library=library)[0]


def test_the_dot_is_where_the_truth_says_in_every_view(made: CyclesClip, model: HeadModel, tip: int) -> None:
    binding = model.bind(model.rest[tip][None])
    assert made.views == 3
    y, x = np.mgrid[: SIZE[1], : SIZE[0]] + 0.5
    for view in range(3):
        truth = made.truth(view)
        for index, pixel in enumerate(truth.pixels(model, binding)[:, 0]):
            light = np.where(made.image(index, view) > 60, made.image(index, view), 0).mean(-1)
            found = np.array([(light * x).sum(), (light * y).sum()]) / light.sum()
            assert np.abs(found - pixel).max() < 0.3
        assert truth.visible(model, binding).any()


def test_views_see_the_same_instants(made: CyclesClip, model: HeadModel) -> None:
    first = made.truth(0)
    for view in (1, 2):
        rotation, translation = made.from_first(view)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
        moved = first.vertices(2, model) @ rotation.T + translation
        np.testing.assert_allclose(made.truth(view).vertices(2, model), moved, atol=1e-6)
        # The cameras stand apart: the head is seen from another side.
        assert np.degrees(np.arccos((np.trace(rotation) - 1) / 2)) > 20


def test_only_held_out_material_and_a_person_of_its_own(made: CyclesClip, model: HeadModel) -> None:
    names = {made.record[key] for key in ("skin", "eyes", "brows", "environment")} - {None}
    assert names <= HELD_OUT
    truth = made.truth()
    beside = truth.neutral - model.vertices(truth.identity, tissue=truth.tissue)
    face = np.flatnonzero(model.region_mask("face"))
    assert 0.0013 < np.sqrt((beside[face] ** 2).sum(1).mean()) < 0.0025
    assert np.abs(truth.tissue).max() > 0.1
    assert np.abs(np.diff(truth.expression, axis=0)).max() > 0  # it moves


def test_it_goes_on_where_it_was(made: CyclesClip, library: Library, tip: int) -> None:
    out = made.folder.parent
    kept = {p: p.stat().st_mtime_ns for p in made.folder.rglob("*.jpg")}
    again = Dots(tip)
    make_clips(out, 1, 3, 3, size=SIZE, seed=4, render=again, library=library)
    assert again.frames == 0
    (made.folder / "clip.json").unlink()  # as if stopped before the last camera
    last = sorted(made.folder.glob("view3/plate/*.jpg"))
    for plate in last:
        plate.unlink()
    make_clips(out, 1, 3, 3, size=SIZE, seed=4, render=again, library=library)
    assert again.frames == 3
    assert {p: t for p, t in kept.items() if p not in last}.items() <= {
        p: p.stat().st_mtime_ns for p in made.folder.rglob("*.jpg")
    }.items()
    with pytest.raises(UserError):
        make_clips(out, 1, 5, 3, size=SIZE, seed=4, render=again, library=library)


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clips.json").write_text(json.dumps({}))
    with pytest.raises(UserError):
        open_clips(tmp_path)


def test_people_have_what_no_model_holds(model: HeadModel, library: Library) -> None:
    one, two = (outsider(np.random.default_rng(seed), model) for seed in (1, 2))
    assert np.abs(one.identity - two.identity).max() > 0.5
    assert 0.5 < one.identity.std() < 1.6
    # Asymmetry: the symmetric model cannot make the difference of both sides.
    skin, mirror = model.parts["skin"].vertices, model.symmetry
    paired = np.flatnonzero(mirror[skin] >= 0)
    difference = one.offsets[paired] - one.offsets[mirror[paired]] * [-1, 1, 1]
    assert np.abs(difference).max() > 0.0005
    eye = one.offsets[model.parts["eye_left"].vertices]
    assert np.ptp(eye, axis=0).max() < 1e-9

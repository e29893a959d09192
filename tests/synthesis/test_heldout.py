"""What is held out by name stays out of all that training draws, whatever else lies in the source data."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from facequery.errors import UserError
from facequery.head.model import HeadModel
from facequery.synthesis.library import HELD_OUT, Library
from facequery.synthesis.position_maps import PositionMapSet, write_position_maps
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.settings import SampleSettings

OPEN = {
    "skins": "somebody",
    "hdri": "somewhere",
    "eyes": "some_eye",
    "hair": "somehair",
    "brows": "eyebrow900",
    "textures": "something",
}
KEPT = {
    "skins": "old_darkskinned_male",
    "hdri": "forest",
    "eyes": "green_eye",
    "hair": "bob02",
    "brows": "eyebrow004",
    "textures": "cc0tex_Marble01_col_1k",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Source data of one held-out thing and one other of every kind."""
    root = tmp_path_factory.mktemp("data")
    for part in ("skins", "hdri", "eyes", "hair", "brows_lashes", "textures"):
        (root / part).mkdir()
    rng = np.random.default_rng(0)
    mesh = "v -2 4 5\nv 2 4 5\nv 0 6 5\nvt 0 0\nvt 1 0\nvt 0.5 1\nf 1/1 2/2 3/3\n"
    for names in (OPEN, KEPT):
        for tile in ("face", "head"):
            cv2.imwrite(str(root / "skins" / f"{names['skins']}_{tile}.jpg"), rng.integers(90, 200, (16, 16, 3)))
        light = rng.uniform(0.2, 1.5, (16, 32, 3)).astype(np.float32)
        cv2.imwrite(str(root / "hdri" / f"{names['hdri']}.hdr"), light)
        cv2.imwrite(str(root / "eyes" / f"{names['eyes']}.png"), rng.integers(0, 255, (512, 512, 4)))
        (root / "hair" / f"{names['hair']}.obj").write_text(mesh)
        (root / "hair" / f"{names['brows']}.obj").write_text(mesh)
        cv2.imwrite(str(root / "brows_lashes" / f"{names['brows']}.png"), np.full((8, 8, 4), 255, np.uint8))
        cv2.imwrite(str(root / "textures" / f"{names['textures']}.jpg"), rng.integers(0, 255, (16, 16, 3)))
    return root


def test_what_is_held_out_by_name_is_never_loaded_for_training(
    source: Path, model: HeadModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(KEPT.values()) <= HELD_OUT
    monkeypatch.setenv("FACEQUERY_DATA", str(source))
    sampler = FaceSampler(model=model)  # as training makes it
    assert sampler.library.split == "train"
    assert {name for names in sampler.library.names.values() for name in names} == set(OPEN.values())
    # Nor does anything that is drawn come from elsewhere.
    rng = np.random.default_rng(1)
    for _ in range(40):
        scene = sampler.draw_scene(rng)
        assert sampler.library.skins[scene.skin].name == OPEN["skins"]
        assert sampler.library.environments[scene.light.environment].name == OPEN["hdri"]
        assert scene.offsets is None  # nobody in training has a shape beside the basis
    held = Library.load(model, "heldout")
    assert {name for names in held.names.values() for name in names} == set(KEPT.values())


def test_training_reads_no_position_maps_of_held_out_material(sampler: FaceSampler, tmp_path: Path) -> None:
    library = replace(sampler.library, split="heldout")
    kept = FaceSampler(SampleSettings(), "heldout", sampler.model, library)
    write_position_maps(tmp_path, kept, 1, 24, 48)
    with pytest.raises(UserError, match="heldout"):
        PositionMapSet.load(tmp_path, sampler.model)
    assert len(PositionMapSet.load(tmp_path, sampler.model, split="heldout")) == 2

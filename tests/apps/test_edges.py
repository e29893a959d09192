from dataclasses import replace

import cv2
import numpy as np
import pytest
from facequery.apps.edges import HeadZones, follow_edges
from facequery.apps.mattes import face_mattes
from facequery.apps.regions import Region, standard_regions
from flat_head import SIZE, true_face

SKIN, LIPS, HAIR, WALL = (205, 150, 125), (170, 80, 85), (50, 35, 30), (90, 120, 170)


@pytest.fixture(scope="module")
def zones(head):
    return HeadZones.of(head.model, head.triangles, head.count)


@pytest.fixture(scope="module")
def regions(head):
    return standard_regions(head.model, head.count)


@pytest.fixture(scope="module")
def portrait(head, regions):
    """A picture of the head with hair down to the middle of the forehead; the exact mattes by name."""
    face = true_face(head, 0)
    whole = face_mattes(face, head.model, [Region("all", np.ones(head.count, np.float32))], SIZE, SIZE)[0]
    mattes = {r.name: m for r, m in zip(regions, face_mattes(face, head.model, regions, SIZE, SIZE), strict=True)}
    picture = np.full((SIZE, SIZE, 3), WALL, np.float32)
    for matte, colour in ((whole, SKIN), (mattes["lips"], LIPS)):
        picture += matte[..., None] * (np.asarray(colour, np.float32) - picture)
    hair = cv2.dilate(whole, np.ones((25, 25)))
    brow = face.xy[np.flatnonzero(head.model.region_mask("brow_left")), 1].min()
    hair[int(brow) - 12 :] = 0
    hair = hair.astype(np.float32)
    picture += hair[..., None] * (np.asarray(HAIR, np.float32) - picture)
    picture += np.random.default_rng(0).normal(0, 4, picture.shape)
    return picture.clip(0, 255).astype(np.uint8), {name: m * (1 - hair) for name, m in mattes.items()}


def overlap(one, two):
    return np.minimum(one, two).sum() / np.maximum(one, two).sum()


def off(head, by=(4.0, -3.0)):
    """Landmarks that are some pixels off."""
    face = true_face(head, 0)
    return replace(face, xy=face.xy + np.float32(by))


def made(head, regions, zones, picture, face):
    mattes = face_mattes(face, head.model, regions, SIZE, SIZE)
    names = [r.name for r in regions]
    edged = follow_edges(mattes, regions, picture, face, zones)
    return (dict(zip(names, m, strict=True)) for m in (mattes, edged))


def test_mattes_end_where_the_picture_does(head, regions, zones, portrait):
    picture, exact = portrait
    before, after = made(head, regions, zones, picture, off(head))
    for name, gain in (("skin", 0.2), ("ears", 0.12), ("lips", 0.12), ("neck", 0.02)):
        assert overlap(after[name], exact[name]) > overlap(before[name], exact[name]) + gain, name
    for matte in after.values():
        assert matte.dtype == np.float32
        assert 0 <= matte.min() <= matte.max() <= 1
    assert after["skin"][:60].max() == 0  # nothing in the hair above


def test_a_fringe_hides_the_brow_below_it_and_not_the_other(head, regions, zones, portrait):
    """Brows have hair's colour themselves."""
    picture, exact = portrait[0].copy(), dict(portrait[1])
    brows = exact["brows"] > 0.5
    picture[brows] = HAIR
    middle, eyes = SIZE // 2, int(true_face(head, 0).xy[head.model.normalisation_vertices[:4], 1].mean())
    fringe = np.zeros((SIZE, SIZE), bool)
    fringe[: eyes - 8, middle + 12 :] = cv2.dilate(exact["skin"], np.ones((25, 25)))[: eyes - 8, middle + 12 :] > 0.5
    picture[fringe] = HAIR
    _, after = made(head, regions, zones, picture, true_face(head, 0))
    hidden, shown = brows & fringe, brows & (np.arange(SIZE) < middle)
    assert hidden.sum() > 300 and shown.sum() > 300
    assert after["brows"][hidden].mean() < 0.25
    assert after["brows"][shown].mean() > 0.9
    assert after["skin"][fringe].mean() < 0.1


def test_where_colours_say_nothing_the_landmarks_do(head, regions, zones):
    gray = np.random.default_rng(1).normal(128, 10, (SIZE, SIZE, 3)).clip(0, 255).astype(np.uint8)
    before, after = made(head, regions, zones, gray, true_face(head, 10))
    for name in ("skin", "nose", "lips", "neck"):
        assert overlap(after[name], before[name]) > 0.93, name


def test_the_lower_end_of_the_model_is_no_edge(head, regions, zones, portrait):
    """Skin goes on below the neck's region, which does not grow into it."""
    picture = portrait[0].copy()
    bottom = int(true_face(head, 0).xy[zones.open_end.ravel(), 1].max())
    picture[bottom - 2 :] = SKIN
    _, after = made(head, regions, zones, picture, true_face(head, 0))
    assert after["neck"][bottom + 3 :].max() < 0.1


def test_a_face_out_of_the_picture(head, regions, zones, portrait):
    picture, _ = portrait
    away = off(head, (900.0, 0.0))
    _, after = made(head, regions, zones, picture, away)
    assert not any(m.any() for m in after.values())
    half = off(head, (170.0, 0.0))
    _, after = made(head, regions, zones, picture, half)
    assert all(np.isfinite(m).all() for m in after.values())

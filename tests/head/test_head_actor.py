"""Actors as files."""

from dataclasses import replace

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.head import Actor, load_layout


def test_an_actor_survives_a_round_trip(model, rng, tmp_path):
    actor = Actor(
        "Ida",
        rng.normal(size=model.identity_size).astype(np.float32),
        tissue=np.ones(len(model.tissue_names), np.float32),
        picked=load_layout("jaw"),
        locked=True,
    )
    scan = model.vertices(actor.identity, tissue=actor.tissue) + rng.normal(scale=1e-3, size=model.rest.shape)
    actor = replace(actor, offsets=(scan - model.vertices(actor.identity, tissue=actor.tissue)).astype(np.float32))
    actor.save(tmp_path / "ida.npz")
    again = Actor.load(tmp_path / "ida.npz")
    assert again.name == "Ida" and again.locked
    np.testing.assert_allclose(again.vertices(model), scan, atol=1e-6)
    assert again.picked is not None and again.picked.names == load_layout("jaw").names
    moved = again.vertices(model, np.eye(52)[model.expression_names.index("jawOpen")])
    assert np.linalg.norm(moved - scan, axis=1).max() > 0.02


def test_bad_actor_files_are_refused(model, tmp_path):
    with pytest.raises(UserError, match="no actor file"):
        Actor.load(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match="cannot be read"):
        Actor.load(tmp_path / "bad.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="not an actor"):
        Actor.load(tmp_path / "other.npz")

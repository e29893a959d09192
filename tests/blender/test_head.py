"""The head in the shape of an actor, held against the backend's own head."""

import numpy as np
from facequery.head.actor import Actor
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel


def test_the_head_shows_an_actor(run_script, tmp_path):
    model, eyes, rng = HeadModel.load(), load_layout("eyes"), np.random.default_rng(3)
    offsets = (0.001 * np.sin(30 * model.rest)).astype(np.float32)
    actor = Actor(
        "Ada",
        rng.normal(0, 0.8, model.identity_size).astype(np.float32),
        tissue=rng.normal(0, 1, len(model.tissue_names)).astype(np.float32),
        offsets=offsets,
        picked=eyes,
    )
    actor.save(tmp_path / "actor.npz")
    expected = actor.vertices(model)
    assert np.abs(expected - model.rest).max() > 0.003
    np.savez(tmp_path / "truth.npz", vertices=expected, names=np.array(eyes.names))
    assert run_script("actor.py", tmp_path).count(" good") == 2

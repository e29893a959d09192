"""The hard faces of the annotated sets, listed by name, and why each is hard."""

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.evaluation.annotated import AnnotatedSet

FILE = Path(__file__).with_name("hard_faces.json")


@lru_cache(maxsize=1)
def reasons() -> dict[str, dict[str, list[str]]]:
    """Set -> reason -> names of pictures. "turned" is a yaw of 30 degrees or more by the annotation, the rest was
    chosen by looking at the pictures; that a second face in the crop is hard, failures had shown."""
    document: dict[str, dict[str, list[str]]] = json.loads(FILE.read_text(encoding="utf-8"))
    return document


def hard_faces(chosen: AnnotatedSet) -> NDArray[np.bool_] | None:
    """(n,) which pictures of a set are on the list; None where that does not part the set in two."""
    if chosen.name not in reasons():
        return None
    names = {name for listed in reasons()[chosen.name].values() for name in listed}
    listed = np.array([path.name in names for path in chosen.paths])
    return listed if listed.any() and not listed.all() else None


def reason_masks(chosen: AnnotatedSet) -> dict[str, NDArray[np.bool_]]:
    """(n,) for every reason of a set."""
    listed = reasons().get(chosen.name, {})
    return {reason: np.array([path.name in names for path in chosen.paths]) for reason, names in listed.items()}

"""An error's number means one kind of thing: two packages share it only where they speak of the same."""

from collections import defaultdict

from tools.manual import errors

SHARED = {
    "FQ123": "a value in a camera file",
    "FQ173": "a set of position maps that is not there",
    "FQ201": "no shot",
    "FQ351": "a setting of a fit",
    "FQ391": "parameters of the worker",
    "FQ394": "cancelled",
    "FQ398": "the backend sees other files",
    "FQ401": "a fit that cannot be read",
    "FQ434": "corrections",
    "FQ502": "the name of an export",
    "FQ503": "no camera or fit to export",
    "FQ504": "which points to export",
    "FQ606": "marks and places in the picture",
    "FQ632": "a reference frame without a face",
}


def package(file: str) -> str:
    """backend/facequery/pipeline of any file in it; the extension as a whole is one."""
    folder = file.rpartition("/")[0]
    return "blender_addon" if folder.startswith("blender_addon") else folder


def test_a_number_stands_for_one_kind_of_error():
    packages: dict[str, set[str]] = defaultdict(set)
    for place in errors.places():
        packages[place.code].add(package(place.file))
    several = {code: sorted(where) for code, where in packages.items() if len(where) > 1}
    assert not {code: where for code, where in several.items() if code not in SHARED}
    assert set(SHARED) <= set(several), "no longer shared: take it off the list"

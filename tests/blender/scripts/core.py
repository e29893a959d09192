"""The parts of the extension without bpy: rules on names, commands, files and numbers."""

import copy
import io
import json
import os
import pickle
import random
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from blender_addon._vendor.facequery_protocol.registry import registry_path, write_registry
from ending import end

from blender_addon.core.actor import read_actor
from blender_addon.core.errors import AddonError
from blender_addon.core.job_results import JobFolder, error_scale, error_weight
from blender_addon.core.new_job import folder_name, next_version, region_texts, sequence_pattern
from blender_addon.core.plate_camera import read_camera
from blender_addon.core.points import mirrored_name, numbered_names
from blender_addon.core.quality import quality_of
from blender_addon.core.remote_paths import RemotePaths
from blender_addon.core.shot_files import file_number, first_file
from blender_addon.core.space import camera_matrices, canonical_to_blender
from blender_addon.link.lookup import Backend, find_backend, same_release, split_command

folder = Path(sys.argv[1])


def code_of(function, *arguments):
    try:
        function(*arguments)
    except AddonError as error:
        return error.code
    raise AssertionError(f"{function} did not refuse {arguments}")


def the_backends_command():
    assert split_command('"C:\\Program Files\\py.exe" -m facequery') == ("C:\\Program Files\\py.exe", "-m", "facequery")
    assert split_command("ssh -T -o BatchMode=yes box facequery")[-1] == "facequery"
    assert code_of(split_command, 'a "b') == "FQ710"
    environ = {"XDG_CONFIG_HOME": str(folder / "config"), "HOME": str(folder), "PATH": str(folder / "bin")}
    assert code_of(find_backend, "", None, environ) == "FQ711"
    program = folder / "bin" / "facequery"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_backend("", None, environ).source == "PATH"
    write_registry(["py", "-m", "facequery"], "0.1.0", registry_path(environ, "linux"))
    assert find_backend("", None, environ) == find_backend("", registry_path(environ, "linux"), environ)
    assert find_backend("", None, environ).command == ("py", "-m", "facequery")
    assert find_backend("mine", None, environ).source == "preference"
    spaced = folder / "Face Query" / "facequery"
    spaced.parent.mkdir()
    spaced.write_text("#!/bin/sh\n")
    spaced.chmod(0o755)
    assert find_backend(f" {spaced} ", None, environ).command == (str(spaced),)
    assert find_backend(f'"{spaced}" worker', None, environ).command == (str(spaced),)
    mine = {"A": "b", "OMP_WAIT_POLICY": "ACTIVE"}
    assert Backend(("x",), "PATH").environment({"PYTHONHOME": "x", **mine}) == mine
    here = Backend(("x",), "PATH", blender="/opt/blender")
    assert here.environment({})["FACEQUERY_BLENDER"] == "/opt/blender"
    assert here.environment({"FACEQUERY_BLENDER": "mine"})["FACEQUERY_BLENDER"] == "mine"
    assert same_release("0.1.3", "0.1.0") and not same_release("0.2.0", "0.1.0")


def names():
    assert mirrored_name("eye_left_3") == "eye_right_3" and mirrored_name("BrowRight") == "BrowLeft"
    assert mirrored_name("brow.l") == "brow.r" and mirrored_name("nose") == "nose.mirror"
    assert mirrored_name(mirrored_name("left_of_right")) == "left_of_right"
    assert numbered_names("brow_##", 2) == ["brow_01", "brow_02"] and numbered_names("a", 1) == ["a"]
    assert folder_name("a/b: c?.mov") == "a_b_c_.mov" and folder_name("///") == "shot"


def versions_and_sequences():
    assert next_version(folder / "none").name == "v001"
    for name in ("v001", "v007", "v01", "notes"):
        (folder / "jobs" / name).mkdir(parents=True)
    assert next_version(folder / "jobs").name == "v008"
    assert sequence_pattern(Path("/p/sh010_v2.1001.exr")) == str(Path("/p/sh010_v2.####.exr"))
    assert file_number(Path("sh010_v2.1001.exr")) == 1001 and file_number(Path("clip.mov")) is None
    plates = folder / "plates"
    plates.mkdir()
    for number in (999, 1000):
        (plates / f"a.{number:04d}.png").touch()
    assert first_file(str(plates / "a.####.png"), 999).name == "a.0999.png"
    assert first_file(str(plates / "a.%04d.png"), 1000).name == "a.1000.png"
    assert first_file(str(plates), 1000).name == "a.1000.png"
    assert code_of(first_file, str(plates / "a.####.png"), 5) == "FQ757"


def errors_as_weights():
    xy = np.zeros((3, 2, 2))
    xy[:, 1] = (30, 40)
    xy[1] = np.nan
    assert error_scale(xy) == 2.5
    weight = error_weight(np.array([0.0, 1.25, 1e9, np.nan]), 2.5)
    assert weight[0] == 1 and weight[1] == 0.5 and weight[2] < 1e-6 and weight[3] == 0


def cameras():
    file = folder / "camera.json"
    document = {"width": 100, "height": 50, "fx": [80.0, 90.0], "frames": [7, 9], "pixel_aspect": 2.0}
    file.write_text(json.dumps(document))
    camera = read_camera(file)
    assert camera.fy.tolist() == [160.0, 180.0] and camera.at(np.array([9])).fx.tolist() == [90.0]
    assert code_of(camera.at, np.array([7, 8])) == "FQ752"
    numbers = camera.blender()
    assert (numbers.pixel_aspect_x, numbers.pixel_aspect_y) == (2.0, 1.0)
    assert np.allclose(numbers.shift_x, 0) and np.allclose(numbers.shift_y, 0)
    for wrong in ({"width": 100}, {"schema": "other"}, {**document, "fx": [0.0]}, {**document, "fx": [float("nan")]}):
        file.write_text(json.dumps(wrong))
        assert code_of(read_camera, file) == "FQ751"
    file.write_text(json.dumps({**document, "version": 99}))
    assert code_of(read_camera, file) == "FQ753"


EYES = np.tile(np.eye(3), (2, 1, 1))
RIGID = {"vertices": np.zeros((4, 3)), "triangles": np.array([[0, 1, 3]]), "rotation": EYES,
         "translation": np.zeros((2, 3)), "frames": np.array([7, 9])}  # fmt: skip
FACE = RIGID | {"vertices": np.zeros((2, 4, 3)), "identity": np.zeros(5), "expression": np.zeros((2, 1)),
                "expression_names": np.array(["jawOpen"]), "eye_rotation": np.tile(EYES, (2, 1, 1, 1)),
                "offsets": np.zeros((4, 3))}  # fmt: skip
ACTOR = {"version": np.array(1), "name": np.array("Ada"), "identity": np.zeros(5), "offsets": np.zeros((4, 3)),
         **{f"picked_{name}": np.array(["x"]) for name in ("ids", "names", "groups", "kinds")},
         "picked_positions": np.zeros((1, 3)), "picked_triangle": np.zeros(1, int), "picked_bary": np.zeros((1, 3)),
         "picked_offset": np.zeros((1, 3))}  # fmt: skip
HEADER = {"schema": "facequery.tracks", "version": 1, "frames": [7, 9], "chunk": 128, "width": 64, "height": 48,
          "fps": 24.0, "pixel_aspect": 1.0, "layouts": {}, "names": ["a"], "ids": ["a"], "groups": [""],
          "queries": [[0, 0, 0]]}  # fmt: skip
CAMERA = {"schema": "facequery.camera", "version": 1, "width": 64, "height": 48, "fx": [80.0, 90.0], "frames": [7, 9],
          "rotation": EYES.tolist(), "translation": [[0, 0, 1], [0, 0, 1]],
          "lens": {"model": "brown", "coefficients": [0.1, 0, 0, 0, 0]}}  # fmt: skip
VALUES = [None, True, 0, -1, 0.5, 1e308, 10**400, "", "x", "\0", [], [1], [None], [[1, 2]], {}, {"a": 1}, float("nan")]


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def saved(array):
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def archive(content, name="vertices.npy"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(name, content)
    return out.getvalue()


def results_that_are_damaged_or_hostile():
    """One sentence for each file, nothing is unpickled, and no memory is taken for what is only claimed."""
    home = folder / "hostile"
    (home / "tracks").mkdir(parents=True)
    job, head, dice = JobFolder(home, {"shots": ["a.png"]}), SimpleNamespace(rest=np.zeros((4, 3))), random.Random(1)
    arrays = {"face.npz": (FACE, job.face), "skull.npz": (RIGID, lambda: job.rigid("skull")),
              "actor.npz": (ACTOR, lambda: read_actor(home / "actor.npz", head))}  # fmt: skip
    documents = {"tracks.json": (HEADER, job.tracks), "camera.json": (CAMERA, job.camera)}
    fit = {"frames": [7, 9], "reprojection": [0.5, None], "status": ["good", "bridged"]}
    for name, shape in (("xy", (2, 1, 2)), ("sigma", (2, 1)), ("visible", (2, 1))):
        np.save(home / "tracks" / f"{name}_0000.npy", np.zeros(shape, np.float32))
    huge = saved(np.zeros((1, 3))).replace(b"(1, 3)", b"(9" + b"9" * 11 + b", 3)").replace(b" " * 11 + b"\n", b"\n")
    texts = [b"", b"hello", b"PK\x03\x04" + bytes(40), pickle.dumps({"a": 1}), archive(b"x", "readme.txt"),
             archive(saved(np.array([Bomb()], object))), archive(huge)]  # fmt: skip
    for name, (good, read) in arrays.items():
        np.savez(home / name, **good)
        assert read()
        for text in texts:
            (home / name).write_bytes(text)
            assert code_of(read) in ("FQ755", "FQ748"), (name, text)
        for key in good:
            if key not in ("frames", "offsets") and not key.startswith("picked_"):
                np.savez(home / name, **{k: v for k, v in good.items() if k != key})
                assert code_of(read) in ("FQ755", "FQ748"), (name, key)
            for other in (np.array("x"), np.zeros((7, 7)), np.array([[0, 1, 99]])):
                np.savez(home / name, **{**good, key: other})
                tried(read, name, key, other)
    for name, (good, read) in documents.items():
        (home / name).write_text(json.dumps(good))
        assert read()
        for text in (b"", b"{", b"[]", b"7", b"\xff", b"[" * 100_000, b'{"a":' * 100_000):
            (home / name).write_bytes(text)
            assert code_of(read) in ("FQ751", "FQ756"), (name, text)
        for _ in range(400):
            document = copy.deepcopy(good)
            document[key := dice.choice(list(good))] = (value := dice.choice(VALUES))
            (home / name).write_text(json.dumps(document))
            tried(read, name, key, value)
    (home / "tracks.json").write_text(json.dumps(HEADER))
    assert quality_of(job).bad.tolist() == [False, False], "by the tracks, without a fit"
    (home / "fit.json").write_text(json.dumps(fit))
    assert quality_of(job).bad.tolist() == [False, True]
    for key in fit:
        for value in VALUES:
            (home / "fit.json").write_text(json.dumps({**fit, key: value}))
            tried(lambda: quality_of(job), key, value)
    for text in (*texts, saved(np.zeros((2, 1))), huge, saved(np.array([Bomb()], object))):
        (home / "tracks" / "sigma_0000.npy").write_bytes(text)
        assert code_of(job.tracks) == "FQ756", text


def tried(read, *what):
    """What is read, or refused in words."""
    try:
        read()
    except AddonError as error:
        assert "\n" not in str(error), what
    except Exception as error:
        raise AssertionError(what) from error


def paths_of_another_computer():
    paths = RemotePaths((("/mnt/show", "/data/show"), ("/mnt/show/plates", "/fast")))
    assert paths.to_remote("/mnt/show/job/v001") == "/data/show/job/v001"
    assert paths.to_remote(Path("/mnt/show/plates/a.exr")) == "/fast/a.exr", "the longest row counts"
    assert paths.to_remote("/mnt/shows/a") == "/mnt/shows/a", "whole folders only"
    # A job writes its paths relative to its folder; they must be right over there.
    local = paths.for_job("/mnt/show/plates/a.exr", Path("/mnt/show/job/v001"))
    assert os.path.relpath(local, "/mnt/show/job/v001") == "../../../../fast/a.exr", local
    assert RemotePaths().for_job("/a/b", Path("/c")) == "/a/b"


def regions_of_a_moving_face():
    files = [1001, 1002, 1003, 1004, 1005]
    straight = [(10.0 + i, 20.0, 30.0, 40.0) for i in range(5)]
    assert region_texts(files, straight) == ("1001:10,20,30,40", "1005:14,20,30,40")
    bent = [*straight[:3], (99.0, 20.0, 30.0, 40.0), straight[4]]
    assert [text.partition(":")[0] for text in region_texts(files, bent)] == ["1001", "1003", "1004", "1005"]
    assert region_texts(files, [straight[0]] * 5) == ("10,20,30,40",)


def corrections():
    from blender_addon.core.corrections import Corrections, around

    made = Corrections({(7, "a"): (1.0, 2.0)}, {9: ((1.0, 0.0, 0.0, 5.0), (0.0, 1.0, 0.0, 6.0), (0.0, 0.0, 1.0, 7.0))})
    again = Corrections.from_text(made.text())
    assert again == made and made.keyed == [7, 9] and not Corrections.empty()
    document = made.document()
    assert document["pins"] == [{"frame": 7, "landmark": "a", "xy": [1.0, 2.0], "view": 1}]
    assert document["poses"][0]["translation"] == [5.0, 6.0, 7.0]
    assert not made.where(lambda frame: frame > 9).keyed
    assert around([7, 9], 8, 1, 20) == (7, 9) and around([7, 9], 7, 1, 20) == (1, 9) and around([], 3, 1, 5) == (1, 5)


def spaces():
    # The subject's left is +x in both; up is +z in Blender, and a face looks along -y.
    assert np.allclose(canonical_to_blender(np.eye(3)), [[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    points = np.random.default_rng(1).normal(size=(4, 3))
    assert np.allclose(canonical_to_blender(canonical_to_blender(points), inverse=True), points)
    still = camera_matrices(np.eye(4)[None], known=False)[0]
    assert np.allclose(still @ [0, 0, -1, 0], [0, 1, 0, 0]) and np.allclose(still @ [0, 1, 0, 0], [0, 0, 1, 0])


for test in (
    the_backends_command,
    names,
    versions_and_sequences,
    errors_as_weights,
    cameras,
    results_that_are_damaged_or_hostile,
    paths_of_another_computer,
    regions_of_a_moving_face,
    corrections,
    spaces,
):
    test()
    print(test.__name__, "good")
end()

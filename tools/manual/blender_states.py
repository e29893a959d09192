"""Runs inside Blender, for blender_pictures.py: bring the window into the states that the manual shows.

    blender --python blender_states.py -- FOLDER EXTENSION_ZIP NAMES

A state is a generator that arranges the window. Every `yield` gives Blender time to draw. When it ends, the file
FOLDER/NAME.ready asks for a picture of the screen, and goes away when it has been taken. (Blender's own screenshot
reads a buffer that is black where the processor draws.)
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import addon_utils
import bpy
from mathutils import Quaternion, Vector

FOLDER, PACKAGE, NAMES = sys.argv[sys.argv.index("--") + 1 :][:3]
MODULE = "bl_ext.user_default.facequery"
FRAME = 20  # of the scene
TRACKED = Path(FOLDER) / "shot.blend"
REDRAW = 0.3  # seconds between two steps

State = Callable[[], Iterator[None]]


def play(states: dict[str, State]) -> None:
    """Go through the states by a timer, have a picture of each taken, and quit."""

    def steps() -> Iterator[None]:
        yield from begin()
        for name, state in states.items():
            print("State:", name, flush=True)
            yield from state()
            for _ in range(4):
                yield
            ready = Path(FOLDER) / f"{name}.ready"
            ready.touch()
            while ready.exists():
                yield

    course = steps()

    def tick() -> float | None:
        window = bpy.context.window_manager.windows[0]
        try:
            with bpy.context.temp_override(window=window):
                next(course)
        except StopIteration:
            bpy.ops.wm.quit_blender()
            return None
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)  # a timer's exception ends nothing else
        return REDRAW

    bpy.app.timers.register(tick, first_interval=1.0, persistent=True)


def begin() -> Iterator[None]:
    """Install the extension as a user does, and track the sample shot if a state needs it."""
    bpy.context.preferences.view.use_save_prompt = False
    bpy.ops.extensions.package_install_files(filepath=PACKAGE, repo="user_default", enable_on_install=True)
    yield
    if any(name in WITH_RESULTS for name in chosen()):
        yield from empty_file()
        bpy.ops.wm.save_as_mainfile(filepath=str(TRACKED))
        clip = bpy.data.movieclips.load(str(Path(FOLDER) / "plate" / "shot.1001.jpg"))
        bpy.context.scene.active_clip = clip
        bpy.ops.facequery.add_head()
        bpy.ops.facequery.load_layout(layout_name="dense520")
        bpy.ops.facequery.track(wait=True, timeout=900)
        bpy.ops.facequery.match_scene()
        bpy.ops.wm.save_mainfile()
    yield


def empty_file() -> Iterator[None]:
    """A new file without anything in its scene, and one editor, a 3D View, in the window."""
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    yield
    bpy.data.batch_remove(list(bpy.data.objects))
    yield from one_area("VIEW_3D")


def one_area(kind: str) -> Iterator[None]:
    """Close all areas of the window but the largest, and make that an editor of this kind."""
    while len(areas()) > 1:
        with inside(min(areas(), key=lambda area: area.width * area.height)):
            bpy.ops.screen.area_close()
        yield  # the context of this step is gone with the area
    areas()[0].ui_type = kind
    yield


def areas() -> list[bpy.types.Area]:
    return list(bpy.context.window_manager.windows[0].screen.areas)


def show_tab(area: bpy.types.Area) -> Iterator[None]:
    """Open the sidebar of an area at our tab, which has to be drawn before it can be chosen."""
    area.spaces.active.show_region_ui = True
    if area.type == "CLIP_EDITOR":
        area.spaces.active.show_region_toolbar = False
    sidebar = region_of(area, "UI")
    for _ in range(40):
        yield
        if sidebar.active_panel_category == "FaceQuery":
            return
        with suppress(AttributeError, TypeError):  # there is no such tab yet
            sidebar.active_panel_category = "FaceQuery"
        area.tag_redraw()
    raise RuntimeError("the tab FaceQuery was not drawn")


def inside(area: bpy.types.Area, region: bpy.types.Region | None = None) -> AbstractContextManager[None]:
    """An area, and a region of it, as the place where operators run."""
    window = bpy.context.window_manager.windows[0]
    context: AbstractContextManager[None] = bpy.context.temp_override(
        window=window, area=area, **({"region": region} if region else {})
    )
    return context


def region_of(area: bpy.types.Area, kind: str) -> bpy.types.Region:
    return next(region for region in area.regions if region.type == kind)


def look_at_head(area: bpy.types.Area) -> None:
    """Three quarters of the face from the front, and nothing selected."""
    bpy.ops.facequery.select_points(action="NONE")
    scene_state = bpy.context.scene.facequery
    scene_state.point_size = 6
    for obj in bpy.context.selected_objects:
        obj.select_set(False)
    overlay = area.spaces.active.overlay
    overlay.show_cursor = overlay.show_relationship_lines = False
    overlay.show_floor = overlay.show_axis_x = overlay.show_axis_y = False
    view = area.spaces.active.region_3d
    view.view_perspective = "PERSP"
    view.view_rotation = Quaternion((0, 0, 1), 0.42) @ Quaternion((1, 0, 0), 1.5)
    view.view_location = Vector((0.005, 0.03, -0.012))
    view.view_distance = 0.4


# States ------------------------------------------------------------------------------------------------------------


def preferences() -> Iterator[None]:
    """The extension's preferences after Check."""
    bpy.ops.facequery.check_backend(wait=True)
    yield from one_area("PREFERENCES")
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "FaceQuery"
    for _ in range(6):  # the list is made anew when it is first drawn
        yield
        module = addon_utils.addons_fake_modules.get(MODULE)
        if module is not None:
            addon_utils.module_bl_info(module)["show_expanded"] = True
    areas()[0].tag_redraw()


def points() -> Iterator[None]:
    """A layout, and points spread over a painted cheek."""
    yield from empty_file()
    bpy.ops.facequery.add_head()
    bpy.ops.facequery.load_layout(layout_name="ibug68")
    bpy.ops.facequery.add_group(name="cheek")
    paint([((0.04, -0.018, -0.045), 0.034, 1.0)])
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.facequery.points_from_weights(count=120)
    yield from show_tab(areas()[0])
    look_at_head(areas()[0])


def paint(spots: list[tuple[tuple[float, float, float], float, float]]) -> None:
    """Weights on the skin, as the brush would paint them: (centre in Blender's space, radius, strength) of each."""
    bpy.ops.facequery.paint_weights()
    skin = bpy.context.object
    group = skin.vertex_groups["FaceQuery"]
    for vertex in skin.data.vertices:
        place = skin.matrix_world @ vertex.co
        away = [(place - Vector(centre)).length / radius for centre, radius, _ in spots]
        weight = max(s[2] * max(0.0, 1 - a * a) for s, a in zip(spots, away, strict=True))
        if weight > 0:
            group.add([vertex.index], weight, "REPLACE")


def painted() -> Iterator[None]:
    """Painted weights, and the points that they gave."""
    yield from empty_file()
    bpy.ops.facequery.add_head()
    paint([((0.0, -0.05, -0.035), 0.055, 1.0), ((0.005, -0.03, 0.045), 0.045, 0.7)])
    bpy.ops.facequery.points_from_weights(count=160)
    yield from show_tab(areas()[0])
    look_at_head(areas()[0])


def tracked(kind: str) -> Iterator[None]:
    """The file with the tracked shot at a frame worth showing, and one editor with our tab."""
    bpy.ops.wm.open_mainfile(filepath=str(TRACKED))
    yield
    bpy.context.scene.frame_set(FRAME)
    yield from one_area(kind)
    if kind == "CLIP_EDITOR":
        show_clip(areas()[0])
    yield from show_tab(areas()[0])


def show_clip(area: bpy.types.Area) -> None:
    """The plate with its tracks as small dots, without their paths."""
    space = area.spaces.active
    space.clip = bpy.context.scene.active_clip
    space.show_track_path = space.show_marker_pattern = False


def tracks() -> Iterator[None]:
    """The plate with its tracks, and the panels Shot and Track."""
    yield from tracked("CLIP_EDITOR")
    fit_plate(areas()[0])


def fit_plate(area: bpy.types.Area) -> None:
    with inside(area, region_of(area, "WINDOW")):
        bpy.ops.clip.view_all(fit_view=True)


def correct() -> Iterator[None]:
    """The panels Correct, Project and Export, below Shot and Track, which are closed."""
    with starting(closed=("shot", "track"), opened=("project", "export")):
        yield from tracked("CLIP_EDITOR")
        fit_plate(areas()[0])
        yield


@contextmanager
def starting(closed: Sequence[str], opened: Sequence[str] = ()) -> Iterator[None]:
    """Panels, by the ends of their names, that are closed or open where they are drawn for the first time."""
    panels = {getattr(bpy.types, f"FACEQUERY_PT_{name}"): name in closed for name in (*closed, *opened)}
    before = {panel: getattr(panel, "bl_options", set()) for panel in panels}
    _set_options({panel: {"DEFAULT_CLOSED"} if shut else set() for panel, shut in panels.items()})
    yield
    _set_options(before)


def _set_options(wanted: dict[type[bpy.types.Panel], set[str]]) -> None:
    for panel, options in wanted.items():
        bpy.utils.unregister_class(panel)
        panel.bl_options = options
        bpy.utils.register_class(panel)


def fit() -> Iterator[None]:
    """Skull and jaw under the skin, through the fitted camera over the plate."""
    with starting(closed=("head", "points")):
        yield from tracked("VIEW_3D")
        through_the_camera(areas()[0])
        yield


def through_the_camera(area: bpy.types.Area, closer: float = 1.0) -> None:
    """Look through the scene's camera, `closer` times as large as it fits the editor, at the fitted bones."""
    space = area.spaces.active
    space.overlay.show_relationship_lines = space.overlay.show_cursor = False
    space.region_3d.view_perspective = "CAMERA"
    with inside(area, region_of(area, "WINDOW")):
        bpy.ops.view3d.view_center_camera()
    root = 2**0.5  # Blender's zoom of a camera is 50 (2 sqrt(scale) - sqrt(2))
    space.region_3d.view_camera_zoom = 50 * ((root + space.region_3d.view_camera_zoom / 50) * closer**0.5 - root)
    space.region_3d.view_camera_offset = (0.014, 0.013) if closer > 1 else (0, 0)  # the middle of the face
    for head in (obj for obj in bpy.context.scene.objects if obj.name.endswith("v001 Head")):
        head.facequery.xray = True


def window() -> Iterator[None]:
    """Both editors side by side: tracks over the plate, and the fit through its camera."""
    yield from tracked("VIEW_3D")
    areas()[0].spaces.active.show_region_ui = False
    with inside(areas()[0]):
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.53)
    yield
    left, right = sorted(areas(), key=lambda area: area.x)
    left.ui_type = "CLIP_EDITOR"
    show_clip(left)
    right.spaces.active.show_region_toolbar = False
    yield from show_tab(left)
    through_the_camera(right, 2.1)
    with inside(left, region_of(left, "WINDOW")):
        bpy.ops.clip.select_all(action="SELECT")
        bpy.ops.clip.view_selected()
        bpy.ops.clip.select_all(action="DESELECT")


STATES: dict[str, State] = {
    "preferences": preferences,
    "points": points,
    "paint": painted,
    "tracks": tracks,
    "correct": correct,
    "fit": fit,
    "window": window,
}
WITH_RESULTS = {"tracks", "correct", "fit", "window"}


def chosen() -> dict[str, State]:
    wanted = [name for name in NAMES.split(",") if name]
    return {name: state for name, state in STATES.items() if not wanted or name in wanted}


if __name__ == "__main__":
    bpy.context.preferences.view.show_splash = False
    bpy.context.preferences.view.show_tooltips = False
    play(chosen())

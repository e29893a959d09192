"""Render a take with Cycles: `python -m facequery.synthesis.cycles.blender_render TAKE OUT`. Runs inside bpy only.

Camera space (x right, y down, z forward) becomes Blender's world (x right, y forward, z up), so that the world's up is
the camera's up and environments stand upright. One PNG per frame, written to a temporary name and renamed.
"""

import sys
from pathlib import Path
from typing import Any

import bpy as blender
import numpy as np
from mathutils import Matrix, Vector

from facequery.synthesis.cycles.blender_materials import make_material
from facequery.synthesis.cycles.take import Take, TakeMesh, TakeStrands

bpy: Any = blender  # the stubs of its versions disagree
TO_BLENDER = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def to_world(points: np.ndarray) -> np.ndarray:
    """Camera space (..., 3) to Blender's world, float32."""
    return np.ascontiguousarray(points @ TO_BLENDER.T, dtype=np.float32)


def velocity(points: np.ndarray, index: int, fps: float) -> np.ndarray:
    """Metres per second at frame `index` of (F, ..., 3), by central differences; zero for a single frame."""
    low, high = max(index - 1, 0), min(index + 1, len(points) - 1)
    if low == high:
        return np.zeros_like(points[0])
    result: np.ndarray = (points[high] - points[low]) * (fps / (high - low))
    return result


def put_attribute(data: Any, name: str, kind: str, domain: str, values: np.ndarray) -> None:
    """Write an attribute, made when it is not there yet."""
    layer = data.attributes.get(name) or data.attributes.new(name, kind, domain)
    field = {"FLOAT_VECTOR": "vector", "FLOAT_COLOR": "color", "FLOAT2": "vector", "FLOAT": "value"}[kind]
    layer.data.foreach_set(field, np.ascontiguousarray(values, np.float32).ravel())


def add_mesh(mesh: TakeMesh, material: Any) -> Any:
    """The object of one mesh, at its first frame."""
    corners = [[int(i) for i in face if i >= 0] for face in mesh.faces]
    data = bpy.data.meshes.new(mesh.name)
    data.from_pydata(to_world(mesh.vertices[0]).tolist(), [], corners)
    data.polygons.foreach_set("use_smooth", [mesh.smooth] * len(corners))
    if mesh.uv is not None:
        layer = data.uv_layers.new(name="uv")
        layer.data.foreach_set("uv", mesh.uv[mesh.faces >= 0].astype(np.float32).ravel())
    rest = mesh.vertices[0] if mesh.rest is None else mesh.rest
    put_attribute(data, "rest", "FLOAT_VECTOR", "POINT", rest)
    tint = np.ones_like(rest) if mesh.tint is None else mesh.tint
    put_attribute(data, "tint", "FLOAT_COLOR", "POINT", np.concatenate([tint, np.ones((len(tint), 1))], 1))
    data.materials.append(material)
    thing = bpy.data.objects.new(mesh.name, data)
    thing.visible_shadow = mesh.casts_shadow
    bpy.context.collection.objects.link(thing)
    return thing


def add_strands(strands: TakeStrands, material: Any) -> Any:
    """The object of a group of strands, at its first frame."""
    count, length = strands.points.shape[1:3]
    data = bpy.data.hair_curves.new(strands.name)
    data.add_curves([length] * count)
    data.set_types(type="POLY")
    put_attribute(data, "radius", "FLOAT", "POINT", strands.radius)
    data.materials.append(material)
    thing = bpy.data.objects.new(strands.name, data)
    bpy.context.collection.objects.link(thing)
    return thing


def pose(thing: Any, points: np.ndarray, speed: np.ndarray) -> None:
    """Move an object's points, with the speed that motion blur needs."""
    data = thing.data
    layer = data.vertices if thing.type == "MESH" else data.attributes["position"].data
    layer.foreach_set("co" if thing.type == "MESH" else "vector", to_world(points).ravel())
    put_attribute(data, "velocity", "FLOAT_VECTOR", "POINT", to_world(speed))
    if thing.type == "MESH":
        data.update()
    thing.update_tag()
    data.update_tag()


def add_camera(take: Take) -> Any:
    """A camera at the world's origin that looks along +y."""
    data = bpy.data.cameras.new("camera")
    thing = bpy.data.objects.new("camera", data)
    thing.matrix_world = Matrix(((1, 0, 0, 0), (0, 0, -1, 0), (0, 1, 0, 0), (0, 0, 0, 1)))
    data.sensor_fit, data.sensor_width = "HORIZONTAL", 36.0
    data.clip_start, data.clip_end = 0.01, 100.0
    if take.camera.f_number > 0:
        data.dof.use_dof = True
        data.dof.aperture_fstop = take.camera.f_number
        data.dof.focus_distance = take.camera.focus
    bpy.context.collection.objects.link(thing)
    scene = bpy.context.scene
    scene.camera = thing
    scene.render.resolution_x, scene.render.resolution_y = take.camera.width, take.camera.height
    scene.render.resolution_percentage = 100
    return thing


def aim_camera(thing: Any, take: Take, index: int) -> None:
    """Intrinsics of one frame; the sensor is 36 mm wide, shifts are in widths of the picture."""
    camera = take.camera
    data, render = thing.data, bpy.context.scene.render
    ratio = float(camera.fx[index] / camera.fy[index])
    render.pixel_aspect_x, render.pixel_aspect_y = (1.0, ratio) if ratio >= 1 else (1.0 / ratio, 1.0)
    data.lens = float(camera.fx[index]) / camera.width * data.sensor_width
    data.shift_x = (camera.width / 2 - float(camera.cx[index])) / camera.width
    # Vertical pixels are `ratio` wide when measured in horizontal ones.
    data.shift_y = (float(camera.cy[index]) - camera.height / 2) * ratio / camera.width


def add_lights(take: Take) -> None:
    """Area lights, and the environment: one map that lights, another that the camera sees."""
    for number, light in enumerate(take.lights):
        data = bpy.data.lights.new(f"light{number}", "AREA")
        data.shape, data.size, data.energy = "DISK", light["size"], light["power"]
        data.color = light.get("color", (1.0, 1.0, 1.0))
        thing = bpy.data.objects.new(data.name, data)
        origin, target = (Vector(to_world(np.asarray(light[k], float)).tolist()) for k in ("position", "target"))
        thing.matrix_world = (
            Matrix.Translation(origin) @ (target - origin).to_track_quat("-Z", "Y").to_matrix().to_4x4()
        )
        thing.visible_camera = False
        bpy.context.collection.objects.link(thing)
    environment = take.environment
    world = bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    world.use_nodes = True
    # The maps are small; Blender would otherwise tabulate the enlarged backdrop's size for every frame.
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", 512
    tree = world.node_tree
    tree.nodes.clear()
    place = tree.nodes.new("ShaderNodeMapping")
    place.inputs["Rotation"].default_value[2] = environment.get("rotation", 0.0)
    if "matrix" in environment:
        place.inputs["Rotation"].default_value = Matrix(environment["matrix"]).to_euler("XYZ")
    tree.links.new(tree.nodes.new("ShaderNodeTexCoord").outputs["Generated"], place.inputs["Vector"])

    def background(path: str, strength: float) -> Any:
        picture = tree.nodes.new("ShaderNodeTexEnvironment")
        picture.image = bpy.data.images.load(path, check_existing=True)
        picture.interpolation = "Cubic"
        tree.links.new(place.outputs[0], picture.inputs[0])
        node = tree.nodes.new("ShaderNodeBackground")
        node.inputs["Strength"].default_value = strength
        tree.links.new(picture.outputs[0], node.inputs["Color"])
        return node

    lit = background(environment["light"], environment.get("strength", 1.0))
    seen = background(environment.get("background") or environment["light"], environment.get("backdrop_strength", 1.0))
    mix = tree.nodes.new("ShaderNodeMixShader")
    tree.links.new(tree.nodes.new("ShaderNodeLightPath").outputs["Is Camera Ray"], mix.inputs[0])
    tree.links.new(lit.outputs[0], mix.inputs[1])
    tree.links.new(seen.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], tree.nodes.new("ShaderNodeOutputWorld").inputs["Surface"])


def set_up(take: Take) -> None:
    """Render settings."""
    scene, output = bpy.context.scene, take.output
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.samples = output.get("samples", 32)
    cycles.seed = output.get("seed", 0)
    cycles.use_adaptive_sampling = True
    cycles.adaptive_threshold = output.get("threshold", 0.03)
    cycles.adaptive_min_samples = output.get("min_samples", 8)
    cycles.use_denoising = bool(output.get("denoise", True))
    if cycles.use_denoising:
        cycles.denoiser = "OPENIMAGEDENOISE"
        cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
        cycles.denoising_prefilter = output.get("prefilter", "FAST")
        cycles.denoising_quality = output.get("denoise_quality", "HIGH")
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = output.get("bounces", 4), 1, 1
    cycles.use_light_tree = False
    cycles.transmission_bounces, cycles.transparent_max_bounces = 3, 24
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 4.0
    cycles.use_auto_tile = False
    scene.cycles_curves.shape = "RIBBONS"
    scene.cycles_curves.subdivisions = 2
    scene.render.threads_mode, scene.render.threads = "FIXED", output.get("threads", 1)
    scene.render.use_persistent_data = False
    scene.render.fps = round(take.fps)
    shutter = output.get("shutter", 0.0)
    scene.render.use_motion_blur = shutter > 0
    scene.render.motion_blur_shutter = max(shutter, 0.01)
    scene.view_settings.view_transform = output.get("view", "AgX")
    scene.view_settings.look = output.get("look", "None")
    scene.view_settings.exposure = output.get("exposure", 0.0)
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.image_settings.compression = 30
    scene.render.film_transparent = False


def render(take: Take, out: Path) -> None:
    """Render every frame of the take that is not in `out` yet, as `<number>.png`."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    set_up(take)
    materials = {name: make_material(name, parameters) for name, parameters in take.materials.items()}
    things = [(add_mesh(mesh, materials[mesh.material]), mesh.vertices) for mesh in take.meshes]
    things += [(add_strands(strands, materials[strands.material]), strands.points) for strands in take.strands]
    camera = add_camera(take)
    add_lights(take)
    out.mkdir(parents=True, exist_ok=True)
    for index, number in enumerate(take.frames):
        target = out / f"{int(number):04d}.png"
        if target.exists() or (take.output.get("only") and int(number) not in take.output["only"]):
            continue
        for thing, points in things:
            pose(thing, points[index], velocity(points, index, take.fps))
        aim_camera(camera, take, index)
        scene = bpy.context.scene
        scene.frame_current = int(number)
        # Noise that stands still would look like dirt on the lens.
        scene.cycles.seed = take.output.get("seed", 0) + int(number)
        scene.render.filepath = str(target.with_name(f".{target.stem}.partial.png"))
        bpy.ops.render.render(write_still=True)
        Path(scene.render.filepath).rename(target)
        print(f"FRAME {index + 1} {len(take.frames)} {target}", flush=True)


def check_camera(take: Take, index: int, points: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) of camera-space points (N, 3) by Blender's own camera, to compare with the project's."""
    from bpy_extras.object_utils import world_to_camera_view

    bpy.ops.wm.read_factory_settings(use_empty=True)
    camera = add_camera(take)
    aim_camera(camera, take, index)
    bpy.context.view_layer.update()
    view = [world_to_camera_view(bpy.context.scene, camera, Vector(p)) for p in to_world(points).tolist()]
    return np.array([[v[0] * take.camera.width, (1.0 - v[1]) * take.camera.height] for v in view])


def main(arguments: list[str]) -> None:
    take = Take.load(Path(arguments[0]))
    if len(arguments) > 2 and arguments[2] == "--check":
        points = np.load(Path(arguments[0]) / "check_points.npy")
        pixels = [check_camera(take, i, points[i]) for i in range(len(points))]
        np.save(Path(arguments[1]), np.array(pixels))
        return
    render(take, Path(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])

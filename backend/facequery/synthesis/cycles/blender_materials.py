"""Materials of the head in Cycles nodes. Runs inside Blender only."""

from collections.abc import Callable
from typing import Any

import bpy as blender

bpy: Any = blender  # the stubs of its versions disagree
Parameters = dict[str, Any]


class Nodes:
    """A node tree being written: `add` makes a node and wires or sets its inputs by name or index."""

    def __init__(self, material: Any) -> None:
        material.use_nodes = True
        self.tree = material.node_tree
        self.tree.nodes.clear()

    def add(self, kind: str, inputs: dict[str | int, Any] | None = None, **properties: Any) -> Any:
        node = self.tree.nodes.new(kind)
        for name, value in properties.items():
            setattr(node, name, value)
        for key, value in (inputs or {}).items():
            self.put(value, node.inputs[key])
        return node

    def put(self, value: Any, socket: Any) -> None:
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        elif isinstance(value, bpy.types.Node):
            self.tree.links.new(value.outputs[0], socket)
        else:
            socket.default_value = value

    def math(self, operation: str, a: Any, b: Any = 0.0, c: Any = 0.0, clamp: bool = False) -> Any:
        return self.add("ShaderNodeMath", {0: a, 1: b, 2: c}, operation=operation, use_clamp=clamp).outputs[0]

    def mix(self, factor: Any, a: Any, b: Any, blend: str = "MIX") -> Any:
        node = self.add("ShaderNodeMix", data_type="RGBA", blend_type=blend)
        for key, value in ((0, factor), (6, a), (7, b)):
            self.put(value, node.inputs[key])
        return node.outputs[2]

    def ramp(self, value: Any, low: float, high: float, to_low: float = 0.0, to_high: float = 1.0) -> Any:
        node = self.add("ShaderNodeMapRange", {0: value, 1: low, 2: high, 3: to_low, 4: to_high}, clamp=True)
        return node.outputs[0]

    def image(self, path: str, vector: Any = None, data: bool = False, extension: str = "REPEAT") -> Any:
        picture = bpy.data.images.load(path, check_existing=True)
        picture.colorspace_settings.name = "Non-Color" if data else "sRGB"
        node = self.add("ShaderNodeTexImage", image=picture, interpolation="Cubic", extension=extension)
        if vector is not None:
            self.put(vector, node.inputs[0])
        return node

    def attribute(self, name: str) -> Any:
        return self.add("ShaderNodeAttribute", attribute_name=name)

    def finish(self, surface: Any) -> None:
        self.add("ShaderNodeOutputMaterial", {"Surface": surface})


def skin(nodes: Nodes, p: Parameters) -> None:
    """Albedo maps on two UV tiles, mottling, pores, oil; `mask` is (lips, stubble, redness) by vertex."""
    uv = nodes.add("ShaderNodeUVMap", uv_map="uv")
    rest = nodes.attribute("rest").outputs["Vector"]
    mask = nodes.add("ShaderNodeSeparateColor", {0: nodes.attribute("tint").outputs["Color"]})
    u = nodes.add("ShaderNodeSeparateXYZ", {0: uv.outputs[0]}).outputs[0]
    second = nodes.math("GREATER_THAN", u, 1.0)
    color = nodes.mix(second, nodes.image(p["face"], uv.outputs[0]), nodes.image(p["head"], uv.outputs[0]))
    color = nodes.add(
        "ShaderNodeHueSaturation",
        {"Hue": 0.5, "Saturation": p.get("saturation", 1.0), "Value": p.get("value", 1.0), "Color": color},
    ).outputs[0]
    color = nodes.mix(1.0, color, (*p.get("tone", (1.0, 1.0, 1.0)), 1.0), "MULTIPLY")

    broad = nodes.add("ShaderNodeTexNoise", {"Vector": rest, "Scale": 45.0, "Detail": 3.0}).outputs[0]
    fine = nodes.add("ShaderNodeTexNoise", {"Vector": rest, "Scale": 420.0, "Detail": 2.0}).outputs[0]
    strength = p.get("mottling", 0.35)
    flush = nodes.math("MULTIPLY", nodes.ramp(broad, 0.42, 0.7), strength)
    flush = nodes.math("ADD", flush, nodes.math("MULTIPLY", mask.outputs[2], p.get("redness", 0.5)), clamp=True)
    color = nodes.mix(flush, color, nodes.mix(1.0, color, (1.0, 0.72, 0.68, 1.0), "MULTIPLY"))
    color = nodes.mix(
        nodes.ramp(fine, 0.52, 0.72, 0.0, strength * 0.6), color, nodes.mix(1.0, color, (0.8, 0.68, 0.6, 1), "MULTIPLY")
    )
    freckles = nodes.add("ShaderNodeTexVoronoi", {"Vector": rest, "Scale": 260.0, "Randomness": 1.0})
    spot = nodes.ramp(freckles.outputs["Distance"], 0.16, 0.26, p.get("freckles", 0.15), 0.0)
    spot = nodes.math("MULTIPLY", spot, nodes.ramp(broad, 0.5, 0.62))
    color = nodes.mix(spot, color, nodes.mix(1.0, color, (0.62, 0.45, 0.35, 1.0), "MULTIPLY"))
    lips = nodes.mix(1.0, color, (*p.get("lip_tone", (0.92, 0.6, 0.6)), 1.0), "MULTIPLY")
    color = nodes.mix(nodes.math("MULTIPLY", mask.outputs[0], p.get("lip_strength", 0.5)), color, lips)
    dots = nodes.add("ShaderNodeTexVoronoi", {"Vector": rest, "Scale": 1100.0, "Randomness": 1.0})
    beard = nodes.ramp(dots.outputs["Distance"], 0.2, 0.55, 1.0, 0.35)
    beard = nodes.math("MULTIPLY", nodes.math("MULTIPLY", mask.outputs[1], beard), p.get("stubble", 0.5))
    color = nodes.mix(beard, color, nodes.mix(1.0, color, (*p.get("stubble_tone", (0.35, 0.33, 0.34)), 1), "MULTIPLY"))

    pores = nodes.add("ShaderNodeTexVoronoi", {"Vector": rest, "Scale": 900.0, "Randomness": 1.0})
    pits = nodes.ramp(pores.outputs["Distance"], 0.0, 0.35)
    creases = nodes.add("ShaderNodeTexNoise", {"Vector": rest, "Scale": 160.0, "Detail": 4.0}).outputs[0]
    height = nodes.math("ADD", nodes.math("MULTIPLY", pits, 0.35), nodes.math("MULTIPLY", creases, 0.65))
    bump = nodes.add(
        "ShaderNodeBump", {"Strength": p.get("bump", 0.55), "Distance": p.get("bump_depth", 0.001), "Height": height}
    )
    rough = nodes.ramp(creases, 0.3, 0.7, p.get("roughness", 0.46) - 0.06, p.get("roughness", 0.46) + 0.08)
    rough = nodes.math("SUBTRACT", rough, nodes.math("MULTIPLY", mask.outputs[0], 0.12))
    shader = nodes.add(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": color,
            "Roughness": rough,
            "IOR": 1.42,
            "Normal": bump.outputs[0],
            "Subsurface Weight": p.get("subsurface", 1.0),
            "Subsurface Radius": p.get("radius", (1.0, 0.36, 0.2)),
            "Subsurface Scale": p.get("depth", 0.0035),
            "Coat Weight": p.get("oil", 0.08),
            "Coat Roughness": 0.28,
            "Coat Normal": bump.outputs[0],
        },
        subsurface_method=p.get("method", "RANDOM_WALK"),
    )
    nodes.finish(shader)


def eye(nodes: Nodes, p: Parameters) -> None:
    """Iris and sclera from one picture by the `uv` of the mesh; darker rim of the iris, faint veins, no highlight."""
    uv = nodes.add("ShaderNodeUVMap", uv_map="uv")
    color = nodes.image(p["image"], uv.outputs[0], extension="EXTEND").outputs[0]
    mask = nodes.add("ShaderNodeSeparateColor", {0: nodes.attribute("tint").outputs["Color"]})
    iris = nodes.add(
        "ShaderNodeHueSaturation",
        {"Saturation": p.get("iris_saturation", 0.8), "Value": p.get("iris_value", 1.2), "Color": color},
    ).outputs[0]
    white = nodes.mix(1.0, color, (*p.get("sclera_tone", (0.86, 0.82, 0.8)), 1.0), "MULTIPLY")
    color = nodes.mix(mask.outputs[0], white, iris)
    shader = nodes.add(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": color,
            "Roughness": 0.35,
            "Specular IOR Level": 0.2,
            "Subsurface Weight": p.get("subsurface", 0.25),
            "Subsurface Radius": (1.0, 0.5, 0.4),
            "Subsurface Scale": 0.0015,
        },
    )
    nodes.finish(shader)


def film(nodes: Nodes, p: Parameters) -> None:
    """A wet, clear layer: Fresnel reflection over full transparency, without refraction (cornea, tear line)."""
    fresnel = nodes.add("ShaderNodeFresnel", {"IOR": p.get("ior", 1.376)})
    gloss = nodes.add("ShaderNodeBsdfGlossy", {"Roughness": p.get("roughness", 0.03)})
    clear = nodes.add("ShaderNodeBsdfTransparent")
    nodes.finish(nodes.add("ShaderNodeMixShader", {0: fresnel.outputs[0], 1: clear.outputs[0], 2: gloss.outputs[0]}))


def tooth(nodes: Nodes, p: Parameters) -> None:
    """Enamel: `tint` multiplies the base colour."""
    color = nodes.mix(
        1.0, nodes.attribute("tint").outputs["Color"], (*p.get("color", (0.78, 0.7, 0.58)), 1), "MULTIPLY"
    )
    shader = nodes.add(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": color,
            "Roughness": 0.18,
            "IOR": 1.6,
            "Subsurface Weight": 0.5,
            "Subsurface Radius": (1.0, 0.85, 0.7),
            "Subsurface Scale": 0.0015,
        },
    )
    nodes.finish(shader)


def mouth(nodes: Nodes, p: Parameters) -> None:
    """Wet flesh: gums, tongue and the lining of the mouth; `tint` multiplies the base colour."""
    rest = nodes.attribute("rest").outputs["Vector"]
    noise = nodes.add("ShaderNodeTexNoise", {"Vector": rest, "Scale": 600.0, "Detail": 3.0}).outputs[0]
    color = nodes.mix(
        1.0, nodes.attribute("tint").outputs["Color"], (*p.get("color", (0.72, 0.3, 0.28)), 1), "MULTIPLY"
    )
    bump = nodes.add("ShaderNodeBump", {"Strength": 0.4, "Distance": 0.0006, "Height": noise})
    shader = nodes.add(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": color,
            "Roughness": 0.42,
            "Specular IOR Level": 0.35,
            "Normal": bump.outputs[0],
            "Subsurface Weight": 0.6,
            "Subsurface Radius": (1.0, 0.3, 0.2),
            "Subsurface Scale": 0.002,
        },
    )
    nodes.finish(shader)


def hair(nodes: Nodes, p: Parameters) -> None:
    """Strands by melanin, 0 white to 1 black, or by `color`, linear."""
    by_color = "color" in p
    inputs: dict[str | int, Any] = {
        "Roughness": p.get("roughness", 0.35),
        "Radial Roughness": 0.45,
        "Random Roughness": 0.2,
    }
    if by_color:
        inputs["Color"] = (*p["color"], 1.0)
    else:
        inputs |= {"Melanin": p.get("melanin", 0.8), "Melanin Redness": p.get("redness", 0.5), "Random Color": 0.25}
    kind = "COLOR" if by_color else "MELANIN"
    nodes.finish(nodes.add("ShaderNodeBsdfHairPrincipled", inputs, model="CHIANG", parametrization=kind))


def card(nodes: Nodes, p: Parameters) -> None:
    """A hair card: colour and alpha from one picture; `color` (linear) replaces the picture's hue; where
    the picture is as light as `middle` (linear gray) it is taken as it is."""
    uv = nodes.add("ShaderNodeUVMap", uv_map="uv")
    picture = nodes.image(p["image"], uv.outputs[0])
    color = picture.outputs[0]
    if "color" in p:
        gray = nodes.add("ShaderNodeRGBToBW", {0: color}).outputs[0]
        middle = p.get("middle", 0.25)
        shade = nodes.ramp(gray, 0.25 * middle, 2.5 * middle, 0.2, 2.2)
        color = nodes.mix(1.0, nodes.add("ShaderNodeCombineColor", {0: shade, 1: shade, 2: shade}).outputs[0],
                          (*p["color"], 1.0), "MULTIPLY")  # fmt: skip
    bump = nodes.add("ShaderNodeBump", {"Strength": 0.6, "Distance": 0.001, "Height": picture.outputs[0]})
    alpha = nodes.ramp(picture.outputs[1], p.get("alpha_low", 0.1), p.get("alpha_high", 0.8))
    shader = nodes.add(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": color,
            "Roughness": p.get("roughness", 0.6),
            "Alpha": alpha,
            "Specular IOR Level": 0.25,
            "Normal": bump.outputs[0],
        },
    )
    nodes.finish(shader)


def cloth(nodes: Nodes, p: Parameters) -> None:
    """Knitted cloth: a tileable picture times a colour, or a plain colour, with soft folds."""
    rest = nodes.attribute("rest").outputs["Vector"]
    fold = nodes.add("ShaderNodeTexNoise", {"Vector": rest, "Scale": 16.0, "Detail": 2.5})
    grain = nodes.add("ShaderNodeTexNoise", {"Vector": rest, "Scale": 700.0, "Detail": 1.0}).outputs[0]
    color: Any = (*p.get("color", (0.06, 0.09, 0.14)), 1.0)
    if "image" in p:
        uv = nodes.add("ShaderNodeUVMap", uv_map="uv")
        color = nodes.mix(1.0, nodes.image(p["image"], uv.outputs[0]).outputs[0], color, "MULTIPLY")
    shade = nodes.ramp(grain, 0.3, 0.7, 0.75, 1.2)
    gray = nodes.add("ShaderNodeCombineColor", {0: shade, 1: shade, 2: shade}).outputs[0]
    color = nodes.mix(1.0, color, gray, "MULTIPLY")
    bump = nodes.add("ShaderNodeBump", {"Strength": 0.7, "Distance": 0.012, "Height": fold.outputs[0]})
    shader = nodes.add(
        "ShaderNodeBsdfPrincipled",
        {"Base Color": color, "Roughness": 0.95, "Specular IOR Level": 0.1, "Normal": bump.outputs[0]},
    )
    nodes.finish(shader)


def plain(nodes: Nodes, p: Parameters) -> None:
    """One colour: frames of glasses, shapes in front, hands without a texture."""
    nodes.finish(
        nodes.add(
            "ShaderNodeBsdfPrincipled",
            {
                "Base Color": (*p.get("color", (0.2, 0.2, 0.2)), 1.0),
                "Roughness": p.get("roughness", 0.5),
                "Metallic": p.get("metallic", 0.0),
                "Transmission Weight": p.get("transmission", 0.0),
                "Alpha": p.get("alpha", 1.0),
                "Subsurface Weight": p.get("subsurface", 0.0),
                "Subsurface Radius": (0.004, 0.0015, 0.0008),
            },
        )
    )


KINDS: dict[str, Callable[[Nodes, Parameters], None]] = {
    "skin": skin,
    "eye": eye,
    "film": film,
    "tooth": tooth,
    "mouth": mouth,
    "hair": hair,
    "card": card,
    "cloth": cloth,
    "plain": plain,
}


def make_material(name: str, parameters: Parameters) -> Any:
    """A Cycles material of the kind that `parameters["kind"]` names."""
    material = bpy.data.materials.new(name)
    KINDS[parameters["kind"]](Nodes(material), parameters)
    return material

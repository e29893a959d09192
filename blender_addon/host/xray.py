"""Seeing through the skin of a head."""

from collections.abc import Iterable
from typing import Final

import bpy

_ALPHA: Final = 0.3


def set_xray(skins: Iterable[bpy.types.Object], enabled: bool) -> None:
    """Let skins of heads, or of fits, show what is under them, in solid and in rendered display."""
    alpha = _ALPHA if enabled else 1.0
    for material in (slot.material for skin in skins for slot in skin.material_slots):
        if material is None:
            continue
        material.diffuse_color[3] = alpha
        if hasattr(material, "surface_render_method"):
            material.surface_render_method = "BLENDED" if enabled else "DITHERED"
        tree = material.node_tree
        shader = next((n for n in tree.nodes if n.type == "BSDF_PRINCIPLED"), None) if tree else None
        if shader:
            shader.inputs["Alpha"].default_value = alpha  # type: ignore[attr-defined]

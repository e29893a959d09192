"""Text that is longer than a panel is wide."""

import textwrap

import bpy

_CHARACTER = 7.0  # pixels that a character takes on average, at a scale of 1


def draw_wrapped(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str) -> None:
    """Draw a sentence in as many lines as the region needs, the icon before the first."""
    width = context.region.width / (_CHARACTER * context.preferences.system.ui_scale)
    column = layout.column(align=True)
    column.scale_y = 0.8
    for i, line in enumerate(textwrap.wrap(text, max(20, int(width) - 8)) or [""]):
        column.label(text=line, icon="BLANK1" if i else icon)  # type: ignore[arg-type]

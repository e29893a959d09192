"""How far a request to the backend is."""

import bpy

from ..host import backend
from .text import draw_wrapped


def draw_call(layout: bpy.types.UILayout, context: bpy.types.Context, topic: str) -> bool:
    """Draw a topic's latest request: its progress with a button to cancel it, or why it failed. Whether it runs."""
    call = backend.call_of(topic)
    if call is None:
        return False
    if call.active:
        row = layout.row(align=True)
        row.progress(factor=call.share, text=call.step or call.state.value)
        row.operator("facequery.cancel_call", text="", icon="CANCEL").topic = topic
        return True
    if call.error is not None:
        draw_wrapped(layout, context, str(call.error), "ERROR")
    return False

"""Two ways of running an operator: a button takes the settings of its panel and returns at once, a script may wait."""

import bpy
from bpy.props import BoolProperty, FloatProperty


class FromPanel(bpy.types.Operator):
    """An operator whose button takes over what its panel shows; a script gives its properties."""

    def from_panel(self, context: bpy.types.Context) -> None:
        """Take over the settings of the panel."""

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Do it, by the operator's properties."""
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.from_panel(context)
        return self.execute(context)


class Waits(FromPanel):
    """An operator that has the backend do something: a script waits until it is done, a button returns at once."""

    wait: BoolProperty(name="Wait", description="Return when it is done, for scripts", default=True)
    timeout: FloatProperty(name="Time Limit", description="Seconds to wait for at most", default=3600.0, min=1.0)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.wait = False
        return super().invoke(context, event)

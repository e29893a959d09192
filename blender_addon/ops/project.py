"""Pictures carried onto the plate, mattes and ST maps, through the backend."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from ..core.errors import AddonError
from ..host import correcting
from ..host.clip_state import BLENDS, MATTES, clip_state
from ..host.registration import registration
from ..prefs import chosen_backend
from .context import edited_clip
from .writing import WritesFiles


class Project(WritesFiles):
    bl_idname = "facequery.project"
    bl_label = "Project"
    bl_description = (
        "Carry a picture onto the face in the plate, through the whole shot: as an RGBA layer and composited"
    )
    topic, method = "project", "project.run"

    picture: StringProperty(name="Picture", description="A picture with alpha", subtype="FILE_PATH")
    as_decal: BoolProperty(
        name="Decal", description="Put it on the face at the selected track, instead of by the head's UV map"
    )
    width: FloatProperty(name="Width", description="Of a decal, in plate pixels", default=100.0, min=1.0)
    rotation: FloatProperty(name="Rotation", description="Of a decal, in degrees clockwise")
    blend: EnumProperty(name="Blend", items=BLENDS)
    refine: BoolProperty(name="Refine", description="Align it to the plate at its full resolution")

    def params(self, context: bpy.types.Context, shown: correcting.Corrected) -> dict[str, Any]:
        path = Path(bpy.path.abspath(self.picture)) if self.picture else None
        if path is None or not path.is_file():
            raise AddonError("There is no picture to project.", "Choose a file.", "FQ789")
        paths = chosen_backend(context).paths
        asked: dict[str, Any] = {"picture": paths.to_remote(path), "blend": self.blend, "refine": self.refine}
        if self.as_decal:
            asked |= {"width": self.width, "rotation": self.rotation, **self._place(context, shown)}
        return asked

    @staticmethod
    def _place(context: bpy.types.Context, shown: correcting.Corrected) -> dict[str, Any]:
        file = shown.file_of(context.scene)
        frame = int(shown.frames.convert(file, "file", "clip"))
        for track in correcting.tracks_in(shown.clip, shown.face).values():
            marker = track.markers.find_frame(frame, exact=True) if track is not None and track.select else None
            if marker is not None:
                x, y = float(marker.co[0]) * shown.tracks.width, (1 - float(marker.co[1])) * shown.tracks.height
                return {"at": [x, y], "frame": file}
        raise AddonError(
            "A decal is put where a selected track is.", "Select one track that is seen in this frame.", "FQ782"
        )

    def panel_settings(self, context: bpy.types.Context) -> None:
        state = clip_state(edited_clip(context))
        self.picture, self.as_decal, self.blend = state.picture, state.as_decal, state.blend
        self.width, self.rotation, self.refine = state.decal_width, state.decal_rotation, state.refine_picture


class WriteMattes(WritesFiles):
    bl_idname = "facequery.write_mattes"
    bl_label = "Write Mattes"
    bl_description = "Write mattes of the chosen regions of the face, one sequence each"
    topic, method = "mattes", "segment.run"

    regions: EnumProperty(name="Regions", items=MATTES, options={"ENUM_FLAG"}, default={"skin"})
    suffix: EnumProperty(name="Files", items=((".exr", "EXR", "Half float"), (".png", "PNG", "8 bit")))

    def params(self, context: bpy.types.Context, shown: correcting.Corrected) -> dict[str, Any]:
        if not self.regions:
            raise AddonError("No region is chosen.", "Choose at least one.", "FQ790")
        return {"regions": [name for name, *_ in MATTES if name in self.regions], "suffix": self.suffix}

    def panel_settings(self, context: bpy.types.Context) -> None:
        state = clip_state(edited_clip(context))
        self.regions, self.suffix = state.matte_regions, state.matte_suffix


class WriteSTMaps(WritesFiles):
    bl_idname = "facequery.write_stmaps"
    bl_label = "Write ST Maps"
    bl_description = "Write the maps between the plate and the head's UV map, for compositing"
    topic, method = "stmaps", "stmap.write"

    def params(self, context: bpy.types.Context, shown: correcting.Corrected) -> dict[str, Any]:
        return {"source": "fit" if shown.job.has("face") else "tracks", "view": shown.face.view}


register, unregister = registration(Project, WriteMattes, WriteSTMaps)

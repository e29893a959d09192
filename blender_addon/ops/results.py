"""Operators that bring a job's results into the file."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ..core.errors import AddonError
from ..core.job_results import JobFolder, open_job
from ..host import clip as host_clip
from ..host import clip_drawing, refit
from ..host import fit as host_fit
from ..host import head as host_head
from ..host.clip_state import FaceState, face_of_number, imported_face, the_face
from ..host.registration import registration
from .context import NeedsResults, edited_clip
from .reporting import reports_errors

_RESULTS = ("tracks.json", "tracks.npz", "camera.json", "fit.json", "face.npz", "skull.npz", "jaw.npz")


class ImportJob(bpy.types.Operator, ImportHelper):
    bl_idname = "facequery.import_job"
    bl_label = "Import Results"
    bl_description = "Import the tracks, camera, face, skull and jaw of a FaceQuery job"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    filepath: StringProperty(
        name="Job", description="Folder of a job, or the job.json in it", subtype="FILE_PATH", options={"SKIP_SAVE"}
    )
    filename_ext = ".json"
    filter_glob: StringProperty(default="job.json", options={"HIDDEN"})
    view: IntProperty(name="View", description="Which of several views", default=1, min=1)
    clip: StringProperty(name="Clip", description="The movie clip that was tracked; empty: the job's own shot")
    tracks: BoolProperty(name="Tracks", description="Markers in a tracking object of their own", default=True)
    limit: IntProperty(
        name="Most Tracks",
        description="Of more points than this, evenly spread ones become tracks",
        default=host_clip.USUAL_TRACKS,
        min=1,
    )
    camera: BoolProperty(name="Camera and Fits", default=True)
    existing_camera: StringProperty(
        name="Use Camera", description="A camera of the scene that is used as it is; empty: make one"
    )
    up: EnumProperty(
        name="Up",
        description="Which way is up in the world of a known camera",
        items=(("Z", "Z", "As in Blender"), ("Y", "Y", "As in Maya and Nuke")),
    )
    face: EnumProperty(
        name="Face",
        items=(
            ("KEYS", "Shape Keys", "52 ARKit shape keys with f-curves"),
            ("CACHE", "Vertex Cache", "Every vertex of every frame, in PC2 files in the job's folder"),
            ("NONE", "None", "No face"),
        ),
    )
    skull: BoolProperty(name="Skull", default=True)
    jaw: BoolProperty(name="Jaw", default=True)
    target_face: IntProperty(
        name="Of Face", description="Number of the clip's face; 0: the active one", options={"SKIP_SAVE", "HIDDEN"}
    )
    replace: BoolProperty(
        name="Update",
        description="Give the objects of an earlier import of this face new actions, instead of making others; "
        "the old actions are kept",
    )
    match_scene: BoolProperty(
        name="Match Scene to Clip", description="Take over resolution, frame rate and range", default=False
    )

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        job = open_job(Path(bpy.path.abspath(self.filepath)), self.view)
        scene = context.scene
        tracks = job.tracks() if job.has("tracks") else None
        clip = self._clip(job)
        fps = tracks.fps if tracks else (clip.fps if clip else 0.0) or 24.0
        frames = host_clip.frame_map(clip, job.frames(), fps)
        notes = []
        face = self._face(clip) if clip is not None else None
        if self.tracks and tracks is not None and clip is not None and face is not None:
            if self.replace and face.digest == tracks.digest and face.tracking_object in clip.tracking.objects:
                notes.append("the same tracks")
            else:
                count = host_clip.import_tracks(clip, face, job, tracks, self.limit)
                notes.append(f"{count} tracks")
                if count > host_clip.MANY_TRACKS:
                    self.report({"WARNING"}, f"{count} tracks make the Movie Clip Editor slow")
        if self.camera and job.has("camera"):
            existing: bpy.types.Object | None = None
            if self.existing_camera:
                existing = scene.objects.get(self.existing_camera)
                if existing is None or existing.type != "CAMERA":
                    raise AddonError(f'The scene has no camera "{self.existing_camera}".', "Choose another.", "FQ761")
            options = host_fit.FitOptions(self.face, self.skull, self.jaw, existing, self.up)
            made = host_fit.import_fit(scene, job, clip, frames, options)
            if face is not None:
                if self.replace:
                    head, camera = _still_there(scene, face.head), _still_there(scene, face.camera)
                    refit.carry_over(head, camera if existing is None else None, made)
                face.head, face.camera = made.head or face.head, made.camera
            notes.append(", ".join(["camera", *made.parts]))
            if host_head.step_aside(scene, made.camera):
                notes.append("the head to place points on now stands beside the camera")
            if scene.camera is None:
                scene.camera = made.camera
        if clip is not None and face is not None:
            scene.active_clip = scene.active_clip or clip
            face.job, face.view = host_clip.stored_path(job.folder), self.view
            clip_drawing.forget()
        if self.match_scene:
            host_fit.match_scene(scene, clip, job.camera() if job.has("camera") else None, frames)
        self.report({"INFO"}, "Imported " + "; ".join(notes) if notes else "The job has no results yet")
        return {"FINISHED"}

    def _face(self, clip: bpy.types.MovieClip) -> FaceState:
        return (face_of_number(clip, self.target_face) if self.target_face else None) or the_face(clip)

    def _clip(self, job: JobFolder) -> bpy.types.MovieClip | None:
        """The clip that was chosen, or the job's; without the plate the fits can still be had."""
        if self.clip:
            chosen: bpy.types.MovieClip | None = bpy.data.movieclips.get(self.clip)
            if chosen is None:
                raise AddonError(f'There is no movie clip "{self.clip}".', "Choose another.", "FQ762")
            return chosen
        try:
            return host_clip.clip_of(job)
        except AddonError as error:
            self.report({"WARNING"}, f"{error} Without it no tracks are imported.")
            return None

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.filepath:  # dropped on an editor
            return context.window_manager.invoke_props_dialog(self)  # type: ignore[return-value]
        return ImportHelper.invoke(self, context, event)  # type: ignore[func-returns-value]

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "view")
        layout.prop_search(self, "clip", bpy.data, "movieclips", icon="SEQUENCE")
        layout.prop(self, "tracks")
        column = layout.column()
        column.enabled = self.tracks
        column.prop(self, "limit")
        layout.prop(self, "camera")
        column = layout.column()
        column.enabled = self.camera
        column.prop_search(self, "existing_camera", context.scene, "objects", icon="CAMERA_DATA")
        column.prop(self, "up")
        column.prop(self, "face")
        column.prop(self, "skull")
        column.prop(self, "jaw")
        layout.prop(self, "replace")
        layout.prop(self, "match_scene")


def _still_there(scene: bpy.types.Scene, obj: bpy.types.Object | None) -> bpy.types.Object | None:
    return obj if obj is not None and scene.objects.get(obj.name) is obj else None


class MatchScene(NeedsResults):
    bl_idname = "facequery.match_scene"
    bl_label = "Match Scene to Clip"
    bl_description = "Take over the plate's resolution, pixel aspect, frame rate and the range of the job's frames"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        clip = edited_clip(context)
        face = imported_face(clip)
        job = open_job(Path(bpy.path.abspath(face.job)), face.view)
        fps = job.tracks().fps if job.has("tracks") else clip.fps or 24.0
        frames = host_clip.frame_map(clip, job.frames(), fps)
        host_fit.match_scene(context.scene, clip, job.camera() if job.has("camera") else None, frames)
        return {"FINISHED"}


class DropJob(bpy.types.FileHandler):
    bl_idname = "FACEQUERY_FH_job"
    bl_label = "FaceQuery Job"
    bl_import_operator = "facequery.import_file"
    bl_file_extensions = ".json;.npz"

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return context.area is not None and context.area.type in ("VIEW_3D", "CLIP_EDITOR")


class ImportFile(bpy.types.Operator):
    bl_idname = "facequery.import_file"
    bl_label = "Import FaceQuery File"
    bl_description = "Import a dropped job, by any of its result files, or a layout"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}  # noqa: RUF012

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        return self._import("EXEC_DEFAULT")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return self._import("INVOKE_DEFAULT") if self._of_a_job() else self.execute(context)

    def _of_a_job(self) -> bool:
        path = Path(self.filepath)
        return path.name == "job.json" or (path.with_name("job.json").is_file() and path.name in _RESULTS)

    def _import(self, how: str) -> set[str]:
        if self._of_a_job():
            return bpy.ops.facequery.import_job(how, filepath=self.filepath)  # type: ignore[attr-defined]
        return bpy.ops.facequery.load_layout(filepath=self.filepath)  # type: ignore[attr-defined]


register, unregister = registration(ImportJob, MatchScene, ImportFile, DropJob)

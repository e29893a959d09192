"""Takes a matte out of a Cryptomatte with Blender: cryptomatte_in_blender.py FILE NAME OUT WIDTH HEIGHT."""

import importlib
import sys
from typing import Any

bpy: Any = importlib.import_module("bpy")
path, name, out, width, height = sys.argv[1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
image = bpy.data.images.load(path)
scene.render.resolution_x, scene.render.resolution_y = int(width), int(height)
scene.render.resolution_percentage = 100
scene.use_nodes = True
tree = scene.node_tree
tree.nodes.clear()
node = tree.nodes.new("CompositorNodeCryptomatteV2")
node.source = "IMAGE"
node.image = image
node.matte_id = name
result = tree.nodes.new("CompositorNodeComposite")
tree.links.new(node.outputs["Matte"], result.inputs["Image"])
scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
scene.render.engine = "BLENDER_WORKBENCH"
settings = scene.render.image_settings
settings.file_format, settings.color_depth = "OPEN_EXR", "32"
scene.render.filepath = out
bpy.ops.render.render(write_still=True)

"""Renderer B: the same scenes, path traced by Blender's Cycles, for the sample shot and the held-out test sets.

Everything but `blender_*.py` is plain NumPy. Those two files are the only backend code that imports bpy, and they run
in a process of their own, so that a crash or a hang of Cycles never takes the caller with it.
"""

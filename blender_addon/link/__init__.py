"""Finding and talking to the backend, without bpy."""

"""Documents, numbers and rules, without bpy."""

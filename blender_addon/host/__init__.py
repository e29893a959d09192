"""The only code that reads or writes bpy data."""

"""What the backend and the Blender extension both speak: documents, frame numbers, messages.

Standard library and NumPy only; the extension's zip carries a copy.
"""

"""What the backend and the Blender extension both speak: documents, frame numbers, messages. Standard library and NumPy only."""

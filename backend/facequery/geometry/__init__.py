"""Cameras, rotations, coordinates, triangulation: no state, no files."""

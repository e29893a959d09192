"""The canonical head, 3D queries on and in it, layouts, sampling."""

"""FaceQuery: track any point of a face through a shot."""

__version__ = "0.1.0"

"""Image sequences, video, colour, frame numbers."""

from facequery.shots.images import write_picture
from facequery.shots.shot import Shot, open_shot

__all__ = ["Shot", "open_shot", "write_picture"]

"""Image sequences and video, colour, frame numbers."""

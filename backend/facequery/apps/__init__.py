"""What artists do with the detector: pick points, refine tracks, tell what is hidden, mattes, and pictures on faces."""

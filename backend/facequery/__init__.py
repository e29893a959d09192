"""FaceQuery: track any point of a face through a shot."""

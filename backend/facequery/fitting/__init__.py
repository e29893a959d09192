"""Camera, face, skull and jaw from tracks."""

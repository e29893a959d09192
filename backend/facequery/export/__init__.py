"""Exchange formats, one adapter a file; `formats` names them, `source` is what they are given."""

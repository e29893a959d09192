"""What the extension shares with the backend. The built zip holds a copy of `facequery_protocol` in this package.

In a checkout there is no copy: the package's own search path (not Python's) then reaches into `backend/`.
"""

from pathlib import Path

if not (Path(__file__).parent / "facequery_protocol").is_dir():
    __path__.append(str(Path(__file__).resolve().parents[2] / "backend"))

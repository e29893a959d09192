"""`python -m facequery` is `facequery`."""

from facequery.cli import main

if __name__ == "__main__":
    main()

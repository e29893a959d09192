"""The error of everything here: a document, a number or a message that cannot be used."""

import zipfile
import zlib

# What reading arrays raises on a file that is damaged, something else, or claims to hold more than there is room for.
DAMAGED = (OSError, ValueError, KeyError, EOFError, MemoryError, NotImplementedError, zipfile.BadZipFile, zlib.error)


class ProtocolError(ValueError):
    """One sentence of cause and the next step, with a stable number, as artists and programs read it.

    The same three parts travel in the worker's error objects (see `messages`).
    """

    def __init__(self, cause: str, next_step: str = "", code: str = "FQ300") -> None:
        super().__init__(f"{cause} {next_step}".strip())
        self.cause = cause
        self.next_step = next_step
        self.code = code

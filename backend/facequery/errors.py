"""The one exception that a user is meant to read."""

import zipfile

# What numpy.load raises on a file that is damaged, something else, or claims to hold more than there is room for.
DAMAGED = (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile)


class UserError(Exception):
    """Bad input or a missing part, told in one sentence with the next step.

    `cause` says what is wrong and where, `next_step` what to do about it, `code` is a stable number ("FQ101") that
    documentation and the Blender side refer to. The command line prints it in one line and ends with exit code 2.
    """

    def __init__(self, cause: str, next_step: str = "", code: str = "FQ000") -> None:
        super().__init__(f"{cause} {next_step}".strip())
        self.cause = cause
        self.next_step = next_step
        self.code = code

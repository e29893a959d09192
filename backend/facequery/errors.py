"""The one exception that a user is meant to read, and what other exceptions mean to them."""

import errno

from facequery_protocol.errors import DAMAGED, ProtocolError

__all__ = ["DAMAGED", "UserError", "out_of_memory", "told"]


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


def told(error: BaseException) -> UserError | None:
    """What an exception means to the user: itself where it is a UserError, a full disk, memory that ran out, a file
    that cannot be used; None for a fault of the program.
    """
    if isinstance(error, UserError):
        return error
    if isinstance(error, ProtocolError):
        return UserError(error.cause, error.next_step, error.code)
    if out_of_memory(error):
        step = "Close other programs, or track fewer points at once."
        return UserError("The computer has run out of memory.", step, "FQ395")
    if not isinstance(error, OSError) or error.errno is None:
        return None
    where = f' while writing "{error.filename}"' if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"The disk is full{where}.", "Make room and start the same command again.", "FQ396")
    if error.errno == errno.EFBIG:
        step = "Write to a disk that takes larger files, or ask who runs it to allow them."
        return UserError(f"A file became larger than the disk or the system allows{where}.", step, "FQ396")
    if error.filename:
        cause = f'"{error.filename}" cannot be used ({error.strerror}).'
        return UserError(cause, "Check the path and its rights.", "FQ397")
    if error.errno in _DISK_GONE:
        return UserError(f"A disk or network drive failed ({error.strerror}).", "Check it, and start again.", "FQ397")
    return None


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, that of the computer or that of its GPU."""
    words = str(error).lower() if isinstance(error, RuntimeError) else ""
    return isinstance(error, MemoryError) or "out of memory" in words or "can't allocate memory" in words


_DISK_GONE = {getattr(errno, name) for name in ("EIO", "EROFS", "ESTALE", "ENODEV") if hasattr(errno, name)}

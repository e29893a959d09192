"""The error of everything here: a document, a number or a message that cannot be used."""


class ProtocolError(ValueError):
    """One sentence of cause and the next step, with a stable number, as artists and programs read it.

    The same three parts travel in the worker's error objects (see `messages`).
    """

    def __init__(self, cause: str, next_step: str = "", code: str = "FQ300") -> None:
        super().__init__(f"{cause} {next_step}".strip())
        self.cause = cause
        self.next_step = next_step
        self.code = code

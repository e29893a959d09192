"""The one error that the artist sees."""


class AddonError(Exception):
    """A number, one sentence of cause and one next step; str() joins them. Operators report it and cancel."""

    def __init__(self, cause: str, next_step: str = "", code: str = "FQ700") -> None:
        super().__init__(cause, next_step, code)
        self.cause, self.next_step, self.code = cause, next_step, code

    def __str__(self) -> str:
        return " ".join(part for part in (self.cause, self.next_step, f"({self.code})") if part)

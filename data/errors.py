"""The one exception for situations that a user can mend."""


class LabError(Exception):
    """Something that went wrong and what to do about it; entry points show it, nothing swallows it.

    Args:
        title: what happened, in a few words.
        message: to what it happened, with the names and values concerned.
        remedy: what to do next.
    """

    def __init__(self, title: str, message: str, remedy: str) -> None:
        super().__init__(title, message, remedy)
        self.title = title
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.title}. {self.message} {self.remedy}"

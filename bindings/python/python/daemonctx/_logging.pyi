import logging
from os import PathLike
from typing import Union

class ReopeningFileHandler(logging.FileHandler):
    def __init__(
        self,
        filename: Union[str, PathLike[str]],
        mode: str = "a",
        encoding: str | None = None,
        delay: bool = False,
        errors: str | None = None,
        *,
        signal: int | None = None,
        file_mode: int | None = None,
        user: int | str | None = None,
        group: int | str | None = None,
    ) -> None: ...
    def reopen(self) -> None: ...

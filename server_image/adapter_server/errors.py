"""Why the server can't start or can't go on: the message names the object, the field and the fix."""

from adapter_contract import ExitCode


class ServerError(Exception):
    """The process ends with `exit_code`, and the message is its termination message."""

    def __init__(self, exit_code: ExitCode, message: str) -> None:
        self.exit_code = exit_code
        super().__init__(message)

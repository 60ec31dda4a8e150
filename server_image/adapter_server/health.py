"""The answer to a probe."""

from fastapi.responses import JSONResponse


def health_response(problem: str | None) -> JSONResponse:
    """Return 200 where there is no problem, else 503 with its words."""
    if problem is None:
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "unavailable", "message": problem}, 503)

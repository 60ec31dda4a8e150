"""The routes of the management port."""

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from adapter_contract.pods import ADAPTERS_PATH
from adapter_server.health import health_response
from adapter_server.management.events import report_events
from adapter_server.management.reporter import Reporter
from adapter_server.metrics import CONTENT_TYPE

_EVENTS = "text/event-stream"


def management_app(reporter: Reporter) -> FastAPI:
    """Return the application of the management port."""
    app = FastAPI(title="adapter-server management", openapi_url=None, docs_url=None, redoc_url=None)

    @app.get(ADAPTERS_PATH)
    async def adapters(request: Request) -> Response:
        if _EVENTS in request.headers.get("accept", ""):
            events = report_events(reporter)
            return StreamingResponse(events, media_type=_EVENTS, headers={"cache-control": "no-cache"})
        return Response(reporter.report().to_json(), media_type="application/json")

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return health_response(reporter.service.health_problem)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(reporter.service.metrics.render(), headers={"content-type": CONTENT_TYPE})

    return app

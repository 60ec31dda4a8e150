"""The routes of the serving port."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Route

from adapter_server.gateway.endpoint import CHAT, TEXT, CompletionEndpoint
from adapter_server.gateway.errors import ApiError
from adapter_server.gateway.service import Service
from adapter_server.health import health_response


def serving_app(service: Service) -> FastAPI:
    """Return the application of the serving port."""
    app = FastAPI(title="adapter-server", openapi_url=None, docs_url=None, redoc_url=None)
    for path, endpoint in (
        ("/v1/chat/completions", CompletionEndpoint(service, CHAT)),
        ("/v1/completions", CompletionEndpoint(service, TEXT)),
    ):
        app.router.routes.append(Route(path, endpoint, methods=["POST"]))

    @app.get("/v1/models")
    async def models(request: Request) -> JSONResponse:
        key = service.key_of(request.headers.get("authorization"))
        return JSONResponse(service.require_running().models.listing(key))

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return health_response(service.health_problem)

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        return health_response(service.ready_problem)

    @app.exception_handler(ApiError)
    async def refused(_: Request, error: ApiError) -> JSONResponse:
        return error.response()

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path}: {error.detail}"
        response = ApiError(error.status_code, message, code="no_such_route").response()
        response.headers.update(error.headers or {})
        return response

    return app

"""The routes of the endpoint, as a Starlette application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Mapping

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chatgptt._client import AsyncClient
from chatgptt._models import Timeouts
from chatgptt.serve.access import Guard, failure_response, key_check, sender_check
from chatgptt.serve.answers import Answer, Places, Site
from chatgptt.serve.chat import ChatShape
from chatgptt.serve.failures import Failure, RequestError, ServeCode, invalid
from chatgptt.serve.models import Catalogue, model_as_dict
from chatgptt.serve.options import ServeOptions
from chatgptt.serve.requests import ApiRequest, read_chat, read_response
from chatgptt.serve.responses import ResponseShape
from chatgptt.serve.shapes import Shape
from chatgptt.sites.named import NamedSite

_log = logging.getLogger("chatgptt.serve")

_MAX_BODY_BYTES, _BODY_SECONDS = 1_000_000, 30.0
"""Five times the longest message, and what a slow upload of it may take."""
_MAX_LOGGED_NAMES = 100
_WHERE = (
    "this is the OpenAI-compatible endpoint of chatgptt: GET /v1/models, POST /v1/chat/completions, "
    "POST /v1/responses, GET /health; the base URL for clients ends in /v1"
)


def build_app(catalogue: Catalogue, options: ServeOptions, ending: asyncio.Event) -> Starlette:
    """The application for these sites, which begins no question once `ending` is set.

    Raises:
        InvalidInputError: for a site that cannot be asked.
    """
    endpoint = _Endpoint(catalogue, options, ending)
    middleware = [Middleware(Guard, check=sender_check(options))]
    if options.origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=options.origins,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=["x-should-retry", "retry-after", "x-chatgptt-ignored"],
            )
        )
    if options.api_key:
        middleware.append(Middleware(Guard, check=key_check(options.api_key)))
    app = Starlette(
        routes=[
            Route("/", endpoint.say_where),
            Route("/v1", endpoint.say_where),
            Route("/health", endpoint.check_health),
            Route("/v1/models", endpoint.list_models),
            Route("/v1/models/{model:path}", endpoint.show_model),
            Route("/v1/chat/completions", endpoint.complete, methods=["POST"]),
            Route("/v1/responses", endpoint.respond, methods=["POST"]),
        ],
        middleware=middleware,
        exception_handlers={
            RequestError: _answer_request_error,
            HTTPException: _answer_http_error,
            Exception: _answer_own_failure,
        },
        lifespan=endpoint.run,
    )
    app.router.redirect_slashes = False  # a client that does not follow would see an empty answer
    return app


class _Endpoint:
    """What the routes share: the sites with their clients."""

    def __init__(self, catalogue: Catalogue, options: ServeOptions, ending: asyncio.Event) -> None:
        self._catalogue = catalogue
        self._options = options
        self._created = int(time.time())
        self._sites = {key: _open_site(site, options, ending) for key, site in catalogue.sites.items()}
        self._logged_names: set[str] = set()
        self._checking = anyio.Lock()
        self._checked: tuple[float, Mapping[str, Mapping[str, object]]] | None = None

    @contextlib.asynccontextmanager
    async def run(self, app: Starlette) -> AsyncIterator[None]:
        """Closes the clients at the end."""
        async with contextlib.AsyncExitStack() as stack:
            for site in self._sites.values():
                await stack.enter_async_context(site.client)
            yield

    async def say_where(self, request: Request) -> Response:
        return JSONResponse({"message": _WHERE})

    async def list_models(self, request: Request) -> Response:
        return JSONResponse(self._catalogue.as_dict(self._created))

    async def show_model(self, request: Request) -> Response:
        model: str = request.path_params["model"]
        self._catalogue.find(model)
        return JSONResponse(model_as_dict(model, self._created))

    async def check_health(self, request: Request) -> Response:
        """The process; with `?level=page` also whether each page shows its chat box. No message is sent."""
        match request.query_params.get("level"):
            case None:
                return JSONResponse({"status": "ok"})
            case "page":
                return await self._check_pages()
            case _:
                raise invalid("level can only be page: a check here sends no message", "level")

    async def _check_pages(self) -> Response:
        async with self._checking:  # requests that come meanwhile share its report
            if self._checked is None or time.monotonic() >= self._checked[0] + self._options.check_every:
                reports = await self._load_pages()
                self._checked = time.monotonic(), reports
            _, reports = self._checked
        works = all(report["verdict"] in ("ok", "warning") for report in reports.values())
        return JSONResponse({"status": "ok" if works else "failing", "sites": reports}, 200 if works else 503)

    async def _load_pages(self) -> Mapping[str, Mapping[str, object]]:
        reports: dict[str, dict[str, object]] = {}

        async def check(key: str, client: AsyncClient) -> None:
            report = await client.health_check("page")
            reports[key] = {"verdict": report.verdict, "code": report.code, "summary": report.summary}

        async with anyio.create_task_group() as tasks:
            for key, site in self._sites.items():
                tasks.start_soon(check, key, site.client)
        return reports

    async def complete(self, request: Request) -> Answer:
        asked = read_chat(await _read_body(request))
        shape = ChatShape(
            id=f"chatcmpl-{uuid.uuid4().hex}",
            model=asked.model,
            created=int(time.time()),
            wants_usage=asked.wants_usage,
        )
        return self._answer(asked, shape)

    async def respond(self, request: Request) -> Answer:
        asked = read_response(await _read_body(request))
        shape = ResponseShape(id=uuid.uuid4().hex, model=asked.model, created=int(time.time()))
        return self._answer(asked, shape)

    def _answer(self, asked: ApiRequest, shape: Shape) -> Answer:
        key, bot = self._catalogue.find(asked.model)
        self._log_once(asked.ignored)
        return Answer(
            asked,
            self._sites[key],
            bot=bot,
            shape=shape,
            headers={"x-chatgptt-ignored": ", ".join(asked.ignored)} if asked.ignored else {},
            comment_every=self._options.comment_every,
        )

    def _log_once(self, names: tuple[str, ...]) -> None:
        new = set(names) - self._logged_names
        if new and len(self._logged_names) < _MAX_LOGGED_NAMES:
            self._logged_names |= new
            _log.warning("fields of requests without effect: %s", ", ".join(sorted(new)))


def _open_site(site: NamedSite, options: ServeOptions, ending: asyncio.Event) -> Site:
    client = AsyncClient(
        site.url,
        bot=site.bot or None,
        strategy=site.strategy,
        proxy=site.proxy or None,
        timeout=site.timeout,
    )
    patience = Timeouts().total if site.timeout is None else site.timeout
    return Site(client=client, places=Places(options.concurrency, options.queue, patience, ending))


async def _read_body(request: Request) -> bytes:
    """The body.

    Raises:
        RequestError: 413 for one that is too large, 408 for one that takes too long.
    """
    body, size_bytes = bytearray(), 0
    try:
        with anyio.fail_after(_BODY_SECONDS):
            async for piece in request.stream():
                size_bytes += len(piece)
                # What is too much is read all the same: a client that still sends would miss the answer.
                if size_bytes <= _MAX_BODY_BYTES:
                    body += piece
    except TimeoutError as error:
        message = f"the body took longer than {_BODY_SECONDS:g} s"
        raise RequestError(Failure(status=408, code="timeout", message=message)) from error
    except ClientDisconnect as error:
        raise invalid("the body broke off") from error
    if size_bytes > _MAX_BODY_BYTES:
        message = f"the body is larger than {_MAX_BODY_BYTES:,} bytes"
        raise RequestError(Failure(status=413, code="too_large", message=message))
    return bytes(body)


async def _answer_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return failure_response(error.failure)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """Of a path or method that no route has."""
    assert isinstance(error, HTTPException)
    code: ServeCode = "method_not_allowed" if error.status_code == 405 else "not_found"
    response = failure_response(Failure(status=error.status_code, code=code, message=_WHERE))
    response.headers.update(error.headers or {})
    return response


async def _answer_own_failure(request: Request, error: Exception) -> Response:
    """Logs where it happened, without words: those of an unknown exception may be the request's."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    where = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    _log.error("the endpoint broke with %s:\n%s", type(error).__name__, where)
    message = f"the endpoint failed ({type(error).__name__}); its log says where"
    return failure_response(Failure(status=500, code="internal", message=message))

"""The admin API: any command of `homeostat` that `table` lists, for those whose key or token has its scope.

    GET  /v1/commands            the commands, with scope, help and parameters
    POST /v1/commands/NAME       {"parameters": {...}} as JSON, or as the part `call` of a form whose other parts are
                                 files; NAME is as on the command line, with slashes: alarms/list

The answer is lines of JSON (`wire`): what the command prints as it prints it, files, and its exit status last. Errors
before it begins look as the gateway's do."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import click
import structlog
from aiohttp import BodyPartReader, MultipartReader, web

from deploy.admin import arguments, call, child, listing, wire
from deploy.admin.workspace import Workspace
from deploy.config.admin_settings import AdminSettings
from deploy.operator.actor import BY
from serving.gateway.access.audit import AuditLog
from serving.gateway.access.keys import Key
from serving.gateway.admin.errors import answered, refusal
from serving.gateway.errors import ApiError, busy, too_large

log = structlog.get_logger()

QUICK_S = 30.0  # for a quick command
CALL_S = 10.0  # for its call to come, which has no files
UPLOAD_S = 600.0  # for another's files to come
READ_ON_S = 60.0  # longer, for a caller to take all that a command printed: who does not read keeps no place
READ = 65_536
CALLER = web.RequestKey("caller", Key)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Callers(Protocol):
    """The part of `serving.gateway.access.keys.KeyRing` that is needed here."""

    def authorise(self, header: str, scope: str) -> Key:
        """Return the caller's key. Raise ApiError 401 or 403."""


@dataclass(slots=True)
class AdminApi:
    """The handlers. `root`: the command line itself. `config_path`: of the commands that are run; `program`: what runs
    them."""

    root: click.Group
    callers: Callers
    settings: AdminSettings
    audit: AuditLog
    config_path: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    program: tuple[str, ...] = (sys.executable, "-m", "deploy.cli")
    _free: dict[bool, int] = field(init=False)

    def __post_init__(self) -> None:
        self._free = dict.fromkeys((False, True), self.settings.at_once)

    def application(self) -> web.Application:
        """Return the application, probes included."""
        app = web.Application(middlewares=[self._answering], client_max_size=call.CALL_BYTES)
        app.add_routes(
            [
                web.get("/healthz", _alive),
                web.get("/readyz", _alive),  # with Kafka away, too: then commands say what is
                web.get(call.PATH, self._list),
                web.post(f"{call.PATH}/{{name:.+}}", self._run),
            ]
        )
        return app

    @web.middleware
    async def _answering(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        found = await answered(request, handler)
        if not isinstance(found, ApiError):
            return found
        self._note(request, request.get(CALLER), f"{request.method} {request.path}", found)
        return refusal(found)

    async def _list(self, request: web.Request) -> web.Response:
        caller = self._caller(request, "read")
        self._note(request, caller, f"{request.method} {request.path}", None)
        return web.Response(body=listing.listed(self.root), content_type="application/json")

    async def _run(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"].replace("/", " ")
        try:
            remote = arguments.found(name)
        except ApiError:
            self._caller(request, "read")
            raise
        caller = self._caller(request, remote.scope)
        if not self._free[remote.quick]:
            raise busy(f"{self.settings.at_once} commands are under way (admin.at_once)", "too_many_commands", 5.0)
        self._free[remote.quick] -= 1
        try:
            with tempfile.TemporaryDirectory(prefix="homeostat-admin-") as folder:
                files = Workspace(Path(folder), remote)
                return await self._through(request, name, caller, files)
        finally:
            self._free[remote.quick] += 1

    async def _through(self, request: web.Request, name: str, caller: Key, files: Workspace) -> web.StreamResponse:
        """Take the call and its files, run the command, and send what comes of it."""
        try:
            within_s = CALL_S if files.remote.quick else UPLOAD_S
            async with asyncio.timeout(within_s):
                asked, given = await self._taken(request, name, caller, files)
        except TimeoutError as error:
            raise ApiError(408, f"the call did not come within {within_s:g} s") from error
        command = [*self.program, *name.split(), *self._configured(name), *given]
        environment = self._environment(request, caller, asked)
        answer = web.StreamResponse(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        answer.content_type = wire.CONTENT
        await answer.prepare(request)
        began, outcome = time.monotonic(), "the caller hung up"
        limit_s = min(QUICK_S, self.settings.timeout_s) if files.remote.quick else self.settings.timeout_s
        try:
            async with asyncio.timeout(limit_s + READ_ON_S):
                outcome = f"exit {await self._send(answer, command, environment, files, limit_s)}"
                await answer.write_eof()
        except ConnectionError:
            pass
        except TimeoutError:
            outcome = "the caller did not take what came"
            if request.transport is not None:
                request.transport.abort()
        except Exception:  # the answer has begun, and breaks off
            log.exception("admin command failed", command=name)
            outcome = "something went wrong; see the log"
        finally:
            took_s = round(time.monotonic() - began, 3)
            log.info("admin command", by=caller.person, command=name, outcome=outcome, seconds=took_s)
            failed = None if outcome == "exit 0" else ApiError(422, outcome, code="command_failed")
            self._note(request, caller, f"homeostat {name}", failed, str(asked.parameters.get("alias", "")))
        return answer

    async def _taken(
        self, request: web.Request, name: str, caller: Key, files: Workspace
    ) -> tuple[call.Call, list[str]]:
        """Return the call, and its command's arguments; its files are in the workspace."""
        asked, form = await _call(request)
        arguments.require_aliases(caller, name, asked)
        given = arguments.arguments(self.root, name, asked, files)
        if form is not None:
            await _take(form, files, self.settings.upload_bytes)
        await asyncio.to_thread(files.complete)
        return asked, given

    async def _send(
        self,
        answer: web.StreamResponse,
        command: list[str],
        environment: Mapping[str, str],
        files: Workspace,
        limit_s: float,
    ) -> int:
        status = 1
        async with aclosing(child.pieces(command, environment, limit_s)) as pieces:
            async for piece in pieces:
                if piece.exit is not None:
                    status = piece.exit
                    continue
                shown = wire.OutputPiece(out=files.as_known(piece.out), err=files.as_known(piece.err))
                await answer.write(wire.line(shown))
        for back in files.pieces():
            await answer.write(wire.line(back))
        await answer.write(wire.line(wire.OutputPiece(exit=status)))
        return status

    def _configured(self, name: str) -> list[str]:
        takes = any(each.name == "config_path" for each in arguments.command(self.root, name).params)
        return [f"--config={self.config_path}"] if takes and self.config_path else []

    def _environment(self, request: web.Request, caller: Key, asked: call.Call) -> dict[str, str]:
        """Return the process's environment: who asks, and for reviewers the token, which it checks once more."""
        token = request.headers.get("authorization", "").partition(" ")[2].strip()
        own = {BY: caller.person, "COLUMNS": str(asked.columns), "NO_COLOR": "1"}
        return {**self.environment, **own, "HOMEOSTAT_KEY": token}

    def _caller(self, request: web.Request, scope: str) -> Key:
        caller = self.callers.authorise(request.headers.get("authorization", ""), scope)
        request[CALLER] = caller
        return caller

    def _note(
        self, request: web.Request, caller: Key | None, what: str, error: ApiError | None, alias: str = ""
    ) -> None:
        if error is not None and not what.startswith("homeostat "):
            by = caller.person if caller else error.by
            log.info("admin request refused", by=by, request=what, status=error.status, why=error.message)
        self.audit.act(caller, what, request.remote or "", alias, error)


async def _alive(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _call(request: web.Request) -> tuple[call.Call, MultipartReader | None]:
    """Return the call, and the form whose next parts are its files."""
    if not request.content_type.startswith("multipart/"):
        return call.decoded(await request.read()), None
    try:
        form = await request.multipart()
        part = await form.next()
    except ValueError as error:
        raise ApiError(400, f"the body is no form: {error}", code="invalid_call") from error
    if not isinstance(part, BodyPartReader) or part.name != call.CALL:
        raise ApiError(400, f"the form's first part is not {call.CALL!r}, expected it to hold the call as JSON")
    body = bytearray()
    while chunk := await part.read_chunk(READ):
        body += chunk
        if len(body) > call.CALL_BYTES:
            raise too_large(call.CALL_BYTES, f"more in its part {call.CALL!r}")
    return call.decoded(bytes(body)), form


async def _take(form: MultipartReader, files: Workspace, limit: int) -> None:
    """Write each part of the form to its place. Raise ApiError for one that has none, or for more than is taken."""
    taken = 0
    while part := await _next(form):
        path = files.arriving(part.name or "", part.filename or "")
        with path.open("xb") as file:
            while chunk := await part.read_chunk(READ):
                taken += len(chunk)
                if taken > limit:
                    raise too_large(limit, "more than that in files (admin.upload_bytes)")
                await asyncio.to_thread(file.write, chunk)


async def _next(form: MultipartReader) -> BodyPartReader | None:
    try:
        part = await form.next()
    except ValueError as error:
        raise ApiError(400, f"the form is broken: {error}", code="invalid_call") from error
    if part is not None and not isinstance(part, BodyPartReader):
        raise ApiError(400, "the form has a form in it, expected files", code="invalid_call")
    return part

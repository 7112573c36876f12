"""The part of Kubernetes' API that Jobs take, on a free port: names once, versions of objects, merge patches, deletion
in the foreground. It obeys the same tests as the real API server (`tests/retrain/runners/test_contract.py`)."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
PATH = re.compile(r"/(?:api/v1|apis/batch/v1)/namespaces/([^/]+)/(\w+)(?:/([^/?]+))?(/status)?")


class Refused(Exception):
    """An answer that is an error: status, reason."""


class JobApi:
    """Objects by kind and name. `away`: how many of the next requests find no server."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Json] = {}
        self.away = 0
        self._versions, self._lock = itertools.count(1), threading.Lock()

    def answer(self, method: str, path: str, body: Json) -> Json:
        """Carry out a request. Raise Refused."""
        found = PATH.match(path)
        assert found is not None, path
        namespace, kind, name, status = found.groups()
        with self._lock:
            if method == "GET" and name is None:
                return {"kind": "List", "items": [each for (its, _), each in self.objects.items() if its == kind]}
            if method == "POST":
                return body if "dryRun=All" in path else self._created(namespace, kind, body)
            if (kind, name) not in self.objects:
                raise Refused(404, f'{kind} "{name}" not found')
            match method:
                case "GET":
                    return self.objects[kind, name]
                case "PATCH":
                    return self._patched(kind, name, body, status=bool(status))
                case "DELETE":
                    return self._deleted(kind, name)
        raise Refused(405, method)

    def _created(self, namespace: str, kind: str, body: Json) -> Json:
        name = body["metadata"]["name"]
        if (kind, name) in self.objects:
            raise Refused(409, f'{kind} "{name}" already exists')
        self.objects[kind, name] = body
        body["metadata"]["namespace"] = namespace
        return self._next(body)

    def _patched(self, kind: str, name: str, body: Json, *, status: bool) -> Json:
        found = self.objects[kind, name]
        version = body.get("metadata", {}).pop("resourceVersion", None)
        if version not in (None, found["metadata"]["resourceVersion"]):
            raise Refused(409, "the object has been modified")
        allowed = {"status"} if status else body.keys() - {"status"}
        changed = merged(found, {key: value for key, value in body.items() if key in allowed})
        self.objects[kind, name] = changed
        if changed["metadata"].get("deletionTimestamp") and not changed["metadata"].get("finalizers"):
            del self.objects[kind, name]
        return self._next(changed)

    def _deleted(self, kind: str, name: str) -> Json:
        held = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["foregroundDeletion"]}
        self.objects[kind, name] = merged(self.objects[kind, name], {"metadata": held})
        return self._next(self.objects[kind, name])

    def _next(self, found: Json) -> Json:
        found["metadata"]["resourceVersion"] = str(next(self._versions))
        return found


def merged(old: Json, patch: Json) -> Json:
    """A merge patch (RFC 7386) applied."""
    new = {key: value for key, value in old.items() if patch.get(key, 0) is not None}
    for key, value in patch.items():
        if isinstance(value, dict):
            new[key] = merged(new[key] if isinstance(new.get(key), dict) else {}, value)
        elif value is not None:
            new[key] = value
    return new


@contextmanager
def serving_jobs(api: JobApi) -> Iterator[str]:
    """Serve it while entered; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            if api.away > 0:
                api.away -= 1
                self.close_connection = True
                return
            code = 200
            try:
                answer = api.answer(self.command, self.path, body)
            except Refused as error:
                code, message = error.args
                answer = {"kind": "Status", "status": "Failure", "code": code, "message": message}
            text = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - names of the base class

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()

"""Gateway and side-car show each other certificates; without one a client gets nothing."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp
import pytest

from serving.gateway.engines.pool import EnginePool
from serving.gateway.http.certificate import Certificate
from serving.gateway.http.limits import Limits
from serving.gateway.http.listener import Listener
from serving.routes.answers import Answers
from serving.routes.listed import ReplicaList
from serving.routes.polling import SideCars
from serving.routes.routing import RouteTable
from serving.settings import Replica
from tests.serving.support.certificates import Certificates
from tests.serving.support.side_cars import SideCarScene, entry


async def test_a_side_car_answers_gateways_with_a_certificate_alone(tmp_path: Path) -> None:
    files = Certificates(tmp_path)
    scene = SideCarScene(tmp_path / "store")
    async with scene.serving():
        (version, *_) = await scene.served("one")
        server = Listener(scene.application, Limits())
        await server.start("127.0.0.1", 0, Certificate(files.cert, files.key, client_ca=files.ca))
        url = f"https://127.0.0.1:{server.port}"
        scene.signed.replica = Replica("r1", url)
        shown = ReplicaList({"r1": entry(url, ca=files.ca, cert=files.cert, key=files.key)})
        for listed, answered in (
            (shown, True),
            (ReplicaList({"r1": entry(url, ca=files.ca)}), False),
            (ReplicaList({"r1": entry(url, ca=files.other_ca, cert=files.cert, key=files.key)}), False),
        ):
            answers = Answers(RouteTable, 60.0)
            side_cars = SideCars(listed, RouteTable, answers, 1.0, 10.0)
            async with aiohttp.ClientSession() as session:
                await side_cars.ask(session, "r1")
            assert bool(answers.table().attestations) is answered
        pool = EnginePool(tls_at=shown.tls_at)
        body = b'{"model": "%s", "prompt": "a"}' % version.encode()
        link = await pool.ask(url, "/v1/completions", body, 30.0)
        assert (link.status, bool(await link.read())) == (200, True)
        pool.close()
        with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
            async with aiohttp.ClientSession() as session, session.get(f"{url}/health", ssl=files.client()):
                pass
        await server.drain(1.0)

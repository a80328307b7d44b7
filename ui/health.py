"""How the engine is: for machines at `/api/health`, behind the gate, and for people as cards at the head of every page."""

from typing import Any

import orjson
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import ThawError
from ui import services, state
from ui.parts import notes, restart


async def report(request: Request) -> Response:
    """200 and `ok`, or 503 and what is wrong as codes; no names of anybody's runs."""
    told = await to_thread.run_sync(services.health)
    problems = [
        {"code": one["code"], "values": {k: v for k, v in one["values"].items() if k != "run"}} for one in told["problems"]
    ]
    body = orjson.dumps({"ok": told["ok"], "problems": problems})
    status = 200 if told["ok"] else 503
    return Response(body, status, media_type="application/json", headers={"cache-control": "no-store"})


def cards() -> None:
    """What is wrong with the engine, and what was done about a damaged database; nothing while all is well."""
    told = services.health()
    for number, problem in enumerate(told["problems"]):
        if problem["code"] != "engine.stalled" or may_see(problem["run"]):
            notes.failure(ThawError(problem["code"], **problem["values"]), key=state.key("frame", f"health-{number}"))
    if told["problems"]:
        restart.offer("health")
    found: list[tuple[str, dict[str, Any]]] = [(notice["code"], notice["values"]) for notice in told["notices"]]
    notes.notices(found, key=state.key("frame", "health-notices"))


def may_see(run_id: str) -> bool:
    """Whether this run is this person's to see."""
    try:
        services.access().run(run_id)
    except ThawError:
        return False
    return True


ROUTES = [Route("/api/health", report)]

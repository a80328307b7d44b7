"""People who watch a run from other machines: they ask what their browsers would ask, and draw nothing.

Run: python -m benchmarks.viewers ADDRESS RUN [--people 3] [--seconds 30]. Each opens the page of the run over Streamlit's
own protocol, ticks what the page tells a browser to tick, and asks for the curve once a second. Prints what was asked and
heard, as JSON; the status is 1 if ticks were not answered. `walk` goes from page to page and times the answers.
"""

import argparse
import asyncio
import json
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

CURVE_SECONDS = 1.0
REST_SECONDS = 0.3


def line(address: str) -> connect:
    """To be entered: a tab's line to the server."""
    stream = address.replace("http", "ws", 1) + "/_stcore/stream"
    return connect(stream, subprotocols=[Subprotocol("streamlit")], origin=Origin(address), max_size=None)


def question(query: str, page: str, mark: str = "", fragment: str = "") -> bytes:
    """That a page, or one part of it, be drawn; `mark` is what the server calls the page once it has been there."""
    asked = BackMsg()
    asked.rerun_script.query_string, asked.rerun_script.page_script_hash = query, mark
    if not mark:
        asked.rerun_script.page_name = page
    if fragment:
        asked.rerun_script.fragment_id, asked.rerun_script.is_auto_rerun = fragment, True
    return asked.SerializeToString()


async def walk(address: str, places: Sequence[tuple[str, str]], seconds: float) -> dict[str, list[float]]:
    """Milliseconds from asking for a page to the last word of the answer, by page; first visits are left out.

    `places`: addresses of pages with their queries, visited in turns by one tab. Raises ValueError if there is no such page.
    """
    marks: dict[str, str] = {}
    times: dict[str, list[float]] = {name: [] for name, _ in places}
    async with line(address) as socket:
        end = time.monotonic() + seconds
        for name, query in cycle(places):
            begin, known = time.perf_counter(), name in marks
            await socket.send(question(query, name, marks.get(name, "")))
            kind = None
            while kind != "script_finished":
                message = ForwardMsg.FromString(bytes(await asyncio.wait_for(socket.recv(), 60)))
                kind = message.WhichOneof("type")
                if kind == "navigation":
                    marks[name] = message.navigation.page_script_hash
                elif kind == "page_not_found":
                    raise ValueError(f"there is no page {name}")
            if known:
                times[name].append(1000 * (time.perf_counter() - begin))
            if time.monotonic() > end:
                return times
            await asyncio.sleep(REST_SECONDS)
    return times


class Viewer:
    """One tab on the page of a run."""

    def __init__(self, address: str, run: str, told: "Counter[str]") -> None:
        self.address, self.run, self.told = address, run, told
        self._page = ""
        self._timers: dict[str, asyncio.Task[None]] = {}

    async def watch(self) -> None:
        """Until it is cancelled."""
        async with line(self.address) as socket, asyncio.TaskGroup() as group:
            await socket.send(self._question())
            group.create_task(self._curves())
            async for data in socket:
                self._hear(ForwardMsg.FromString(bytes(data)), socket, group)

    def _question(self, fragment: str = "") -> bytes:
        return question(f"run={self.run}&lang=en", "train", self._page, fragment)

    def _hear(self, message: ForwardMsg, socket: ClientConnection, group: asyncio.TaskGroup) -> None:
        kind = message.WhichOneof("type")
        self.told[str(kind)] += 1
        if kind == "navigation":
            self._page = message.navigation.page_script_hash
        elif kind == "auto_rerun":
            fragment = message.auto_rerun.fragment_id
            if fragment in self._timers:
                self._timers[fragment].cancel()
            self._timers[fragment] = group.create_task(self._tick(socket, fragment, message.auto_rerun.interval))

    async def _tick(self, socket: ClientConnection, fragment: str, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await socket.send(self._question(fragment))
            self.told["ticks"] += 1

    async def _curves(self) -> None:
        since, epoch = -1, ""
        while True:
            query = urllib.parse.urlencode({"since": since, "epoch": epoch})
            answer = await asyncio.to_thread(_get, f"{self.address}/api/runs/{self.run}/curve?{query}")
            since, epoch = answer["rev"], answer["epoch"]
            self.told["curves"] += 1
            await asyncio.sleep(CURVE_SECONDS)


def _get(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return dict(json.loads(answer.read()))


async def watch(address: str, run: str, people: int, seconds: float) -> "Counter[str]":
    """What so many people asked and heard in that time. Raises what went wrong for any of them."""
    told: Counter[str] = Counter()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(Viewer(address, run, told).watch()) for _ in range(people)]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
    return told


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("run")
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    begin = time.process_time()
    told = asyncio.run(watch(options.address, options.run, options.people, options.seconds))
    print(json.dumps({**told, "own_cpu_seconds": round(time.process_time() - begin, 2)}))
    return 0 if told["script_finished"] >= 0.8 * told["ticks"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())

"""A real headless Chromium, driven over its debugging protocol by tornado's WebSocket client (a part of dask)."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--remote-debugging-port=0",
)  # fmt: skip


class Page:
    """One open page and everything that it said: console messages, errors, requests.

    `visit` opens it, waits for the charts, runs `script` (an expression; may be a promise) and keeps its value.
    """

    def __init__(self) -> None:
        self.console: list[str] = []
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.heard: set[str] = set()
        self.value: Any = None
        self.picture = b""

    def visit(
        self,
        url: str,
        width: int = 1200,
        height: int = 900,
        dark: bool = False,
        script: str = "true",
        shot: bool = False,
    ) -> Page:
        assert BROWSER is not None
        with tempfile.TemporaryDirectory(prefix="eci-chromium-") as profile:
            process = subprocess.Popen(
                [BROWSER, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                assert process.stderr is not None
                address = next(line.split()[-1] for line in process.stderr if "DevTools listening" in line)
                asyncio.run(self._visit(address, url, width, height, dark, script, shot))
            finally:
                process.terminate()
                process.wait(20)
                shutil.rmtree(Path(profile) / "Default", ignore_errors=True)
        return self

    async def _visit(
        self, address: str, url: str, width: int, height: int, dark: bool, script: str, shot: bool
    ) -> None:
        from tornado.websocket import websocket_connect

        socket = await websocket_connect(address, max_message_size=1 << 28)
        number = 0
        session: dict[str, str] = {}

        async def call(method: str, **params: Any) -> Any:
            nonlocal number
            number += 1
            await socket.write_message(json.dumps({"id": number, "method": method, "params": params, **session}))
            while True:
                text = await asyncio.wait_for(socket.read_message(), 90)
                assert text is not None, "Chromium has gone"
                message = json.loads(text)
                if message.get("id") == number:
                    assert "error" not in message, message
                    return message["result"]
                self._hear(message)

        target = await call("Target.createTarget", url="about:blank")
        attached = await call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        session["sessionId"] = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await call("Emulation.setEmulatedMedia", features=[scheme])
        await call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.heard.clear()
        await call("Page.navigate", url=url)
        while "Page.loadEventFired" not in self.heard:
            await asyncio.sleep(0.05)
            await call("Page.getFrameTree")
        drawn = """new Promise(done => { const look = () => document.documentElement.dataset.drawn
                   ? done(true) : setTimeout(look, 50); look(); })"""
        waited = await call("Runtime.evaluate", expression=drawn, awaitPromise=True)
        assert waited["result"].get("value") is True, waited
        found = await call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        self.value = found["result"].get("value")
        if shot:
            picture = await call(
                "Page.captureScreenshot", captureBeyondViewport=True, clip=await self._whole(call, width)
            )
            self.picture = base64.b64decode(picture["data"])
        socket.close()

    @staticmethod
    async def _whole(call: Any, width: int) -> dict[str, Any]:
        size = (await call("Page.getLayoutMetrics"))["cssContentSize"]
        return {"x": 0, "y": 0, "width": width, "height": size["height"], "scale": 1}

    def _hear(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        self.heard.add(message["method"])
        if message["method"] == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif message["method"] == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        elif message["method"] == "Log.entryAdded":
            self.errors.append(str(params["entry"]["text"]))
        elif message["method"] == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

"""A real headless Chromium, driven over its debugging protocol by tornado's WebSocket client (a part of dask)."""

from __future__ import annotations

import asyncio
import atexit
import base64
import json
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--remote-debugging-port=0",
)  # fmt: skip


LOADED = "document.readyState === 'complete' && location.href !== 'about:blank'"
PATIENCE = 60.0


@cache
def _browser() -> str:
    """Start the one browser of this process, and return the address of its debugger."""
    assert BROWSER is not None
    profile = tempfile.mkdtemp(prefix="eci-chromium-")
    process = subprocess.Popen(
        [BROWSER, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )

    def end() -> None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        shutil.rmtree(profile, ignore_errors=True)

    atexit.register(end)
    assert process.stderr is not None
    return next(line.split()[-1] for line in process.stderr if "DevTools listening" in line)


class Page:
    """One page, opened anew by each visit, and everything that it said: console messages, errors, requests.

    `visit` opens it, runs `script` (an expression; may be a promise) and keeps its value.
    """

    def __init__(self) -> None:
        self.console: list[str] = []
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.value: Any = None
        self.picture = b""
        self.pdf = b""
        self.focused: list[str] = []

    def visit(
        self,
        url: str,
        width: int = 1200,
        height: int = 900,
        dark: bool = False,
        script: str = "true",
        shot: bool | str = False,
        scripts: bool = True,
        paper: bool = False,
        pdf: bool = False,
        tabs: int = 0,
    ) -> Page:
        """Open a page.

        Args:
            shot: keep a picture of the whole, or of the element of a selector.  scripts: let the page's own run.
            paper: look as printed.  pdf: print it.
            tabs: press Tab so often, and keep what has the focus each time.
        """
        asyncio.run(self._visit(url, width, height, dark, script, shot, scripts, paper, pdf, tabs))
        return self

    async def _visit(
        self, url: str, width: int, height: int, dark: bool, script: str, shot: bool | str, scripts: bool, paper: bool, pdf: bool,
        tabs: int,
    ) -> None:  # fmt: skip
        from tornado.websocket import websocket_connect

        socket = await websocket_connect(_browser(), max_message_size=1 << 28)
        number = 0
        session: dict[str, str] = {}

        async def call(method: str, **params: Any) -> Any:
            nonlocal number
            number += 1
            await socket.write_message(json.dumps({"id": number, "method": method, "params": params, **session}))
            while True:
                text = await asyncio.wait_for(socket.read_message(), 120)
                assert text is not None, "Chromium has gone"
                message = json.loads(text)
                if message.get("id") == number:
                    assert "error" not in message, message
                    return message["result"]
                self._hear(message)

        async def evaluated(expression: str) -> Any:
            found = await call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
            assert "exceptionDetails" not in found, found
            return found["result"].get("value")

        context = await call("Target.createBrowserContext")  # with storage of its own
        target = await call("Target.createTarget", url="about:blank", **context)
        attached = await call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        session["sessionId"] = attached["sessionId"]
        await _emulated(call, width, height, dark, scripts, paper)
        await call("Page.navigate", url=url)
        until = asyncio.get_running_loop().time() + PATIENCE
        while not await evaluated(LOADED):  # a page without scripts has no timers, either
            assert asyncio.get_running_loop().time() < until, "the page does not load"
            await asyncio.sleep(0.03)
        self.value = await evaluated(script)
        for _ in range(tabs):
            for kind in ("keyDown", "keyUp"):
                await call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
            self.focused.append(await evaluated("document.activeElement.dataset.number || ''"))
        if shot:
            picture = await call(
                "Page.captureScreenshot", captureBeyondViewport=True, clip=await evaluated(_clip(shot, width))
            )
            self.picture = base64.b64decode(picture["data"])
        if pdf:
            printed = await call("Page.printToPDF", printBackground=False, paperWidth=8.27, paperHeight=11.69)
            self.pdf = base64.b64decode(printed["data"])
        del session["sessionId"]
        await call("Target.disposeBrowserContext", **context)
        socket.close()

    def _hear(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message["method"] == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif message["method"] == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        elif message["method"] == "Log.entryAdded":
            self.errors.append(str(params["entry"]["text"]))
        elif message["method"] == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])


async def _emulated(call: Any, width: int, height: int, dark: bool, scripts: bool, paper: bool) -> None:
    for domain in ("Page", "Runtime", "Log", "Network"):
        await call(f"{domain}.enable")
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    await call("Emulation.setEmulatedMedia", features=[scheme], media="print" if paper else "")
    await call(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
    )
    await call("Emulation.setScriptExecutionDisabled", value=not scripts)


def _clip(shot: bool | str, width: int) -> str:
    """Return an expression for the rectangle of a picture."""
    if shot is True:
        return f"({{x: 0, y: 0, width: {width}, height: document.documentElement.scrollHeight, scale: 1}})"
    return (
        f"(() => {{ const b = document.querySelector({json.dumps(shot)}).getBoundingClientRect(); "
        "return {x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height, scale: 1}; })()"
    )

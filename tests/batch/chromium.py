"""A headless Chromium, controlled through its DevTools protocol over a websocket; needs no further package.

::

    async with chromium(tmp_path) as page:
        await page.open(path.as_uri())
        await page.run("document.title")
"""

import asyncio
import base64
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

#: Options of an evaluation: await the value, return it as JSON, and allow playback as after a click.
_EVALUATE = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def program() -> str:
    """Return the path of the browser. Without one the test fails, because skipping would leave the page unchecked."""
    path = next((path for name in _NAMES if (path := shutil.which(name))), None)
    assert path, "Chromium is not installed: apt-get install chromium (.ci/run does so)"
    return path


class Page:
    """One tab of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._loaded = asyncio.Event()
        self._requests: dict[str, str] = {}
        #: Script errors, and what the page's content security policy blocked.
        self.complaints: list[str] = []

    @property
    def requested(self) -> list[str]:
        """Every URL requested since `open`, except those that the page's own policy blocked."""
        return list(self._requests.values())

    async def read_messages(self) -> None:
        """Handle the browser's messages until it closes."""
        async for message in self._socket:
            content = message.json()
            if "id" in content:
                self._waiting.pop(content["id"]).set_result(content)
            else:
                self._handle_event(content["method"], content["params"])

    def _handle_event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self._requests[params["requestId"]] = params["request"]["url"]
        elif method == "Network.loadingFailed" and params.get("blockedReason") == "csp":
            del self._requests[params["requestId"]]
        elif method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol and return its result."""
        self._number += 1
        future = self._waiting[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        response = await asyncio.wait_for(future, 30)
        assert "error" not in response, f"{method}: {response['error']}"
        result: dict[str, Any] = response["result"]
        return result

    async def open(self, url: str) -> None:
        """Load *url* and wait until it is complete."""
        self._loaded.clear()
        self._requests.clear()
        self.complaints.clear()
        await self.send("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), 30)

    async def run(self, script: str) -> Any:
        """Evaluate *script* in the page and return its value. The page's content security policy does not apply."""
        result = await self.send("Runtime.evaluate", expression=script, **_EVALUATE)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def press(self, key: str, *, text: str = "", code: int = 0, shift: bool = False) -> None:
        """Press and release a key."""
        event: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 * shift}
        await self.send("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        await self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    async def write(self, text: str) -> None:
        """Type *text* into the focused element."""
        await self.send("Input.insertText", text=text)

    async def set_window(
        self, width: int, height: int, *, scheme: str = "light", motion: str = "no-preference", media: str = ""
    ) -> None:
        """Set the size of the window, the preferred colour scheme and motion, and the medium (``print``)."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
        await self.send(
            "Emulation.setEmulatedMedia",
            media=media,
            features=[{"name": name, "value": value} for name, value in features.items()],
        )

    async def screenshot(self, path: Path) -> bytes:
        """Save a screenshot of the window to *path* and return its PNG data."""
        data = base64.b64decode((await self.send("Page.captureScreenshot", format="png"))["data"])
        path.write_bytes(data)
        return data


def _arguments(profile: Path) -> list[str]:
    return [
        *("--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}", "--no-first-run"),
        *("--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-extensions"),
        *("--disable-component-update", "--mute-audio", "--hide-scrollbars", "--password-store=basic"),
        # Chromium refuses to run as root with its sandbox. The page is our own.
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        "about:blank",
    ]


async def _port(profile: Path, browser: subprocess.Popen[bytes]) -> int:
    """Return the port that the browser chose and wrote to its profile."""
    port_file = profile / "DevToolsActivePort"
    for _ in range(600):
        with suppress(FileNotFoundError, IndexError, ValueError):
            return int(port_file.read_text().splitlines()[0])
        assert browser.poll() is None, f"Chromium exited with {browser.returncode} before it opened its port"
        await asyncio.sleep(0.05)
    raise AssertionError("Chromium did not open its port within 30 s")


def _stop(browser: subprocess.Popen[bytes]) -> None:
    browser.terminate()
    try:
        browser.wait(10)
    except subprocess.TimeoutExpired:
        browser.kill()
        browser.wait(10)


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Page]:
    """Run a browser with one tab; its profile is in *folder*."""
    profile = folder / "profile"
    arguments = [program(), *_arguments(profile)]
    browser = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        port = await _port(profile, browser)
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/json/list") as response:
                tab = next(tab for tab in await response.json() if tab["type"] == "page")
            async with (
                http.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket,
                asyncio.TaskGroup() as tasks,
            ):
                page = Page(socket)
                reading = tasks.create_task(page.read_messages())
                for domain in ("Page", "Network", "Runtime", "Log"):
                    await page.send(f"{domain}.enable")
                yield page
                reading.cancel()
    finally:
        _stop(browser)

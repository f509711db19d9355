"""A headless Chromium, driven by its own protocol over a websocket: no driver, no other package.

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

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def program() -> str:
    """Where the browser is. Without one a test fails: a page nobody looked at is not checked."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    assert found, "no Chromium here: these tests need Debian's package (apt-get install chromium); .ci/run installs it"
    return found


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._loaded = asyncio.Event()
        self._requests: dict[str, str] = {}
        #: What the page complained about: errors of its script, and what its policy refused.
        self.complaints: list[str] = []

    @property
    def requested(self) -> list[str]:
        """Every address asked for since `open`, without those that the page's own policy stopped before they left."""
        return list(self._requests.values())

    async def listen(self) -> None:
        """Read until the browser closes."""
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._waiting.pop(told["id"]).set_result(told)
            else:
                self._note(told["method"], told["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
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
        """One command of the protocol, and its result."""
        self._number += 1
        answer = self._waiting[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        told = await asyncio.wait_for(answer, 30)
        assert "error" not in told, f"{method}: {told['error']}"
        result: dict[str, Any] = told["result"]
        return result

    async def open(self, address: str) -> None:
        """Load *address* anew, to its end."""
        self._loaded.clear()
        self._requests.clear()
        self.complaints.clear()
        await self.send("Page.navigate", url=address)
        await asyncio.wait_for(self._loaded.wait(), 30)

    async def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for. The page's policy does not bind it."""
        told = await self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def press(self, key: str, *, text: str = "", code: int = 0) -> None:
        """A key, down and up, as a keyboard sends it."""
        about: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.send("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": text} if text else {}))
        await self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    async def write(self, text: str) -> None:
        """Text into whatever has the focus."""
        await self.send("Input.insertText", text=text)

    async def look(self, width: int, height: int, *, scheme: str = "light") -> None:
        """The window's size, and whether the reader likes it dark."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def picture(self, path: Path) -> bytes:
        """What is in the window, as PNG."""
        taken = base64.b64decode((await self.send("Page.captureScreenshot", format="png"))["data"])
        path.write_bytes(taken)
        return taken


def _arguments(profile: Path) -> list[str]:
    return [
        *("--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}", "--no-first-run"),
        *("--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-extensions"),
        *("--disable-component-update", "--mute-audio", "--hide-scrollbars", "--password-store=basic"),
        # Root has no sandbox to give away, and what runs here is our own page.
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        "about:blank",
    ]


async def _port(profile: Path, browser: subprocess.Popen[bytes]) -> int:
    """The port it chose; it writes it down once it listens."""
    note = profile / "DevToolsActivePort"
    for _ in range(600):
        with suppress(FileNotFoundError, IndexError, ValueError):
            return int(note.read_text().splitlines()[0])
        assert browser.poll() is None, f"Chromium ended with {browser.returncode} before it listened"
        await asyncio.sleep(0.05)
    raise AssertionError("Chromium did not listen within 30 s")


def _stop(browser: subprocess.Popen[bytes]) -> None:
    browser.terminate()
    try:
        browser.wait(10)
    except subprocess.TimeoutExpired:
        browser.kill()
        browser.wait(10)


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Page]:
    """A browser with one tab; its profile lies in *folder*."""
    profile = folder / "profile"
    arguments = [program(), *_arguments(profile)]
    browser = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        port = await _port(profile, browser)
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tab = next(tab for tab in await answer.json() if tab["type"] == "page")
            async with (
                http.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket,
                asyncio.TaskGroup() as tasks,
            ):
                page = Page(socket)
                listening = tasks.create_task(page.listen())
                for domain in ("Page", "Network", "Runtime", "Log"):
                    await page.send(f"{domain}.enable")
                yield page
                listening.cancel()
    finally:
        _stop(browser)

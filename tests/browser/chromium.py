"""Drives a real Chromium over the WebDriver protocol, with the standard library only."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def programs() -> tuple[str, str] | None:
    """Chromium and its driver, or None if they are not installed."""
    browser = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Chromium:
    """One browser window; use it as a context manager."""

    def __init__(self, profile: Path):
        found = programs()
        assert found, "chromium and chromedriver are not installed"
        self.browser, self.driver = found
        self.profile = profile

    def __enter__(self) -> "Chromium":
        self.process = subprocess.Popen(
            [self.driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        line = ""
        while "on port" not in line or not line.strip().endswith("."):
            line = self.process.stdout.readline()
            assert line, "chromedriver exited before it was listening"
        self.root = f"http://127.0.0.1:{line.strip().rstrip('.').rsplit(' ', 1)[1]}/session"
        options = {
            "binary": self.browser,
            "args": [*FLAGS, f"--user-data-dir={self.profile}"],
            "perfLoggingPrefs": {"enableNetwork": True},
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        deadline = time.monotonic() + 60
        found = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}}, deadline - time.monotonic())
        self.root += f"/{found['sessionId']}"
        return self

    def __exit__(self, *_: object) -> None:
        self._ask("DELETE", "")
        self.process.terminate()
        self.process.wait()

    def open(self, url: str, width: int = 1400, height: int = 900, dark: bool = False) -> None:
        """Load a page in a window of a given size and wait until it is loaded. Earlier logs are discarded."""
        self._ask("POST", "/url", {"url": "about:blank"})
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        # A click during a smooth scroll misses its target.
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme, still])
        self.requested()
        self.console()
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str) -> object:
        """The value that a script returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def click(self, selector: str) -> None:
        """Click on the element, as with a mouse."""
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        self._ask("POST", f"/element/{next(iter(found.values()))}/click", {})

    def press(self, key: str) -> None:
        """Press a key that is named as in the DevTools protocol, such as `ArrowDown`."""
        codes = {"ArrowDown": 40, "ArrowUp": 38, "Tab": 9}
        for kind in ("rawKeyDown", "keyUp"):
            self.devtools("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])

    def console(self) -> list[dict]:
        """Console messages of the page, and of the browser about the page."""
        return self._ask("POST", "/se/log", {"type": "browser"})

    def requested(self) -> list[str]:
        """Every address requested since the last call."""
        entries = [
            json.loads(item["message"])["message"] for item in self._ask("POST", "/se/log", {"type": "performance"})
        ]
        return [e["params"]["request"]["url"] for e in entries if e["method"] == "Network.requestWillBeSent"]

    def devtools(self, command: str, **parameters: object) -> dict:
        """Run a command of the DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def screenshot(self, path: Path) -> None:
        """Save the whole page as an image, including what is outside the window."""
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _ask(self, method: str, path: str, body: dict | None = None, timeout: float = 60) -> object:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.loads(answer.read())["value"]

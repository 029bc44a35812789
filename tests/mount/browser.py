"""A browser, Chromium, driven through chromedriver (W3C WebDriver: JSON over HTTP)."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

import pytest

from patience import HANG_SECONDS

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ARGUMENTS = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-dev-shm-usage",
             "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--force-device-scale-factor=1"]


class Browser:
    def __init__(self, port, arguments):
        self.base = f"http://127.0.0.1:{port}"
        options = {"args": ARGUMENTS + list(arguments)}
        made = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.base += "/session/" + made["sessionId"]

    def ask(self, method, path, body=None):
        request = urllib.request.Request(self.base + path, method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=HANG_SECONDS) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error

    def open(self, path):
        self.ask("POST", "/url", {"url": path.as_uri()})

    def run(self, script, *arguments):
        """The value of a script, which may be a promise."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def keys(self, text):
        actions = [{"type": kind, "value": letter} for letter in text for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def pointer(self, *actions, kind="mouse"):
        self.ask("POST", "/actions", {"actions": [
            {"type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": list(actions)}]})

    def log(self):
        return [entry["message"] for entry in self.ask("POST", "/se/log", {"type": "browser"})]

    def end(self):
        self.ask("DELETE", "")


def move(x, y, ms=0):
    return {"type": "pointerMove", "duration": ms, "x": round(x), "y": round(y)}


PRESS, LIFT = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}


@contextlib.contextmanager
def browser(*arguments):
    """One for a test, which is skipped where there is none."""
    driver = shutil.which("chromedriver")
    if driver is None or not (shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("there is no chromium with its chromedriver (Debian: chromium-driver)")
    with tempfile.TemporaryDirectory() as home, subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home}) as running:
        made = None
        try:
            port = None
            for line in running.stdout:
                found = re.search(rb"started successfully on port (\d+)", line)
                if found:
                    port = int(found[1])
                    break
            assert port is not None, "chromedriver does not start"
            made = Browser(port, arguments)
            yield made
        finally:
            if made is not None:
                made.end()
            running.terminate()

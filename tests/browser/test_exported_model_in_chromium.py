"""examples/browser in a browser: the exported demo answers as `Predictor` does; nothing is loaded from elsewhere."""

import shutil
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser.chromium import Chromium, programs
from PIL import Image

from expclip_cache.demo.drawing.sets import draw_items
from expclip_cache.demo.settings import DemoSetSettings
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.export.run import export_classifier
from expclip_cache.prediction.predictor import Predictor

PAGE = Path(__file__).parents[2] / "examples/browser"
RUNTIME = "node_modules/onnxruntime-web/dist"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(programs() is None, reason="needs chromium and chromedriver (Debian: chromium chromium-driver)"),
    pytest.mark.skipif(not (PAGE / RUNTIME).exists(), reason="needs onnxruntime-web, see examples/browser/README.md"),
]

CHOOSE = """
const chosen = new DataTransfer(), input = document.querySelector("input");
const loaded = fetch("face.png").then(answer => answer.blob());
loaded.then(blob => {
  chosen.items.add(new File([blob], "face.png", { type: "image/png" }));
  input.files = chosen.files;
  input.dispatchEvent(new Event("change"));
});
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def wait_for(browser: Chromium, text: str) -> None:
    deadline = time.monotonic() + 120
    while (status := browser.run("return document.querySelector('[role=status]').textContent")) != text:
        assert not status.startswith("Not ready"), browser.console()
        assert time.monotonic() < deadline, status
        time.sleep(0.1)


def test_the_page_answers_as_predictor_does(tmp_path):
    folder = tmp_path / "browser"
    shutil.copytree(PAGE, folder, ignore=lambda *_: ["node_modules", "model.onnx"])
    (folder / RUNTIME).parent.mkdir(parents=True)
    (folder / RUNTIME).symlink_to(PAGE / RUNTIME)
    export_classifier(folder / "model.onnx", ClipSettings())
    drawn = draw_items(DemoSetSettings(count=2, seed=2, style="occluded"), [1])[0, 0]
    Image.fromarray(drawn).save(folder / "face.png")
    expected = dict(Predictor(crop=False)(folder / "face.png").answers[0].expclip)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}/"
    try:
        with Chromium(tmp_path / "profile") as browser:
            browser.open(here, width=400)
            wait_for(browser, "Ready, for drawn faces only")
            browser.run(CHOOSE)
            wait_for(browser, "face.png")
            lines = browser.run("return [...document.querySelectorAll('label')].map(item => item.textContent)")
            assert [entry for entry in browser.console() if "favicon" not in entry["message"]] == []
            assert all(address.startswith((here, "data:", "blob:")) for address in browser.requested())
    finally:
        server.shutdown()
        server.server_close()
    found = {line.split()[0]: float(line.split()[1]) for line in lines}
    assert found == pytest.approx(expected, abs=0.06)
    assert 50 < max(found.values()) < 95

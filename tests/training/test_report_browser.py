"""The report in a real browser: drawn under its own policy, silent, and no wider than a phone."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from training.made_result import bare, hostile, made

from glulam.training.report import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHARTS = {"binary": 11, "multiclass": 9, "regression": 6}
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


class Recorder(BaseHTTPRequestHandler):
    """A proxy that lets nothing through and remembers who asked for what."""

    asked: list[str]

    def answer(self) -> None:
        """Remember, and refuse."""
        self.asked.append(self.path)
        self.send_error(403)

    do_GET = do_POST = do_HEAD = do_CONNECT = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


OWN = re.compile(r"^(http://)?[\w.-]+\.(google|googleapis|gvt1|gstatic)\.com[:/]")
"""What Chromium asks for by itself, whatever page is open. A page that asked there would be heard in the console."""


def browse(path: Path, folder: Path, *, width: int = 1280) -> tuple[str, list[str], list[str]]:
    """Return the page as Chromium leaves it, what its console said, and what it asked the network for."""
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Asked", (Recorder,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        run = subprocess.run(
            [
                CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                f"--user-data-dir={folder / 'profile'}", f"--proxy-server=http://127.0.0.1:{server.server_port}",
                "--proxy-bypass-list=<-loopback>", "--enable-logging=stderr", "--virtual-time-budget=6000", "--hide-scrollbars",
                f"--window-size={width},1200", "--dump-dom", path.as_uri(),
            ],
            check=False, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    return run.stdout, console, [address for address in asked if not OWN.search(address)]


@in_chromium
@pytest.mark.parametrize(("task", "change"), [("binary", hostile), ("multiclass", None), ("regression", None)])
def test_chromium_draws_every_chart_and_calls_nobody(task: str, change, tmp_path: Path) -> None:
    """Every chart is drawn under the page's own policy; the console is silent, and so is the network."""
    result = made(task) if change is None else change(made(task))
    write_report(result, tmp_path / "report.html")
    dom, console, asked = browse(tmp_path / "report.html", tmp_path)
    assert console == []
    assert asked == []
    assert dom.count('class="plot js-plotly-plot"') == CHARTS[task]
    assert dom.count('<g class="subplot xy"') == CHARTS[task]


@in_chromium
def test_the_page_fits_a_phone(tmp_path: Path) -> None:
    """At 390 pixels nothing is wider than the screen: neither the page nor any chart."""
    for name, result in (("plain", made()), ("hostile", hostile(made()))):
        write_report(result, tmp_path / "report.html")
        measure = (
            "<script>addEventListener('load', () => setTimeout(() => parent.postMessage([innerWidth, "
            "document.documentElement.scrollWidth, Math.max(...[...document.querySelectorAll('.plot svg')]"
            ".map((each) => each.getBoundingClientRect().right))], '*'), 500))</script>"
        )
        report = tmp_path / "report.html"
        report.write_text(report.read_text(encoding="utf-8").replace("</body>", f"{measure}</body>"), encoding="utf-8")
        frame = tmp_path / f"{name}.html"
        frame.write_text(
            '<iframe src="report.html" width="390" height="900" style="border: 0"></iframe><p id="found"></p><script>'
            "addEventListener('message', (e) => { document.getElementById('found').textContent = e.data.join() })</script>"
        )
        dom, _, _ = browse(frame, tmp_path)
        inner, whole, right = map(float, re.search(r'<p id="found">([\d.,]+)</p>', dom)[1].split(","))
        assert (inner, whole) == (390, 390), name
        assert 200 < right <= 390, name


@in_chromium
def test_the_recorder_would_notice(tmp_path: Path) -> None:
    """A page that calls out and fails is noticed; a report could not call out, even with a picture from elsewhere."""
    picture = '<img src="http://example.invalid/pixel.png">'
    page = tmp_path / "page.html"
    page.write_text(f"{picture}<script>throw new Error('broken')</script>")
    _, console, asked = browse(page, tmp_path)
    assert any("broken" in line for line in console)
    assert "http://example.invalid/pixel.png" in asked
    write_report(bare(made()), page)
    page.write_text(page.read_text(encoding="utf-8").replace("<main>", f"<main>{picture}"), encoding="utf-8")
    _, console, asked = browse(page, tmp_path)
    assert any("violates the following Content Security Policy directive" in line for line in console)
    assert asked == []

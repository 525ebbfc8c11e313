"""The report in a real browser: wide screens and phones need no sideways scrolling, and nothing else is asked for."""

from __future__ import annotations

import html
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.site import Site

pytestmark = pytest.mark.lifecycle

WIDTHS = (1280, 390)
SECONDS = 90
BAD = "<!doctype html><div style='width: 3000px'>x</div><img src='/elsewhere.png'><img src='http://example.invalid/x'>"
"""A page with both faults, so that a measure which finds none cannot pass."""

WRAPPER = """<!doctype html>
{frames}
<pre id="told"></pre>
<script>
onload = () => {{
  told.textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(frame => ({{
    width: frame.contentDocument.documentElement.clientWidth,
    needs: frame.contentDocument.documentElement.scrollWidth,
    cut: [...frame.contentDocument.querySelectorAll("h1, p, li, .why")].filter(
      one => one.scrollWidth > one.clientWidth).map(one => one.innerText),
    asked: frame.contentWindow.performance.getEntriesByType("resource").map(entry => entry.name),
    text: frame.contentDocument.body.innerText,
  }})))
}}
</script>"""


def chromium() -> str:
    """Its path; skips where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if binary := shutil.which(name):
            return binary
    pytest.skip("NOT TRIED in a browser: there is no chromium, chromium-browser or google-chrome on PATH")


@contextmanager
def serving(pages: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """The pages by their paths, on loopback: the address, and every path that was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path in pages else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(pages.get(self.path, "").encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def document(browser: str, address: str, profile: Path) -> str:
    """What the browser makes of a page: its DOM once all of it is loaded. It knows no host but this one."""
    words = (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad"),
        *("--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
        *(f"--user-data-dir={profile}", "--window-size=1400,1000", "--dump-dom", address),
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(profile), "LANG": "C.UTF-8"}
    running = subprocess.Popen(
        [browser, *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, trouble = running.communicate(timeout=SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    assert running.returncode == 0, trouble[-2000:]
    return output


def night(site: Site, wait_until: Callable[..., None]) -> str:
    """The page of a home in which one job is done, one has failed and one waits for a person; long words everywhere."""
    long, path = "name" * 40, "/very/long/path" * 30
    site.drop(f"{long}good", "hi", agent="echo")
    site.drop(f"{long}bad", "hi", agent="echo", output={"check": f"echo {'x' * 900}; false"}, repairs=0)
    site.drop(f"{long}asks", f"@ask Bash: cat {path}", agent="echo", permissions="ask")
    site.work("--jobs", "3")
    wait_until(lambda: sorted(site.states().values()) == ["done", "failed", "running"])
    wait_until(lambda: any(job["attention"] for job in site.queue.list()))
    site.muxq("hold", path)
    done = site.muxq("report", "--format", "html")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_fits_a_screen_and_a_phone_and_asks_for_nothing(
    site: Site, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    browser = chromium()
    names = ["/report.html"] * len(WIDTHS) + ["/bad.html"]
    frames = "".join(
        f'<iframe src="{name}" style="border: 0; width: {width}px; height: 800px"></iframe>'
        for name, width in zip(names, [*WIDTHS, 390], strict=True)
    )
    pages = {"/": WRAPPER.format(frames=frames), "/report.html": night(site, wait_until), "/bad.html": BAD}
    with serving(pages) as (address, asked):
        dom = document(browser, address, tmp_path / "profile")
    match = re.search(r'<pre id="told">(.+?)</pre>', dom, re.DOTALL)
    assert match, dom
    *good, bad = json.loads(html.unescape(match[1]))
    assert bad["needs"] > bad["width"]
    assert sorted(bad["asked"]) == [f"{address}/elsewhere.png", "http://example.invalid/x"]
    measured = [
        (view["needs"] <= view["width"] <= width, view["cut"], view["asked"])
        for view, width in zip(good, WIDTHS, strict=True)
    ]
    assert measured == [(True, [], [])] * len(WIDTHS)
    for words in ("Waits for you", "Failed", "Done", "On hold", "The night", "x" * 300):
        assert all(words in view["text"] for view in good), words
    assert set(asked) <= {*pages, "/elsewhere.png", "/favicon.ico"}

"""A batch that is interrupted while it is added."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.site import MUXQ, Site

pytestmark = pytest.mark.lifecycle
ROWS = 5000


def test_an_interrupt_adds_all_or_nothing_and_says_so(site: Site, wait_until: Callable[..., None]) -> None:
    (site.folder / "rows.txt").write_text("".join(f"row {number}\n" for number in range(ROWS)))
    words = ["batch", str(site.folder / "rows.txt"), "--prompt", "{{ row.line }}", "-a", "echo"]
    adding = site.home.batches / "adding"
    command = subprocess.Popen([*MUXQ, *words], env=site.env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: list(adding.glob("*/*.json")))
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=60)
    finally:
        command.kill()
        command.wait()
    result = (command.returncode, len(os.listdir(site.home.queue)), out.count("\n"), err)
    nothing = (130, 0, 0, "muxq: interrupted; nothing was added\n")
    assert result in (nothing, (0, ROWS, 1, f"{ROWS} jobs in batch rows\n"))
    if result == nothing:
        assert os.listdir(site.home.batches) == ["adding"]
        assert os.listdir(adding) == []

"""The user's crontab: our lines come and go, and every other byte stays."""

from __future__ import annotations

import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.errors import BadInput, Unready
from runner.schedules import cron, crontab

OTHERS = [
    "",
    "\n",
    "# mine\n0 5 * * * backup\n",
    "0 5 * * * no line end",
    "MAILTO=ada\n\n\n@reboot x\n# muxq is good\n",
    "0 5 * * * odd \udcff byte\r\n# \x0c form feed\u2028\n",
    "# muxq other begin /home/q\n1 1 * * * x\n# muxq other end /home/q\n",
    "# muxq nightly begin /other/home\n1 1 * * * x\n# muxq nightly end /other/home\n",
]


@pytest.mark.parametrize("others", OTHERS)
def test_what_is_put_in_and_taken_out_again_leaves_every_other_byte(others: str) -> None:
    edited = crontab.insert(others, "nightly", "/home/q", ["0 1 * * * muxq"])
    assert crontab.holds(edited, "nightly", "/home/q")
    assert edited.startswith(others)
    assert crontab.without(edited, "nightly", "/home/q") in (others, f"{others}\n")


def test_a_block_is_replaced_where_it_stands() -> None:
    edited = crontab.insert("before\n", "nightly", "/q", ["old", "older"]) + "after\n"
    edited = crontab.insert(edited, "nightly", "/q", ["new"])
    assert edited == "before\n# muxq nightly begin /q\nnew\n# muxq nightly end /q\nafter\n"
    assert crontab.without(edited, "nightly", "/q") == "before\nafter\n"


def test_nothing_changes_where_there_is_no_such_block() -> None:
    for others in OTHERS:
        assert (crontab.without(others, "nightly", "/q"), crontab.holds(others, "nightly", "/q")) == (others, False)


@pytest.mark.parametrize(
    "broken",
    [
        "# muxq nightly begin /q\nx\n",
        "x\n# muxq nightly end /q\n",
        "# muxq nightly end /q\nx\n# muxq nightly begin /q\n",
        2 * "# muxq nightly begin /q\nx\n# muxq nightly end /q\n",
    ],
)
def test_marks_that_do_not_fit_are_left_to_a_person(broken: str) -> None:
    for act in (
        lambda: crontab.insert(broken, "nightly", "/q", ["x"]),
        lambda: crontab.without(broken, "nightly", "/q"),
    ):
        with pytest.raises(BadInput, match="crontab -e"):
            act()


def test_a_line_reaches_the_program_word_for_word(tmp_path: Path) -> None:
    """As cron does it: a bare % ends the command, \\% is a %, and sh does the rest."""
    words = ["printf", "%s\\n", "100%", "a b", "it's", 'say "x"', "$HOME", "ü☃"]
    (line,) = crontab.lines("0 1 * * *", words, tz=None, due=False, once=False)
    command = line.removeprefix("0 1 * * * ").replace(r"\%", "\0").partition("%")[0].replace("\0", "%")
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, env={})
    assert result.stdout.splitlines() == words[2:]


def test_a_line_break_in_a_path_is_refused() -> None:
    with pytest.raises(BadInput, match="line break"):
        crontab.lines("0 1 * * *", ["/home/a\n* * * * * evil"], tz=None, due=False, once=False)


def test_what_was_missed_is_looked_for_when_the_machine_starts() -> None:
    result = crontab.lines("0 1 * * *", ["muxq", "run"], tz=None, due=False, once=True)
    assert result == ["0 1 * * * muxq run", "@reboot muxq run --due"]


def test_with_a_zone_cron_wakes_at_every_quarter_that_it_could_be() -> None:
    result = crontab.lines("20 7 * * mon", ["muxq"], tz="Asia/Kathmandu", due=False, once=False)
    assert result == ["5,20,35,50 * * * * muxq --due"]
    assert cron.quarters("*/5 1 * * *") == f"{','.join(map(str, range(0, 60, 5)))} * * * *"
    assert cron.quarters("* 1 * * *") == "* * * * *"


@pytest.mark.parametrize("name", ["Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Chatham"])
def test_a_time_of_any_zone_is_one_at_which_cron_wakes(name: str) -> None:
    start = 1795262400.0
    for _ in range(50):
        start = cron.following("17 7 * * *", cron.zone(name), start)
        assert int(start) // 60 % 60 in cron.fields(cron.quarters("17 7 * * *")).minutes


# --- the door, to a crontab command of the test's own


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A crontab command that keeps its table in a file; returns that file."""
    table, folder = tmp_path / "table", tmp_path / "bin"
    folder.mkdir()
    script = f"""#!/bin/sh
t={shlex.quote(str(table))}
case "$1" in
-l) test -e "$t" || {{ echo "no crontab for ada" >&2; exit 1; }}; cat "$t" ;;
-r) rm "$t" ;;
-) cat >"$t.new"; grep -q evil "$t.new" && {{ echo '"-":1: bad minute' >&2; exit 1; }}; mv "$t.new" "$t" ;;
esac
"""
    (folder / "crontab").write_text(script)
    (folder / "crontab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return table


def test_a_user_without_a_crontab_has_an_empty_one(fake: Path) -> None:
    assert crontab.load() == ""


def test_what_is_saved_is_there_byte_for_byte_and_gone_when_empty(fake: Path) -> None:
    fake.write_bytes(b"# \xff\r\n0 5 * * * x\n")
    before = crontab.load()
    crontab.save(crontab.insert(before, "n", "/q", ["0 1 * * * y"]))
    crontab.save(crontab.without(crontab.load(), "n", "/q"))
    assert fake.read_bytes() == b"# \xff\r\n0 5 * * * x\n"
    crontab.save("")
    assert not fake.exists()


def test_what_cron_refuses_is_told_and_nothing_changes(fake: Path) -> None:
    fake.write_text("0 5 * * * x\n")
    with pytest.raises(Unready, match="bad minute"):
        crontab.save("evil\n")
    assert fake.read_text() == "0 5 * * * x\n"


def test_a_crontab_that_cannot_be_read_is_never_taken_for_an_empty_one(fake: Path) -> None:
    Path(fake.parent / "bin" / "crontab").write_text("#!/bin/sh\necho 'you are not allowed to use this' >&2; exit 1\n")
    with pytest.raises(Unready, match="not allowed"):
        crontab.load()


@pytest.mark.parametrize(
    "result", ["can't open your crontab: Permission denied", "crontab: can't open 'ada': I/O error"]
)
def test_a_crontab_that_may_not_be_opened_is_not_an_empty_one(fake: Path, result: str) -> None:
    Path(fake.parent / "bin" / "crontab").write_text(f'#!/bin/sh\necho "{result}" >&2; exit 1\n')
    with pytest.raises(Unready, match="cannot be read"):
        crontab.load()


def test_busyboxs_word_for_none_yet_is_known(fake: Path) -> None:
    Path(fake.parent / "bin" / "crontab").write_text(
        "#!/bin/sh\necho \"crontab: can't open 'ada': No such file or directory\" >&2; exit 1\n"
    )
    assert crontab.load() == ""


@pytest.mark.parametrize("word", ["/a\\%b", "/a\\\\b"])
def test_what_one_cron_reads_so_and_another_otherwise_is_refused(word: str) -> None:
    with pytest.raises(BadInput, match="backslash"):
        crontab.lines("0 1 * * *", [word], tz=None, due=False, once=False)


def test_many_changes_at_once_are_all_there(fake: Path) -> None:
    fake.write_text("# mine\n")
    script = fake.parent / "bin" / "crontab"
    script.write_text(script.read_text().replace('cat "$t"', 'cat "$t"; sleep 0.05').replace("$t.new", "$t.$$"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: crontab.change(lambda text: crontab.insert(text, name, "/q", ["x"])), "abcdefgh"))
    assert [name for name in "abcdefgh" if not crontab.holds(crontab.load(), name, "/q")] == []
    assert fake.read_text().startswith("# mine\n")

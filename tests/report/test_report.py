"""The report of a finished study, opened in a browser as a reader would who has nothing else.

``SSCDL_REPORT`` names the report, otherwise it is the demo's; ``SSCDL_SCREENSHOTS`` a folder for
pictures of what was seen. The whole takes a minute or less.
"""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

selenium = pytest.importorskip("selenium", reason="no selenium: make test-report installs it")
from tests.report.reader import Reader, Result, start_browser  # noqa: E402  needs selenium

REPORT = Path(os.environ.get("SSCDL_REPORT", ROOT / "results/demo/report.zip"))
SCREENSHOTS = os.environ.get("SSCDL_SCREENSHOTS")
DRIVER, CHROMIUM = shutil.which("chromedriver"), shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(
        not (DRIVER and CHROMIUM), reason="no chromium: tests/report/setup.sh installs one, as root"
    ),
    pytest.mark.skipif(not REPORT.is_file(), reason=f"{REPORT} is not there: make demo makes one"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """Return the report's page in a folder that holds nothing else."""
    return unpacked(tmp_path_factory.mktemp("reader"))


def unpacked(folder: Path) -> Path:
    with zipfile.ZipFile(REPORT) as archive:
        archive.extractall(folder)
    return next(folder.glob("*/report.html"))


@pytest.fixture(scope="module")
def browser() -> Iterator:
    found = start_browser(DRIVER, CHROMIUM)
    yield found
    found.quit()


@pytest.fixture
def reader(browser, page) -> Reader:
    """Return a reader who has just opened the report."""
    browser.get_log("browser"), browser.get_log("performance")  # those of the test before
    return Reader(browser, page)


@pytest.fixture(scope="module")
def study() -> Path | None:
    """Return the folder above ``results/``, where the report still lies in its study."""
    folder = REPORT.resolve().parents[2]
    return folder if REPORT.resolve().parents[1] == folder / "results" else None


def faults(reader: Reader, result: Result, study: Path | None = None) -> list[str]:
    """Return what is wrong with the result that is shown."""
    if result.kind == "text/html":
        return reader.page_faults(result, study=study)
    if result.kind.startswith("image/"):
        return reader.figure_faults(result)
    return [f"{result.path}: a {result.kind} is saved, not shown"]


def screenshot(reader: Reader, name: str) -> None:
    if SCREENSHOTS:
        Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
        reader.browser.save_screenshot(str(Path(SCREENSHOTS) / f"{name}.png"))


def test_the_first_page_tells_what_was_run(reader):
    text = reader.first_page()
    screenshot(reader, "first page")
    for word in ("What was run", "What came out", "Protocol", "Curricula", "Seeds", "patients"):
        assert word in text
    reader.browser.find_element("partial link text", "Open the summary").click()
    summary = next(result for result in reader.results() if "summary" in result.path)
    assert not faults(reader, summary)
    screenshot(reader, "summary")
    assert not reader.complaints()


def test_every_result_shows_and_every_table_sorts(reader, study):
    results = reader.results()
    headings = list(dict.fromkeys(result.heading for result in results))
    assert headings[0].endswith("Summary")
    assert len(headings) > 3
    found = []
    for heading in headings:
        here = [result for result in results if result.heading == heading]
        titles = reader.click_heading(heading)
        assert titles == [result.title for result in here]
        for result in here:
            reader.open(result.title)
            found += faults(reader, result, study)
            if not result.caption:
                found.append(f"{result.path}: no caption")
            screenshot(reader, f"{heading[0]} {Path(result.path).stem}")
    assert not found
    assert len({result.title for result in results}) == len(results)
    assert not reader.complaints()


def test_mouse_and_keyboard_sort(reader):
    result = next(r for r in reader.results() if "dataset" in r.path and r.kind == "text/html")
    reader.click_heading(result.heading)
    reader.open(result.title)
    (first, up), (second, down) = reader.sort_by_hand(result)
    assert (first, second) == ("ascending", "descending")
    assert up == sorted(up)
    assert down == up[::-1]


def test_the_other_pages_of_the_report_show(reader):
    for name, selector in (
        ("Workflow", "#app canvas, #app svg"),
        ("Statistics", "#runtimes svg, #runtimes canvas"),
    ):
        reader.show(name, selector)
        screenshot(reader, name)
    assert not reader.complaints()


def test_the_summary_leads_to_the_same_numbers_as_the_tables(reader):
    results = {Path(result.path).stem: result for result in reader.results()}
    shown = {}
    for name, number in (("summary", 1), ("4.14_accuracy_overview", 0)):
        reader.click_heading(results[name].heading)
        reader.open(results[name].title)
        shown[name] = reader.column(results[name], number, "full")
    assert shown["summary"]
    assert shown["summary"] == shown["4.14_accuracy_overview"]


def test_no_place_or_person_of_this_machine_is_named(page):
    places = [str(ROOT), str(Path.home()), str(Path.cwd()), str(page.parent)]
    for path in page.parent.rglob("*"):
        if path.suffix == ".html":
            text = path.read_text(encoding="utf-8")
            named = [place for place in places if re.search(re.escape(place) + r"(?![\w-])", text)]
            assert not named, path.name


@pytest.mark.parametrize("damage", ["no figure", "fewer rows", "no page"])
def test_damage_is_noticed(browser, tmp_path, damage):
    page = unpacked(tmp_path)
    reader = Reader(browser, page)
    kind = "image/png" if damage == "no figure" else "text/html"
    wanted = "dataset"
    result = next(r for r in reader.results() if wanted in r.path and r.kind == kind)
    file = next(page.parent.rglob(Path(result.path).name))
    if damage == "fewer rows":
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(r"<tr><th scope=.*?</tr>\n", "", text, count=1), encoding="utf-8")
    else:
        file.unlink()
    reader = Reader(browser, page)
    reader.click_heading(result.heading)
    reader.open(result.title)
    assert faults(reader, result)

"""A reader of a report, in a browser without a screen: clicks where a person would, and looks."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 60  # for anything to appear, on a busy machine
LOCAL = ("file:", "data:", "blob:", "about:", "chrome-error:")
# Cells of a column as they are sorted, in the order in which they stand.
_COLUMN = """
const section = document.querySelectorAll("section.table")[arguments[0]];
const rows = Array.from(section.querySelectorAll("tbody tr"));
return rows.map((row) => row.cells[arguments[1]].dataset.value);
"""
# The cells of each column as they come, and after one, two and three clicks on its header.
_CLICKED = """
const section = document.querySelectorAll("section.table")[arguments[0]];
return Array.from(section.querySelectorAll("thead button"), (button, column) => {
  const read = () => Array.from(
    section.querySelectorAll("tbody tr"), (row) => row.cells[column].dataset.value);
  const orders = [read()];
  for (let click = 0; click < 3; click++) {
    button.click();
    orders.push(read());
  }
  return orders;
});
"""
_TITLES = """
return Array.from(document.querySelectorAll("nav table tbody tr"), (row) => row.cells[0].innerText);
"""
_LOOK = """
const section = document.querySelectorAll("section.table")[arguments[0]];
const headers = Array.from(section.querySelectorAll("thead th"));
const rows = Array.from(section.querySelectorAll("tbody tr"));
const link = section.querySelector("a[download]");
return {
  columns: headers.map((header) => header.dataset.column),
  unexplained: headers.map((header) => header.dataset.column).filter(
    (name, place) => headers[place].querySelector("button").title === name
  ),
  numeric: headers.map((header) => header.classList.contains("number")),
  rows: rows.length,
  visible: rows.filter((row) => row.offsetHeight > 0).length,
  ragged: rows.some((row) => row.cells.length !== headers.length),
  undefined: rows.some((row) => Array.from(row.cells).some((cell) => !("value" in cell.dataset))),
  width: section.querySelector("table").offsetWidth,
  csv: link ? decodeURIComponent(link.href.slice(link.href.indexOf(",") + 1)) : "",
};
"""


@dataclass(frozen=True)
class Result:
    """One entry of the report's lists: its path in the study, heading, title and kind."""

    path: str
    heading: str
    title: str
    kind: str
    caption: str


def start_browser(driver: str, binary: str) -> webdriver.Chrome:
    """Return a browser without a screen that finds no other machine and records its requests."""
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
        *("--window-size=1500,1000", "--host-resolver-rules=MAP * ~NOTFOUND"),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    browser.command_executor.client_config.timeout = 5 * SECONDS
    return browser


class Reader:
    """The report's page, as a person uses it."""

    def __init__(self, browser: webdriver.Chrome, page: Path) -> None:
        """Open the report ``page``."""
        self.browser = browser
        self.browser.get(page.as_uri())
        self._wait_for("#app nav")

    def _wait_for(self, selector: str, how: str = By.CSS_SELECTOR) -> WebElement:
        return WebDriverWait(self.browser, SECONDS).until(
            lambda browser: browser.find_element(how, selector), f"not shown: {selector}"
        )

    def _run(self, script: str, *arguments: object) -> object:
        return self.browser.execute_script(script, *arguments)

    def results(self) -> list[Result]:
        """Return all results that the report holds, in the order of its lists."""
        categories = self._run("return categories")
        told = self._run("return results")
        found = [
            Result(
                path=path,
                heading=heading,
                title=next(iter((told[path]["labels"] or {}).values()), ""),
                kind=told[path]["mime_type"],
                caption=re.sub(r"<[^>]+>", "", told[path]["caption"] or "").strip(),
            )
            for heading, groups in categories.items()
            for paths in groups.values()
            for path in paths
        ]
        # A figure space sorts as any other space in a browser.
        return sorted(found, key=lambda r: (r.heading, r.title.replace("\u2007", " ")))

    def first_page(self) -> str:
        """Return the text that the report opens with."""
        return self._wait_for(".prose").text

    def click_heading(self, heading: str) -> list[str]:
        """Go to a heading from the start, return the titles that are listed there."""
        self._run("app.setView({navbarMode: 'menu'})")
        self._click_entry(heading)
        return WebDriverWait(self.browser, SECONDS).until(lambda _: self._run(_TITLES))

    def _click_entry(self, text: str) -> None:
        self._wait_for(f"//nav//li/a[normalize-space(.)='{text}']", By.XPATH).click()

    def open(self, title: str) -> None:
        """Click on the eye beside a title of the list that is shown."""
        row = self._run(_TITLES).index(title) + 1
        eye = f"nav table tbody tr:nth-child({row}) td:last-child a"
        self.browser.find_element(By.CSS_SELECTOR, eye).click()

    def show(self, entry: str, selector: str) -> None:
        """Click on an entry of the menu and wait for what it shows."""
        self._run("app.setView({navbarMode: 'menu'})")
        self._click_entry(entry)
        self._wait_for(selector)

    def column(self, result: Result, table: int, name: str) -> list[str]:
        """Return the exact values of a column in one of the tables of the page that is shown."""
        with self.in_page(result):
            columns = self._run(_LOOK, table)["columns"]
            return self._run(_COLUMN, table, columns.index(name))

    def figure_faults(self, result: Result) -> list[str]:
        """Return what is wrong with the picture that is shown."""
        name = result.path.rsplit("/", 1)[-1]
        script = """
            const image = Array.from(document.querySelectorAll("#app img"))
              .find((image) => decodeURI(image.src).endsWith("/" + arguments[0]));
            return image && image.complete
              ? [image.naturalWidth, image.naturalHeight, image.offsetWidth] : null;
        """
        shown = WebDriverWait(self.browser, SECONDS).until(
            lambda _: self._run(script, name), f"{name}: not shown"
        )
        return [] if min(shown) > 0 else [f"{result.path}: the picture is empty or missing"]

    @contextmanager
    def in_page(self, result: Result) -> Iterator[None]:
        """Look into the page of a result while it is shown."""
        name = result.path.rsplit("/", 1)[-1]
        WebDriverWait(self.browser, SECONDS).until(
            lambda _: self._run(
                "const frame = document.querySelector('iframe');"
                "return frame && decodeURI(frame.src).endsWith('/' + arguments[0])",
                name,
            ),
            f"{name}: not shown",
        )
        self.browser.switch_to.frame(self.browser.find_element(By.CSS_SELECTOR, "iframe"))
        try:
            self._wait_for("body > *")
            yield
        finally:
            self.browser.switch_to.default_content()

    def page_faults(self, result: Result, *, study: Path | None = None) -> list[str]:
        """Return what is wrong with the tables and pictures of the page that is shown.

        ``study`` is the folder above ``results/``; where it has the table's CSV, that must be the
        one in the page.
        """
        faults: list[str] = []
        with self.in_page(result):
            heading = self._run("return document.querySelector('h1')?.innerText ?? ''")
            if not heading.startswith(result.title):
                return [f"{result.path}: the page does not say {result.title!r}"]
            broken = self._run(
                "return Array.from(document.images).filter((i) => !i.naturalWidth).length"
            )
            if broken:
                faults.append(f"{result.path}: {broken} pictures are broken")
            tables = self._run("return document.querySelectorAll('section.table').length")
            if not tables:
                faults.append(f"{result.path}: there is no table")
            for number in range(tables):
                faults += [f"{result.path}: {fault}" for fault in self._table_faults(number)]
            own = study / Path(result.path).with_suffix(".csv") if study else None
            if own and own.is_file() and self._run(_LOOK, 0)["csv"] != own.read_text("utf-8"):
                faults.append(f"{result.path}: its CSV is not that of the study")
        return faults

    def _table_faults(self, number: int) -> list[str]:
        look = self._run(_LOOK, number)
        faults = [f"a table is {key}" for key in ("ragged", "undefined") if look[key]]
        faults += [f"column {name} has no explanation" for name in look["unexplained"]]
        if look["csv"]:
            rows = list(csv.reader(io.StringIO(look["csv"])))[1:]
            if len(rows) != look["rows"]:
                faults.append(f"{look['rows']} rows instead of the {len(rows)} of the CSV")
        if look["visible"] != look["rows"] or look["width"] == 0:
            faults.append("rows are not visible")
        if not faults:
            clicked = self._run(_CLICKED, number)
            for name, numeric, orders in zip(
                look["columns"], look["numeric"], clicked, strict=True
            ):
                faults += sorting_faults(name, numeric, orders)
        return faults

    def sort_by_hand(self, result: Result) -> list[tuple[str, list[str]]]:
        """Sort the first table of the page that is shown by mouse and by keyboard.

        Returns what its first column's header says of the order, and its cells, after each.
        """
        with self.in_page(result):
            button = self.browser.find_element(By.CSS_SELECTOR, "thead button")
            found = []
            for act in (button.click, lambda: button.send_keys(Keys.ENTER)):
                act()
                state = self._run("return document.querySelector('thead th').ariaSort")
                found.append((state, self._run(_COLUMN, 0, 0)))
        return found

    def complaints(self) -> list[str]:
        """Return errors of the browser's console, and what was asked for outside of the report."""
        faults = [
            entry["message"]
            for entry in self.browser.get_log("browser")
            if entry["level"] in ("SEVERE", "ERROR")
        ]
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(LOCAL):
                    faults.append(f"asks for {url}")
        return faults


def sorting_faults(name: str, numeric: bool, orders: list[list[str]]) -> list[str]:
    """Return what is wrong with a column's ``orders``: as it came, then after each of 3 clicks."""
    before, *clicked = orders
    key = float if numeric else natural_key
    given = sorted(filter(None, before), key=key)
    empty = [""] * (len(before) - len(given))
    faults = []
    for order, got, wanted in zip(
        ("ascending", "descending"), clicked, (given, given[::-1]), strict=False
    ):
        kept = got[: len(wanted)]
        if [*map(key, filter(None, kept))] != [*map(key, wanted)] or got[len(wanted) :] != empty:
            faults.append(f"column {name} is not in {order} order: {got[:6]}")
    if clicked[-1] != before:
        faults.append(f"column {name} does not return to the order in which it came")
    return faults


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Return what texts are sorted by: signs, then numbers by value, then letters of any case."""
    return [
        (1, int(piece), "") if piece.isdecimal() else (2 if piece.isalpha() else 0, 0, piece)
        for piece in re.findall(r"\d+|\D", text.casefold())
    ]

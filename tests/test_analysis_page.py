import base64
import hashlib
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import chromium
import numpy as np
import pandas as pd
import pytest
from analysis_sweep import Sweep, publish, read_lines, write_lines

from analysis import figures, page, run_tables, tables
from analysis.cells import cells, comparisons
from analysis.grid import Grid
from analysis.load import Results, load
from analysis.page_charts import HEIGHT, charts
from analysis.page_sources import read_sources
from analysis.page_tables import sort_number, table_view

EVIL = "<script>window.pwned = 1</script>"
IMAGE = '"><img src=x onerror="window.pwned = 1">'
ARMS = ("grpo", "paw", f"paw {EVIL}")
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Elements(HTMLParser):
    """Every element with its attributes, the text inside of script, style and title, and every text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {}
        self.words: list[str] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._open = tag
        self.inside.setdefault(tag, [])

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._open in {"script", "style", "title"} and data.strip():
            self.inside[self._open].append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Hostile in every place that takes text."""
    made = Sweep(tmp_path_factory.mktemp("page") / "sweep", arms=ARMS, seeds=(0, 1, 2), updates=4, games=12)
    made.finish(skip=[(ARMS[2], 2)]).failed(ARMS[2], 2, f"{EVIL} {IMAGE}")
    folder = made.folder("paw", 0)
    records = read_lines(folder / "episodes.jsonl")
    for record in records:
        record["task_id"] = f"{IMAGE}/{record['task_id']}"
    write_lines(folder / "episodes.jsonl", records)
    publish(folder, 4)
    provenance = made.folder("paw", 1) / "attempts" / "1" / "provenance.json"
    provenance.write_text(json.dumps({"schema_version": 1, "git": None, "packages": {"torch": IMAGE}}))
    document = json.loads((made.path / "sweep.json").read_text())
    document["text"] = f"arms: {EVIL}</script></pre>{IMAGE}\n"
    (made.path / "sweep.json").write_text(json.dumps(document))
    return made


@pytest.fixture(scope="module")
def results(sweep: Sweep) -> Results:
    return load(sweep.path)


@pytest.fixture(scope="module")
def text(results: Results, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page, with one figure that costs nothing to draw."""
    folder = tmp_path_factory.mktemp("figures")
    (folder / f"cost{figures.WIDE}.png").write_bytes(PIXEL)
    compared = comparisons(results)
    grids = {
        "table": tables.ablation(results, cells(results), compared),
        "comparisons": tables.comparison_table(results, compared),
        "world_model": run_tables.world_model(results),
        "cost": run_tables.cost(results),
        "runs": run_tables.runs(results),
    }
    return page.render(results, grids, figures.shown(results, [folder / "cost.pdf"]), folder)


@pytest.fixture(scope="module")
def elements(text: str) -> Elements:
    return Elements(text)


def test_no_text_from_a_file_becomes_an_element_or_an_attribute(elements: Elements, text: str) -> None:
    assert len(elements.all("script")) == len(elements.all("style")) == 1
    assert len(elements.all("img")) == 1
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    assert not [tag for tag, attributes in elements.found if "style" in attributes]
    assert EVIL not in text
    words = " ".join(elements.words)
    for place in ("arms: ", "paw ", f"{EVIL} "):
        assert f"{place}{EVIL if place != f'{EVIL} ' else IMAGE}" in words, "it has to be there as text"


def test_the_policy_allows_only_the_pages_own_script_style_and_images(elements: Elements) -> None:
    policy = next(meta["content"] for meta in elements.all("meta") if "http-equiv" in meta)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256("".join(elements.inside[kind]).encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"


def test_nothing_is_fetched_and_every_link_has_its_target(elements: Elements) -> None:
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [str(link["href"]) for link in elements.all("a")]
    assert len(links) > 20
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert all(str(image["src"]).startswith("data:image/png;base64,") for image in elements.all("img"))
    assert not elements.all("link")


def test_every_run_can_be_opened_and_is_linked_from_the_table(elements: Elements, results: Results) -> None:
    entries = [str(one["id"]) for one in elements.all("details") if str(one.get("id")).startswith("run-")]
    assert len(entries) == len(results.runs)
    links = [link["href"] for link in elements.all("a")]
    assert all(f"#{entry}" in links for entry in entries)
    assert "not recorded" in " ".join(elements.words)


def test_runs_that_differ_in_the_seed_alone_share_a_config(results: Results) -> None:
    sources = read_sources(results)
    assert [len(shared.runs) for shared in sources.configs] == [3, 6]
    rows = {row[0].text: row[1].text for row in sources.configs[1].table.groups[0].rows}
    assert rows["experiment.world_model.enabled"] == "true"
    assert "experiment.seed" not in rows
    assert len(sources.origins) == 2


def test_a_file_that_cannot_be_read_is_named_and_the_page_is_written(tmp_path: Path) -> None:
    made = Sweep(tmp_path, arms=("grpo",), seeds=(0, 1), updates=1, games=6).finish()
    results = load(made.path)
    (made.folder("grpo", 0) / "config.json").write_text("[]")
    sources = read_sources(results)
    assert [len(shared.runs) for shared in sources.configs] == [1]
    assert len(sources.unread) == 1
    assert "grpo seed 0" in sources.unread[0]
    assert str(tmp_path) not in sources.unread[0]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        *(("12.3 ± 4.5", "12.3"), ("\N{MINUS SIGN}3.2 ± 1.4 †", "-3.2"), ("+0.5", "+0.5"), ("1,234.5", "1234.5")),
        *(
            ("< .001", ".001"),
            (".090", ".090"),
            ("2/5", "2"),
            ("(0.31 ± 0.02)", "0.31"),
            ("15.2 (14.9\N{EN DASH}15.4)", "15.2"),
        ),
        *(("—", ""), ("49773136dd75", ""), ("4e1", ""), ("paw 2", ""), ("", ""), ("resolved", ""), ("2026-11-22", "")),
    ],
)
def test_cells_are_sorted_by_the_number_they_begin_with(cell: str, number: str) -> None:
    assert sort_number(cell) == number


def test_rows_stay_below_their_heading() -> None:
    content = Grid("g", "c", ("Arm", "All"), (("a", "1"), ("b", "2"), ("a", "3")), headings={0: "x", 2: "y"})
    view = table_view(content, {"b": "run-1"})
    assert [(group.heading, [row[0].text for row in group.rows]) for group in view.groups] == [
        *(("x", ["a", "b"]), ("y", ["a"]))
    ]
    assert view.groups[0].rows[1][0].anchor == "run-1"
    assert [column.text for column in view.columns] == [True, False]


def test_a_curve_breaks_where_a_value_is_missing(results: Results) -> None:
    names = ("success", "wm.loss", "wm.lambda_mean", "wm.clipped_share", "entropy", "seconds.total")
    metrics = pd.DataFrame(dict.fromkeys(names, [np.nan] * 5)).assign(success=[0.0, 0.5, np.nan, 1.0, 1.0])
    (chart,) = charts(metrics)
    assert chart.path == f"M0 {HEIGHT}.0h0L50 30.0M150 0.0h0L200 0.0"
    assert (chart.low, chart.high, chart.last) == ("0.0", "100.0", "100.0")
    (flat,) = charts(metrics.assign(success=[0.25] + 4 * [np.nan]))
    assert flat.path == f"M0 {HEIGHT / 2}h0"


@pytest.fixture(scope="module")
def browser(text: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Page]:
    with chromium.showing(text, tmp_path_factory.mktemp("browser")) as page:
        yield page


TABLE = "document.querySelector('#tables table')"
FIRST = f"[...{TABLE}.tBodies[0].rows].map(row => row.cells[0].textContent)"


def test_the_browser_runs_the_pages_script_and_no_other(browser: chromium.Page) -> None:
    asked = {event["params"]["request"]["url"] for event in browser.events if event["method"].endswith("WillBeSent")}
    assert len(asked) == 2
    assert {url.split(":")[0] for url in asked} == {"file", "data"}
    assert not [event for event in browser.events if event["method"] in {"Runtime.exceptionThrown", "Log.entryAdded"}]
    browser.ask(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.pwned = 2';"
        " document.body.append(s); s.remove(); })()"
    )
    assert browser.ask("typeof window.pwned") == "undefined"


def test_a_heading_sorts_by_mouse_and_by_keyboard_and_gives_the_old_order_back(browser: chromium.Page) -> None:
    before = browser.ask(FIRST)
    assert before == list(ARMS)
    column = browser.ask(f"[...{TABLE}.tHead.rows[0].cells].findIndex(cell => cell.textContent === 'All')")
    values = f"[...{TABLE}.tBodies[0].rows].map(row => parseFloat(row.cells[{column}].textContent))"
    button = f"{TABLE}.tHead.rows[0].cells[{column}].querySelector('button')"
    browser.ask(f"{button}.click()")
    assert browser.ask(values) == sorted(browser.ask(values))
    assert browser.ask(f"{button}.parentElement.ariaSort") == "ascending"
    browser.ask(f"{button}.focus()")
    browser.press("Enter", "\r")
    assert browser.ask(f"{button}.parentElement.ariaSort") == "descending"
    assert browser.ask(values) == sorted(browser.ask(values), reverse=True)
    browser.press("Enter", "\r")
    assert browser.ask(FIRST) == before


def test_a_search_by_keyboard_leaves_what_holds_every_word(browser: chromium.Page) -> None:
    shown = "[...document.querySelectorAll('#runs > .scroll tbody tr')].filter(row => !row.hidden).length"
    entries = "[...document.querySelectorAll('#runs .entry')].filter(entry => !entry.hidden).length"
    assert browser.ask(shown) == browser.ask(entries) == 9
    browser.press("/", "/")
    assert browser.ask("document.activeElement.id") == "search"
    for letter in "failed":
        browser.press(letter, letter)
    assert browser.ask("document.activeElement.value") == "failed"
    assert browser.ask(shown) == browser.ask(entries) == 1
    browser.press("Escape")
    assert browser.ask(shown) == browser.ask(entries) == 9


def test_a_link_opens_its_run_and_puts_the_focus_there(browser: chromium.Page) -> None:
    browser.ask("document.querySelector('#runs td a[href=\"#run-2\"]').click()")
    browser.ask("new Promise(done => setTimeout(done, 50))")
    assert browser.ask("document.getElementById('run-2').open") is True
    assert browser.ask("document.activeElement.parentElement.id") == "run-2"
    assert browser.ask("document.querySelectorAll('#run-2 svg path').length") >= 4


def test_dark_follows_the_system_until_the_reader_chooses(browser: chromium.Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    browser.scheme("dark")
    dark = browser.ask(background)
    browser.scheme("light")
    light = browser.ask(background)
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(22, 24, 28)")
    button = "document.getElementById('theme')"
    browser.ask(f"{button}.click()")
    browser.ask(f"{button}.click()")
    assert browser.ask(f"{button}.textContent") == "Theme: dark"
    assert browser.ask(background) == dark
    browser.ask(f"{button}.click()")
    assert browser.ask(background) == light


def test_a_narrow_window_does_not_scroll_sideways(browser: chromium.Page) -> None:
    browser.size(360, 740)
    assert browser.ask("document.documentElement.scrollWidth") == 360

"use strict";

// Theme: as the system says, or as chosen; the choice is kept where the browser allows it.
const themes = ["auto", "light", "dark"];
const themeButton = document.getElementById("theme");

function showTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  themeButton.textContent = `Theme: ${theme}`;
}

function keptTheme() {
  try {
    const kept = localStorage.getItem("paw-bench-theme");
    return themes.includes(kept) ? kept : "auto";
  } catch {
    return "auto";
  }
}

let theme = keptTheme();
showTheme(theme);
themeButton.addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  showTheme(theme);
  try {
    localStorage.setItem("paw-bench-theme", theme);
  } catch {
    // A page from a file may have no storage: the choice then lasts as long as the page is open.
  }
});

// Sorting: numbers by value, texts by letters, what has no number last; each group of rows by itself.
const nextOrder = { none: "ascending", ascending: "descending", descending: "none" };

function compareCells(a, b, sign) {
  const numbers = ["n" in a.dataset, "n" in b.dataset];
  if (numbers[0] && numbers[1]) return sign * (a.dataset.n - b.dataset.n);
  if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1;
  return sign * a.textContent.localeCompare(b.textContent, "en", { numeric: true });
}

function sortTable(heading) {
  const table = heading.closest("table");
  const column = heading.cellIndex;
  const order = nextOrder[heading.ariaSort];
  for (const other of heading.parentElement.cells) other.ariaSort = "none";
  heading.ariaSort = order;
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("heading"));
    rows.forEach((row, place) => (row.dataset.place ??= place));
    rows.sort((a, b) => {
      if (order === "none") return a.dataset.place - b.dataset.place;
      return compareCells(a.cells[column], b.cells[column], order === "ascending" ? 1 : -1);
    });
    body.append(...rows);
  }
}

document.addEventListener("click", (event) => {
  const heading = event.target.closest("thead th");
  if (heading) sortTable(heading);
});

// Search: hides the rows, runs and configs that do not hold every word. A run whose title matches stays whole.
const search = document.getElementById("search");
const found = document.getElementById("found");
const lower = (element) => element.textContent.toLowerCase();
let rows, entries;

function filter() {
  rows ??= [...document.querySelectorAll("tbody tr:not(.heading)")].map((row) => [row, lower(row)]);
  entries ??= [...document.querySelectorAll(".entry")].map((entry) => [entry, lower(entry.firstElementChild)]);
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const holds = (text) => words.every((word) => text.includes(word));
  const whole = new Set(entries.filter(([, title]) => holds(title)).map(([entry]) => entry));
  const alive = new Set();
  let count = 0;
  for (const [row, text] of rows) {
    const entry = row.closest(".entry");
    row.hidden = !(holds(text) || whole.has(entry));
    if (row.hidden) continue;
    count += 1;
    alive.add(entry);
  }
  for (const [entry] of entries) entry.hidden = !(whole.has(entry) || alive.has(entry));
  found.textContent = words.length ? `${count} rows` : "";
}

search.addEventListener("input", filter);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target !== search) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && event.target === search) {
    search.value = "";
    filter();
  }
});

// The numbers of all samples, for who cannot point at a token or tell its shade.
document.addEventListener("click", (event) => {
  if (!event.target.classList.contains("numbers")) return;
  const on = document.documentElement.classList.toggle("show-numbers");
  for (const button of document.querySelectorAll(".numbers")) button.ariaPressed = on;
});

// A link to a run or a config opens it, also where a search had hidden it.
function openTarget() {
  const entry = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!entry || entry.tagName !== "DETAILS") return;
  entry.hidden = false;
  entry.open = true;
  entry.scrollIntoView();
  entry.firstElementChild.focus({ preventScroll: true });
}

addEventListener("hashchange", openTarget);
openTarget();

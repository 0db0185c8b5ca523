// Sorting by a click on a header, a filter over the rows, and the table's exact values as a CSV file.
"use strict";

for (const section of document.querySelectorAll("section.table")) {
  const body = section.querySelector("tbody");
  const rows = Array.from(body.rows);
  const headers = Array.from(section.querySelectorAll("thead th"));
  const collator = new Intl.Collator("en", { numeric: true });

  const sort = (header) => {
    const column = headers.indexOf(header);
    const order = { none: "ascending", ascending: "descending", descending: "none" };
    const next = order[header.getAttribute("aria-sort") || "none"];
    for (const other of headers) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", next);
    const value = (row) => row.cells[column].dataset.value;
    const numeric = header.classList.contains("number");
    const compare = (a, b) => {
      // Empty cells come last both ways: they are no value, not a small one.
      if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === "");
      const found = numeric ? value(a) - value(b) : collator.compare(value(a), value(b));
      return next === "ascending" ? found : -found;
    };
    body.append(...(next === "none" ? rows : [...rows].sort(compare)));
  };
  for (const header of headers) header.querySelector("button").addEventListener("click", () => sort(header));

  const filter = section.querySelector("input[type=search]");
  const count = section.querySelector("output");
  filter?.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} rows`;
  });

  const link = section.querySelector("a[download]");
  const csv = section.querySelector("script[type='text/csv']");
  if (link && csv) {
    link.href = "data:text/csv;charset=utf-8," + encodeURIComponent(JSON.parse(csv.textContent));
    link.hidden = false;
  }
}

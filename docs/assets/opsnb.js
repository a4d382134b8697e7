/* Ages, as of when the page is read; and filters for the list of records. */
"use strict";
(() => {
  const steps = [[60, "s"], [60, "min"], [24, "h"], [Infinity, "d"]];

  function age(milliseconds) {
    let value = Math.max(milliseconds, 0) / 1000;
    for (const [size, unit] of steps) {
      if (value < size) return `${Math.floor(value)} ${unit} ago`;
      value /= size;
    }
  }

  for (const time of document.querySelectorAll("time[datetime]")) {
    const past = Date.now() - Date.parse(time.dateTime);
    if (past < 0) continue;
    const span = document.createElement("span");
    span.className = "age";
    span.textContent = age(past);
    time.before(span, " ");
  }

  const table = document.querySelector("table.records");
  if (!table) return;
  const rows = [...table.querySelectorAll("tbody tr")];
  const asked = new URLSearchParams(location.search);
  const form = document.createElement("form");
  form.className = "filter";

  function apply() {
    const wanted = [...form.querySelectorAll("select")].filter((select) => select.value);
    let shown = 0;
    for (const row of rows) {
      row.hidden = wanted.some((select) => row.dataset[select.name] !== select.value);
      shown += !row.hidden;
    }
    form.querySelector("output").textContent = wanted.length ? `${shown} of ${rows.length}` : "";
  }

  for (const name of ["status", "target", "runbook"]) {
    const values = [...new Set(rows.map((row) => row.dataset[name]))].sort();
    if (values.length < 2) continue;
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.name = name;
    select.add(new Option(`any ${name}`, ""));
    for (const value of values) {
      select.add(new Option(value, value));
    }
    select.value = [...select.options].some((o) => o.value === asked.get(name)) ? asked.get(name) ?? "" : "";
    select.setAttribute("aria-label", name);
    label.append(select);
    form.append(label);
  }
  form.append(document.createElement("output"));
  form.addEventListener("change", apply);
  table.before(form);
  apply();
})();

/* Colours, as chosen here or on a page of MkDocs; ages, as of when the page is read; and filters for
   the list of records. Every page can be read without it. */
"use strict";
(() => {
  const html = document.documentElement;

  /* Material keeps its choice under this name, so both kinds of pages have the same colours. */
  const schemes = [
    ["(prefers-color-scheme)", "default", "Colours: system", ""],
    ["(prefers-color-scheme: light)", "default", "Colours: light", "light"],
    ["(prefers-color-scheme: dark)", "slate", "Colours: dark", "dark"],
  ];
  const chosen = `${new URL(html.dataset.root || ".", location).pathname}.__palette`;
  let scheme = 0;

  function paint() {
    if (schemes[scheme][3]) html.dataset.scheme = schemes[scheme][3];
    else delete html.dataset.scheme;
  }

  function toggle(button) {
    const label = () => { button.textContent = schemes[scheme][2]; };
    button.hidden = false;
    label();
    button.addEventListener("click", () => {
      scheme = (scheme + 1) % schemes.length;
      const [media, name] = schemes[scheme];
      const color = { media, scheme: name, primary: "custom", accent: "custom" };
      try {
        localStorage.setItem(chosen, JSON.stringify({ index: scheme, color }));
      } catch { /* for this page only */ }
      paint();
      label();
    });
  }

  if ("root" in html.dataset) {
    try {
      scheme = JSON.parse(localStorage.getItem(chosen))?.index ?? 0;
    } catch { /* nothing was chosen, or nothing may be stored */ }
    if (!schemes[scheme]) scheme = 0;
    paint();
  }

  const steps = [[60, "s"], [60, "min"], [24, "h"], [Infinity, "d"]];

  function age(milliseconds) {
    let value = Math.max(milliseconds, 0) / 1000;
    for (const [size, unit] of steps) {
      if (value < size) return `${Math.floor(value)} ${unit} ago`;
      value /= size;
    }
  }

  function showAges() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const past = Date.now() - Date.parse(time.dateTime);
      if (past < 0) continue;
      const span = document.createElement("span");
      span.className = "age";
      span.textContent = age(past);
      time.before(span, " ");
    }
  }

  const severities = ["skipped", "ok", "warn", "unknown", "crit"];

  function addFilters(table) {
    const rows = [...table.querySelectorAll("tbody tr")];
    const asked = new URLSearchParams(location.search);
    const form = document.createElement("form");
    const words = { "acted acted": "changed something", "acted no": "changed nothing" };
    form.className = "filter";

    function apply() {
      const wanted = [...form.querySelectorAll("select[name]")].filter((select) => select.value);
      let shown = 0;
      for (const row of rows) {
        row.hidden = wanted.some((select) => (row.dataset[select.name] ?? "no") !== select.value);
        shown += !row.hidden;
      }
      form.querySelector("output").textContent = wanted.length ? `${shown} of ${rows.length}` : "";
    }

    for (const name of (table.dataset.filters ?? "status target runbook").split(" ")) {
      const values = [...new Set(rows.map((row) => row.dataset[name] ?? "no"))].sort();
      if (values.length < 2) continue;
      const label = document.createElement("label");
      const select = document.createElement("select");
      select.name = name;
      select.add(new Option(`any ${name}`, ""));
      for (const value of values) {
        select.add(new Option(words[`${name} ${value}`] ?? value, value));
      }
      select.value = [...select.options].some((o) => o.value === asked.get(name)) ? asked.get(name) ?? "" : "";
      select.setAttribute("aria-label", name);
      label.append(select);
      form.append(label);
    }
    const order = document.createElement("select");
    order.add(new Option("newest first", ""));
    order.add(new Option("worst first", "worst"));
    order.setAttribute("aria-label", "order");
    order.addEventListener("change", () => {
      const worst = (row) => severities.indexOf(row.dataset.status);
      const sorted = order.value ? rows.toSorted((a, b) => worst(b) - worst(a)) : rows;
      table.tBodies[0].append(...sorted);
    });
    form.append(document.createElement("output"));
    form.addEventListener("change", apply);
    table.before(form);
    if (table.dataset.filters) form.append(order);
    apply();
  }

  /* The key / goes to the search, as long as nothing is being typed. */
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches?.("input, select, textarea, [contenteditable]")) return;
    document.querySelector("input[name=q]")?.focus();
    event.preventDefault();
  });

  /* Material adds buttons to code and makes wide tables scroll, at any time, without names for those
     who do not see them or without a way for those who have no pointer. */
  function nameAdditions() {
    document.querySelectorAll(".md-code__nav").forEach((nav, at) => {
      if (!nav.ariaLabel) nav.ariaLabel = `Code ${at + 1}`;
    });
    for (const wide of document.querySelectorAll(".md-typeset__scrollwrap")) wide.tabIndex = 0;
  }

  /* What scrolls sideways can be reached by keyboard. */
  function reachWide() {
    for (const wide of document.querySelectorAll("main pre")) {
      if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    reachWide();
    const article = document.querySelector("article.md-content__inner");
    if (article) {
      nameAdditions();
      new MutationObserver(nameAdditions).observe(article, { childList: true, subtree: true });
    }
    const button = document.querySelector("button.scheme");
    if (button) toggle(button);
    showAges();
    document.querySelectorAll("table.records").forEach(addFilters);
  });
})();

/* Colours, as chosen here or on a page of MkDocs; and ages, as of when the page is read. Every page can
   be read without it. */
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

  function showAges(place) {
    for (const time of place.querySelectorAll("time[datetime]")) {
      const past = Date.now() - Date.parse(time.dateTime);
      if (past < 0) continue;
      const span = document.createElement("span");
      span.className = "age";
      span.textContent = age(past);
      time.before(span, " ");
    }
  }

  window.opsnbAges = showAges;

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
    showAges(document);
  });
})();

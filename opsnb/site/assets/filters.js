/* Filters above a list of records or actions. They apply to the rows of the page, and, where the page
   shows only some, to all records: those of each month come in a script of their own, which is loaded
   when a filter is used, as pages opened as files may load nothing else. */
"use strict";
(() => {
  const MOST = 200; /* rows that are shown of what fits */
  const severities = ["skipped", "ok", "warn", "unknown", "crit"];
  const words = { "acted": "changed or not", "acted acted": "changed something", "acted no": "changed nothing" };
  const months = new Map();
  const loaded = new Map();

  window.opsnbMonth = (month, { texts, runs }) => {
    loaded.set(month, runs.map(([at, middle, tail, acted, ...named]) => {
      const [status, outcome, runbook, title, target, operator, sentence] = named.map((n) => texts[n]);
      const stamp = `${month.replace("-", "")}${at}`;
      const page = `${stamp}Z${texts[middle]}-${tail}.html`;
      const [, day, hour, minute] = at.match(/(..)T(..)(..)/);
      return {
        page, status, outcome, runbook, title, target, operator, sentence,
        acted: acted ? "acted" : "no", day: `${month}-${day}`, time: `${hour}:${minute}`,
      };
    }));
  };

  function load(month) {
    if (!months.has(month)) {
      months.set(month, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `${month}.js`;
        script.onload = () => resolve(loaded.get(month));
        script.onerror = () => {
          months.delete(month);
          reject(new Error(`${month} cannot be loaded`));
        };
        document.head.append(script);
      }));
    }
    return months.get(month);
  }

  function element(name, children, more = {}) {
    const made = Object.assign(document.createElement(name), more);
    made.append(...[children].flat());
    return made;
  }

  /* A row as the page's own: see records.html.j2. */
  function rowOf(run) {
    const by = element("span", `${run.target}, ${run.operator}`, { className: "aside" });
    if (run.acted === "acted") by.append(", ", element("b", "acted"));
    const at = element("time", `${run.day} ${run.time} UTC`, { dateTime: `${run.day}T${run.time}:00Z` });
    const row = element("tr", [
      element("td", element("span", run.outcome, { className: `status status-${run.status}` })),
      element("td", [element("a", run.title, { href: run.page }), document.createElement("br"), by]),
      element("td", at),
      element("td", run.sentence),
    ]);
    row.dataset.status = run.status;
    window.opsnbAges(row);
    return row;
  }

  function addFilters(table) {
    const body = table.tBodies[0];
    const listed = [...body.rows];
    const elsewhere = table.dataset.months?.split(" ") ?? [];
    const values = JSON.parse(table.dataset.values ?? "{}");
    const asked = new URLSearchParams(location.search);
    const form = element("form", [], { className: "filter" });
    const order = element("select", [new Option("newest first", ""), new Option("worst first", "worst")]);
    const count = element("output", "");
    let run = 0;

    /* Return the rows that fit, and how many they are in words. */
    async function fitting(fits, isAsked) {
      const severity = (data) => severities.indexOf(data.status);
      const sorted = (all, data) => (order.value ? all.toSorted((a, b) => severity(data(b)) - severity(data(a))) : all);
      if (!elsewhere.length || !isAsked) {
        const rows = sorted(listed.filter((row) => fits(row.dataset)), (row) => row.dataset);
        return [rows, isAsked ? `${rows.length} of ${listed.length}` : ""];
      }
      const found = [];
      let oldest = "";
      for (const month of elsewhere) {
        if (found.length >= MOST && !order.value) break;
        found.push(...(await load(month)).filter(fits));
        oldest = month;
      }
      const total = Number(table.dataset.total).toLocaleString("en");
      const shown = found.length > MOST ? `; the first ${MOST} are shown` : "";
      const since = oldest === elsewhere.at(-1) ? ` of ${total}` : ` since ${oldest}`;
      return [sorted(found, (data) => data).slice(0, MOST).map(rowOf), `${found.length.toLocaleString("en")}${since}${shown}`];
    }

    async function apply() {
      const mine = ++run;
      const wanted = [...form.querySelectorAll("select[name]")].filter((select) => select.value);
      const fits = (data) => wanted.every((select) => (data[select.name] ?? "no") === select.value);
      let rows, note;
      try {
        [rows, note] = await fitting(fits, wanted.length > 0 || order.value !== "");
      } catch {
        [rows, note] = [listed, "The records cannot be loaded. In a terminal: opsnb records list"];
      }
      if (mine !== run) return;
      body.replaceChildren(...rows);
      count.textContent = note;
    }

    for (const name of (table.dataset.filters ?? "status target").split(" ")) {
      const found = values[name] ?? new Set(listed.map((row) => row.dataset[name] ?? "no"));
      const choices = [...found].sort();
      if (choices.length < 2) continue;
      const select = element("select", [new Option(words[name] ?? `any ${name}`, "")], { name });
      for (const value of choices) select.add(new Option(words[`${name} ${value}`] ?? value, value));
      select.value = choices.includes(asked.get(name)) ? asked.get(name) : "";
      select.setAttribute("aria-label", name);
      form.append(element("label", select));
    }
    order.setAttribute("aria-label", "order");
    if (table.dataset.filters) form.append(order);
    form.append(count);
    form.addEventListener("change", apply);
    table.before(form);
    apply();
  }

  document.querySelectorAll("table.records").forEach(addFilters);
})();

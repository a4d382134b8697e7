/* The search page. pagefind searches bundles: one for the docs and runbooks, and those of records by
   month, which are loaded the newest first until enough is found. Whatever pagefind fetches comes
   from scripts (see opsnb/site/search), as pages opened as files may load nothing else. */
"use strict";
(() => {
  const root = document.documentElement.dataset.root;
  const form = document.getElementById("search");
  const state = document.getElementById("state");
  const place = document.getElementById("found");
  const common = new RegExp(`^(${form.dataset.common})$`, "i");
  /* Older months are loaded only when asked for once so many records are found, or there is one with
     all words among so many that were searched. */
  const ENOUGH = 20;
  const SEARCHED = 1000;
  const AT_FIRST = { changes: 5, pages: 3, others: 3 }; /* results; each is a file to load */
  const MORE = 20;

  /* Files that scripts have brought, by their path. */
  const files = new Map();
  const loading = new Map();
  let isIncomplete = false;

  window.opsnbFiles = (given) => {
    for (const [path, data] of Object.entries(given)) files.set(path, data);
  };

  function load(path) {
    if (!loading.has(path)) {
      loading.set(path, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = root + path;
        script.onload = resolve;
        script.onerror = () => {
          loading.delete(path);
          isIncomplete = true;
          reject(new Error(`${path} cannot be loaded`));
        };
        document.head.append(script);
      }));
    }
    return loading.get(path);
  }

  function bytesOf(path) {
    return Uint8Array.from(atob(files.get(path)), (letter) => letter.charCodeAt(0));
  }

  /* pagefind comes compressed, as a first search loads little more than it. */
  let started = "";
  async function start(engine) {
    if (engine === started) return;
    await load(engine);
    const plain = new Blob([bytesOf("pagefind.js")]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = await new Response(plain).text();
    (0, eval)(script); /* in the global scope, as a script would be */
    started = engine;
  }

  /* What pagefind calls in place of fetch. */
  window.opsnbFetch = async (url) => {
    const path = url.split("?")[0].replace(/^.*\/(?=wasm\.)/, "");
    if (!files.has(path)) await load(`${path}.js`);
    return new Response(bytesOf(path));
  };

  /* The list of bundles. It is loaded again for each query that is sent, as a build may have replaced
     some meanwhile. */
  let bundles = null;
  let listedAt = 0;
  const opened = new Map();
  window.opsnbBundles = (given) => { bundles = given; };

  /* The last parts of run ids, by the bundles that hold them, in a file for each last letter. */
  const tails = new Map();
  window.opsnbTails = (letter, given) => { tails.set(letter, Object.entries(given)); };

  /* The names of the bundles that hold a run whose id ends with one of these words. */
  async function holders(words) {
    const asked = words.filter((word) => /^[0-9a-f]{4,}$/.test(word));
    const names = await Promise.all(asked.map(async (word) => {
      const [rest, letter] = [word.slice(0, -1), word.slice(-1)];
      if (!bundles.tails.includes(letter)) return [];
      await load(`search/tails-${letter}.js?${listedAt}`);
      const isHeld = ([, held]) => held.split(" ").includes(rest);
      return tails.get(letter).filter(isHeld).map(([name]) => name);
    }));
    return new Set(names.flat());
  }

  async function begin() {
    if (isIncomplete) opened.clear();
    isIncomplete = false;
    listedAt = Date.now();
    await load(`search/bundles.js?${listedAt}`);
    await start(bundles.engine);
    const select = form.elements.target;
    const known = new Set([...select.options].map((option) => option.value));
    for (const target of bundles.targets) {
      if (!known.has(target)) select.add(new Option(target, target));
    }
  }

  function open(bundle) {
    const file = `${bundle.name}/${bundle.file}`;
    if (!opened.has(file)) {
      opened.set(file, (async () => {
        await load(file);
        const options = { basePath: `${bundle.name}/`, noWorker: true, excerptLength: 24 };
        const index = window.opsnbPagefind.createInstance(options);
        await index.init();
        return index;
      })());
    }
    return opened.get(file);
  }

  /* The words of a query, without those that say nothing. Odd characters part words. */
  function wordsOf(query) {
    const words = query.toLowerCase().match(/[\p{L}\p{N}]+/gu)?.slice(0, 24) ?? [];
    const telling = words.filter((word) => !common.test(word));
    return telling.length ? telling : words;
  }

  /* The results of one bundle: with all words, and with many of them: of records more than half, as
     hundreds are alike. */
  async function results(index, words, filters, isRecords) {
    const by = new Map();
    for (const word of words.length > 1 ? words : []) {
      for (const { id, score, data } of (await index.search(word, { filters })).results) {
        const before = by.get(id) ?? { id, data, score: 0, words: 0, isWhole: false };
        by.set(id, { ...before, score: before.score + score, words: before.words + 1 });
      }
    }
    for (const { id, score, data } of (await index.search(words.join(" "), { filters })).results) {
      by.set(id, { id, data, score, words: words.length, isWhole: true });
    }
    let found = [...by.values()].filter((result) => result.words * 2 >= words.length + isRecords);
    found = await withIds(index, found, words.filter((word) => /\d/.test(word) && word.length > 2), filters);
    if (isRecords && found.length > 1) {
      const sorted = new Map();
      for (const term of words) {
        const { results: newest } = await index.search(term, { filters, sort: { at: "desc" } });
        newest.forEach((result) => sorted.set(result.id, Number(result.score)));
      }
      for (const result of found) result.age = -(sorted.get(result.id) ?? 0);
    }
    return found;
  }

  /* Those with these words. Of a word that it does not know, pagefind takes the beginning, which all
     run ids share. */
  async function withIds(index, found, ids, filters) {
    let kept = found;
    for (const id of kept.length ? ids : []) {
      let { results: like } = await index.search(`"${id}"`, { filters });
      if (!like.length) {
        like = (await index.search(id, { filters })).results;
        const content = like.length ? (await like[0].data()).content : "";
        if (!content.toLowerCase().includes(id)) return [];
      }
      const alike = new Set(like.map((result) => result.id));
      kept = kept.filter((result) => alike.has(result.id));
    }
    return kept;
  }

  class Group {
    constructor(title, isRecords, shown) {
      this.title = title;
      this.isRecords = isRecords;
      this.found = [];
      this.shown = shown;
    }

    get hasWhole() {
      return this.found.some((result) => result.isWhole);
    }

    add(results, position) {
      this.found.push(...results.map((result) => ({ ...result, position })));
    }

    /* Those with all words first, and of records no others if there are such; then by how well they
       match; records that match alike, the newest first. */
    sorted() {
      const hasWhole = this.isRecords && this.hasWhole;
      const kept = this.found.filter((result) => result.isWhole || !hasWhole);
      const best = Math.max(...kept.map((result) => result.score));
      const rank = (result) => (result.score >= best / 2 ? 0 : 1);
      return kept.sort((a, b) => b.isWhole - a.isWhole || (this.isRecords
        ? rank(a) - rank(b) || a.position - b.position || a.age - b.age
        : b.words - a.words || b.score - a.score));
    }
  }

  let run = 0;

  async function search(isSent = false) {
    const mine = ++run;
    const [query, status, target] = ["q", "status", "target"].map((name) => form.elements[name].value);
    const words = wordsOf(query);
    const asked = new URLSearchParams(Object.entries({ q: query, status, target }).filter(([, value]) => value));
    history.replaceState(null, "", asked.size ? `?${asked}` : location.pathname);
    document.title = query ? `${query} - Search - opsnb` : "Search - opsnb";
    if (!words.length) {
      place.replaceChildren();
      state.textContent = "Search for what was done, a symptom, a run id or a part of one.";
      return;
    }
    state.textContent = "Searching …";
    for (let attempt = 0; attempt < 2; attempt += 1) {
      try {
        if (!bundles || isIncomplete || (isSent && !attempt)) await begin();
        if (mine !== run) return;
        await find(mine, words, { ...(status && { status }), ...(target && { target }) });
        if (!isIncomplete) return;
      } catch (error) {
        if (mine !== run) return;
        isIncomplete = true;
      }
    }
    if (mine === run) state.textContent = "A part of the search cannot be loaded. Reload the page, or in a terminal: opsnb records search WORDS";
  }

  async function find(mine, words, filters) {
    const acted = new Group("Records of changes and problems", true, AT_FIRST.changes);
    const pages = new Group("Runbooks and docs", false, AT_FIRST.pages);
    const others = new Group("Other records", true, AT_FIRST.others);
    const isFiltered = Object.keys(filters).length > 0;
    const older = [];
    const named = await holders(words);
    const months = words.map((word) => word.match(/^(20\d\d)(\d\d)/)?.slice(1).join("-"));
    const nearness = ({ name, month }) => (named.has(name) ? 2 : Number(months.includes(month)));
    const inOrder = [...bundles.bundles.entries()].filter(([, { month }]) => month)
      .sort(([, a], [, b]) => nearness(b) - nearness(a));
    let until = "";
    let searched = 0;
    for (const bundle of isFiltered ? [] : bundles.bundles.filter(({ month }) => !month)) {
      pages.add(await results(await open(bundle), words, {}, false), 0);
      if (mine !== run) return;
    }
    for (const [position, bundle] of inOrder) {
      if (!named.has(bundle.name) && isEnough()) {
        older.push([position, bundle]);
      } else {
        await inside(position, bundle);
      }
      if (mine !== run) return;
    }
    await show();

    function isEnough() {
      const hasWhole = acted.hasWhole || others.hasWhole;
      return acted.found.length + others.found.length >= ENOUGH
        || (hasWhole && (named.size || searched >= SEARCHED));
    }

    async function inside(position, bundle) {
      const index = await open(bundle);
      acted.add(await results(index, words, { ...filters, rank: "first" }, true), position);
      others.add(await results(index, words, { ...filters, rank: "other" }, true), position);
      searched += bundle.records;
      if (!nearness(bundle)) until = bundle.month;
    }

    /* What was done about it comes first, unless a page is called so, or only pages have all words. */
    async function show() {
      const [best] = pages.sorted();
      const title = best ? wordsOf((await best.data()).meta.title ?? "") : [];
      const isTitle = title.toSorted().join(" ") === words.toSorted().join(" ");
      const arePagesFirst = isTitle || (pages.hasWhole && !acted.hasWhole);
      const groups = arePagesFirst ? [pages, acted, others] : [acted, pages, others];
      const shown = (await Promise.all(groups.map(section))).filter(Boolean);
      if (mine !== run) return;
      const records = acted.sorted().length + others.sorted().length;
      const counts = [`${records} ${records === 1 ? "record" : "records"}`];
      if (!isFiltered) counts.push(`${pages.sorted().length} ${pages.sorted().length === 1 ? "page" : "pages"}`);
      state.textContent = `${counts.join(" and ")}${until ? `; records since ${until}` : ""}`;
      if (older.length) shown.push(button(until ? `Search older records, before ${until}` : "Search all records", async () => {
        const wanted = acted.found.length + others.found.length + ENOUGH;
        while (older.length && acted.found.length + others.found.length < wanted) await inside(...older.shift());
        await show();
      }));
      place.replaceChildren(...shown);
    }

    async function section(group) {
      const found = group.sorted();
      if (!found.length) return null;
      const shown = await Promise.all(found.slice(0, group.shown).map((result) => result.data()));
      const made = document.createElement("section");
      const list = document.createElement("ol");
      list.className = "found";
      list.append(...shown.map(group.isRecords ? record : page));
      made.append(element("h2", group.title), list);
      const left = found.length - shown.length;
      if (left > 0) made.append(button(`Show more (${left})`, async () => {
        group.shown += MORE;
        await show();
      }));
      return made;
    }
  }

  /* --- what is shown: always text, never HTML of a record ------------------------------------ */

  function element(name, text = "", more = {}) {
    return Object.assign(document.createElement(name), { textContent: text }, more);
  }

  function button(words, action) {
    return element("button", words, { type: "button", className: "more", onclick: action });
  }

  function link(data, text) {
    return element("a", text, { href: root + data.raw_url.replace(/^\//, "") });
  }

  /* pagefind marks words in text in which it has escaped only < and >. */
  function excerpt(data) {
    const made = element("p", "", { className: "excerpt" });
    data.excerpt.split(/<\/?mark>/).forEach((part, at) => {
      const text = part.replaceAll("&lt;", "<").replaceAll("&gt;", ">");
      made.append(at % 2 ? element("mark", text) : text);
    });
    return made;
  }

  function record(data) {
    const { title, target, status, outcome, started, operator, sentence } = data.meta;
    const made = element("li");
    const head = element("p");
    const pill = element("span", outcome, { className: `status status-${status}` });
    const at = element("time", `${started.slice(0, 16).replace("T", " ")} UTC`, { dateTime: started });
    head.append(pill, " ", link(data, `${title} on ${target}`), " ");
    const who = element("span", "", { className: "aside" });
    who.append(at, `, ${operator}`);
    head.append(who);
    made.append(head, element("p", sentence), excerpt(data));
    return made;
  }

  function page(data) {
    const made = element("li");
    const head = element("p");
    head.append(link(data, data.meta.title ?? data.raw_url));
    made.append(head, excerpt(data));
    return made;
  }

  const asked = new URLSearchParams(location.search);
  form.elements.q.value = asked.get("q") ?? "";
  form.elements.status.value = asked.get("status") ?? "";
  if (!form.elements.status.value) form.elements.status.value = "";
  if (asked.get("target")) {
    form.elements.target.add(new Option(asked.get("target"), asked.get("target")));
    form.elements.target.value = asked.get("target");
  }
  let waiting;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => search(), 250);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    search(true);
  });
  search();
})();

// What opsnb adds to the pages of JupyterLab: the target above each runbook, fresh copies behind
// links, and notifications. This is a prebuilt extension, written by hand: JupyterLab loads it as a
// container of modules under the package's name, and shares its own modules with it.
const LONGEST = 140; // JupyterLab truncates longer messages
const READ = "opsnb:read";
const TAGS = ["parameters", "injected-parameters"];
const APPLY = /^(apply\b[^=\n]*=[ \t]*)(True|False)/m;
const CONFIRM = /^(confirm\b[^=\n]*=[ \t]*)("[^"\n]*"|'[^'\n]*')/m;
const TARGET = /^target\b[^=\n]*=[ \t]*(?:"([^"\n]*)"|'([^'\n]*)')/gm;
const RUNBOOK = /([\w-]+)\/([\w-]+)\.ipynb$/;
// Run in a kernel that was at work before its page was opened.
const DISARM = `
import sys
if "opsnb.runbook" in sys.modules:
    sys.modules["opsnb.runbook"].disarm()
del sys
`;

const STYLE = `
.opsnb-frame { overflow: hidden; }
.opsnb-bar { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px; padding: 6px 12px;
  font: 14px/1.4 system-ui, sans-serif; color: #1f2328; background: #ddf4ff;
  border-bottom: 2px solid #54aeff; box-sizing: border-box; }
.opsnb-bar[data-protected="true"] { color: #fff; background: #b3121d; border-color: #82061e; }
.opsnb-bar-target { font-size: 16px; font-weight: 700; }
.opsnb-bar-state { padding: 1px 10px; border-radius: 10px; font-weight: 700;
  background: #fff; color: #1f2328; border: 1px solid #1f2328; }
.opsnb-bar[data-armed="true"] .opsnb-bar-state { background: #ffd33d; color: #000; }
.opsnb-bar-note { flex: 1 1 260px; }
.opsnb-bar-warning { flex: 1 1 100%; font-weight: 600; background: #fff8c5; color: #3b2300;
  border: 1px solid #d4a72c; border-radius: 4px; padding: 4px 8px; }
.opsnb-bar button, .opsnb-bar select, .opsnb-bar input { font: inherit; padding: 2px 10px;
  border: 1px solid #57606a; border-radius: 4px; background: #fff; color: #1f2328; }
.opsnb-bar button { cursor: pointer; }
.opsnb-bar button:disabled { opacity: .5; cursor: default; }
.opsnb-bar select.opsnb-missing { outline: 3px solid #cf222e; }
`;

let scope;
/** Load a module that JupyterLab shares. */
const shared = async (name) => (await Object.values(scope[name])[0].get())();

const element = (tag, name, text, more = {}) =>
  Object.assign(document.createElement(tag), { className: `opsnb-bar-${name}`, textContent: text, ...more });

/**
 * Have the saves of a notebook wait for each other. JupyterLab saves at Ctrl-S while it autosaves, and
 * then asks about a file that has changed on the disk: by its own other save. One save that waits is
 * enough, as it takes the current content once it begins.
 */
const saveInTurn = (context) => {
  const save = context.save.bind(context);
  let running = Promise.resolve();
  let waiting = null;
  context.save = () => {
    waiting ??= running
      .catch(() => {}) // whoever asked for it knows
      .then(() => {
        waiting = null;
        return (running = save());
      });
    return waiting;
  };
};

/** Give a widget a bar inside; the widget is always as high as that, however its lines wrap. */
const barIn = (widget) => {
  const bar = element("div", "", "");
  bar.className = "opsnb-bar";
  widget.node.classList.add("opsnb-frame");
  widget.node.append(bar);
  new ResizeObserver(() => {
    widget.node.style.minHeight = `${bar.offsetHeight}px`;
    widget.parent?.fit();
  }).observe(bar);
  return bar;
};

const activate = (app, { Widget, NotebookActions, ServerConnection }) => {
  const settings = app.serviceManager.serverSettings;
  const bars = new Set();
  const inTurn = new WeakSet();
  let known = { targets: [], only: "", runbooks: [] };
  let locked = [];
  let patience = 60; // seconds for which an idle kernel keeps a lock

  const ask = async (what, body) => {
    const init = body ? { method: "POST", body: JSON.stringify(body) } : {};
    const response = await ServerConnection.makeRequest(`${settings.baseUrl}opsnb/${what}`, init, settings);
    const answer = await response.json();
    if (!response.ok) {
      throw new Error(answer.message);
    }
    return answer;
  };

  const notify = ({ message, type }) => {
    const read = { label: "Read all", commandId: READ, args: { message } };
    return app.commands.execute("apputils:notify", {
      message,
      type,
      options: {
        autoClose: type === "info" ? 8000 : false,
        actions: message.length > LONGEST ? [read] : [],
      },
    });
  };

  let failure = ""; // why the targets could not be listed the last time
  const refresh = async () => {
    try {
      known = await ask("targets");
      failure = "";
    } catch (error) {
      if (error.message !== failure) {
        notify({ message: `The targets cannot be listed: ${error.message}`, type: "error" });
      }
      failure = error.message;
    }
    bars.forEach((bar) => bar.draw());
  };

  const isGone = (name) => Boolean(name) && known.targets.length > 0 && known.targets.every((each) => each.name !== name);
  const isProtected = (name) => known.targets.some((each) => each.name === name && each.protected);

  /** The bar above a runbook: which target, and whether its cells may change it. */
  class TargetBar {
    constructor(panel, context) {
      this.panel = panel;
      this.context = context;
      this.session = null; // what the kernel last said
      this.inForce = null; // the parameters cell as it was when the kernel said so
      this.sent = null; // the parameters cell as it was last sent to the kernel
      this.notice = "";
      this.asks = false; // whether the name of a protected target is asked for
      this.widget = new Widget();
      this.node = barIn(this.widget);
      this.node.setAttribute("role", "status");
      this.node.setAttribute("aria-label", "Target");
      this.follow();
    }

    follow() {
      const { sessionContext } = this.panel;
      this.model.contentChanged.connect(() => this.draw());
      sessionContext.iopubMessage.connect((_, message) => this.heard(message));
      sessionContext.statusChanged.connect((_, status) => {
        if (["restarting", "autorestarting", "dead"].includes(status)) {
          this.forget();
        }
      });
      sessionContext.kernelChanged.connect((_, { oldValue }) => oldValue && this.forget());
      sessionContext.ready.then(() => {
        const kernel = sessionContext.session?.kernel;
        kernel?.requestExecute({ code: DISARM, silent: true, store_history: false, stop_on_error: false });
      });
    }

    get model() {
      return this.context.model;
    }

    get isRunbook() {
      return Boolean(this.model.getMetadata("opsnb")?.runbook);
    }

    get cells() {
      return this.panel.content.widgets;
    }

    get parameterCells() {
      return this.cells.filter((cell) => (cell.model.getMetadata("tags") ?? []).some((tag) => TAGS.includes(tag)));
    }

    get source() {
      return this.parameterCells.map((cell) => cell.model.sharedModel.getSource()).join("\n");
    }

    get written() {
      const target = [...this.source.matchAll(TARGET)].pop();
      return {
        target: target ? target[1] ?? target[2] : "",
        acts: APPLY.test(this.source),
        armed: APPLY.exec(this.source)?.[2] === "True",
      };
    }

    get target() {
      return this.session?.target || this.written.target || known.only;
    }

    get isStale() {
      if (!this.session) {
        return false;
      }
      const { target, armed } = this.written;
      return this.inForce === null
        ? (target && target !== this.session.target) || armed !== this.session.armed
        : this.source !== this.inForce;
    }

    heard({ header, parent_header: parent, content }) {
      const session = header.msg_type === "display_data" && content.metadata?.opsnb_session;
      if (session) {
        const isOwn = parent.session === this.panel.sessionContext.session?.kernel?.clientId;
        if (!isOwn && !session.armed) {
          this.write(false, ""); // another window that was opened has disarmed the kernel
        }
        this.session = session;
        this.inForce = this.sent;
        this.draw();
      }
    }

    scheduled(cell) {
      if (this.parameterCells.includes(cell)) {
        this.sent = this.source;
      }
    }

    /** Disarm the cells: the kernel that they were armed for is gone. */
    forget() {
      this.session = this.inForce = this.sent = null;
      this.write(false, "");
      this.draw();
    }

    write(apply, confirm) {
      for (const { model } of this.parameterCells) {
        const before = model.sharedModel.getSource();
        const after = before
          .replace(APPLY, (_, start) => start + (apply ? "True" : "False"))
          .replace(CONFIRM, (_, start) => start + JSON.stringify(confirm));
        if (after !== before) {
          model.sharedModel.setSource(after);
        }
      }
    }

    /** Run the parameters cell and the one that begins the session, so that what is written counts. */
    async run() {
      const { content, sessionContext } = this.panel;
      const session = this.cells.findIndex((cell) => /\bRunbook\(/.test(cell.model.sharedModel.getSource()));
      const chosen = this.cells.filter(
        (cell, index) => cell.model.type === "code" && (this.parameterCells.includes(cell) || index === session),
      );
      await NotebookActions.runCells(content, chosen, sessionContext);
    }

    async arm(confirm) {
      this.asks = false;
      this.write(true, confirm);
      await this.run();
    }

    async disarm() {
      this.asks = false;
      this.write(false, "");
      await this.run();
    }

    draw() {
      if (this.widget.isDisposed || this.context.isDisposed) {
        return;
      }
      this.widget.setHidden(!this.isRunbook);
      const { target, session } = this;
      const { acts, armed: wantsToAct } = this.written;
      const armed = Boolean(session?.armed);
      const guarded = session ? session.protected : isProtected(target);
      this.node.dataset.protected = guarded;
      this.node.dataset.armed = armed;
      const { isStale, asks, notice } = this;
      const shown = JSON.stringify([target, session, acts, wantsToAct, guarded, isStale, asks, notice, locked, isGone(target)]);
      if (shown === this.shown) {
        return; // a button that is just being pressed stays where it is
      }
      this.shown = shown;
      const parts = [
        element("span", "target", `Target: ${target || "none chosen"}${guarded ? " (protected)" : ""}`),
        element("span", "state", armed ? "ARMED" : acts ? "DRY RUN" : "READS ONLY"),
        element("span", "note", this.note(armed, acts)),
      ];
      if (isStale || (wantsToAct && !session)) {
        const now = session ? `Until then ${session.target} is used, ${armed ? "ARMED" : "as a dry run"}.` : "";
        parts.push(
          element("div", "warning", `The parameters were changed, but not run. ${now} `, { role: "alert" }),
        );
        parts.at(-1).append(this.button("Run the parameters", () => this.run()));
      }
      if (isGone(target)) {
        const words = `${target} is not in opsnb.toml. Choose a runbook again, on a target that is.`;
        parts.push(element("div", "warning", words, { role: "alert" }));
      }
      if (acts && armed) {
        parts.splice(3, 0, this.button("Back to dry run", () => this.disarm()));
      } else if (acts && !asks) {
        parts.splice(3, 0, this.button("Let it act ...", () => this.prepare(guarded)));
      } else if (acts) {
        parts.push(this.question(target));
      }
      if (notice) {
        const line = element("div", "warning", `${notice} `, { role: "alert" });
        line.append(this.button("Dismiss", () => this.say("")));
        parts.push(line);
      }
      this.keepFocus(() => this.node.replaceChildren(...parts));
    }

    note(armed, acts) {
      const lock = locked.includes(this.target)
        ? ` You hold the lock of ${this.target}: nobody else can act on it until this kernel has been idle for ${patience} s.`
        : "";
      if (armed) {
        return `Cells under "Act" change ${this.target} when you run them.${lock}`;
      }
      if (!acts) {
        return "Nothing in this runbook changes the target.";
      }
      return `Cells show their plan and change nothing.${lock}`;
    }

    prepare(guarded) {
      if (guarded) {
        this.asks = true;
        this.draw();
        this.node.querySelector("input").focus();
      } else {
        this.arm("");
      }
    }

    question(target) {
      const form = element("form", "warning", `${target} is protected. Type its name to let the cells change it: `);
      const name = element("input", "name", "", { type: "text", autocomplete: "off" });
      name.setAttribute("aria-label", "Name of the target");
      const arm = element("button", "arm", `Let it act on ${target}`, { type: "submit", disabled: true });
      name.oninput = () => (arm.disabled = name.value !== target);
      form.onsubmit = (event) => {
        event.preventDefault();
        if (name.value === target) {
          this.arm(name.value);
        }
      };
      const cancel = this.button("Cancel", () => {
        this.asks = false;
        this.draw();
      });
      form.append(name, " ", arm, " ", cancel);
      return form;
    }

    /** A name that is being typed survives a change of the notebook. */
    keepFocus(change) {
      const typed = this.node.querySelector("input");
      const value = typed?.value;
      const hadFocus = typed === document.activeElement;
      change();
      const now = this.node.querySelector("input");
      if (now && value) {
        now.value = value;
        now.oninput();
      }
      if (now && hadFocus) {
        now.focus();
      }
    }

    button(label, act) {
      return element("button", "button", label, { type: "button", onclick: act });
    }

    say(notice, topic) {
      this.notice = notice;
      this.topic = topic;
      this.draw();
    }

    /** A warning that somebody else acts on the target is out of date once the lock is ours. */
    lockChanged() {
      this.say(this.topic === "lock" && locked.includes(this.target) ? "" : this.notice, this.topic);
    }
  }

  /** The bar above the page of runbooks: the target that they are opened with. */
  class TargetChoice {
    constructor() {
      this.target = null;
      this.widget = new Widget();
      this.node = barIn(this.widget);
    }

    draw() {
      const names = known.targets.map((each) => each.name);
      if (!names.includes(this.target)) {
        this.target = names.includes(known.only) ? known.only : "";
      }
      const choice = element("select", "choice", "");
      choice.setAttribute("aria-label", "Target");
      const options = known.targets.map(
        ({ name, protected: guarded, practice }) =>
          new Option(`${name}${guarded ? " (protected)" : ""}${practice ? " (to practise)" : ""}`, name),
      );
      if (!this.target) {
        options.unshift(new Option("Choose a target", ""));
      }
      choice.replaceChildren(...options);
      choice.value = this.target;
      choice.onchange = () => {
        this.target = choice.value;
        this.draw();
      };
      const note = this.target
        ? `Runbooks open on ${this.target}, as a dry run.`
        : "Choose the target first: it is not guessed.";
      this.node.dataset.protected = isProtected(this.target);
      this.node.replaceChildren(element("span", "target", "Target:"), choice, element("span", "note", note));
    }

    demand() {
      this.node.querySelector("select").classList.add("opsnb-missing");
      this.node.querySelector("select").focus();
      notify({ message: "Choose the target first, at the top of the page.", type: "warning" });
    }
  }

  const barOf = (node) => [...bars].find((bar) => bar.panel?.node.contains(node) || bar.page?.node.contains(node));

  const follow = async (anchor, runbook, bar) => {
    if (bar instanceof TargetChoice && !bar.target) {
      bar.demand();
      return;
    }
    try {
      if (bar.context?.model.dirty) {
        await bar.context.save(); // the link may carry what was typed
      }
      const { path } = await ask("open", {
        runbook,
        link: new URL(anchor.href).hash,
        source: bar.context?.path ?? "",
        target: bar.target,
      });
      await app.commands.execute("docmanager:open", { path, factory: "Notebook" });
    } catch (error) {
      notify({ message: error.message, type: "error" });
    }
  };

  const clicked = (event) => {
    const anchor = event.target.closest?.("a[href]");
    const bar = anchor && barOf(anchor);
    const found = bar && RUNBOOK.exec(decodeURIComponent(new URL(anchor.href).pathname));
    const runbook = found && `${found[1]}/${found[2]}`;
    if (runbook && known.runbooks.includes(runbook) && event.button !== 2) {
      event.preventDefault();
      event.stopPropagation();
      if (event.detail < 2) {
        follow(anchor, runbook, bar); // once, however often it is clicked
      }
    }
  };

  document.head.append(element("style", "style", STYLE));
  // Before JupyterLab's own handler, which would open the same file again.
  document.addEventListener("click", clicked, true);
  document.addEventListener("auxclick", clicked, true);
  window.addEventListener("focus", refresh);

  app.docRegistry.addWidgetExtension("Notebook", {
    createNew: (panel, context) => {
      if (!inTurn.has(context)) {
        inTurn.add(context); // a notebook may have two panels
        saveInTurn(context);
      }
      const bar = new TargetBar(panel, context);
      bars.add(bar);
      panel.contentHeader.addWidget(bar.widget);
      context.ready.then(() => bar.draw());
      panel.disposed.connect(() => bars.delete(bar));
      context.disposed.connect(() => ask("close", { path: context.path }).catch(() => {}));
      return bar.widget;
    },
  });
  app.docRegistry.addWidgetExtension("Markdown Preview", {
    createNew: (page, context) => {
      const bar = new TargetChoice();
      if (context.path !== "Start.md") {
        return bar.widget;
      }
      bar.page = page;
      bars.add(bar);
      page.contentHeader.addWidget(bar.widget);
      bar.draw();
      page.disposed.connect(() => bars.delete(bar));
      return bar.widget;
    },
  });
  NotebookActions.executionScheduled.connect((_, { notebook, cell }) => {
    [...bars].find((bar) => bar.panel?.content === notebook)?.scheduled(cell);
  });
  app.commands.addCommand(READ, { execute: ({ message }) => window.alert(message) });
  app.serviceManager.events.stream.connect((_, event) => {
    if (event.schema_id === "urn:opsnb:notice") {
      const bar = [...bars].find((each) => each.context?.path === event.path);
      if (bar && event.type !== "info") {
        bar.say(event.message, event.topic); // in full, and it stays
        return;
      }
      if (bar?.topic === event.topic) {
        bar.say("");
      }
      notify(event);
    } else if (event.schema_id === "urn:opsnb:lock") {
      locked = event.targets;
      patience = event.seconds;
      bars.forEach((bar) => bar.lockChanged?.());
    }
  });
  refresh();
};

const load = async () => {
  const [{ Widget }, { NotebookActions }, { ServerConnection }] = await Promise.all(
    ["@lumino/widgets", "@jupyterlab/notebook", "@jupyterlab/services"].map(shared),
  );
  const modules = { Widget, NotebookActions, ServerConnection };
  return { id: "opsnb:runbooks", autoStart: true, activate: (app) => activate(app, modules) };
};

(window._JUPYTERLAB ??= {}).opsnb = {
  init: (given) => {
    scope = given;
  },
  get: async () => {
    const plugin = await load();
    return () => ({ __esModule: true, default: plugin });
  },
};

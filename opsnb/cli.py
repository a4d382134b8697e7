"""The command line: arguments in, calls to the package, words and an exit code out.

Heavy parts are imported by the command that needs them, so that `--help`, `list` and a refusal
answer at once.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opsnb import __version__, catalog, interrupts, terminal
from opsnb.errors import ConfigError, OpsnbError, ParameterError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from opsnb.headless.fleet import State
    from opsnb.headless.run import Order
    from opsnb.model import RunResult, Table
    from opsnb.records import Store
    from opsnb.target import Config

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich takes longer to import than --help may take
    help="Executable operations runbooks: notebooks that check, act and keep a record.",
    epilog="Exit codes: 0 ok, 1 warn, 2 crit, 3 unknown; 64 unusable input, 70 broken run, "
    "75 locked by another run, 77 refused, 124 timed out, 130 interrupted.",
)
records_app = typer.Typer(no_args_is_help=True, help="What past runs left.")
schedule_app = typer.Typer(no_args_is_help=True, help="Runbooks that cron runs.")
site_app = typer.Typer(no_args_is_help=True, help="Runbooks and records as one browsable site.")
demo_app = typer.Typer(no_args_is_help=True, help="A real system to try everything on.")
app.add_typer(records_app, name="records")
app.add_typer(schedule_app, name="schedule")
app.add_typer(site_app, name="site")
app.add_typer(demo_app, name="demo")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
TargetOption = Annotated[
    str | None,
    typer.Option("-t", "--target", metavar="TARGET", help="A target of opsnb.toml."),
]
TargetOptions = Annotated[
    list[str] | None,
    typer.Option(
        "-t",
        "--target",
        metavar="TARGET",
        help="A target of opsnb.toml, a glob of several, or `all`; repeatable.",
    ),
]
ParameterOptions = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A parameter; repeatable."),
]

_JUPYTERLAB = {"allow_extra_args": True, "ignore_unknown_options": True}


def main() -> None:
    """Run the command line; the console script. Errors are one sentence, never a traceback."""
    debug = "--debug" in sys.argv[1:]
    if debug:
        sys.argv.remove("--debug")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign still gets the rest
    try:
        code = app(standalone_mode=False)
    except OpsnbError as error:
        code = _told(str(error), error.exit_code, debug)
    except typer.exceptions.TyperException as error:
        code = _told(_usage(error), UsageError.exit_code, debug)
    except (typer.Abort, KeyboardInterrupt):
        code = _told("Interrupted.", INTERRUPTED, debug)
    except Exception as error:  # noqa: BLE001 - no traceback for the engineer at 3 a.m.
        message = f"opsnb itself failed: {type(error).__name__}: {error}. Run again with --debug."
        code = _told(message, OpsnbError.exit_code, debug)
    sys.exit(code if isinstance(code, int) else 0)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        _say(f"opsnb {__version__}")
        raise typer.Exit


@app.command("list")
def list_runbooks(as_json: Json = False) -> None:
    """List the runbooks."""
    known = []
    runbooks = catalog.runbooks()
    width = max((len(info.id) for info in runbooks), default=0) + 2
    for info in runbooks:
        try:
            known.append(_runbook_json(info) if as_json else _runbook_line(info, width))
        except ConfigError as error:  # one broken file must not hide the others
            _tell(f"opsnb: {error}")
    if as_json:
        _say_json(known)
    else:
        _say("\n".join(map(str, known)))


@app.command()
def show(runbook: str, as_json: Json = False) -> None:
    """Show what a runbook is for and which parameters it takes."""
    info = catalog.runbook(runbook)
    if as_json:
        _say_json(_runbook_json(info))
        return
    _say(info.cells[0]["source"])
    _say("\nParameters:")
    for parameter in info.parameters:
        default = "required" if parameter.required else json.dumps(parameter.default)
        words = f"{parameter.type}, {parameter.description}".rstrip(", ")
        _say(f"  {parameter.name:<20} {default:<16} {words}")


@app.command()
def run(
    runbook: Annotated[str | None, typer.Argument(help="Its id, as `opsnb list` has it.")] = None,
    target: TargetOptions = None,
    parameter: ParameterOptions = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do what the runbook plans; without it, plan only.")
    ] = False,
    confirm: Annotated[
        list[str] | None,
        typer.Option(metavar="TARGET", help="The name of a protected target, typed; repeatable."),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=1, help="Stop the whole run after this time."),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="Wait so long for a target that is locked."),
    ] = None,
    cold: Annotated[
        bool, typer.Option("--cold", help="Start a stock kernel, not a preloaded one.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="How many targets at a time; by default 2 a processor."),
    ] = None,
    failed_of: Annotated[
        str | None,
        typer.Option(metavar="RUN_ID", help="Only the targets that failed in that run."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN_ID", help="Continue that run, repeating nothing it had applied."),
    ] = None,
    allow_changed: Annotated[
        bool, typer.Option("--allow-changed", help="Continue though the runbook has changed.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Run a runbook headless and keep its record; the exit code tells the worst finding."""
    if resume is not None:
        if target or parameter or apply or confirm or failed_of:
            raise UsageError(
                "--resume takes target and parameters from the run that it continues; leave -t, "
                "-p, --apply, --confirm and --failed-of out."
            )
        return _resume(resume, runbook, allow_changed, timeout, wait, cold, as_json)
    if runbook is None:
        raise UsageError("Say which runbook; see them with: opsnb list")
    info = catalog.runbook(runbook)
    given = _given(info, parameter or (), target or (), apply, confirm or ())
    info.check(given)  # what is unusable is refused before anything else is looked at
    config = _config()
    names = config.matching(target or ())
    summary = None
    if failed_of is not None:
        if target:
            raise UsageError("--failed-of says which targets to run; leave -t out.")
        from opsnb.headless import fleet
        from opsnb.records import Store

        summary = fleet.summary(Store(config.store), failed_of)
        names = fleet.failed(summary)
        given = {"target": names[0]} | fleet.parameters(summary, info, given)
    values = info.validate(given)
    values["target"] = values.get("target") or config.only
    several = summary is not None or names != (target or [])[:1]
    from opsnb.target import stand_in

    chosen = stand_in(target or names) if several else config.target(values["target"])
    with interrupts.noted() as stopped:
        # Imported only now: a refused parameter must not wait for papermill.
        from opsnb.headless.run import Order

        order = Order(info, chosen, values, timeout, resumes=summary, cold=cold, wait_s=wait)
        if several:
            result = _run_several(order, names, config, stopped, confirm or (), jobs)
        else:
            from opsnb.headless.run import run as run_one

            if sys.stderr.isatty():
                _tell(f"Running {info.id} on {chosen.name} ...")
            result = run_one(order, config, stopped)
    return _tell_result(result, config, as_json)


@app.command("open", context_settings=_JUPYTERLAB)
def open_runbook(
    context: typer.Context,
    runbook: str,
    target: TargetOption = None,
    parameter: ParameterOptions = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Let its cells do what they plan.")
    ] = False,
    confirm: Annotated[
        str | None,
        typer.Option(metavar="TARGET", help="The name of a protected target, typed."),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="Wait so long for a target that is locked."),
    ] = None,
) -> None:
    """Step through a runbook in JupyterLab, with its parameters filled in; that is recorded.

    Other options are handed on to JupyterLab, such as --no-browser.
    """
    info = catalog.runbook(runbook)
    confirmed = () if confirm is None else (confirm,)
    given = _given(info, parameter or (), [target] if target else [], apply, confirmed)
    values, config = info.validate(given), _config()
    values["target"] = values.get("target") or config.only
    config.target(values["target"])  # refused here rather than in the notebook
    _check_jupyterlab(context)
    store = _store()
    store.demand_writable()
    # Imported only now: a refused parameter must not wait for papermill.
    from opsnb.lab.copies import fill_in, working_copy
    from opsnb.lab.jupyterlab import become
    from opsnb.lab.locks import demand_free

    if values.get("apply"):
        demand_free(store, info, values, wait)
    folder = working_copy()
    first = fill_in(folder, info, values)
    _tell(f"JupyterLab opens a working copy, {folder / first}")
    become(folder, first, context.args)


@app.command(context_settings=_JUPYTERLAB)
def lab(context: typer.Context) -> None:
    """Open JupyterLab on the runbooks, by section and by symptom; what is run is recorded.

    Options are handed on to JupyterLab, such as --no-browser.
    """
    _check_jupyterlab(context)
    _store().demand_writable()
    from opsnb.lab.copies import working_copy
    from opsnb.lab.jupyterlab import become
    from opsnb.lab.launcher import PAGE

    folder = working_copy()
    _tell(f"JupyterLab works on a copy of the runbooks, which stays in {folder}")
    become(folder, PAGE, context.args)


def _check_jupyterlab(context: typer.Context) -> None:
    """Raise UsageError when an option is neither this command's nor JupyterLab's."""
    if context.args:
        from opsnb.lab import options

        options.check(context.args, [name for each in context.command.params for name in each.opts])


@app.command()
def doctor(target: TargetOption = None, as_json: Json = False) -> int:
    """Check whether a target is reachable, complete and safe to operate."""
    config = _config()
    chosen = config.target(target or config.only)
    # Imported only now: the drivers take longer to import than --help may take.
    from opsnb.doctor import examine, report
    from opsnb.model import worst

    diagnoses = examine(chosen, config)
    if as_json:
        _say_json(
            [
                {**each.finding.model_dump(mode="json"), "tried": each.tried, "fix": each.fix}
                for each in diagnoses
            ]
        )
    else:
        _render(report(diagnoses))
    return worst(each.finding.status for each in diagnoses).exit_code


@records_app.command("list")
def list_records(
    runbook: Annotated[str | None, typer.Option(help="Only of this runbook.")] = None,
    target: TargetOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """List records, the newest first."""
    from opsnb.records import show as views

    store = _store()
    results = list(store.results(runbook=runbook, target=target, limit=limit))
    if as_json:
        _say(views.as_json(results))
    else:
        _render(views.record_list(results))
    for sentence in store.broken.values():
        _tell(f"opsnb: {sentence}")


@records_app.command("show")
def show_record(
    run_id: Annotated[str, typer.Argument(help="A run id, its end, or `latest`.")],
    as_json: Json = False,
) -> None:
    """Show what a run found."""
    from opsnb.records import show as views

    store = _store()
    result = store.result(run_id)
    if as_json:
        _say(views.result_as_json(result, store.folder(result.run_id)))
    else:
        _render_record(store, result)


@records_app.command("reindex")
def reindex_records() -> None:
    """Make every missing or broken result.json again, from its notebook."""
    store = _store()
    for run_id in store.reindex():
        _say(f"Made again: {run_id}")
    for sentence in store.broken.values():
        _tell(f"opsnb: {sentence}")


EnvironmentFile = Annotated[
    Path | None,
    typer.Option("--environment", help="A file of NAME=value lines with what opsnb.toml uses."),
]


@schedule_app.command("list")
def list_schedules(as_json: Json = False) -> None:
    """List the schedules: when each is due, and how its last run ended."""
    from opsnb.schedule import listing

    entries = listing.entries(_config(), _store())
    if as_json:
        _say_json([entry.as_json() for entry in entries])
    else:
        _render(listing.table(entries))


@schedule_app.command("run")
def run_schedule(name: str, environment: EnvironmentFile = None) -> int:
    """Run a schedule now, as cron does; its log tells how it ended."""
    from datetime import datetime

    from opsnb.schedule import running

    config = running.prepare(name, environment)
    with interrupts.noted() as stopped:
        result = running.run(name, config, datetime.now().astimezone(), stopped)
    if sys.stdout.isatty():  # cron would mail it; the log has it
        _tell_result(result, config, as_json=False)
    return result.exit_code


@schedule_app.command("crontab")
def show_crontab(
    install: Annotated[
        bool, typer.Option("--install", help="Put the lines into your crontab.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the lines out of your crontab.")
    ] = False,
    environment: EnvironmentFile = None,
) -> None:
    """Print the schedules' lines for cron, or install or remove them."""
    from opsnb.schedule import crontab

    if install and remove:
        raise UsageError("Say --install or --remove, not both.")
    config = _config()
    if remove:
        gone = crontab.remove(config)
        _say("The lines are out of your crontab." if gone else "Your crontab had no such lines.")
    elif install:
        _say(crontab.install(config, environment).rstrip())
        _tell("These lines are in your crontab now; the rest of it is as it was.")
    else:
        _say(crontab.block(config, environment).rstrip())


@site_app.command("build")
def build_site(
    out: Annotated[Path, typer.Option(help="Folder that the site is written to.")] = Path("site"),
) -> None:
    """Build the site from runbooks and records."""
    from opsnb import site

    _say(f"The site is at {site.build(_config(), out, _tell, app=app)}")


@site_app.command("serve")
def serve_site(
    out: Annotated[Path, typer.Option(help="Folder that the site is written to.")] = Path("site"),
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 8000,
) -> None:
    """Build the site and serve it on loopback."""
    from opsnb import site

    site.serve(_config(), out, port, _say, app=app)


@demo_app.command("up")
def demo_up() -> None:
    """Bring the demo stack up, or mend what of it is not."""
    from opsnb.demo import stack

    status = stack.up(_tell)
    _say(f"The demo stack is up: target 'demo', API {status.urls['api']}")


@demo_app.command("down")
def demo_down() -> None:
    """End the demo stack and remove its data."""
    from opsnb.demo import stack

    stack.down(_tell)


@demo_app.command("status")
def demo_status(as_json: Json = False) -> int:
    """Tell what of the demo stack runs; exit code 0 when it is all up."""
    from opsnb.demo import stack

    status = stack.status()
    if as_json:
        _say_json(status.to_dict())
    else:
        _say(f"The demo stack is {status.state}.")
        for part in status.parts:
            pids = " ".join(map(str, part.pids))
            _say(f"  {part.name:<12}{part.state:<6}{part.url or '-':<36}{pids}")
        for name in status.faults:
            _say(f"  fault '{name}' is active; clear it with: opsnb demo fault {name} --clear")
    return {"up": 0, "degraded": 1}.get(status.state, 2)


@demo_app.command("fault")
def demo_fault(
    name: Annotated[str | None, typer.Argument(help="Which fault.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take the fault back.")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="List the faults.")] = False,
) -> None:
    """Inject a real fault into the demo stack, or take it back."""
    from opsnb.demo import faults

    if clear and name is None:
        raise UsageError("Say which fault to clear: opsnb demo fault NAME --clear")
    if list_them or name is None:
        for fault in faults.FAULTS.values():
            _say(f"{fault.name:<18}{fault.description}")
    elif clear:
        faults.clear(name)
        _say(f"The fault '{name}' is cleared.")
    else:
        faults.inject(name)
        _say(f"The fault '{name}' is active; clear it with: opsnb demo fault {name} --clear")


@app.command("drill")
def hold_drill(
    name: Annotated[str, typer.Argument(help="Which one, or `any`; `list` lists them.")],
    hint: Annotated[
        bool, typer.Option("--hint", help="Tell also which runbook an alert would name.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="Give up after this time.")
    ] = 3600,
    as_json: Json = False,
) -> int:
    """Practise: the demo stack breaks, you mend it, and are told when all is well.

    Only the symptom is told. Work in another terminal; Ctrl-C gives up. The fault is taken back
    in any case.
    """
    from opsnb.drills import drill

    if name == "list":
        _list_drills(as_json)
        return 0
    chosen = drill(name)
    config = _config()
    with interrupts.noted() as stopped:
        from opsnb.practice import practise

        with _telling() as (say, progress):
            result = practise(
                chosen, config, stopped, limit_s=timeout, hint=hint, say=say, progress=progress
            )
    return _tell_result(result, config, as_json)


@contextmanager
def _telling() -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """Yield what tells a sentence on stderr, and what shows below, on a terminal, how it goes."""
    if not sys.stderr.isatty():
        yield _tell, lambda _: None
        return
    console = terminal.console(stderr=True, markup=False)
    with console.status("") as status:
        yield console.print, status.update


def _list_drills(as_json: bool) -> None:
    from opsnb.drills import DRILLS

    if as_json:
        _say_json([{"name": each.name, "symptom": each.symptom} for each in DRILLS.values()])
    else:
        for each in DRILLS.values():
            _say(f"{each.name:<18}{each.symptom}")


def _config() -> Config:
    """Return the configuration in force."""
    from opsnb.target import load_config

    return load_config()


def _store() -> Store:
    """Return the record store in force, with the records of runs that were killed meanwhile."""
    from opsnb.records import Store, reap

    store = Store(_config().store)
    reap(store)
    return store


def _given(
    info: catalog.RunbookInfo,
    options: Iterable[str],
    targets: Sequence[str],
    apply: bool,
    confirmed: Sequence[str],
) -> dict[str, Any]:
    """Return the parameters as given. Raises ParameterError on one not NAME=VALUE, or twice."""
    given: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise ParameterError(f"-p {option[:60]!r} is not NAME=VALUE; write it like -p hours=2.")
        if name in given:
            raise ParameterError(f"Parameter {name[:60]!r} is given twice; give it once.")
        given[name] = value
    if targets and given.setdefault("target", targets[0]) not in targets[:1]:
        raise ParameterError("The target is given twice, differently; give it by -t alone.")
    if (apply or confirmed) and not info.acts:
        raise ParameterError(f"{info.id} changes nothing; leave --apply and --confirm out.")
    by_option: dict[str, Any] = {"apply": True} if apply else {}
    if confirmed:
        by_option["confirm"] = confirmed[-1]
    for name in sorted(by_option.keys() & given.keys()):
        raise ParameterError(f"Parameter {name!r} is given twice; give it by --{name} alone.")
    return given | by_option


def _resume(
    run_id: str,
    runbook: str | None,
    allow_changed: bool,
    timeout: float | None,
    wait: float | None,
    cold: bool,
    as_json: bool,
) -> int:
    config = _config()
    with interrupts.noted() as stopped:
        from dataclasses import replace

        from opsnb.headless import resume
        from opsnb.headless.run import run as run_one

        order = resume.order(run_id, config, runbook=runbook, allow_changed=allow_changed)
        order = replace(order, timeout_s=timeout, wait_s=wait, cold=cold)
        if sys.stderr.isatty() and order.resumes:
            _tell(f"Continuing {order.resumes.run_id} ...")
        result = run_one(order, config, stopped)
    return _tell_result(result, config, as_json)


def _render_record(store: Store, result: RunResult) -> None:
    """Print a run; without the tables that it shows when its notebook cannot be read any more."""
    from opsnb.records import show as views
    from opsnb.records import tables

    shown: list[Table] = []
    with suppress(OpsnbError):
        shown = tables(store.notebook(result.run_id))
    _render(views.record(result, store.folder(result.run_id), shown))


def _tell_result(result: RunResult, config: Config, as_json: bool) -> int:
    """Print what came of a run and return its exit code."""
    if as_json:
        _say(result.model_dump_json(indent=2))
    else:
        from opsnb.records import Store

        _render_record(Store(config.store), result)
    return result.exit_code


def _run_several(
    order: Order,
    targets: Sequence[str],
    config: Config,
    stopped: Sequence[Signals],
    confirmed: Sequence[str],
    jobs: int | None,
) -> RunResult:
    from opsnb.headless import fleet

    with _live() as progress:
        return fleet.run(
            order, targets, config, stopped, confirmed=confirmed, jobs=jobs, progress=progress
        )


@contextmanager
def _live() -> Iterator[Callable[[State], None]]:
    """Yield what shows on a terminal how far a run of several targets is."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.live import Live

    from opsnb.records import show as views

    console = terminal.console(stderr=True)
    told: list[State] = []

    def view() -> RenderableType:
        if not told:
            return ""
        state = told[-1]
        return views.fleet_progress(
            state.done, state.running, state.waiting, lines=console.height - 1
        )

    with Live(get_renderable=view, console=console, transient=True, redirect_stdout=False):
        yield told.append


def _runbook_line(info: catalog.RunbookInfo, width: int) -> str:
    return f"{info.id:<{width}}{info.title}{' (acts)' if info.acts else ''}"


def _runbook_json(info: catalog.RunbookInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "title": info.title,
        "section": info.section,
        "acts": info.acts,
        "parameters": [
            {
                "name": parameter.name,
                "type": parameter.type,
                "default": parameter.default,
                "required": parameter.required,
                "description": parameter.description,
            }
            for parameter in info.parameters
        ],
    }


def _told(message: str, code: int, debug: bool) -> int:
    """Print `message` as an error and return `code`; with --debug, raise instead."""
    if debug:
        raise  # noqa: PLE0704 - called from an except clause
    if message:
        typer.echo(terminal.visible(f"opsnb: {message}"), err=True)
    return code


def _usage(error: typer.TyperException) -> str:
    """Return what is wrong with the command line, in one line that ends as a sentence."""
    words = " ".join(error.format_message().split())  # empty when the help has been printed
    return words if not words or words.endswith((".", "?", ")")) else f"{words}."


def _say(text: str) -> None:
    with _reader_may_leave():
        typer.echo(terminal.visible(text))


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Bear a reader, such as `head`, that has seen enough: the exit code stays the run's."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _render(renderable: RenderableType) -> None:
    """Print for a person: colour on a terminal, plain words elsewhere."""
    with _reader_may_leave():
        terminal.console().print(renderable)


def _say_json(value: Any) -> None:
    _say(json.dumps(value, indent=2))


def _tell(text: str) -> None:
    """Tell on stderr how a long piece of work goes."""
    typer.echo(terminal.visible(text), err=True)

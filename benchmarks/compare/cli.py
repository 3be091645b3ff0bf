"""Options, order of work, exit codes."""

import argparse
import signal
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.compare import workloads
from benchmarks.compare.environments import Environment, default_cache, prepare
from benchmarks.compare.errors import CompareError
from benchmarks.compare.revisions import Repository, Revision
from benchmarks.compare.rounds import SLICE, Suite

if TYPE_CHECKING:
    from benchmarks.compare.comparison import Comparison

WRONG_USE, INTERRUPTED = 2, 130


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description="Time two revisions of a package against each other, interleaved.",
        epilog="Exit code: 1 when a workload is worse than a threshold, 0 when none is, 2 on wrong use.",
    )
    add = result.add_argument
    add("base", metavar="BASE", help="commit, branch or tag to compare with")
    add("head", metavar="HEAD", nargs="?", help="revision to judge; default: the commit checked out")
    add("-k", metavar="WORKLOADS", help="only these benchmarks of the suite, as pytest's -k")
    add("--threshold", type=_positive, default=5, metavar="PERCENT", help="slowdown that fails (default 5)")
    add("--extra-threshold", type=_positive, default=20, metavar="PERCENT",
        help="growth of error_ratio or peak_bytes that fails (default 20)")  # fmt: skip
    add("--budget", type=_positive, default=60, metavar="SECONDS", help="time for all rounds (default 60)")
    add("--slice", type=_positive, default=SLICE, metavar="SECONDS",
        help=f"time of a workload in a round, both sides together (default {SLICE})")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    add("--markdown", type=Path, metavar="FILE", help="write the table for a pull request to this file")
    add("--dirty", action="store_true",
        help="allow uncommitted changes; without HEAD they belong to the revision judged")  # fmt: skip
    add(
        "--package",
        metavar="NAME",
        help="distribution that pip installs; default: the name in pyproject.toml",
    )
    add("--suite", type=Path, metavar="PATH", help="pytest-benchmark suite, of the tree as it is now")
    add("--project", type=Path, default=Path(), metavar="PATH", help="the package's folder in the repository")
    add(
        "--pytest-argument",
        action="append",
        default=[],
        metavar="ARG",
        help="passed to pytest; may be repeated",
    )
    add("--accuracy", type=Path, metavar="FILE",
        help="script whose measure() returns error ratios by name, run once on each revision")  # fmt: skip
    add("--no-accuracy", action="store_true", help="leave out the error ratios of the kernels")
    add("--no-pin", action="store_true", help="do not hold the two workers to one core (needed for threads)")
    add("--cache", type=Path, default=default_cache(), metavar="PATH", help="where environments are kept")
    return result


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"got {text}, expected a number above 0")
    return value


def main() -> NoReturn:
    """Run with the arguments of the process."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the same end as Ctrl-C
    options = parser().parse_args()
    errors = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
    try:
        code = compare(options)
    except CompareError as error:
        errors.print(f"compare: {error}")
        code = WRONG_USE
    except KeyboardInterrupt:
        errors.print("compare: interrupted before the first round")
        code = INTERRUPTED
    sys.exit(code)


def compare(options: argparse.Namespace) -> int:
    """Build, measure, report; the exit code."""
    repository = Repository.around(Path.cwd())
    base, head = _revisions(repository, options)
    suite = _suite(repository, options)
    accuracy = _accuracy(repository, options)
    # not at the top: scipy takes a second to import, which wrong use need not wait for
    from benchmarks.compare.accuracy import measure_accuracy
    from benchmarks.compare.comparison import Limits, prepare_comparison

    stderr = Console(stderr=True, markup=False, highlight=False, emoji=False)
    environments = []
    for revision in (base, head):
        with stderr.status(f"environment of {revision}"):
            environments.append(_environment(repository, revision, suite.package, options))
    limits = Limits(options.threshold / 100, options.extra_threshold / 100, options.budget, options.slice)
    comparison = prepare_comparison(environments, suite, limits)
    if accuracy is not None:
        with stderr.status("error ratios of both revisions"):
            comparison.accuracy = measure_accuracy(
                environments, repository.root, accuracy, limits.extra_threshold
            )
    try:
        _measure(comparison, suite, stderr)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second one must not cost the report
        comparison.stopped = "interrupted"
        if not comparison.seconds:
            raise
    return _report(comparison, options)


def _revisions(repository: Repository, options: argparse.Namespace) -> tuple[Revision, Revision]:
    base, head = repository.resolve(options.base), repository.resolve(options.head or "HEAD")
    changed = repository.changed_files()
    if changed and not options.dirty:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise CompareError(f"uncommitted changes in {changed[0]}{more}: commit them, or give --dirty")
    if changed and options.head is None:
        head = repository.with_changes(head)
    return base, head


def _suite(repository: Repository, options: argparse.Namespace) -> Suite:
    project = repository.root / options.project
    package = options.package or _name_in(project / "pyproject.toml")
    path = options.suite or repository.root / workloads.DEFAULT_SUITE
    arguments = list(options.pytest_argument)
    ours = repository.root / workloads.TWELVE
    if options.suite is None and ours.is_file():
        arguments = [*workloads.ARGUMENTS, *arguments]
        path = path if options.k else ours
    if not path.exists():
        raise CompareError(f"--suite: got {path}, expected a file or folder of benchmarks")
    select = ["-k", options.k] if options.k else []
    common = ["-q", "-p", "no:cacheprovider"]
    return Suite(
        package, repository.root, (*common, *select, *arguments, str(path.resolve())), not options.no_pin
    )


def _accuracy(repository: Repository, options: argparse.Namespace) -> Path | None:
    """The script of error ratios: the one given, or ours where the whole of our default is compared."""
    if options.accuracy is not None:
        if not options.accuracy.is_file():
            raise CompareError(f"--accuracy: got {options.accuracy}, expected a Python file")
        return Path(options.accuracy)
    ours = repository.root / workloads.ACCURACY
    default = options.suite is None and not options.k and not options.no_accuracy
    return ours if default and ours.is_file() else None


def _name_in(pyproject: Path) -> str:
    try:
        return str(tomllib.loads(pyproject.read_text())["project"]["name"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        raise CompareError(
            f"--package: {pyproject} does not name it, give the name that pip installs"
        ) from None


def _environment(
    repository: Repository, revision: Revision, package: str, options: argparse.Namespace
) -> Environment:
    return prepare(repository, revision, package, options.cache.resolve(), options.project)


def _measure(comparison: "Comparison", suite: Suite, stderr: Console) -> None:
    from benchmarks.compare.comparison import measure

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[visits]} visits")
    hidden = not stderr.is_terminal
    with Progress(*columns, TimeElapsedColumn(), console=stderr, transient=True, disable=hidden) as bar:
        task = bar.add_task("workloads settled", total=len(comparison.workloads), visits=0)
        measure(comparison, suite, lambda settled, visits: bar.update(task, completed=settled, visits=visits))


def _report(comparison: "Comparison", options: argparse.Namespace) -> int:
    from benchmarks.compare import report

    verdicts = comparison.verdicts()
    out = Console(markup=False, highlight=False, emoji=False)
    if not out.is_terminal:
        out = Console(markup=False, highlight=False, emoji=False, width=160)
    report.print_report(comparison, verdicts, out)
    if options.json:
        options.json.write_text(report.as_json(comparison, verdicts))
    if options.markdown:
        options.markdown.write_text(report.markdown(comparison, verdicts))
    if comparison.stopped == "interrupted":
        return INTERRUPTED
    return int(any(verdict.bad for verdict in verdicts) or bool(comparison.accuracy.bad))

"""`what-if`: how many orders of a small data set make the full-batch risk diverge, without training."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from data.errors import LabError
from engine.analysis.shuffling.what_if import DRAWS
from engine.analysis.shuffling.what_if_record import KINDS
from engine.analysis.shuffling.what_if_words import meaning, proof, reshuffled
from engine.cli.bar import bar
from engine.cli.command import Command, Outcome
from engine.cli.table import table
from engine.jobs.what_if import tried
from engine.jobs.what_if_request import dataset_table, read_orders, small_datasets, what_if_request
from engine.labelled_table import MOST_CHARACTERS, MOST_FEATURES, MOST_ROWS, decoded, read_table

_SHOWN = 12


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file",
        metavar="FILE",
        help=f"a table, one example a line, its class last (at most {MOST_ROWS:,} rows and "
        f"{MOST_FEATURES} features); - for standard input; or one of {', '.join(small_datasets())}",
    )
    parser.add_argument("--batch-size", type=int, required=True, metavar="B", help="examples a batch")
    parser.add_argument(
        "--label", metavar="COLUMN", help="name or number of the class's column (default: the last)"
    )
    parser.add_argument(
        "--positive", metavar="VALUE", help="the class that stands against the rest, where there are several"
    )
    parser.add_argument("--eps", type=float, default=0.0, help="added to the variance (default: 0)")
    parser.add_argument("--intercept", action="store_true", help="the read-out has a bias, or a shift")
    parser.add_argument("--scale-trained", action="store_true", help="the normalization trains its scale")
    parser.add_argument(
        "--draws",
        type=int,
        default=DRAWS,
        metavar="N",
        help=f"random orders where all would be too many (default: {DRAWS})",
    )
    parser.add_argument(
        "--orders",
        type=Path,
        metavar="FILE",
        help="judge these orders alone: indices from 0, one order a line",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random orders (default: 0)")


def _run(arguments: Namespace) -> Outcome:
    file = arguments.file
    named = file in small_datasets() and not Path(file).exists()
    text = "" if named else decoded(_content(file), file)
    orders: tuple[tuple[int, ...], ...] = ()
    if arguments.orders is not None:
        read = dataset_table(file) if named else read_table(text, arguments.label, arguments.positive)
        lines = decoded(_content(str(arguments.orders)), str(arguments.orders))
        orders = read_orders(lines, len(read.X))
    wanted = what_if_request(
        text=text,
        dataset=file if named else "",
        name="standard input" if file == "-" else Path(file).name,
        label=arguments.label,
        positive=arguments.positive,
        batch_size=arguments.batch_size,
        eps=arguments.eps,
        intercept=arguments.intercept,
        scale_trained=arguments.scale_trained,
        draws=arguments.draws,
        orders=orders,
        seed=arguments.seed,
    )
    with bar() as show:

        def progress(done: int, total: int) -> bool:
            show(done, total, f"{done:,} of {total:,} batchings")
            return False

        summary, arrays = tried(wanted, progress)
    data = summary | {
        "slopes": [slope if slope < float("inf") else None for slope in arrays["slope"].tolist()],
        "kinds": [KINDS[kind] for kind in arrays["kind"]],
        "given": arrays["given"].tolist() if "given" in arrays else None,
    }
    return Outcome(_text(data), data)


def _content(file: str) -> bytes:
    """Return the first bytes of a file, one more than can be read of it."""
    most = 2 * MOST_CHARACTERS + 1
    if file == "-":
        return sys.stdin.buffer.read(most)
    try:
        with Path(file).open("rb") as opened:
            return opened.read(most)
    except OSError as error:
        raise LabError(
            "The file cannot be read",
            f"`{file}`: {error.strerror}.",
            f"Name a table, - for standard input, or one of {', '.join(small_datasets())}.",
        ) from error


def _text(told: dict[str, Any]) -> str:
    sides = (_side("-1", told["classes"]["negative"]), _side("+1", told["classes"]["positive"]))
    extras = (
        [f"eps {told['eps']:g}"]
        + ["intercept"] * told["intercept"]
        + ["trained scale"] * told["scale_trained"]
    )
    inputs = told["features"] + told["intercept"]
    lines = [
        f"{told['name']}: {told['examples']:,} examples of {told['features']:,} features; "
        f"{'; '.join(sides)}.",
        f"Batches of {told['batch_size']:,}, {', '.join(extras)}. {' '.join(told['told'])}",
        *told["notes"],
        "",
        _counts(told),
        "",
    ]
    for what in ("worst", "best"):
        one = told[what]
        lines += [
            f"{what.capitalize()}: {_batches(one['batches'])}",
            f"  {meaning(one)} {proof(one, inputs)} {one['caution']}".rstrip(),
        ]
    whole = told["reshuffled"]
    lines += [
        "Random Reshuffle:",
        f"  {reshuffled(whole, told['batch_size'])} {proof(whole, inputs)} {whole['caution']}".rstrip(),
    ]
    if told["given"] is not None:
        rows = [
            (place, told["kinds"][at], "-" if told["slopes"][at] is None else f"{told['slopes'][at]:.3g}")
            for place, at in enumerate(told["given"], 1)
        ]
        lines += ["", table(("order", "verdict", "slope"), rows[:_SHOWN])]
        if len(rows) > _SHOWN:
            lines.append(f"... and {len(rows) - _SHOWN:,} more; --json has them all.")
    return "\n".join(lines)


def _side(sign: str, side: dict[str, Any]) -> str:
    called = ", ".join(side["names"]) + (f" and {side['others']:,} more" if side["others"] else "")
    return f"{side['examples']:,} are {sign}" + (f" ({called})" if called not in ("", sign, sign[1:]) else "")


def _counts(told: dict[str, Any]) -> str:
    """Return a table of how many orders there are of each kind."""
    counts, total = told["counts"], told["orders"]
    what = {"all": "all orders", "random": "random orders", "given": "orders given"}[told["selection"]]
    if counts is None:
        counts, total, what = told["batching_counts"], told["batchings"], "batchings of all orders"
    rows = [(kind, f"{counts[kind]:,}", f"{counts[kind] / total:.1%}") for kind in reversed(KINDS)]
    interval = ""
    if told["selection"] == "random":
        interval = f" Of all orders {told['low']:.1%} to {told['high']:.1%} diverge (95 % interval)."
    return f"{table(('verdict', what, 'share'), rows)}\n{total:,} in all.{interval}"


def _batches(batches: list[list[int]]) -> str:
    told = " ".join("{" + ", ".join(map(str, batch)) + "}" for batch in batches[:_SHOWN])
    return f"{told} ..." if len(batches) > _SHOWN else told


COMMAND = Command(
    "what-if", "Say how many orders of a small data set diverge, without training.", _arguments, _run
)

"""The command `nnef-tools compare`: do two models compute the same, and if not, where does the difference begin?"""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NnefToolsError, UsageError, VerificationError
from ..formats import FORMATS
from ..report import plural
from .convert import DEFAULT_SAMPLES
from .execute import INPUT_WORD, add_input_options, check_given, input_files
from .image_options import ITEMS, add_image_options, image_options
from .options import (
    SHAPE_WORD,
    Names,
    Parser,
    add_common_options,
    add_limits,
    add_reader_options,
    guarded,
    integer,
    parse_shapes,
    shortened,
)
from .paths import folder_name, source_path
from .render import note, print_json, print_result, print_rows, progress, warn, warn_all

if TYPE_CHECKING:
    from ..execution.runtimes import Functions
    from ..formats import InputShapes
    from ..verification.compare import ModelComparison, TensorComparison
    from ..verification.compare_inputs import Given
    from ..verification.compared_model import ComparedModel

SHOWN = 10
"""The number of rows without --all."""

SCHEMA = "nnef-tools.comparison/1"


def build_parser(prog: str = "nnef-tools compare") -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog,
        "A B",
        "Run two models of any formats on the same inputs and compare all tensors that both have; A is the reference.\n"
        "The first tensor that differs is named, with what computes it. The exit status is 0 if the outputs are\n"
        "equal, and 4 if they differ. Inputs are random unless --input-path or --input gives them.",
        items={"--shape": SHAPE_WORD, "--input": INPUT_WORD, **ITEMS},
    )
    parser.add_argument("models", nargs="*", metavar="A B", help="the models to compare, the reference first")
    group = parser.add_argument_group("models")
    group.add_argument("--format-a", choices=tuple(FORMATS), help="of the first model (default: by content and suffix)")
    group.add_argument("--format-b", choices=tuple(FORMATS), help="of the second model")
    group.add_argument(
        "--tensor-mapping", metavar="FILE", help="which tensors are the same, as convert --tensor-mapping writes it"
    )
    group.add_argument(
        "--custom-operators",
        nargs="+",
        action=Names,
        metavar="MODULE",
        help="plugin modules with CUSTOM_OPERATORS, for NNEF models",
    )
    add_reader_options(group)
    _add_inputs(parser)
    add_image_options(parser.add_argument_group("images", "inputs that are images have the size and layout of A"))
    group = parser.add_argument_group("comparison")
    group.add_argument(
        "--tolerance",
        type=_tolerance,
        metavar="X",
        default=1e-4,
        help="the largest error, relative to the scale of a tensor (default: 1e-4)",
    )
    group.add_argument(
        "--all", action="store_true", help="show all tensors, not only the first that differs and the worst"
    )
    group.add_argument(
        "--bisect",
        metavar="DIR",
        help="write the parts of both models where the difference begins, with their inputs, as a report of a defect",
    )
    group.add_argument(
        "--quantized",
        action="store_true",
        help="B is the quantized A: show the signal-to-noise ratio, what is clipped, and the worst channels; the exit "
        "status is 0",
    )
    add_common_options(parser)
    add_limits(parser)
    return parser


def _add_inputs(parser: Parser) -> None:
    add_input_options(parser.add_argument_group("inputs"))
    group = parser.add_argument_group("inputs of B")
    group.add_argument(
        "--input-path-b",
        metavar="DIR",
        help="folder with other inputs for B (default: the values of A in its terms)",
    )
    group.add_argument(
        "--samples",
        type=integer,
        metavar="N",
        help=f"run on N random inputs, or the first N samples of --input-path (default: {DEFAULT_SAMPLES}, or all)",
    )


def main(args: argparse.Namespace) -> int:
    """Runs the command and returns the exit status; options that `args` lacks have their defaults."""
    return guarded(_run, build_parser().complete(args))


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"'{shortened(text)}' is not a number from 0 on")
    return value


def _run(args: argparse.Namespace) -> int:
    from ..api import read_tensor_mapping
    from ..verification.compare import compare_tensors

    warn_all(getattr(args, "warnings", ()))
    if len(args.models) != 2:
        hint = build_parser().swallowed(args) or "nnef-tools compare A B"
        raise UsageError(f"two models are needed, {len(args.models)} are given", hint=hint)
    mapping = None if args.tensor_mapping is None else read_tensor_mapping(args.tensor_mapping)
    with progress() as show:
        show("read")
        a, b = _models(args)
        given = _given(args, a, b)
        found = compare_tensors(
            a,
            b,
            given,
            mapping=mapping,
            tolerance=args.tolerance,
            quantized=args.quantized,
            progress=show,
        )
        written = [] if args.bisect is None else _bisect(args, a, b, found)
    if args.json:
        print_json({**_facts(found, args), "written": written})
    else:
        _print(found, args)
        for path in written:
            print_result(f"Written {path}")
    return 0 if found.ok or args.quantized else VerificationError.exit_code


def _bisect(args: argparse.Namespace, a: ComparedModel, b: ComparedModel, found: ModelComparison) -> list[str]:
    """Writes the parts of both models where the difference begins; returns the folder, if there is one to write."""
    from ..verification.bisect import write_reproduction

    if found.first is None or not found.first.tensor.is_computed:
        reason = "no tensor differs" if found.first is None else "the inputs of the models differ already"
        warn(f"--bisect: nothing is written, since {reason}")
        return []
    reproduction = write_reproduction(a, b, found, Path(str(folder_name("--bisect", args.bisect))), args.tolerance)
    if not reproduction.is_reproduced:
        warn(
            "--bisect: the parts alone do not differ as the models do; the difference may come from what is before them"
        )
    return [str(reproduction.folder)]


def _models(args: argparse.Namespace) -> tuple[ComparedModel, ComparedModel]:
    from ..plugins import load_operators
    from ..verification.compare_inputs import with_input_shapes

    shapes = parse_shapes(None, args.shape or ())
    functions = load_operators(args.custom_operators or ()) or None
    first, second = (
        _model(args, path, format, functions, shapes)
        for path, format in zip(args.models, (args.format_a, args.format_b), strict=True)
    )
    return with_input_shapes(first, second, shapes) if shapes else (first, second)


def _model(
    args: argparse.Namespace, path: str, format: str | None, functions: Functions | None, shapes: InputShapes | None
) -> ComparedModel:
    """A model with the shapes of its own, or with these ones if it cannot be read without."""
    from ..verification.compared_model import ComparedModel

    def model(input_shapes: InputShapes | None) -> ComparedModel:
        return ComparedModel(
            Path(source_path(path)),
            format,
            input_shapes=input_shapes,
            custom_operators=functions,
            signature=args.signature,
            weights=args.weights,
        )

    try:
        return model(None)
    except NnefToolsError:
        if not shapes:
            raise
    return model(shapes)


def _given(args: argparse.Namespace, a: ComparedModel, b: ComparedModel) -> list[Given]:
    """The inputs of both models for each sample: from files, or random values by default."""
    from ..execution.executor import known_name
    from ..execution.feeds.samples import load_samples
    from ..execution.feeds.sources import FileSource
    from ..verification.check import random_source
    from ..verification.compare_inputs import Given, draw, given_inputs, infos_of, ranges_of

    if args.random is not None and args.input_path is not None:
        raise UsageError("--random and --input-path exclude each other")
    if args.samples is not None and args.samples < 1:
        raise UsageError(f"--samples is 1 or more, not {args.samples}")
    infos = infos_of(a, b)
    check_given(args, [info.name for info in infos])
    files = {} if args.input is None else input_files(args)
    folder = folder_name("--input-path", args.input_path)
    if folder is None:
        random = random_source(args.random, args.seed or 0, ranges_of(a, b))
        source = FileSource(files, random, image_options(args)) if files else random
        is_fixed = bool(files) and all(known_name(info.name, files) for info in infos)
        given = [draw(a, b, source, infos) for _ in range(1 if is_fixed else args.samples or int(DEFAULT_SAMPLES))]
    else:
        given = []
        others = [info for info in infos if known_name(info.name, files) is None]
        fixed = FileSource(files, None, image_options(args))
        for sample in islice(load_samples(others, Path(folder), image_options(args)), args.samples):
            values = {info.name: sample[info.name] if info.name in sample else fixed.load(info) for info in infos}
            given.append(given_inputs(a, b, values))
    if args.input_path_b is None:
        return given
    path = Path(str(folder_name("--input-path-b", args.input_path_b)))
    of_b = list(islice(load_samples(b.inputs, path), args.samples))
    if len(of_b) != len(given):
        raise UsageError(f"there are {len(given)} samples for A, and {len(of_b)} for B")
    return [Given(item.a, other) for item, other in zip(given, of_b, strict=True)]


def _print(found: ModelComparison, args: argparse.Namespace) -> None:
    names = [Path(path).name for path in args.models]
    note(f"{names[0]} ran in {found.backends[0]}, {names[1]} in {found.backends[1]}")
    print_result(summary(found, quantized=args.quantized))
    rows = _noise_rows(found, args.all) if args.quantized else _rows(found, args.all)
    if len(rows) > 1:
        print_rows(rows)
    computed = sum(tensor.is_computed for tensor in found.tensors)
    if not args.all and len(rows) - 1 < computed:
        print_result(f"  ({len(rows) - 1} of {computed} tensors; --all shows all)")
    if not args.quantized:
        for line in (*_first_lines(found), *_float64_lines(found)):
            print_result(line)


def summary(found: ModelComparison, *, quantized: bool = False) -> str:
    """The result in a line."""
    computed = [tensor for tensor in found.tensors if tensor.is_computed]
    several = f"{len(found.outputs)} outputs" if len(found.outputs) > 1 else "the output"
    rest = f"{plural(len(computed), 'tensor')} compared" + (f" on {found.samples} samples" if found.samples > 1 else "")
    alone = [f"{count} only in {name}" for count, name in zip(found.missing, "AB", strict=True) if count > 0]
    rest += f" ({', '.join(alone)})" if alone else ""
    if quantized:
        worst = min((t.noise.snr for t in computed if t.noise is not None), default=math.inf)
        return f"quantization noise: the lowest signal-to-noise ratio is {_decibels(worst)}; {rest}"
    wrong = [tensor for tensor in computed if not tensor.ok]
    if found.ok and not wrong:
        worst_error = max((tensor.error for tensor in computed), default=0.0)
        why = "; ".join(f"output '{name}' {text}" for name, text in found.weak)
        equal, colon = (f"equal on these inputs, but this check is weak: {why}", ";") if why else ("equal", ":")
        rounded = sum(tensor.distances is not None for tensor in computed)
        if rounded:
            return (
                f"{equal if why else 'equal up to rounding'}{colon} {plural(rounded, 'tensor')} beyond the tolerance, "
                f"by what rounding to float32 may change; the largest error is {worst_error:.3g} of the scale; {rest}"
            )
        return f"{equal}{colon} the largest error is {worst_error:.3g} of the scale; {rest}"
    if found.ok:
        are = "are equal" if len(found.outputs) > 1 else "is equal"
        return f"{several} {are}, but inner tensors differ ({len(wrong)}); {rest}"
    bad = [output.name for output in found.outputs if not output.ok]
    alone = [f"'{name}' only in {letter}" for letter, names in zip("AB", found.alone, strict=True) for name in names]
    if alone and not bad:
        return f"different: of the outputs, {', '.join(alone)}, the others are equal; {rest}"
    rest = f"of the outputs, {', '.join(alone)}; {rest}" if alone else rest
    which = "the output differs" if len(found.outputs) == 1 else f"{len(bad)} of {len(found.outputs)} outputs differ"
    return f"different: {which}; {rest}"


def _chosen(found: ModelComparison, everything: bool, badness: Any) -> list[TensorComparison]:
    """The rows to show, in the order of execution: all, or the first that differs, the outputs and the worst."""
    computed = [tensor for tensor in found.tensors if tensor.is_computed]
    if everything:
        return list(found.tensors)
    names = {output.name for output in found.outputs[:SHOWN]}
    names |= {found.first.tensor.a} if found.first is not None else set()
    names |= {tensor.a for tensor in sorted(computed, key=badness, reverse=True)[: max(0, SHOWN - len(names))]}
    return [tensor for tensor in computed if tensor.a in names]


def _rows(found: ModelComparison, everything: bool) -> list[tuple[str, ...]]:
    first = None if found.first is None else found.first.tensor.a
    rows: list[tuple[str, ...]] = [
        ("", "tensor of A", "operator", "tensor of B", "operator", "error / scale", "scale", "cosine", "ulps", "note")
    ]
    for t in _chosen(found, everything, lambda tensor: (not tensor.ok, tensor.error)):
        c = t.comparison
        numbers = c.shapes_equal
        notes = [t.layout and f"{t.layout} in B", "" if c.shapes_equal else _shapes(t)]
        notes += ["equal items with the channels moved"] if t.is_moved else []
        notes += [_float64(t)] if t.distances is not None else []
        notes += ["infinite or NaN elsewhere"] if c.shapes_equal and not c.specials_equal else []
        rows.append(
            (
                "=>" if t.a == first else "" if t.ok else "x",
                t.a,
                t.operators[0],
                t.b,
                t.operators[1],
                f"{t.comparison.relative_error:.3g}" if numbers else "-",
                f"{c.scale:.3g}" if numbers else "-",
                f"{c.cosine:.6f}" if numbers else "-",
                "-" if t.ulps is None else f"{t.ulps:.3g}",
                ", ".join(filter(None, notes)),
            )
        )
    return rows


def _float64(tensor: TensorComparison) -> str:
    """What float64 says about a tensor, in a few words."""
    found = tensor.distances
    assert found is not None
    nearer = f"{found.nearer} is nearer to float64" if found.nearer else "both as near to float64"
    return f"rounding, {nearer}" if tensor.ok else nearer


def _float64_lines(found: ModelComparison) -> list[str]:
    """The distances of the outputs and of the first tensor from float64, where they are known."""
    names = {output.name for output in found.outputs}
    names |= {found.first.tensor.a} if found.first is not None else set()
    lines = [found.note] if found.note else []
    for tensor in found.tensors:
        distances = tensor.distances
        if tensor.a in names and distances is not None:
            lines.append(
                f"'{tensor.a}': A is {distances.a:.3g} off from float64 (on the graph of {distances.graph}), B "
                f"{distances.b:.3g}; rounding to float32 changes it by {distances.rounding:.3g}"
            )
    return lines


def _shapes(tensor: TensorComparison) -> str:
    a, b = (list(shape) for shape in (tensor.comparison.reference_shape, tensor.comparison.result_shape))
    return f"shape {a} -> {b}" + (", equal items" if tensor.is_reshaped else "")


def _noise_rows(found: ModelComparison, everything: bool) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("tensor of A", "operator", "tensor of B", "SNR (dB)", "clipped", "worst channels (dB)")
    ]
    chosen = _chosen(found, everything, lambda tensor: -tensor.noise.snr if tensor.noise else math.inf)
    for t in chosen:
        if t.noise is None:
            rows.append((t.a, t.operators[0], t.b, "-", "-", _shapes(t)))
            continue
        channels = ", ".join(f"{k}: {_number(snr)}" for k, snr in t.noise.channels)
        clipped = "-" if t.noise.clipped is None else f"{100 * t.noise.clipped:.2f}%"
        rows.append((t.a, t.operators[0], t.b, _number(t.noise.snr), clipped, channels))
    return rows


def _number(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else str(value)


def _decibels(value: float) -> str:
    return f"{_number(value)} dB" if math.isfinite(value) else "infinite, as nothing differs"


def _first_lines(found: ModelComparison) -> list[str]:
    """The first tensor that differs, what computes it, and from what."""
    if found.first is None:
        return []
    tensor = found.first.tensor
    lines = [f"the difference begins at '{tensor.a}' of {tensor.operators[0] or 'an input'}, in B '{tensor.b}' of "
             f"{tensor.operators[1] or 'an input'}: {_how(tensor)}"]  # fmt: skip
    for letter, source, operation in zip("AB", found.first.sources, found.first.operations, strict=True):
        if source:
            lines.append(f"  in the model that {letter} was made of: '{source}'")
        if operation:
            lines.append(f"  operator of {letter}: '{operation}'")
    for operand in found.first.operands:
        error = "not compared" if operand.error is None else f"error {operand.error:.3g} of its scale"
        lines.append(f"  computed from '{operand.a}', in B '{operand.b}': {error}")
    return lines


def _how(tensor: TensorComparison) -> str:
    c = tensor.comparison
    if not c.shapes_equal:
        return _shapes(tensor)
    if not c.specials_equal:
        return "infinite or not-a-number items are in other places"
    return f"by {c.max_error:.3g}, {c.relative_error:.3g} of its scale"


def _facts(found: ModelComparison, args: argparse.Namespace) -> dict[str, Any]:
    """The comparison as JSON."""
    first = found.first
    return {
        "schema": SCHEMA,
        "status": "ok",
        "equal": found.ok,
        "tolerance": args.tolerance,
        "models": [
            {"path": str(path), "backend": backend, "tensors_without_counterpart": missing}
            for path, backend, missing in zip(args.models, found.backends, found.missing, strict=True)
        ],
        "samples": found.samples,
        "outputs": [output.name for output in found.outputs],
        "weak": dict(found.weak),
        "outputs_without_counterpart": [list(names) for names in found.alone],
        "first": None
        if first is None
        else {
            "a": first.tensor.a,
            "b": first.tensor.b,
            "operators": list(first.tensor.operators),
            "operations": list(first.operations),
            "sources": list(first.sources),
            "operands": [{"a": o.a, "b": o.b, "error": _finite(o.error)} for o in first.operands],
        },
        "tensors": [_tensor(tensor) for tensor in found.tensors],
    }


def _tensor(t: TensorComparison) -> dict[str, Any]:
    c = t.comparison
    return {
        "a": t.a,
        "b": t.b,
        "operators": list(t.operators),
        "matched_by": t.by,
        "ok": t.ok,
        "shapes": [list(c.reference_shape), list(c.result_shape)],
        "types": [c.reference_dtype, c.result_dtype],
        "layout": t.layout or None,
        "equal_items_of_other_shape": t.is_reshaped,
        "equal_items_with_moved_channels": t.is_moved,
        "sample": t.sample,
        "float64": None if t.distances is None else asdict(t.distances),
        "max_error": _finite(c.max_error),
        "scale": _finite(c.scale),
        "error": _finite(c.relative_error),
        "cosine": _finite(c.cosine),
        "ulps": _finite(t.ulps),
        "specials_equal": c.specials_equal if c.shapes_equal else None,
        "noise": None
        if t.noise is None
        else {
            "snr_db": _finite(t.noise.snr),
            "clipped": t.noise.clipped,
            "worst_channels": [{"channel": k, "snr_db": _finite(snr)} for k, snr in t.noise.channels],
        },
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

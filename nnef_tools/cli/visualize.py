"""The command `nnef-tools visualize`: a picture of a model, or a page to look around in."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .options import (
    SHAPE_WORD,
    Names,
    Parser,
    add_common_options,
    add_input_format,
    add_limits,
    add_reader_options,
    guarded,
    names_or_all,
    parse_shapes,
    reader_options,
)
from .paths import check_output, file_name, source_path
from .render import note, print_json, print_result, progress, warn, warn_all

if TYPE_CHECKING:
    from ..formats import InputShapes
    from ..inspection.opening import SizedModel
    from ..pipeline.stages import OpenModel

KINDS = ("svg", "html", "pdf", "png", "dot")

LEFT_OUT = {
    "constant_operations": "operations on constants only are not drawn; --show-variables draws them",
    "body_operations": "operations in bodies of conditions and loops are not drawn",
}
"""Messages about what a picture leaves out."""

SHORTENED = ("--format", "--decompose", "--show-variables", "--infer-shapes")
"""The options of the 1.0 series, which may be shortened as there."""


def build_parser(prog: str = "nnef-tools visualize") -> Parser:
    """The parser of the subcommand."""
    parser = Parser(
        prog,
        "MODEL",
        "Draw a model: operations in the colors of their families, shapes on the edges, weights in small print,\n"
        "repeated blocks once with their count, scopes as frames.",
        items={"--shape": SHAPE_WORD},
        shortened=SHORTENED,
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="the model to draw")
    group = parser.add_argument_group("picture")
    group.add_argument(
        "--format",
        choices=KINDS,
        help="of the picture: svg, html (a page to look around in), pdf, png, or dot (text for Graphviz) (default: by "
        "the suffix of --output, else svg)",
    )
    group.add_argument("-o", "--output", metavar="FILE", help="file to write (default: MODEL.FORMAT)")
    group.add_argument("--expand", action="store_true", help="draw every occurrence of repeated blocks")
    group.add_argument("--show-variables", action="store_true", help="draw weights and constants as boxes of their own")
    group = parser.add_argument_group("model")
    add_input_format(group)
    group.add_argument(
        "--shape",
        nargs="+",
        action=Names,
        metavar="NAME:EXTENTS",
        help="extents of inputs, in place of those of the model: x:1,3,224,224",
    )
    group.add_argument("--infer-shapes", action="store_true", help="warn of shapes that remain unknown after inference")
    group.add_argument(
        "--decompose",
        nargs="*",
        action=Names,
        metavar="OP",
        help="draw these compound NNEF operations as their definition (none: all)",
    )
    add_reader_options(group)
    add_common_options(parser, verbose="also print names, attributes, quantization and item types in the boxes")
    add_limits(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    """Runs the command and returns the exit status; options that `args` lacks have their defaults."""
    return guarded(_run, build_parser().complete(args))


def _run(args: argparse.Namespace) -> int:
    from ..formats import detect_input
    from ..inspection.opening import open_structure
    from ..inspection.picture.costs import costs_of
    from ..inspection.picture.nodes import Look
    from ..inspection.picture.render import picture, prepare
    from ..inspection.picture.scene import groups_of, nodes_of
    from ..io.files import replace_file
    from ..report import count_operations

    warn_all(getattr(args, "warnings", ()))
    if args.model is None:
        hint = build_parser().swallowed(args) or "nnef-tools visualize MODEL"
        raise UsageError("the following argument is required: MODEL", hint=hint)
    path = Path(source_path(args.model))
    kind = args.format or _kind(args.output)
    output = file_name(args.output) or f"{str(path).rstrip('/')}.{kind}"
    check_output({"--output": output}, *["--json"] * args.json)
    with progress() as show:
        show("read")
        format = detect_input(path, args.input_format)
        shapes = parse_shapes(None, args.shape or ())
        options = reader_options(args, format)
        model = open_structure(path, format, format.dialect.by_tensor_name(shapes or {}), options)
        graph = model.graph
        unknown = prepare(graph, format.dialect, names_or_all(args.decompose))
        show("draw")
        look = Look(variables=args.show_variables, verbose=args.verbose, expand=args.expand)
        costs = costs_of(graph, _sized(model, path, shapes, options)) if kind == "html" else {}
        made = picture(graph, look, kind, path.name, costs)
        with replace_file(output) as file:
            file.write(made.content)
    scene = made.scene
    warn_all((*model.warnings, *made.warnings))
    if args.infer_shapes and unknown:
        warn(
            f"the shapes of {unknown} tensors remain unknown"
            + (", since inputs leave extents open (--shape)" if any(t.volume is None for t in graph.inputs) else "")
        )
    for what, count in scene.left_out.items():
        note(f"{count} {LEFT_OUT[what]}")
    if args.json:
        blocks = [
            {"operations": len(list(nodes_of(group.children))), "count": group.count, "title": group.title}
            for group in groups_of(scene.children)
            if group.count > 1
        ]
        operations = count_operations(graph)
        print_json(
            {"schema": "nnef-tools.picture/1", "status": "ok", "written": [output], "operations": operations,
             "repeated_blocks": blocks, "left_out": scene.left_out}
        )  # fmt: skip
    else:
        (note if output == "/dev/stdout" else print_result)(f"Written {output}")
    return 0


def _sized(opened: OpenModel, path: Path, shapes: InputShapes | None, options: Mapping[str, Any]) -> SizedModel:
    """The model with what its operators cost: opened once more, for a batch of 1, if its inputs leave extents open."""
    from ..inspection.opening import as_it_is, open_sized

    if all(tensor.volume is not None for tensor in opened.graph.inputs):
        model = as_it_is(opened, path)
    else:
        model = open_sized(path, format=opened.format.name, input_shapes=shapes, **options)
    if model.problem is not None:
        note(f"MACs are not known: {model.problem.message}" + (f"; {model.problem.hint}" if model.problem.hint else ""))
    return model


def _kind(output: str | None) -> str:
    """The kind of picture that a file name asks for. UsageError."""
    suffix = Path(output or "").suffix.lower().removeprefix(".")
    if suffix in KINDS:
        return suffix
    if output is None or output == "-":
        return "svg"
    raise UsageError(f"--output: the suffix of '{output}' tells no format", hint=f"--format {{{','.join(KINDS)}}}")

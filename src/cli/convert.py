"""`mlxk convert`."""

from typing import Annotated

import typer

from mlxk.cli.invocation import Invocation
from mlxk.cli.options import Json, ModelArgument, Quiet, Verbose

__all__ = ["command"]


def command(
    context: typer.Context,
    source: ModelArgument,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="The directory to make; a bare name goes into MLXK_WORKSPACE_HOME.",
            show_default=False,
        ),
    ],
    repair_index: Annotated[
        bool,
        typer.Option(
            "--repair-index", help="Rebuild the weight index from the shards' headers.", show_default=False
        ),
    ] = False,
    quantize: Annotated[
        int | None,
        typer.Option(
            "--quantize",
            metavar="BITS",
            help="Pack the weights into 2, 3, 4, 6 or 8 bits.",
            show_default=False,
        ),
    ] = None,
    dequantize: Annotated[
        bool, typer.Option("--dequantize", help="Open packed weights.", show_default=False)
    ] = False,
    q_group_size: Annotated[
        int | None,
        typer.Option(
            "--q-group-size",
            metavar="N",
            help="Weights that share a scale: 32, 64 (default) or 128; other modes have their own.",
            show_default=False,
        ),
    ] = None,
    q_mode: Annotated[
        str | None,
        typer.Option(
            "--q-mode",
            metavar="MODE",
            help="affine (default), mxfp4, mxfp8 or nvfp4.",
            show_default=False,
        ),
    ] = None,
    skip_health: Annotated[
        bool,
        typer.Option(
            "--skip-health",
            help="Convert damaged models too, and do not check the result.",
            show_default=False,
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a new workspace from a model: with a whole index, or in fewer or more bits."""
    from mlxk.app.convert import ConvertCommand
    from mlxk.cli.output.convert import print_convert
    from mlxk.cli.output.progress import progress_for
    from mlxk.domain.convert_work import work_of

    invocation: Invocation = context.obj
    invocation.begin("convert", json=json, quiet=quiet, verbose=verbose)
    work = work_of(
        repair_index=repair_index,
        bits=quantize,
        dequantize=dequantize,
        group_size=q_group_size,
        mode=q_mode,
    )
    request = ConvertCommand(source, target, work, check_health=not skip_health)
    result = invocation.container.convert()(request, progress_for(invocation), invocation.notice)
    invocation.answer(result, print_convert)

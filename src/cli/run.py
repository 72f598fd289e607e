"""`mlxk run`."""

import sys
from typing import Annotated

import typer

from mlxk.cli.invocation import Invocation
from mlxk.cli.options import Json, ModelArgument, Quiet, Verbose
from mlxk.domain.errors import InvalidInput
from mlxk.domain.sampling import Sampling

__all__ = ["command"]

STDIN = "-"
DEFAULTS = Sampling()


def command(
    context: typer.Context,
    model: ModelArgument,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROMPT...",
            help="The prompt; '-' reads stdin, words after it follow.",
            show_default=False,
        ),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", help="The prompt, as an option.", show_default=False)
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", "-s", help="A system prompt.", show_default=False)
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            help="Most tokens to generate; what the context leaves if not given.",
            show_default=False,
        ),
    ] = None,
    temperature: Annotated[
        float, typer.Option(help="0 always takes the likeliest token.")
    ] = DEFAULTS.temperature,
    top_p: Annotated[
        float, typer.Option(help="Keep the likeliest tokens up to this probability.")
    ] = DEFAULTS.top_p,
    top_k: Annotated[
        int, typer.Option(help="Keep this many likeliest tokens; 0 keeps all.")
    ] = DEFAULTS.top_k,
    min_p: Annotated[
        float, typer.Option(help="Drop tokens below this fraction of the likeliest.")
    ] = DEFAULTS.min_p,
    repetition_penalty: Annotated[
        float, typer.Option(help="Make recent tokens less likely; 1 does not.")
    ] = DEFAULTS.repetition_penalty,
    seed: Annotated[int | None, typer.Option(help="Same seed, same answer.", show_default=False)] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(help="End the answer before this text; repeatable.", show_default=False),
    ] = None,
    no_stream: Annotated[
        bool, typer.Option("--no-stream", help="Print the answer when it is complete.", show_default=False)
    ] = False,
    no_chat_template: Annotated[
        bool,
        typer.Option("--no-chat-template", help="Give the prompt to the model as it is.", show_default=False),
    ] = False,
    no_reasoning: Annotated[
        bool,
        typer.Option(
            "--no-reasoning", help="Ask the model not to think, and hide it if it does.", show_default=False
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Generate an answer with a model."""
    from mlxk.app.run import RunRequest
    from mlxk.cli.output.answer import SilentAnswer, StreamedAnswer, print_answer

    invocation: Invocation = context.obj
    invocation.begin("run", json=json, quiet=quiet, verbose=verbose)
    settings = invocation.container.settings()
    request = RunRequest(
        model=model,
        prompt=_prompt(words or [], prompt),
        system=system,
        sampling=Sampling(temperature, top_p, top_k, min_p, repetition_penalty, seed),
        max_tokens=max_tokens if max_tokens is not None else settings.max_tokens,
        stop=tuple(stop or ()),
        chat_template=not no_chat_template,
        thinking=False if no_reasoning else None,
    )
    invocation.configure_logs()
    run = invocation.container.run()
    if invocation.json or no_stream:
        result = run(request, SilentAnswer(invocation))
        invocation.answer(result, lambda found: print_answer(found, reasoning=not no_reasoning))
    else:
        with StreamedAnswer(invocation, reasoning=not no_reasoning) as answer:
            run(request, answer)


def _prompt(words: list[str], option: str | None) -> str:
    """The prompt from wherever it was given: words, --prompt, stdin by '-' or a pipe, or one typed line.

    Raises:
        InvalidInput: it was given twice, or stdin is no UTF-8 text.
    """
    if option is not None:
        if words:
            raise InvalidInput("The prompt is given twice, as words and as --prompt.", hint="use one of them")
        return _stdin() if option == STDIN else option
    if words[:1] == [STDIN]:
        return "\n\n".join(part for part in (_stdin(), " ".join(words[1:])) if part)
    if words:
        return " ".join(words)
    return _typed_line() if sys.stdin.isatty() else _stdin()


def _stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"Standard input is not UTF-8 text: byte {error.start} is no part of a character."
        ) from error


def _typed_line() -> str:
    sys.stderr.write("> ")
    sys.stderr.flush()
    return sys.stdin.readline().rstrip("\n")

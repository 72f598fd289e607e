"""`mlxk serve`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mlxk.app.settings import DEFAULT_GRACE_SECONDS, parse_log_level
from mlxk.cli.complete import complete_model
from mlxk.cli.invocation import Invocation
from mlxk.cli.options import Json, Quiet, Verbose
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError

__all__ = ["command"]


def command(
    context: typer.Context,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Load this model before the first request; repeatable.",
            autocompletion=complete_model,
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (127.0.0.1).", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on (8000); 0 takes a free one.", show_default=False)
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(help="A key that clients must send; better in MLXK_API_KEY.", show_default=False),
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="A file with one key a line.", show_default=False)
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Let other machines in without a key.", show_default=False),
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="A name that clients may call this server by; repeatable.", show_default=False),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="A web origin whose pages may call; repeatable.", show_default=False),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="Most tokens of an answer whose request does not say (half the context).", show_default=False
        ),
    ] = None,
    max_models: Annotated[
        int | None, typer.Option(help="Models kept loaded at once (3).", show_default=False)
    ] = None,
    memory_budget: Annotated[
        str | None,
        typer.Option(
            help="For weights, prompt caches and running answers: 12GB, 60% (70% of RAM).", show_default=False
        ),
    ] = None,
    keep_alive: Annotated[
        str | None,
        typer.Option(
            help="How long an idle model stays: 5m, 1h, 0, or -1 for ever (5m; those of --model for ever).",
            show_default=False,
        ),
    ] = None,
    grace: Annotated[
        float, typer.Option(help="Seconds that running answers may take to end after Ctrl-C.")
    ] = DEFAULT_GRACE_SECONDS,
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning or error (info).", show_default=False)
    ] = None,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="One JSON object a log line.", show_default=False)
    ] = False,
    log_prompts: Annotated[
        bool, typer.Option("--log-prompts", help="Write prompts to the log.", show_default=False)
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Serve models over HTTP, as OpenAI's API does."""
    invocation: Invocation = context.obj
    invocation.begin("serve", json=json, quiet=quiet, verbose=verbose)
    settings = invocation.container.settings()
    of_server = invocation.container.server_settings()
    keys = _keys(of_server.api_key if api_key is None else api_key, api_key_file)
    invocation.configure_logs(
        replace(
            settings,
            log_level=parse_log_level("The log level", log_level) or settings.log_level or "info",
            log_json=log_json or settings.log_json,
        ),
        keys,
    )
    _require_server_packages()

    from mlxk.app.serve import ServeRequest
    from mlxk.cli.output.serve import print_served

    request = ServeRequest(
        models=tuple(model or ([of_server.model] if of_server.model else [])),
        host=host or of_server.host,
        port=of_server.port if port is None else port,
        api_keys=keys,
        insecure=insecure,
        allowed_hosts=tuple(allowed_host or ()),
        cors_origins=tuple(cors_origin or ()),
        max_tokens=settings.max_tokens if max_tokens is None else max_tokens,
        max_models=max_models,
        memory_budget=memory_budget,
        keep_alive=keep_alive,
        grace_seconds=grace,
        log_prompts=log_prompts,
    )
    invocation.container.serve()(
        request, lambda served: invocation.answer(served, lambda found: print_served(found, invocation))
    )


def _keys(key: str | None, file: Path | None) -> tuple[str, ...]:
    """The keys of the flag or the environment, and of the file.

    Raises:
        InvalidInput: the key is empty, or the file cannot be read or has none.
    """
    if key is not None and not key.strip():
        raise InvalidInput("The API key is empty.", hint="leave --api-key out to serve without a key")
    keys = [key.strip()] if key else []
    if file is not None:
        try:
            found = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"The key file '{file}' cannot be read.") from error
        if not any(found):
            raise InvalidInput(f"The key file '{file}' has no key.", hint="write one key a line")
        keys.extend(line for line in found if line)
    return tuple(keys)


def _require_server_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]
    if missing:
        raise MlxkError(
            ErrorKind.DEPENDENCY_MISSING,
            f"The server needs packages that are not installed: {', '.join(missing)}.",
            hint="pip install 'mlxk[server]'",
        )

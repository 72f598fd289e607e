"""`GET /docs`: the OpenAPI document as a page that loads nothing from elsewhere, as Swagger's would."""

from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter
from starlette.responses import HTMLResponse

__all__ = ["documentation_routes"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 16px/1.5 sans-serif; margin: 2em auto; max-width: 50em; padding: 0 1em }}</style>
</head><body><h1>{title} {version}</h1><p>{description}</p>
<p>The whole document, with the fields of every body: <a href="/openapi.json">openapi.json</a></p>
{operations}
</body></html>
"""
_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


def documentation_routes(document: Callable[[], Mapping[str, Any]]) -> APIRouter:
    """The page.

    Args:
        document: gives the OpenAPI document.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def read_documentation() -> HTMLResponse:
        """The endpoints and what they answer with."""
        return HTMLResponse(_page(document()), headers=_HEADERS)

    return router


def _page(document: Mapping[str, Any]) -> str:
    about = {name: escape(document["info"][name]) for name in ("title", "version", "description")}
    return _PAGE.format(operations="\n".join(_operations(document["paths"])), **about)


def _operations(paths: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            told = (operation.get("summary", ""), operation.get("description", ""))
            yield f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2>"
            yield f"<p>{'. '.join(escape(text.rstrip('.')) for text in told if text)}.</p><ul>"
            for status, answer in sorted(operation["responses"].items()):
                yield f"<li>{escape(status)}: {escape(answer.get('description', ''))}</li>"
            yield "</ul>"

"""The Hub's routes, as the client's calls need them. `{id}` is `org/name`.

Reading: `GET /api/models/{id}[/revision/{rev}]`, `GET /api/models/{id}/tree/{rev}`, `GET …/auth-check`,
`HEAD` and `GET /{id}/resolve/{rev}/{file}`, which sends LFS files on to a CDN under another host name with a
signed URL. Writing is in `uploads`.
"""

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from tests.contract.hub_server.answers import FileAnswer, error, error_for
from tests.contract.hub_server.faults import Trouble
from tests.contract.hub_server.repositories import Access, Content, Repository
from tests.contract.hub_server.state import SIGNATURE, Denied, State, Visitor
from tests.contract.hub_server.traffic import Place
from tests.contract.hub_server.uploads import add_uploads


def make_app(state: State) -> FastAPI:
    """The application over a state that tests change while it runs."""

    async def noted(request: Request) -> None:
        path = request.scope["path"]
        if not path.startswith(("/cdn/", "/storage/")):
            state.note(Place.API if path.startswith("/api/") else Place.RESOLVE, request)

    app = FastAPI(openapi_url=None, dependencies=[Depends(noted)])

    @app.exception_handler(Denied)
    async def denied(_request: Request, why: Denied) -> Response:
        return why.answer

    async def visitor(request: Request) -> Visitor:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in state.repositories.users:
            raise Denied(error(401, None, "Invalid credentials in Authorization header"))
        return Visitor(
            state.repositories.users.get(token), may_write=token not in state.repositories.read_only
        )

    Guest = Annotated[Visitor, Depends(visitor)]  # noqa: N806 - a type

    async def troubled(request: Request) -> None:
        """For questions to the API; files have their own."""
        fault = state.faults.take(request.method, request.scope["path"])
        match fault.trouble if fault else None:
            case Trouble.STATUS | Trouble.ODD_STATUS if fault:
                raise Denied(error_for(fault))
            case Trouble.NOT_JSON:
                raise Denied(HTMLResponse("<html>Log in to the hotel's network</html>"))
            case Trouble.SILENT:
                await state.connections.hang()
            case Trouble.HOLD:
                await state.connections.hold()
            case Trouble.RESET:
                assert request.client is not None
                state.connections.reset((request.client.host, request.client.port))

    def commit_of(repository: Repository, revision: str) -> str:
        commit = repository.resolve(revision)
        if commit is None:
            raise Denied(error(404, "RevisionNotFound", f"Invalid rev id: {revision}"))
        return commit

    @app.get("/api/models/{org}/{name}/auth-check", dependencies=[Depends(troubled)])
    async def auth_check(org: str, name: str, guest: Guest) -> Response:
        guest.take(guest.see(state.repositories.models.get(f"{org}/{name}")))
        return Response("OK", media_type="text/plain")

    @app.get("/api/models/{org}/{name}", dependencies=[Depends(troubled)])
    @app.get("/api/models/{org}/{name}/revision/{revision:path}", dependencies=[Depends(troubled)])
    async def info(org: str, name: str, guest: Guest, revision: str = "main") -> Response:
        repository = guest.see(state.repositories.models.get(f"{org}/{name}"))
        commit = commit_of(repository, revision)
        return JSONResponse(
            {
                "id": repository.name,
                "sha": commit,
                "private": repository.access is Access.PRIVATE,
                "gated": "auto" if repository.access is Access.GATED else False,
                "siblings": [_sibling(path, file) for path, file in repository.commits[commit].items()],
            }
        )

    @app.get("/api/models/{org}/{name}/tree/{revision}", dependencies=[Depends(troubled)])
    async def tree(
        request: Request, org: str, name: str, revision: str, guest: Guest, cursor: int = 0
    ) -> Response:
        repository = guest.see(state.repositories.models.get(f"{org}/{name}"))
        files = repository.commits[commit_of(repository, revision)]
        entries = [*_folders(list(files)), *(_entry(path, file) for path, file in files.items())]
        end = cursor + state.page_size
        headers = {}
        if end < len(entries):
            following = str(request.url.include_query_params(cursor=end))
            headers["Link"] = f'<{following}>; rel="next"'
        return JSONResponse(entries[cursor:end], headers=headers)

    @app.api_route("/{org}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    async def resolve(
        request: Request, org: str, name: str, revision: str, path: str, guest: Guest
    ) -> Response:
        repository = guest.see(state.repositories.models.get(f"{org}/{name}"))
        commit = commit_of(repository, revision)
        guest.take(repository)
        file = repository.commits[commit].get(path)
        if file is None:
            return error(404, "EntryNotFound", "Entry not found", **{"X-Repo-Commit": commit})
        headers = {"X-Repo-Commit": commit, "ETag": f'"{file.etag}"'}
        if not file.lfs:
            return await serve(request, file, headers)
        headers |= {"X-Linked-ETag": f'"{file.etag}"', "X-Linked-Size": str(file.size), "ETag": '"pointer"'}
        signed = f"{state.cdn}/cdn/{org}/{name}/resolve/{commit}/{quote(path)}?Signature={SIGNATURE}"
        return RedirectResponse(signed, 302, headers=headers)

    @app.api_route("/cdn/{org}/{name}/resolve/{commit}/{path:path}", methods=["GET", "HEAD"])
    async def cdn(request: Request, org: str, name: str, commit: str, path: str) -> Response:
        if request.query_params.get("Signature") != SIGNATURE:
            return Response("<Error>AccessDenied</Error>", 403, media_type="application/xml")
        file = state.repositories.models[f"{org}/{name}"].commits[commit][path]
        return await serve(request, file, {"ETag": '"0123456789abcdef-of-the-cdn"'})

    add_uploads(app, state, visitor, troubled)

    async def serve(request: Request, file: Content, headers: dict[str, str]) -> Response:
        if request.method == "GET":
            state.note(Place.BYTES, request)
        fault = state.faults.take(request.method, request.scope["path"])
        if fault is not None and fault.trouble in (Trouble.STATUS, Trouble.ODD_STATUS):
            return error_for(fault)
        return FileAnswer(file.data, request.headers.get("Range"), headers, fault, state.connections)

    return app


def _sibling(path: str, file: Content) -> dict[str, object]:
    lfs = {"sha256": file.etag, "size": file.size, "pointerSize": len(file.pointer)} if file.lfs else None
    return {"rfilename": path, "size": file.size, "blobId": file.oid, **({"lfs": lfs} if lfs else {})}


def _entry(path: str, file: Content) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "oid": file.oid, "size": file.size}
    if file.lfs:
        entry["lfs"] = {"oid": file.etag, "size": file.size, "pointerSize": len(file.pointer)}
    if file.xet_hash:
        entry["xetHash"] = file.xet_hash
    return entry


def _folders(paths: list[str]) -> list[dict[str, object]]:
    """The folders of a recursive listing, each once."""
    names = {path.rsplit("/", 1)[0] for path in paths if "/" in path}
    return [{"type": "directory", "path": name, "oid": "0" * 40, "size": 0} for name in sorted(names)]

"""The Hub's routes for writing: `POST /api/repos/create`, `POST R/branch/{b}`, `POST R/preupload/{rev}`,
`POST R/commit/{branch}`, LFS in the basic transfer, and what the client asks on the way (R is
`/api/models/{id}`): `GET /api/whoami-v2`, `GET R/refs`, `POST /api/validate-yaml`.

Contents go to a storage under another host name, by a signed URL, and count only once they were verified.
"""

import asyncio
import base64
import fnmatch
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

import yaml
from fastapi import Depends, FastAPI, Request
from starlette.responses import JSONResponse, Response

from tests.contract.hub_server.answers import error, error_for
from tests.contract.hub_server.faults import Trouble
from tests.contract.hub_server.repositories import Access, Content, Repository
from tests.contract.hub_server.state import SIGNATURE, Denied, State, Visitor
from tests.contract.hub_server.traffic import Place

LFS_SUFFIXES = (".safetensors", ".gguf", ".bin")
LFS_FROM = 10 * 1024 * 1024
GIT_ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


def add_uploads(
    app: FastAPI,
    state: State,
    visitor: Callable[[Request], Awaitable[Visitor]],
    troubled: Callable[[Request], Awaitable[None]],
) -> None:
    """Add the routes."""
    Guest = Annotated[Visitor, Depends(visitor)]  # noqa: N806 - a type
    models = state.repositories.models
    wrong = [Depends(troubled)]

    @app.get("/api/whoami-v2", dependencies=wrong)
    async def whoami(guest: Guest) -> Response:
        if guest.user is None:
            return error(401, None, "Invalid username or password.")
        role = "write" if guest.may_write else "read"
        return JSONResponse(
            {"type": "user", "name": guest.user, "auth": {"accessToken": {"displayName": "t", "role": role}}}
        )

    @app.post("/api/repos/create", dependencies=wrong)
    async def create(request: Request, guest: Guest) -> Response:
        asked = await request.json()
        owner = asked.get("organization") or guest.user
        name = f"{owner}/{asked['name']}"
        url = f"{request.base_url}{name}"
        if guest.user is None:
            return error(401, None, "Invalid username or password.")
        if name in models and models[name].is_writable(guest.user):
            return JSONResponse({"error": "You already created this model repo", "url": url}, 409)
        if owner != guest.user or not guest.may_write:
            return error(403, None, f"You don't have the rights to create a model under {owner}")
        private = asked.get("visibility") == "private" or asked.get("private") is True
        access = Access.PRIVATE if private else Access.PUBLIC
        models[name] = Repository(name, access, readers=frozenset({guest.user}))
        models[name].commit({".gitattributes": Content(GIT_ATTRIBUTES)})
        return JSONResponse({"url": url, "name": name})

    @app.post("/api/models/{org}/{name}/branch/{branch:path}", dependencies=wrong)
    async def create_branch(request: Request, org: str, name: str, branch: str, guest: Guest) -> Response:
        repository = guest.write(models.get(f"{org}/{name}"))
        if branch in repository.refs:
            return error(409, None, "Reference already exists")
        asked = json.loads(await request.body() or b"{}")
        repository.refs[branch] = _commit(repository, asked.get("startingPoint", "main"))
        return Response(status_code=201)

    @app.get("/api/models/{org}/{name}/refs", dependencies=wrong)
    async def refs(org: str, name: str, guest: Guest) -> Response:
        repository = guest.see(models.get(f"{org}/{name}"))
        branches = [
            {"name": branch, "ref": f"refs/heads/{branch}", "targetCommit": commit}
            for branch, commit in repository.refs.items()
        ]
        return JSONResponse({"branches": branches, "converts": [], "tags": []})

    @app.post("/api/validate-yaml", dependencies=wrong)
    async def validate(request: Request) -> Response:
        content = (await request.json())["content"]
        try:
            front = yaml.safe_load(content.split("---")[1]) if content.startswith("---") else {}
        except yaml.YAMLError:
            front = None
        if not isinstance(front, dict):
            return JSONResponse({"errors": [{"message": "the YAML is invalid"}], "warnings": []}, 400)
        warnings = [] if front else [{"message": "empty or missing yaml metadata in repo card"}]
        return JSONResponse({"errors": [], "warnings": warnings})

    @app.post("/api/models/{org}/{name}/preupload/{revision:path}", dependencies=wrong)
    async def preupload(request: Request, org: str, name: str, revision: str, guest: Guest) -> Response:
        repository = guest.write(models.get(f"{org}/{name}"))
        asked = await request.json()
        held = repository.commits[_commit(repository, revision)]
        ignored = asked.get("gitIgnore") or (held[".gitignore"].data.decode() if ".gitignore" in held else "")
        return JSONResponse({"files": [_upload_of(file, held, ignored.split()) for file in asked["files"]]})

    @app.post("/{org}/{name}.git/info/lfs/objects/batch")
    async def batch(request: Request, org: str, name: str, guest: Guest) -> Response:
        guest.write(models.get(f"{org}/{name}"))
        await troubled(request)
        objects = []
        for wanted in (await request.json())["objects"]:
            actions = {
                "upload": {"href": f"{state.cdn}/storage/{org}/{name}/{wanted['oid']}?Signature={SIGNATURE}"},
                "verify": {"href": f"{request.base_url}{org}/{name}.git/info/lfs/verify"},
            }
            known = wanted["oid"] in state.repositories.objects
            objects.append({**wanted, **({} if known else {"actions": actions})})
        return JSONResponse({"transfer": "basic", "objects": objects})

    arrived: dict[str, bytes] = {}

    @app.put("/storage/{org}/{name}/{oid}")
    async def store(request: Request, oid: str) -> Response:
        state.note(Place.STORAGE, request)
        if request.query_params.get("Signature") != SIGNATURE or "Authorization" in request.headers:
            return Response("<Error>AccessDenied</Error>", 403, media_type="application/xml")
        fault = state.faults.take("PUT", request.scope["path"])
        stops = fault is not None and fault.trouble in (Trouble.RESET, Trouble.CUT, Trouble.HANG)
        data = b""
        async for chunk in request.stream():
            data += chunk
            if fault is not None and fault.trouble is Trouble.SLOW:
                await asyncio.sleep(len(chunk) / fault.amount)
            if fault is not None and stops and len(data) >= fault.amount:
                break
        if fault is not None and fault.trouble is Trouble.STATUS:
            return error_for(fault)
        if fault is not None and fault.trouble is Trouble.HANG:
            await state.connections.hang()
        elif stops:
            assert request.client is not None
            state.connections.reset((request.client.host, request.client.port))
        elif hashlib.sha256(data).hexdigest() != oid:
            return Response("<Error>BadDigest</Error>", 400, media_type="application/xml")
        else:
            arrived[oid] = data
        return Response()

    @app.post("/{org}/{name}.git/info/lfs/verify")
    async def verify(request: Request, org: str, name: str, guest: Guest) -> Response:
        guest.write(models.get(f"{org}/{name}"))
        await troubled(request)
        asked = await request.json()
        data = arrived.get(asked["oid"])
        if data is None or len(data) != asked["size"]:
            return error(404, None, "Object not found")
        state.repositories.objects[asked["oid"]] = data
        return JSONResponse({})

    @app.post("/api/models/{org}/{name}/commit/{branch:path}", dependencies=wrong)
    async def commit(request: Request, org: str, name: str, branch: str, guest: Guest) -> Response:
        repository = guest.write(models.get(f"{org}/{name}"))
        head = _commit(repository, branch)
        lines = [json.loads(line) for line in (await request.body()).splitlines() if line.strip()]
        header = lines[0]["value"]
        if header.get("parentCommit", head) != head:
            return error(412, None, "A commit has happened since. Please refresh and try again.")
        files = dict(repository.commits[head])
        for line in lines[1:]:
            _apply(line["key"], line["value"], files, state.repositories.objects)
        made = repository.commit(files, branch)
        repository.log.append(header["summary"])
        url = f"{request.base_url}{org}/{name}/commit/{made}"
        return JSONResponse({"success": True, "commitOid": made, "commitUrl": url, "hookOutput": ""})


def _commit(repository: Repository, branch: str) -> str:
    found = repository.resolve(branch)
    if found is None:
        raise Denied(error(404, "RevisionNotFound", f"Invalid rev id: {branch}"))
    return found


def _upload_of(file: Mapping[str, Any], held: Mapping[str, Content], ignored: list[str]) -> dict[str, object]:
    path = file["path"]
    lfs = path.endswith(LFS_SUFFIXES) or file["size"] > LFS_FROM
    return {
        "path": path,
        "uploadMode": "lfs" if lfs else "regular",
        "shouldIgnore": any(fnmatch.fnmatch(path, pattern) for pattern in ignored),
        "oid": held[path].etag if path in held else None,
    }


def _apply(
    key: str, value: Mapping[str, Any], files: dict[str, Content], objects: Mapping[str, bytes]
) -> None:
    """One line of a commit."""
    path = value["path"]
    match key:
        case "file":
            files[path] = Content(base64.b64decode(value["content"]))
        case "lfsFile" if value["oid"] in objects:
            files[path] = Content(objects[value["oid"]], lfs=True)
        case "deletedFile" if path in files:
            del files[path]
        case _:
            raise Denied(error(400, None, f"{key} of {path} makes no sense"))

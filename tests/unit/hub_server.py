"""A local server that plays as much of the Hugging Face hub as huggingface_hub asks for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.unit.http_files import FileServer

COMMIT = "c0ffee" * 6 + "c0ff"


@dataclass
class Hub:
    """Repositories and their files."""

    server: FileServer
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def add(self, repository: str, files: dict[str, bytes], *, revision: str = "main") -> None:
        self.repositories[repository] = files
        siblings, tree = [], []
        for name, content in files.items():
            large = name.endswith((".gguf", ".safetensors"))
            sha1 = hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
            sha256 = hashlib.sha256(content).hexdigest()
            sibling: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": sha1}
            entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": sha1}
            if large:
                sibling["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 130}
                entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
            tree.append(entry)
            digest = f'"{sha256 if large else sha1}"'
            headers = {"X-Repo-Commit": COMMIT, "ETag": digest}
            if large:
                headers |= {"X-Linked-ETag": digest, "X-Linked-Size": str(len(content))}
            for path in (self.path(repository, name, revision), self.path(repository, name, COMMIT)):
                self.server.files[path], self.server.headers[path] = content, headers
        info = {"_id": "1", "id": repository, "modelId": repository, "sha": COMMIT, "private": False, "tags": []}
        api = f"/api/models/{repository}"
        for path in (api, f"{api}/revision/{revision}"):
            self.server.files[path] = json.dumps({**info, "siblings": siblings}).encode()
        self.server.files[f"{api}/tree/{COMMIT}"] = json.dumps(tree).encode()

    def path(self, repository: str, name: str, revision: str = "main") -> str:
        return f"/{repository}/resolve/{revision}/{name}"

    def refuse(self, repository: str, status: int, code: str, *, revision: str | None = None) -> None:
        api = f"/api/models/{repository}" + (f"/revision/{revision}" if revision else "")
        self.server.statuses[api] = (status, {"X-Error-Code": code})

"""A hub on this machine: the few responses of the Hugging Face Hub that reading a model needs, and a log of requests.

As on the real hub, large files are redirected to another host, the "CDN", and named by their SHA-256.
"""

import hashlib
import http.server
import json
import threading
import urllib.parse
from pathlib import Path

LARGE = (".safetensors", ".bin", ".h5", ".msgpack", ".onnx", ".pb", ".data-00000-of-00001")


class HubServer:
    """`endpoint` is its address; `put` creates a repository or adds a commit to it."""

    def __init__(self):
        self.repositories = {}  # name -> revision -> commit
        self.commits = {}  # (name, commit) -> path -> content
        self.tokens = {}  # name of a private or gated repository -> the token that opens it
        self.gated = set()
        self.renamed = {}  # old name -> name
        self.requests = []  # method, path, headers
        self.status = {}  # part of a path -> the response's status
        self.cut_bodies = 0  # this many bodies are cut off in the middle
        self.short = False  # the CDN answers with a few bytes of something else, as a proxy does
        self.damaged = False  # the CDN changes a byte of every body
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                hub.answer(self)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, name, content, revision="main", **others):
        """Commits a folder's files, or a dict of them, and `others`; returns the commit."""
        files = content if isinstance(content, dict) else folder_content(content)
        files |= {path.replace("__", "."): data for path, data in others.items()}
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[name, commit] = files
        self.repositories.setdefault(name, {})[revision] = commit
        return commit

    @property
    def bodies(self):
        """The names of the files whose content was requested."""
        names = {digest(content): path for files in self.commits.values() for path, content in files.items()}
        asked = [path for method, path, _ in self.requests if method == "GET"]
        return [
            names[path.removeprefix("/cdn/")] if path.startswith("/cdn/") else path.partition("/resolve/")[2][41:]
            for path in asked
            if path.startswith("/cdn/") or "/resolve/" in path
        ]

    def answer(self, request):
        path = urllib.parse.urlsplit(request.path).path
        self.requests.append((request.command, path, request.headers))
        for part, status in self.status.items():
            if part in path:
                return self.send(request, status)
        if path.startswith("/cdn/"):
            return self.send_content(request, path.removeprefix("/cdn/"))
        api, _, where = path.partition("/api/models/")
        name, kind, rest = split(where if not api else path[1:])
        if name in self.renamed:
            return self.send(request, 307, Location=path.replace(name, self.renamed[name]))
        opened = request.headers.get("Authorization") == f"Bearer {self.tokens.get(name)}"
        if name not in self.repositories or (name in self.tokens and not opened and name not in self.gated):
            return self.send(request, 401, **{"X-Error-Code": "RepoNotFound"})
        revision, _, file = rest.partition("/")
        revision = urllib.parse.unquote(revision) or "main"
        commit = self.repositories[name].get(revision, revision)
        if (name, commit) not in self.commits:
            return self.send(request, 404, **{"X-Error-Code": "RevisionNotFound"})
        files = self.commits[name, commit]
        if kind == "resolve":
            if name in self.gated and not opened:
                return self.send(request, 403, **{"X-Error-Code": "GatedRepo"})
            return self.send_file(request, files.get(urllib.parse.unquote(file)), file, commit)
        siblings = [{"rfilename": path, "size": len(data)} for path, data in files.items()]
        about = {"id": name, "sha": commit, "siblings": siblings}
        return self.send(request, 200, json.dumps(about).encode())

    def send_file(self, request, content, name, commit):
        headers = {"X-Repo-Commit": commit}
        if content is None:
            return self.send(request, 404, **{"X-Error-Code": "EntryNotFound"}, **headers)
        if name.endswith(LARGE):
            linked = {"X-Linked-Etag": f'"{digest(content)}"', "X-Linked-Size": str(len(content))}
            place = self.endpoint.replace("127.0.0.1", "localhost")
            return self.send(request, 302, Location=f"{place}/cdn/{digest(content)}", **linked, **headers)
        return self.send(request, 200, content, ETag=f'"{git_digest(content)}"', **headers)

    def send_content(self, request, wanted):
        content = next(c for files in self.commits.values() for c in files.values() if digest(c) == wanted)
        first = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if self.short:
            content = b"<html>"
        if self.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        cut = self.cut_bodies > 0
        self.cut_bodies -= cut
        span = {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"} if first else {}
        return self.send(request, 206 if first else 200, content[first:], cut=cut, **span)

    def send(self, request, status, content=b"", cut=False, **headers):
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content[: len(content) // 2] if cut else content)
        request.close_connection = cut


def folder_content(folder):
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def split(path):
    """Splits a path like `owner/name/revision/main`, with or without an owner, into name, kind of request and rest."""
    words = path.split("/")
    for kind in ("revision", "resolve"):
        if kind in words:
            at = words.index(kind)
            return "/".join(words[:at]), kind, "/".join(words[at + 1 :])
    return path, "", ""


def digest(content):
    return hashlib.sha256(content).hexdigest()


def git_digest(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

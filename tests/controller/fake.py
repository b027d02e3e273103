"""A controller and a registry that answer as told: so much of Jenkins' API as `scripts/controller` speaks."""

import base64
import http.server
import json
import re
import threading
import urllib.parse
import xml.etree.ElementTree

USER, TOKEN = "ann", "marked-token-11aa22bb33"
REGISTRY_USER, REGISTRY_PASSWORD = "robot", "marked-password-77"
PLUGINS = """cloudbees-folder credentials credentials-binding git pipeline-groovy-lib pipeline-model-definition
    script-security workflow-basic-steps workflow-cps workflow-durable-task-step workflow-job lockable-resources""".split()
RECORD = "tagwright/acme/record.jsonl"


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """Whoever was stopped by a signal does not wait for the answer."""


class Fake:
    """What the controller holds; tests change it before or while the stories run."""

    def __init__(self):
        self.plugins, self.items, self.credentials, self.builds, self.deleted, self.asked = list(PLUGINS), {}, [], {}, [], []
        # By method and the end of a path: (status, headers, text) in place of the answer, or a function that is called first.
        self.instead, self.before = {}, {}
        self.log_of = lambda script: ""
        self.waits = lambda script: "wait: 240" in script
        self.first = ["waiting for `a`", "nothing is left"]
        self.result_of = lambda name: None
        self.pending, self.session, self.restarting = False, 1, 0
        fake = self

        class Answers(Handler):
            controller = fake

        self.server = Server(("127.0.0.1", 0), Answers)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def script(self, name):
        return xml.etree.ElementTree.fromstring(self.items[name]).findtext("definition/script") or ""

    def log(self, build):
        """All that a script says by `echo`, but what comes after a step that was waited for when the build was stopped."""
        said = list(self.first)
        if not build["waits"]:
            said += re.findall(r"echo '([^']*)'", self.script(build["job"]))
            said += ["<****>", "first 5 ms, second 4 ms", f"2026.34.103 is sha256:00, tagwright/{self.host}/acme/serviceone"]
        return "\n".join([*said, self.log_of(build["job"])])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", -1, True
    controller = None

    def log_message(self, *_):
        pass

    def answer(self, status, text="", **headers):
        body = text.encode()
        self.send_response(status)
        for name, value in {"X-Jenkins": "2.504.1", "X-Jenkins-Session": str(self.controller.session), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def serve(self):
        fake = self.controller
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        path, _, query = self.path.partition("?")
        fake.asked.append(f"{self.command} {path}")
        login = base64.b64decode(self.headers.get("Authorization", "Basic ").removeprefix("Basic ")).decode()
        if path.startswith("/v2/"):
            return self.registry(path, login)
        if login != f"{USER}:{TOKEN}":
            return self.answer(401, "no")
        for (method, end), act in list(fake.before.items()):
            if method == self.command and path.endswith(end):
                act()
        for (method, end), (status, headers, text) in list(fake.instead.items()):
            if method == self.command and path.endswith(end):
                return self.answer(status, text, **headers)
        return self.jenkins(path, dict(urllib.parse.parse_qsl(query)), body)

    do_GET = do_POST = do_PUT = serve

    def registry(self, path, login):
        if login != f"{REGISTRY_USER}:{REGISTRY_PASSWORD}":
            return self.answer(401)
        if self.command == "POST":
            return self.answer(202, Location=f"{path}1")
        return self.answer(201)

    def jenkins(self, path, query, body):
        fake = self.controller
        if path == "/api/json":
            if fake.restarting:
                fake.restarting -= 1
                return self.answer(503, "Jenkins is getting ready")
            return self.answer(200, "{}")
        if path == "/safeRestart":
            fake.session, fake.restarting = fake.session + 1, 2
            return self.answer(302, Location="/")
        if path == "/pluginManager/api/json":
            return self.json({"plugins": [{"shortName": name, "version": "1.2", "active": True} for name in fake.plugins]})
        if path == "/scriptApproval/":
            return self.answer(200, "<p>No pending script approvals.</p>" + ("<div id='s-1'>" if fake.pending else "<p>No pending signature approvals.</p>"))
        if path.endswith("/createItem"):
            fake.items[query["name"]] = body
            return self.answer(200)
        if path.endswith("/createCredentials"):
            fake.credentials.append(json.loads(urllib.parse.parse_qs(body)["json"][0])["credentials"])
            return self.answer(302, Location="/")
        found = re.fullmatch(r"/queue/item/(\d+)/api/json", path)
        if found:
            return self.json({"executable": {"number": int(found[1])}})
        return self.folder(path)

    def folder(self, path):
        fake = self.controller
        parts = path.strip("/").split("/")
        name = parts[1] if len(parts) > 1 else ""
        if name not in fake.items:
            return self.answer(404)
        if parts[2:] == ["doDelete"]:
            del fake.items[name]
            fake.deleted.append(name)
            return self.answer(302, Location="/")
        if parts[2:3] == ["api"]:
            return self.json({"name": name})
        job, rest = parts[3], parts[4:]
        if rest[0].startswith("build"):
            number = len(fake.builds) + 1
            fake.builds[number] = {"job": job, "waits": fake.waits(fake.script(job)), "stopped": False}
            # By a name of its own, which a controller behind a proxy may have.
            return self.answer(201, Location=f"http://jenkins.example/queue/item/{number}/")
        build = fake.builds[int(rest[0])]
        if rest[1] == "stop":
            build.update(stopped=True)
            return self.answer(302, Location="/")
        if rest[1] == "consoleText":
            return self.answer(200, fake.log(build))
        if rest[1] == "artifact":
            return self.answer(200, '{"state":"planned"}\n{"state":"done"}\n')
        result = "ABORTED" if build["stopped"] else fake.result_of(job) or "SUCCESS"
        runs = build["waits"] and not build["stopped"]
        return self.json({"building": runs, "result": None if runs else result,
                          "artifacts": [{"relativePath": RECORD}, {"relativePath": "tagwright/board/index.html"}]})

    def json(self, value):
        self.answer(200, json.dumps(value))

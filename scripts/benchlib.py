"""What the benchmarks share: registries, a door that makes round trips last, images, runs that are measured."""

import base64
import collections
import contextlib
import hashlib
import http.client
import json
import os
import queue
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
TOOLS = os.path.join(TARGET, "tools")
# The environment of Python that has moto, and with it `cryptography`.
PYTHON = os.path.join(TOOLS, "moto", "bin", "python")
SKOPEO = "/usr/bin/skopeo"
REGISTRY, REGISTRY_2 = os.path.join(TOOLS, "registry"), "/usr/bin/docker-registry"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def say(text):
    print(text, file=sys.stderr, flush=True)


def fail(text):
    sys.exit(f"{os.path.basename(sys.argv[0])}: {text}")


def turned(names, by):
    by %= len(names)
    return names[by:] + names[:by]


def middle(values):
    return statistics.median(values)


def install():
    subprocess.run([os.path.join(ROOT, "scripts/install-tools"), "bench"], check=True)


def tagwright(given):
    """The program to measure: the one that is named, or the static release, which is built."""
    if given:
        return os.path.abspath(given)
    built = subprocess.run([os.path.join(ROOT, "scripts/build-static")], check=True, stdout=subprocess.PIPE, text=True)
    return os.path.join(ROOT, built.stdout.split()[-1])


def storage():
    """Memory where there is enough of it, so that no disk is measured, else the disk."""
    shared = "/dev/shm"
    if os.path.isdir(shared) and shutil.disk_usage(shared).free > 6 << 30:
        return shared
    return tempfile.gettempdir()


@contextlib.contextmanager
def workplace(where=None):
    """A folder for everything that is stored, and what is started in it ends and goes with it."""
    # A signal ends this like a mistake does.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    # As root, skopeo remembers blobs outside of its home.
    remembered = "/var/lib/containers/cache/blob-info-cache-v1.boltdb"
    known = os.path.exists(remembered)
    folder = tempfile.mkdtemp(prefix="tagwright-bench-", dir=where or storage())
    try:
        with contextlib.ExitStack() as started:
            yield folder, started
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not known and os.path.exists(remembered):
            os.remove(remembered)


CERTIFICATES = """
import datetime, ipaddress, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
folder, names = sys.argv[1], sys.argv[2:]
now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
def name(text): return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
def host(text): return x509.IPAddress(ipaddress.ip_address(text)) if text[0].isdigit() and text.count(".") == 3 else x509.DNSName(text)
def made(subject, key, issuer, signer, extensions):
    made = x509.CertificateBuilder(name(issuer), name(subject), key.public_key(), 1 + len(extensions), now - day, now + day)
    for extension in extensions: made = made.add_extension(extension, critical=False)
    return made.sign(signer, hashes.SHA256())
ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
ca = made("benchmark authority", ca_key, "benchmark authority", ca_key, [x509.BasicConstraints(True, None)])
server = made("benchmark server", key, "benchmark authority", ca_key, [
    x509.SubjectAlternativeName([host(n) for n in names]), x509.BasicConstraints(False, None)])
pem = serialization.Encoding.PEM
open(f"{folder}/ca.pem", "wb").write(ca.public_bytes(pem))
open(f"{folder}/server.pem", "wb").write(server.public_bytes(pem))
open(f"{folder}/server.key", "wb").write(
    key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
"""


def certificates(folder, *names):
    """Writes `ca.pem`, `server.pem` and `server.key` for these names and addresses, of an authority made for it."""
    if not os.path.exists(PYTHON):
        fail("moto is not there; run `scripts/install-tools bench`")
    subprocess.run([PYTHON, "-c", CERTIFICATES, folder, *names], check=True)


class Registry:
    """A registry with storage of its own, which ends with this process.

    With the folder of certificates it speaks TLS 1.3, with the address of a token server it asks for a login there.
    """

    def __init__(self, folder, name, certified=None, realm=None, like=None, program=REGISTRY, address="127.0.0.1"):
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder)
        if like:
            shutil.copytree(like.path(), self.path())
        config = {
            "version": "0.1", "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": f"{self.folder}/storage"}},
            "http": {"addr": f"{address}:0", "secret": "of the benchmark"},
        }
        if certified:
            config["http"]["tls"] = {
                "certificate": f"{certified}/server.pem", "key": f"{certified}/server.key", "minimumtls": "tls1.3",
            }
        if realm:
            config["auth"] = {"token": {
                "realm": realm, "service": "bench", "issuer": "bench", "rootcertbundle": f"{certified}/ca.pem",
            }}
        file = os.path.join(self.folder, "config.yml")
        with open(file, "w", encoding="utf-8") as out:
            # What is JSON is YAML too.
            json.dump(config, out)
        self.log = os.path.join(self.folder, "requests")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", program, "serve", file],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.PIPE, text=True,
                env={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"},
            )
        self.host = None
        for line in self.process.stderr:
            found = re.search(r"listening on (127\.0\.0\.\d+:\d+)", line)
            if found:
                self.host = found.group(1)
                break
        if self.host is None:
            fail("the registry did not start")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def path(self, repository=""):
        """Where a repository is stored, or everything."""
        inner = f"storage/docker/registry/v2/repositories/{repository}" if repository else "storage"
        return os.path.join(self.folder, inner)

    def copy(self, repository, to):
        shutil.copytree(self.path(repository), self.path(to))

    def digest(self, repository, tag):
        """What a tag holds, as it is stored; nothing where it is not there."""
        try:
            with open(self.path(f"{repository}/_manifests/tags/{tag}/current/link"), encoding="ascii") as file:
                return file.read()
        except OSError:
            return None

    def requests(self):
        """Each that was answered so far, in the order of the answers."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return [" ".join(line.split('"')[1].split()[:2]) for line in file if line.endswith("\n")]

    def end(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)


def request(host, method, target, body=None, headers=None):
    connection = http.client.HTTPConnection(host, timeout=600)
    connection.request(method, target, body=body, headers=headers or {})
    answer = connection.getresponse()
    answer.content = answer.read()
    connection.close()
    return answer


def path(answer):
    return re.sub(r"^https?://[^/]*", "", answer.headers["Location"])


def push_blob(host, repository, length):
    """Random bytes, made while they are sent."""
    digest, left = hashlib.sha256(), length

    def chunks():
        nonlocal left
        while left:
            chunk = os.urandom(min(left, 1 << 20))
            left -= len(chunk)
            digest.update(chunk)
            yield chunk

    started = request(host, "POST", f"/v2/{repository}/blobs/uploads/", headers={"Content-Length": "0"})
    patched = request(host, "PATCH", path(started), chunks(), {"Content-Length": str(length)})
    return finish(host, patched, "sha256:" + digest.hexdigest(), length)


def push_bytes(host, repository, content):
    started = request(host, "POST", f"/v2/{repository}/blobs/uploads/", headers={"Content-Length": "0"})
    patched = request(host, "PATCH", path(started), content)
    return finish(host, patched, "sha256:" + hashlib.sha256(content).hexdigest(), len(content))


def finish(host, patched, digest, length):
    target = path(patched)
    join = "&" if "?" in target else "?"
    ended = request(host, "PUT", f"{target}{join}digest={digest}", headers={"Content-Length": "0"})
    if ended.status != 201:
        fail(f"{ended.status} {ended.content!r}")
    return {"digest": digest, "size": length}


def push_image(host, repository, tags, layers, length):
    """An image of random layers under these tags; its digest."""
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    pushed = [{"mediaType": kind, **push_blob(host, repository, length // layers)} for _ in range(layers)]
    config = {
        "architecture": "amd64", "os": "linux", "config": {"Labels": {"git_revision": "abc"}},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in pushed]},
    }
    config = push_bytes(host, repository, json.dumps(config).encode())
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", **config}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": pushed}
    manifest = json.dumps(manifest).encode()
    for tag in tags:
        answer = request(host, "PUT", f"/v2/{repository}/manifests/{tag}", manifest, {"Content-Type": MANIFEST})
        if answer.status != 201:
            fail(f"{answer.status} {answer.content!r}")
    return "sha256:" + hashlib.sha256(manifest).hexdigest()


class Door:
    """Passes everything on to a server, makes round trips last, and counts requests where it can read them."""

    def __init__(self, to, round_trip, address="127.0.0.1", plain=True):
        self.to, self.plain = to, plain
        self.lines, self.connections = [], 0
        self.last(round_trip)
        self.listener = socket.create_server((address, 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.host = f"{address}:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def last(self, round_trip):
        """How long a round trip takes from the next connection on."""
        self.half = round_trip / 2

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(client, self.half), daemon=True).start()

    def serve(self, client, half):
        host, port = self.to.split(":")
        # Connecting costs one round trip, which this end of it has not waited for.
        opened = time.monotonic() + 2 * half
        server = socket.create_connection((host, int(port)))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.flow(client, server, half, opened, Heads(self.lines) if self.plain else None)
        self.flow(server, client, half, 0, None)

    @staticmethod
    def flow(source, sink, half, opened, heads):
        late = queue.Queue()

        def read():
            data = b"-"
            while data:
                try:
                    data = source.recv(65536)
                except OSError:
                    data = b""
                if heads:
                    heads.feed(data)
                late.put((max(time.monotonic(), opened) + half, data))

        def write():
            while True:
                due, data = late.get()
                time.sleep(max(0.0, due - time.monotonic()))
                try:
                    if not data:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    sink.sendall(data)
                except OSError:
                    return

        for work in (read, write):
            threading.Thread(target=work, daemon=True).start()

    def end(self):
        self.listener.close()


class Heads:
    """Finds the request lines in what a client sends."""

    def __init__(self, lines):
        self.lines, self.buffer, self.body, self.chunked = lines, b"", 0, False

    def feed(self, data):
        self.buffer += data
        while self.buffer:
            if self.body:
                skipped = min(self.body, len(self.buffer))
                self.buffer, self.body = self.buffer[skipped:], self.body - skipped
                continue
            if self.chunked:
                line, found, rest = self.buffer.partition(b"\r\n")
                if not found:
                    return
                size = int(line or b"0", 16)
                self.buffer, self.body, self.chunked = rest, size + 2, size > 0
                continue
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            self.buffer = rest
            lines = head.decode("latin-1").split("\r\n")
            self.lines.append(" ".join(lines[0].split(" ")[:2]))
            fields = dict(line.lower().split(":", 1) for line in lines[1:] if ":" in line)
            self.body = int(fields.get("content-length", "0"))
            self.chunked = "chunked" in fields.get("transfer-encoding", "")


Ran = collections.namedtuple("Ran", "wall cpu peak out")


class Failed(Exception):
    """A program that was to be measured ended with an error."""


def run(words, home, more=None):
    """Runs a program to its end; the peak is what the kernel counts for the program alone."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=log, cwd=home,
            env={"PATH": "/usr/bin:/bin", "HOME": home, "DOCKER_CONFIG": home, **(more or {})},
        )
        peak, ended = 0, threading.Event()

        def watch():
            nonlocal peak
            while not ended.wait(0.002):
                try:
                    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                        text = file.read()
                except OSError:
                    return
                found = re.search(r"VmHWM:\s+(\d+) kB", text)
                # Until the program is loaded, the process is still a copy of this one.
                if found and f"Name:\t{os.path.basename(words[0])[:15]}\n" in text:
                    peak = max(peak, int(found.group(1)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        watcher.join()
        out.seek(0)
        log.seek(0)
        said = out.read().decode()
        if process.returncode != 0:
            raise Failed(f"{' '.join(words)}: exit {process.returncode}\n{(said + log.read().decode())[-2000:]}")
    return Ran(wall, usage.ru_utime + usage.ru_stime, peak / 1024, said)


class Ecr:
    """moto with the door of the live tests, in TLS, with a name each for API, registry and bucket; one image in it."""

    ACCOUNT, REGION = "123456789012", "eu-west-1"
    HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
    BUCKET = f"prod-{REGION}-starport-layer-bucket.s3.{REGION}.amazonaws.com"
    KEY = ("AKIAMARKEDKEYID00001", "marked/secret+access/key")
    REPOSITORY, TAG, VALUE = "team/app", "1.4.2", "0f3c2a9"

    def __init__(self, folder):
        certificates(folder, self.HOST, self.BUCKET, "localhost")
        self.ca = f"{folder}/ca.pem"
        self.process = subprocess.Popen(
            [PYTHON, "-I", f"{ROOT}/tests/live/aws/door.py", "--tls", f"{folder}/server.pem", f"{folder}/server.key",
             "--bucket", self.BUCKET],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={"PATH": "/usr/bin:/bin", "AWS_ACCESS_KEY_ID": "of-moto", "AWS_SECRET_ACCESS_KEY": "of-moto"},
        )
        self.port = None
        for line in self.process.stderr:
            found = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                break
        if self.port is None:
            fail("moto did not start")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        self.push()

    def ask(self, target, method="GET", body=None):
        words = ["curl", "-sSf", "--cacert", self.ca, "-X", method, f"https://localhost:{self.port}{target}"]
        words += ["--data-binary", "@-"] if body else []
        return subprocess.run(words, input=body, capture_output=True, text=True, check=True).stdout

    def seen(self):
        """What was asked since the last time, without this question and the connection for it."""
        seen = json.loads(self.ask("/door/seen"))
        return seen["requests"], seen["connections"] - 1

    def push(self):
        def entry(kind, content):
            digest = "sha256:" + hashlib.sha256(content).hexdigest()
            return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest, "size": len(content)}

        layer = b"a layer that nobody reads"
        labels = {"git_revision": self.VALUE, **{f"label_{n}": "x" * 60 for n in range(20)}}
        history = [{"created": "2026-08-20T10:00:00Z", "created_by": f"RUN step {n} " + "x" * 120} for n in range(30)]
        config = {"architecture": "amd64", "os": "linux", "config": {"Labels": labels}, "history": history,
                  "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}
        config = json.dumps(config).encode()
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": entry("config.v1+json", config),
                    "layers": [entry("layer.v1.tar+gzip", layer)]}
        blobs = [base64.b64encode(blob).decode() for blob in (config, layer)]
        image = {"repository": self.REPOSITORY, "tag": self.TAG, "mediaType": MANIFEST,
                 "manifest": json.dumps(manifest), "blobs": blobs}
        self.ask("/door/images", "PUT", json.dumps(image))

    def environment(self, port):
        """What a program needs to find this through a port."""
        return {
            "AWS_ACCESS_KEY_ID": self.KEY[0], "AWS_SECRET_ACCESS_KEY": self.KEY[1], "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_ECR": f"https://localhost:{port}", "AWS_CA_BUNDLE": self.ca,
        }

    def labels(self, program, port):
        """The words with which tagwright reads the label through a port."""
        resolve = [word for name in (self.HOST, self.BUCKET) for word in ("--resolve", f"{name}:{port}:127.0.0.1")]
        reference = f"{self.HOST}:{port}/{self.REPOSITORY}:{self.TAG}"
        return [program, "labels", reference, "--label", "git_revision", "--print", "value", *resolve]

    def end(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()

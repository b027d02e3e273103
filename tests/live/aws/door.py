"""moto behind a door that it lacks: every signature is computed again by botocore, blobs can be downloaded, and
each account's registry answers to the distribution API as well.

Says `listening on 127.0.0.1:PORT` and serves until its standard input ends.
"""

import argparse
import base64
import hashlib
import io
import json
import re
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ecr.models import ecr_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.test import EnvironBuilder, run_wsgi_app
from werkzeug.wrappers import Request, Response

REGION = "eu-west-1"
SECRETS = {"AKIAMARKEDKEYID00001": ("marked/secret+access/key", None)}
# By account, region and repository, then by digest.
BLOBS = {}
UPLOADS = {}
MET = []
# Every request, and how many connections there were.
SEEN = {"requests": [], "connections": 0}
EMPTY_INDEX = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}


def blobs(account, region, repository):
    return BLOBS.setdefault((account, region, repository), {})


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def refusal(name, message):
    body = json.dumps({"__type": name, "message": message})
    return Response(body, status=400, content_type="application/x-amz-json-1.1")


def why_refused(request):
    """What is wrong with a signature; None if it is the one that botocore makes."""
    value = request.headers.get("Authorization", "")
    found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})", value)
    if not found:
        return "the header is not of the form that is documented"
    (key, date, region, service, last), names, given = found[1].split("/"), found[2].split(";"), found[3]
    if last != "aws4_request" or key not in SECRETS:
        return "the key is not known"
    secret, token = SECRETS[key]
    if request.headers.get("X-Amz-Security-Token") != token:
        return "the session token is not the one of the key"
    stamp = request.headers.get("X-Amz-Date", "")
    for needed in ["host", "x-amz-date"] + (["x-amz-security-token"] if token else []):
        if needed not in names:
            return f"{needed} is not signed"
    if not stamp.startswith(date):
        return "the date of the scope is another than that of the request"
    headers = {name: request.headers[name] for name in names}
    again = AWSRequest(method=request.method, url=request.url, data=request.get_data(), headers=headers)
    again.context["timestamp"] = stamp
    signer = SigV4Auth(Credentials(key, secret, None), service, region)
    expected = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    return None if expected == given else "botocore computes another signature"


class Door:
    def __init__(self):
        self.moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ, start_response):
        request = Request(environ)
        body = request.get_data()
        answer = self.answer(request)
        if answer is not None:
            return answer(environ, start_response)
        # What has been read here must be there again for moto.
        environ["wsgi.input"] = io.BytesIO(body)
        environ.pop("werkzeug.request", None)
        return self.pass_on(environ, start_response)

    def answer(self, request):
        path = request.path
        if path == "/door/images" and request.method == "PUT":
            return self.store(json.loads(request.get_data()))
        if path == "/door/met":
            return Response(json.dumps(MET), content_type="application/json")
        if path == "/door/seen":
            seen = Response(json.dumps(SEEN), content_type="application/json")
            SEEN.update(requests=[], connections=0)
            return seen
        SEEN["requests"].append(f"{request.method} {path} {request.headers.get('X-Amz-Target', '')}".strip())
        if path.startswith("/door/blobs/"):
            if "Authorization" in request.headers:
                return Response("<Error><Code>InvalidArgument</Code></Error>", status=400)
            if request.args.get("X-Amz-Signature") != "marked-signature":
                return Response("<Error><Code>AccessDenied</Code></Error>", status=403)
            account, region, repository, digest = path.removeprefix("/door/blobs/").split(":", 3)
            content = blobs(account, region, repository)[digest]
            return Response(content, content_type="application/octet-stream")
        if path.startswith("/v2/"):
            return Registry(request).answer()
        form = parse_qs(request.get_data().decode()) if request.mimetype.endswith("urlencoded") else {}
        target = request.headers.get("X-Amz-Target", "").rsplit(".", 1)[-1]
        operation = target or form.get("Action", [""])[0]
        if operation != "AssumeRoleWithWebIdentity":
            why = why_refused(request)
            MET.append({"operation": operation, "refused": why})
            if why:
                return refusal("InvalidSignatureException", why)
        if operation == "GetDownloadUrlForLayer":
            asked, region = json.loads(request.get_data()), region_of(request)
            digest = asked["layerDigest"]
            if digest not in blobs(asked["registryId"], region, asked["repositoryName"]):
                return refusal("LayersNotFoundException", "The specified layers could not be found.")
            url = download_url(request, asked["registryId"], region, asked["repositoryName"], digest)
            return Response(json.dumps({"downloadUrl": url, "layerDigest": digest}))
        if operation == "PutImage":
            # moto takes an image without looking for its layers.
            asked = json.loads(request.get_data())
            manifest = json.loads(asked["imageManifest"])
            there = blobs(asked["registryId"], region_of(request), asked["repositoryName"])
            wanted = [entry["digest"] for entry in [manifest.get("config"), *manifest.get("layers", [])] if entry]
            lost = [digest for digest in wanted if digest not in there]
            if lost:
                return refusal("LayersNotFoundException", f"Layers with digests '{lost}' do not exist")
        return None

    def store(self, image):
        account, region = image.get("account") or DEFAULT_ACCOUNT_ID, image.get("region") or REGION
        backend = ecr_backends[account][region]
        if image["repository"] not in backend.repositories:
            backend.create_repository(
                repository_name=image["repository"],
                registry_id=None,
                encryption_config=None,
                image_scan_config=None,
                image_tag_mutability=image.get("mutability"),
                tags=[],
            )
        if "manifest" not in image:
            return Response("")
        manifest = image["manifest"]
        digest = sha256(manifest.encode())
        backend.put_image(image["repository"], manifest, image["tag"], image["mediaType"], digest)
        for blob in map(base64.b64decode, image["blobs"]):
            blobs(account, region, image["repository"])[sha256(blob)] = blob
        return Response(digest)

    def pass_on(self, environ, start_response):
        body = b"".join(self.moto(environ, start_response))
        text = body.decode(errors="replace")
        # A role that was assumed brings a key of its own, in XML or in JSON.
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        found = [re.search(rf'<{name}>\s*(\S+?)\s*</{name}>|"{name}": ?"(.+?)"', text) for name in names]
        if all(found):
            key, secret, token = (match[1] or match[2] for match in found)
            SECRETS[key] = (secret, token)
        return [body]


def region_of(request):
    return request.headers["Authorization"].split("Credential=")[1].split("/")[2]


def download_url(request, account, region, repository, digest):
    # Whoever is met under a registry's name gives blobs out under the bucket's.
    name, _, port = request.host.rpartition(":")
    bucket = f"prod-{region}-starport-layer-bucket.s3.{region}.amazonaws.com"
    name = bucket if "amazonaws" in name else OPTIONS.bucket or name
    where = f"{account}:{region}:{repository}:{digest}"
    return f"{request.scheme}://{name}:{port}/door/blobs/{where}?X-Amz-Signature=marked-signature"


class Registry:
    """The distribution API of one account's registry, on what moto and the door hold."""

    def __init__(self, request):
        self.request = request
        found = re.match(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.", request.host)
        self.account, self.region = found.groups()
        self.backend = ecr_backends[self.account][self.region]

    def answer(self):
        request = self.request
        token = base64.b64encode(f"AWS:{self.account}-auth-token".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {token}":
            realm = f'Basic realm="https://{request.host}/",service="ecr.amazonaws.com"'
            return Response("Not Authorized", status=401, headers={"Www-Authenticate": realm})
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs/uploads|blobs|referrers|tags)/(.*)", request.path)
        if not found:
            return Response("{}", content_type="application/json")
        self.name, kind, rest = found.groups()
        if self.name not in self.backend.repositories:
            return self.error(404, "NAME_UNKNOWN", f"The repository with name '{self.name}' does not exist")
        self.blobs = blobs(self.account, self.region, self.name)
        if kind == "referrers":
            return Response(json.dumps(EMPTY_INDEX), content_type=EMPTY_INDEX["mediaType"])
        if kind == "tags":
            tags = [tag for image in self.backend.repositories[self.name].images for tag in image.image_tags]
            return Response(json.dumps({"name": self.name, "tags": tags}), content_type="application/json")
        return {"manifests": self.manifest, "blobs": self.blob, "blobs/uploads": self.upload}[kind](rest)

    def error(self, status, code, message):
        body = json.dumps({"errors": [{"code": code, "message": message}]})
        return Response(body, status=status, content_type="application/json")

    def manifest(self, reference):
        if self.request.method == "PUT":
            text, kind = self.request.get_data().decode(), self.request.content_type
            digest = sha256(text.encode())
            self.backend.put_image(self.name, text, None if ":" in reference else reference, kind, digest)
            return Response(status=201, headers={"Docker-Content-Digest": digest})
        key = "imageDigest" if ":" in reference else "imageTag"
        images = self.backend.batch_get_image(self.name, None, [{key: reference}])["images"]
        if not images:
            return self.error(404, "MANIFEST_UNKNOWN", "Requested image not found")
        digest = images[0].get_image_digest()
        headers = {"Docker-Content-Digest": digest}
        return Response(images[0].image_manifest, content_type=images[0].image_manifest_media_type, headers=headers)

    def blob(self, digest):
        if digest not in self.blobs:
            return self.error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        if self.request.method == "HEAD":
            return Response(self.blobs[digest], content_type="application/octet-stream")
        url = download_url(self.request, self.account, self.region, self.name, digest)
        return Response(status=307, headers={"Location": url})

    def upload(self, key):
        request = self.request
        if request.method == "POST":
            key = str(len(UPLOADS))
            UPLOADS[key] = b""
        elif key not in UPLOADS:
            return self.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        UPLOADS[key] += request.get_data()
        if request.method == "PUT":
            content = UPLOADS.pop(key)
            if sha256(content) != request.args["digest"]:
                return self.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            self.blobs[sha256(content)] = content
            return Response(status=201, headers={"Docker-Content-Digest": sha256(content)})
        return Response(status=202, headers={"Location": f"/v2/{self.name}/blobs/uploads/{key}"})


class Handler(BaseHTTPRequestHandler):
    """Keeps connections open, as AWS does, and counts them."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        SEEN["connections"] += 1
        super().setup()

    def serve(self):
        content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        scheme = "https" if OPTIONS.tls else "http"
        base = f"{scheme}://{self.headers['Host']}"
        builder = EnvironBuilder(self.path, base, method=self.command, headers=self.headers.items(), data=content)
        answer, status, headers = run_wsgi_app(DOOR, builder.get_environ(), buffered=True)
        content = b"".join(answer)
        self.send_response(int(status.split(" ")[0]))
        for name, value in headers:
            if name.lower() not in ("content-length", "connection"):
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def log_message(self, *_):
        pass


parser = argparse.ArgumentParser()
parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
parser.add_argument("--bucket", metavar="HOST", help="the name under which blobs are downloaded")
OPTIONS = parser.parse_args()
DOOR = Door()
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if OPTIONS.tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*OPTIONS.tls)
    # Each handler shakes hands by itself, so that none waits for another.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(f"listening on 127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()

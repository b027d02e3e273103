"""moto behind a door that it lacks: every signature is computed again by botocore, and blobs can be downloaded.

Says `listening on 127.0.0.1:PORT` and serves until its standard input ends.
"""

import base64
import hashlib
import io
import json
import re
import sys
import threading
from urllib.parse import parse_qs

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ecr.models import ecr_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

REGION = "eu-west-1"
SECRETS = {"AKIAMARKEDKEYID00001": ("marked/secret+access/key", None)}
BLOBS = {}
MET = []


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
        if path.startswith("/door/blobs/"):
            if "Authorization" in request.headers:
                return Response("<Error><Code>InvalidArgument</Code></Error>", status=400)
            if request.args.get("X-Amz-Signature") != "marked-signature":
                return Response("<Error><Code>AccessDenied</Code></Error>", status=403)
            return Response(BLOBS[path.rsplit("/", 1)[1]], content_type="application/octet-stream")
        form = parse_qs(request.get_data().decode()) if request.mimetype.endswith("urlencoded") else {}
        target = request.headers.get("X-Amz-Target", "").rsplit(".", 1)[-1]
        operation = target or form.get("Action", [""])[0]
        if operation != "AssumeRoleWithWebIdentity":
            why = why_refused(request)
            MET.append({"operation": operation, "refused": why})
            if why:
                return refusal("InvalidSignatureException", why)
        if operation == "GetDownloadUrlForLayer":
            digest = json.loads(request.get_data())["layerDigest"]
            if digest not in BLOBS:
                return refusal("LayersNotFoundException", "The specified layers could not be found.")
            url = f"{request.host_url}door/blobs/{digest}?X-Amz-Signature=marked-signature"
            return Response(json.dumps({"downloadUrl": url, "layerDigest": digest}))
        return None

    def store(self, image):
        backend = ecr_backends[DEFAULT_ACCOUNT_ID][REGION]
        if image["repository"] not in backend.repositories:
            backend.create_repository(
                repository_name=image["repository"],
                registry_id=None,
                encryption_config=None,
                image_scan_config=None,
                image_tag_mutability=image.get("mutability"),
                tags=[],
            )
        manifest = image["manifest"]
        digest = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
        backend.put_image(image["repository"], manifest, image["tag"], image["mediaType"], digest)
        for blob in map(base64.b64decode, image["blobs"]):
            BLOBS["sha256:" + hashlib.sha256(blob).hexdigest()] = blob
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


server = make_server("127.0.0.1", 0, Door(), threaded=True)
print(f"listening on 127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()

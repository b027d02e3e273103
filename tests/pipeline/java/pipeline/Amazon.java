package pipeline;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import groovy.json.JsonOutput;
import groovy.json.JsonSlurper;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Amazon ECR and STS with one image, as far as a label is read and a role assumed there; every signature is computed again.
 *
 * Sources: ECR API Reference, version 2015-09-21; STS API Reference, version 2011-06-15; "Signature Version 4" of the IAM User Guide.
 */
final class Amazon implements AutoCloseable {
    static final String REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    /** The keys that STS lends to whoever assumes a role. */
    private static final String LENT = "ASIALENT";
    private static final String MANIFEST = "application/vnd.oci.image.manifest.v1+json";

    private final HttpServer server;
    private final Map<String, String> secrets = new TreeMap<>();
    private final String config;
    private final String manifest;
    /** Who asked for what, in order: `AKIA… BatchGetImage`. */
    final List<String> calls = Collections.synchronizedList(new ArrayList<>());
    final String url;

    /** Knows these key ids and their secrets, and an image with these labels as `acme/serviceone:2026.34.103`. */
    Amazon(Map<String, String> keys, Map<String, String> labels) throws Exception {
        secrets.putAll(keys);
        secrets.put(LENT, "aws-marked-secret-lent");
        config = JsonOutput.toJson(Map.of("architecture", "amd64", "os", "linux", "config", Map.of("Labels", labels), "rootfs", Map.of("type", "layers", "diff_ids", List.of())));
        manifest = "{\"schemaVersion\":2,\"mediaType\":\"" + MANIFEST + "\",\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:"
            + sha256(config.getBytes(StandardCharsets.UTF_8)) + "\",\"size\":" + config.getBytes(StandardCharsets.UTF_8).length + "},\"layers\":[]}";
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", this::handle);
        server.start();
        url = "http://localhost:" + server.getAddress().getPort();
    }

    private void handle(HttpExchange exchange) throws IOException {
        byte[] body = exchange.getRequestBody().readAllBytes();
        try {
            if (exchange.getRequestMethod().equals("GET")) {
                // The address of a blob carries its own permission; a header with another one would be refused.
                boolean plain = exchange.getRequestHeaders().getFirst("Authorization") == null;
                calls.add("- blob");
                answer(exchange, plain ? 200 : 400, "application/octet-stream", plain ? config : "Only one auth mechanism allowed");
                return;
            }
            String key = signer(exchange, body);
            String target = exchange.getRequestHeaders().getFirst("X-Amz-Target");
            String text = new String(body, StandardCharsets.UTF_8);
            String operation = target != null ? target.substring(target.indexOf('.') + 1) : text.replaceFirst(".*\\bAction=(\\w+).*", "$1");
            calls.add(key + " " + operation);
            if (key == null) {
                answer(exchange, 403, "application/x-amz-json-1.1", "{\"__type\":\"InvalidSignatureException\",\"message\":\"The signature does not match.\"}");
            } else if (target != null) {
                answer(exchange, 200, "application/x-amz-json-1.1", ecr(operation, (Map<?, ?>) new JsonSlurper().parseText(text)));
            } else {
                answer(exchange, 200, "text/xml", sts(operation, key));
            }
        } catch (GeneralSecurityException e) {
            throw new IOException(e);
        }
    }

    private String ecr(String operation, Map<?, ?> request) throws GeneralSecurityException {
        String repository = (String) request.get("repositoryName");
        if (operation.equals("GetDownloadUrlForLayer")) {
            return JsonOutput.toJson(Map.of("downloadUrl", url + "/layer?X-Amz-Signature=aws-marked-secret", "layerDigest", request.get("layerDigest")));
        }
        Map<?, ?> id = (Map<?, ?>) ((List<?>) request.get("imageIds")).get(0);
        boolean there = "acme/serviceone".equals(repository) && "2026.34.103".equals(id.get("imageTag")) && "123456789012".equals(request.get("registryId"));
        return there
            ? JsonOutput.toJson(Map.of("images", List.of(Map.of("registryId", "123456789012", "repositoryName", repository, "imageManifest", manifest, "imageManifestMediaType", MANIFEST,
                "imageId", Map.of("imageTag", "2026.34.103", "imageDigest", "sha256:" + sha256(manifest.getBytes(StandardCharsets.UTF_8))))), "failures", List.of()))
            : JsonOutput.toJson(Map.of("images", List.of(), "failures", List.of(Map.of("imageId", id, "failureCode", "ImageNotFound", "failureReason", "Requested image not found"))));
    }

    private static String sts(String operation, String key) {
        String result = operation.equals("AssumeRole")
            ? "<Credentials><AccessKeyId>" + LENT + "</AccessKeyId><SecretAccessKey>aws-marked-secret-lent</SecretAccessKey><SessionToken>lent</SessionToken>"
                + "<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
                + "<AssumedRoleUser><AssumedRoleId>AROA:x</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/reader/x</Arn></AssumedRoleUser>"
            : "<Arn>arn:aws:iam::123456789012:user/" + key + "</Arn><UserId>AIDA</UserId><Account>123456789012</Account>";
        return "<" + operation + "Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><" + operation + "Result>" + result + "</" + operation + "Result></" + operation + "Response>";
    }

    /** The key id that a request is signed with; null where the signature is not that of its secret. */
    private String signer(HttpExchange exchange, byte[] body) throws GeneralSecurityException {
        String header = String.valueOf(exchange.getRequestHeaders().getFirst("Authorization"));
        if (!header.matches("AWS4-HMAC-SHA256 Credential=[^,]+, ?SignedHeaders=[^,]+, ?Signature=[0-9a-f]+")) {
            return null;
        }
        String[] scope = header.replaceFirst(".*Credential=([^,]+),.*", "$1").split("/", 2);
        String names = header.replaceFirst(".*SignedHeaders=([^,]+),.*", "$1");
        StringBuilder canonical = new StringBuilder(exchange.getRequestMethod() + "\n" + exchange.getRequestURI().getRawPath() + "\n\n");
        for (String name : names.split(";")) {
            canonical.append(name).append(':').append(exchange.getRequestHeaders().getFirst(name).trim()).append('\n');
        }
        canonical.append('\n').append(names).append('\n').append(sha256(body));
        String text = "AWS4-HMAC-SHA256\n" + exchange.getRequestHeaders().getFirst("X-Amz-Date") + "\n" + scope[1] + "\n" + sha256(canonical.toString().getBytes(StandardCharsets.UTF_8));
        byte[] key = ("AWS4" + secrets.get(scope[0])).getBytes(StandardCharsets.UTF_8);
        for (String part : scope[1].split("/")) {
            key = hmac(key, part);
        }
        boolean token = "lent".equals(exchange.getRequestHeaders().getFirst("X-Amz-Security-Token"));
        return header.endsWith("Signature=" + HexFormat.of().formatHex(hmac(key, text))) && token == scope[0].equals(LENT) ? scope[0] : null;
    }

    private static byte[] hmac(byte[] key, String text) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
    }

    private static String sha256(byte[] content) throws GeneralSecurityException {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    }

    private static void answer(HttpExchange exchange, int status, String type, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", type);
        exchange.sendResponseHeaders(status, body.length);
        try (OutputStream out = exchange.getResponseBody()) {
            out.write(body);
        }
    }

    @Override
    public void close() {
        server.stop(0);
    }
}

package pipeline;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Signature;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A real registry, the one that Debian packages as `docker-registry`, in a process of its own on a free port. */
final class Registry implements AutoCloseable {
    static final String USER = "ci-promoter";
    static final String PASSWORD = "marked-secret-7Kd0'\"$x";
    /** Who may use a registry, and the same as htpasswd writes it. */
    record Account(String user, String password, String htpasswd) {}

    static final Account PROMOTER = new Account(USER, PASSWORD, "$2b$05$zH0.8WHtgVBwauAM7vyDeu2m3aDCFNlPXgqn5oBmm6FIRK8RKsFYK");
    static final Account RELEASER = new Account("ci-releaser", "other-secret-9Qm2\"\\`", "$2b$05$abcdefghijklmnopqrstuuF7F9SIClezOlyu4jY8Ufe3wf7psW9c6");
    private static final String MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    private static final Pattern LISTENING = Pattern.compile("listening on 127\\.0\\.0\\.1:(\\d+)\"");

    private final Process process;
    private final HttpClient http = HttpClient.newHttpClient();
    private final Account account;
    final String host;

    /** Without an account, anybody may do anything. */
    Registry(Path folder, Account account) throws Exception {
        this.account = account;
        Files.createDirectories(folder.resolve("data"));
        Path passwords = folder.resolve("htpasswd");
        if (account != null) {
            Files.writeString(passwords, account.user + ":" + account.htpasswd + "\n");
        }
        Path settings = Files.writeString(folder.resolve("config.yml"), "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: true\n"
            + "storage:\n  filesystem:\n    rootdirectory: " + folder.resolve("data") + "\nhttp:\n  addr: 127.0.0.1:0\n"
            + (account != null ? "auth:\n  htpasswd:\n    realm: test\n    path: " + passwords + "\n" : ""));
        try {
            process = new ProcessBuilder("docker-registry", "serve", settings.toString())
                .redirectErrorStream(true).redirectOutput(folder.resolve("log").toFile()).start();
        } catch (IOException e) {
            throw new IllegalStateException("these tests need the program `docker-registry`, Debian's package of that name", e);
        }
        // It takes a free port and says which, so that nobody else can take it in between.
        long until = System.currentTimeMillis() + 20_000;
        Matcher said;
        while (!(said = LISTENING.matcher(Files.readString(folder.resolve("log")))).find()) {
            if (System.currentTimeMillis() > until || !process.isAlive()) {
                throw new IllegalStateException("docker-registry did not start: " + Files.readString(folder.resolve("log")));
            }
            TimeUnit.MILLISECONDS.sleep(10);
        }
        host = "localhost:" + said.group(1);
        expect(200, send("GET", "/v2/", null, new byte[0]));
    }

    /** Puts an image with these labels and tags into a repository; returns its digest. */
    String push(String repository, Map<String, String> labels, String... tags) throws Exception {
        StringBuilder json = new StringBuilder();
        labels.forEach((key, value) -> json.append(json.length() == 0 ? "" : ",").append(groovy.json.JsonOutput.toJson(key)).append(':')
            .append(groovy.json.JsonOutput.toJson(value)));
        String config = "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Labels\":{" + json + "}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}";
        byte[] layer = ("layer of " + repository).getBytes(StandardCharsets.UTF_8);
        String manifest = "{\"schemaVersion\":2,\"mediaType\":\"" + MANIFEST + "\",\"config\":"
            + blob(repository, config.getBytes(StandardCharsets.UTF_8), "application/vnd.oci.image.config.v1+json")
            + ",\"layers\":[" + blob(repository, layer, "application/vnd.oci.image.layer.v1.tar") + "]}";
        for (String tag : tags) {
            expect(201, send("PUT", "/v2/" + repository + "/manifests/" + tag, MANIFEST, manifest.getBytes(StandardCharsets.UTF_8)));
        }
        return digest(manifest.getBytes(StandardCharsets.UTF_8));
    }

    private String blob(String repository, byte[] content, String mediaType) throws Exception {
        HttpResponse<String> start = send("POST", "/v2/" + repository + "/blobs/uploads/", null, new byte[0]);
        expect(202, start);
        URI at = URI.create("http://" + host).resolve(start.headers().firstValue("Location").orElseThrow());
        String query = (at.getRawQuery() == null ? "" : at.getRawQuery() + "&") + "digest=" + digest(content);
        expect(201, send("PUT", at.getRawPath() + "?" + query, "application/octet-stream", content));
        return "{\"mediaType\":\"" + mediaType + "\",\"digest\":\"" + digest(content) + "\",\"size\":" + content.length + "}";
    }

    /** Signs an image as cosign 2 does: a payload that names its digest, with the signature beside it. */
    void sign(String repository, String image, PrivateKey key) throws Exception {
        byte[] payload = ("{\"critical\":{\"identity\":{\"docker-reference\":\"" + repository + "\"},\"image\":{\"docker-manifest-digest\":\"" + image
            + "\"},\"type\":\"cosign container image signature\"},\"optional\":null}").getBytes(StandardCharsets.UTF_8);
        Signature signature = Signature.getInstance("SHA256withECDSA");
        signature.initSign(key);
        signature.update(payload);
        String layer = blob(repository, payload, "application/vnd.dev.cosign.simplesigning.v1+json");
        String beside = ",\"annotations\":{\"dev.cosignproject.cosign/signature\":\"" + Base64.getEncoder().encodeToString(signature.sign()) + "\"}}";
        String manifest = "{\"schemaVersion\":2,\"mediaType\":\"" + MANIFEST + "\",\"config\":"
            + blob(repository, "{}".getBytes(StandardCharsets.UTF_8), "application/vnd.oci.image.config.v1+json")
            + ",\"layers\":[" + layer.substring(0, layer.length() - 1) + beside + "]}";
        String tag = image.replace(':', '-') + ".sig";
        expect(201, send("PUT", "/v2/" + repository + "/manifests/" + tag, MANIFEST, manifest.getBytes(StandardCharsets.UTF_8)));
    }

    /** The digest that a tag points at, or null. */
    String digestOf(String repository, String tag) throws Exception {
        HttpResponse<String> answer = send("HEAD", "/v2/" + repository + "/manifests/" + tag, null, new byte[0]);
        return answer.statusCode() == 404 ? null : answer.headers().firstValue("Docker-Content-Digest").orElseThrow();
    }

    private HttpResponse<String> send(String method, String path, String type, byte[] body) throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create("http://" + host + path)).header("Accept", MANIFEST)
            .method(method, HttpRequest.BodyPublishers.ofByteArray(body));
        if (type != null) {
            request.header("Content-Type", type);
        }
        if (account != null) {
            request.header("Authorization", "Basic " + Base64.getEncoder().encodeToString((account.user + ":" + account.password).getBytes(StandardCharsets.UTF_8)));
        }
        return http.send(request.build(), HttpResponse.BodyHandlers.ofString());
    }

    private static void expect(int status, HttpResponse<String> answer) {
        if (answer.statusCode() != status) {
            throw new AssertionError(answer.request().uri() + " answered " + answer.statusCode() + ": " + answer.body());
        }
    }

    private static String digest(byte[] content) throws Exception {
        return "sha256:" + HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    }

    @Override
    public void close() throws InterruptedException {
        process.destroy();
        process.waitFor();
    }
}

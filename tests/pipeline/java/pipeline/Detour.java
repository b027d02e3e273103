package pipeline;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** A way to a registry on which a test may hold a request up, or answer it in place of the registry. */
final class Detour implements AutoCloseable {
    /** What happens to a request instead of reaching the registry. */
    enum Fate { REFUSED, HELD }

    private static final Set<String> CARRIED = Set.of("accept", "authorization", "content-type", "range");
    private final HttpServer server;
    private final HttpClient http = HttpClient.newHttpClient();
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final Registry registry;
    private final Fate fate;
    private final String requests;
    /** Open once the first such request has come. */
    final CountDownLatch met = new CountDownLatch(1);
    final String host;
    /** What the registry seems to say where it refuses. */
    String words = "not on a Friday";

    /** Requests whose method and path match the expression meet the fate, all others the registry. */
    Detour(Registry registry, Fate fate, String requests) throws IOException {
        this.registry = registry;
        this.fate = fate;
        this.requests = requests;
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", this::handle);
        server.setExecutor(threads);
        server.start();
        host = "localhost:" + server.getAddress().getPort();
    }

    private void handle(HttpExchange exchange) throws IOException {
        byte[] body = exchange.getRequestBody().readAllBytes();
        if ((exchange.getRequestMethod() + " " + exchange.getRequestURI().getPath()).matches(requests)) {
            met.countDown();
            if (fate == Fate.REFUSED) {
                String errors = "{\"errors\":[{\"code\":\"DENIED\",\"message\":" + groovy.json.JsonOutput.toJson(words) + "}]}";
                answer(exchange, 403, errors.getBytes(StandardCharsets.UTF_8));
            }
            return;
        }
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create("http://" + registry.host + exchange.getRequestURI()))
            .method(exchange.getRequestMethod(), HttpRequest.BodyPublishers.ofByteArray(body));
        exchange.getRequestHeaders().forEach((name, values) -> {
            if (CARRIED.contains(name.toLowerCase(java.util.Locale.ROOT))) {
                values.forEach(value -> request.header(name, value));
            }
        });
        try {
            HttpResponse<byte[]> reply = http.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
            reply.headers().map().forEach((name, values) -> {
                if (!name.equalsIgnoreCase("content-length") || exchange.getRequestMethod().equals("HEAD")) {
                    exchange.getResponseHeaders().put(name, values);
                }
            });
            answer(exchange, reply.statusCode(), reply.body());
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
    }

    private static void answer(HttpExchange exchange, int status, byte[] body) throws IOException {
        exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
        try (OutputStream out = exchange.getResponseBody()) {
            out.write(body);
        }
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}

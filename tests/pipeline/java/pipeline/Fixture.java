package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;

/** What the tests share: two registries with the same images, an agent, and how to run a script on it. */
abstract class Fixture {
    static final Path ROOT = Path.of(System.getProperty("project.root")).toAbsolutePath().normalize();
    /** The library as it is installed, with the program for this machine. */
    static final Path LIBRARY = ROOT.resolve(required("tagwright.library"));
    /** The program itself. */
    static final Path PROGRAM = ROOT.resolve(required("tagwright.binary"));
    static final long STARTED = 1_787_572_800_000L; // 2026-08-24T12:00:00Z, in week 35.
    static final String BIG = "0123456789abcdef".repeat(4096);
    /** Label values that careless hands would change. */
    static final Map<String, String> LABELS = new LinkedHashMap<>(Map.of("git_revision", "41d0aa7be0b2e2a7a5c1f2a6f4f1d5b0c3e4a9d8", "null", "null",
        "list", "[x]", "map", "{\"a\":1}", "quotes", "it's \"quoted\" \\ and `run`", "shell", "$HOME $(id) ${PATH}", "lines", "one\ntwo\r\n\tthree\n",
        "emoji", "héllo 🚀 \u2028 ﷽", "number", "007", "big", BIG));

    static Registry open;
    static Registry guarded;
    private static final Map<String, Controller> CONTROLLERS = new ConcurrentHashMap<>();

    @TempDir
    Path folder;
    @TempDir
    static Path servers;

    private static String required(String property) {
        String value = System.getProperty(property, "");
        if (value.isEmpty() || value.startsWith("$")) {
            throw new IllegalStateException("these tests need -D" + property + "; scripts/pipeline-tests gives it");
        }
        return value;
    }

    @BeforeAll
    static void startRegistries() throws Exception {
        open = new Registry(servers.resolve("open"), null);
        guarded = new Registry(servers.resolve("guarded"), Registry.PROMOTER);
    }

    @AfterAll
    static void stopRegistries() throws Exception {
        open.close();
        guarded.close();
    }

    static Controller controller(Path library, Controller.Library trust) {
        return CONTROLLERS.computeIfAbsent(library + " " + trust, key -> {
            try {
                return new Controller(library, trust);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
    }

    /** A build on an agent that has nothing but a PATH and the program of the tests on it. */
    Build build(Controller.Library trust) {
        return build(LIBRARY, trust);
    }

    Build build(Path library, Controller.Library trust) {
        Build build = new Build(controller(library, trust), folder.resolve("workspace/job"), STARTED);
        build.agent.put("PATH", onPath() + ":/usr/local/bin:/usr/bin:/bin");
        build.agent.put("HOME", folder.toString());
        build.agent.put("LANG", "C");
        build.agent.put("TMPDIR", folder.toString());
        build.credentials.put("hub", new Build.Credential(false, Registry.USER, Registry.PASSWORD));
        return build;
    }

    private Path onPath() {
        Path bin = folder.resolve("bin");
        try {
            Files.createDirectories(bin);
            if (!Files.exists(bin.resolve("tagwright"))) {
                Files.createSymbolicLink(bin.resolve("tagwright"), PROGRAM);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bin;
    }

    /** Takes the program off the PATH, so that the library has to bring it. */
    static void bare(Build build) {
        build.agent.put("PATH", "/usr/local/bin:/usr/bin:/bin");
    }

    Build run(Controller.Library trust, String script) {
        return run(build(trust), script);
    }

    Build run(Controller.Library trust, String script, Consumer<Build> adjust) {
        Build build = build(trust);
        adjust.accept(build);
        return run(build, script);
    }

    /** Runs and checks what holds for every run: nothing rejected, one shell line that is the launcher's, no secret anywhere. */
    static Build run(Build build, String script) {
        build.controller.run(build, script);
        assertEquals(List.of(), build.rejected, build::text);
        for (String line : build.shellLines) {
            if (line.startsWith("{ set +xe")) {
                assertEquals(text(ROOT.resolve("resources/tagwright/launch.sh")), line);
            }
        }
        for (String secret : List.of(Registry.PASSWORD, Registry.RELEASER.password(), "aws-marked-secret")) {
            assertFalse(build.text().contains(secret), build::text);
            assertFalse(build.shellLines.toString().contains(secret), build::text);
        }
        return build;
    }

    /** The same, and it has to end well. */
    static Build succeeded(Build build) {
        assertEquals("SUCCESS", build.result, build::text);
        return build;
    }

    static Build failed(Build build) {
        assertEquals("FAILURE", build.result, build::text);
        return build;
    }

    static String text(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Names of the files below a folder, without those that an agent itself keeps there. */
    static List<String> files(Path folder) {
        if (!Files.exists(folder)) {
            return List.of();
        }
        try (Stream<Path> all = Files.walk(folder)) {
            return all.filter(Files::isRegularFile).map(file -> folder.relativize(file).toString()).sorted().collect(Collectors.toList());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A script that stands in the way of a program of the same name. */
    static Path program(Path file, String text) {
        try {
            Files.createDirectories(file.getParent());
            Files.writeString(file, text);
            if (!file.toFile().setExecutable(true)) {
                throw new IOException("cannot make " + file + " executable");
            }
            return file;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}

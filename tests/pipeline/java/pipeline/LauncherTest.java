package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The launcher alone, under the smallest shell and with the fewest programs that an image may have. */
class LauncherTest extends Fixture {
    private static final List<String> NEEDED = List.of("sh", "uname", "gzip", "chmod", "mv", "mkdir", "rm", "sha256sum");
    private final Map<String, String> environment = new TreeMap<>();

    @BeforeEach
    void agent() throws Exception {
        String json = text(LIBRARY.resolve("resources/tagwright/release.json")).replaceAll("\\s+", " ");
        String target = json.replaceFirst(".*\"targets\": \\{ \"([^\"]*)\".*", "$1");
        String sum = json.replaceFirst(".*\"sha256\": \"([^\"]*)\".*", "$1");
        environment.put("TAGWRIGHT_REQUEST", "{\"command\":\"inspect\",\"args\":{}}");
        environment.put("TAGWRIGHT_RELEASE", "0.1.0 " + target + "=" + sum);
        environment.put("TAGWRIGHT_PARCEL", folder.resolve("parcel.gz").toString());
        environment.put("WORKSPACE_TMP", folder.resolve("work space@tmp").toString());
        environment.put("TMPDIR", folder.toString());
        environment.put("PATH", folder.resolve("applets").toString());
        Files.copy(LIBRARY.resolve("resources/tagwright/bin/" + target + "/tagwright.gz"), folder.resolve("parcel.gz"));
        only(NEEDED, true);
    }

    /** An agent with these programs on its PATH and nothing else. */
    private void only(List<String> programs, boolean ofBusybox) throws IOException {
        Files.createDirectories(folder.resolve("applets"));
        for (String name : NEEDED) {
            Files.deleteIfExists(folder.resolve("applets/" + name));
        }
        for (String name : programs) {
            Path real = Files.exists(Path.of("/bin/" + name)) ? Path.of("/bin/" + name) : Path.of("/usr/bin/" + name);
            Files.createSymbolicLink(folder.resolve("applets/" + name), ofBusybox ? busybox() : real);
        }
    }

    private static Path busybox() {
        for (String at : List.of("/bin/busybox", "/usr/bin/busybox")) {
            if (Files.exists(Path.of(at))) {
                return Path.of(at);
            }
        }
        throw new IllegalStateException("these tests need the program `busybox`");
    }

    private String launch(String... shell) throws Exception {
        List<String> command = new ArrayList<>(shell.length > 0 ? List.of(shell) : List.of(busybox().toString(), "sh"));
        command.add(ROOT.resolve("resources/tagwright/launch.sh").toString());
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().clear();
        builder.environment().putAll(environment);
        builder.redirectError(folder.resolve("stderr").toFile());
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor());
        return output.trim();
    }

    @Test
    void busybox_alone_is_enough_to_unpack_and_to_run() throws Exception {
        for (int i = 0; i < 2; i++) {
            String said = launch();
            assertTrue(said.startsWith("{\"schema\":1,\"ok\":false,\"command\":\"inspect\",\"error\":{\"code\":\"missing-value\""), () -> said + text(folder.resolve("stderr")));
            assertFalse(Files.exists(folder.resolve("parcel.gz")));
        }
        assertEquals(1, files(folder.resolve("work space@tmp")).size());
    }

    @Test
    void a_program_that_is_missing_on_the_agent_is_named() throws Exception {
        // Under another shell than busybox, whose own knows all applets without looking for them.
        for (String missing : NEEDED.subList(1, NEEDED.size())) {
            only(NEEDED.stream().filter(name -> !name.equals(missing)).toList(), false);
            String said = launch("/bin/sh");
            assertTrue(said.startsWith("launcher: helper-missing\nthis agent has no"), () -> missing + ": " + said);
            assertTrue(said.contains("`" + missing + "`"), () -> missing + ": " + said);
        }
    }

    @Test
    void a_folder_of_somebody_else_in_tmp_is_not_used() throws Exception {
        environment.remove("WORKSPACE_TMP");
        Files.createSymbolicLink(folder.resolve("applets/id"), busybox());
        Path trap = Files.createDirectories(folder.resolve("trap"));
        Object uid = Files.getAttribute(folder, "unix:uid");
        Files.createSymbolicLink(folder.resolve("tagwright-" + uid), trap);
        String said = launch();
        assertTrue(said.contains("`" + folder + "/tagwright-" + uid + "`: belongs to somebody else"), said);
        assertEquals(List.of(), files(trap));
    }

    @Test
    void a_parcel_is_asked_for_when_nothing_is_there_and_only_then() throws Exception {
        Files.delete(folder.resolve("parcel.gz"));
        String target = environment.get("TAGWRIGHT_RELEASE").replaceFirst("0.1.0 (.*)=.*", "$1");
        assertEquals("launcher: deliver " + target, launch());
        environment.put("PATH", environment.get("PATH") + ":" + Files.createDirectories(folder.resolve("bin")));
        Files.createSymbolicLink(folder.resolve("bin/tagwright"), PROGRAM);
        assertTrue(launch().startsWith("{\"schema\":1"), "the program on the PATH was not used");
    }

    @Test
    void a_request_file_goes_also_when_the_run_is_ended() throws Exception {
        Path request = Files.writeString(folder.resolve("request.json"), "{}");
        environment.put("TAGWRIGHT_REQUEST", "@" + request);
        environment.put("TAGWRIGHT_BIN", program(folder.resolve("slow"), "#!/bin/sh\necho started\nexec sleep 60\n").toString());
        environment.put("PATH", "/usr/bin:/bin");
        ProcessBuilder builder = new ProcessBuilder("/bin/sh", ROOT.resolve("resources/tagwright/launch.sh").toString());
        builder.environment().clear();
        builder.environment().putAll(environment);
        Process process = builder.start();
        assertEquals('s', process.getInputStream().read());
        // As a controller ends a step: every process of it at once.
        List<ProcessHandle> all = new ArrayList<>(process.descendants().toList());
        all.add(process.toHandle());
        all.forEach(ProcessHandle::destroy);
        process.waitFor();
        assertFalse(Files.exists(request));
    }
}

package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** An abort and a time-out end the step and whatever is around it: none of them is a value, a failure to repeat, or a success. */
class AbortTest extends Fixture {
    /** What a pipeline may put around a step; nothing of it is to keep an interruption from the build. */
    private static final List<String> AROUND = List.of("STEP", "retry(3) { STEP }", "catchError(catchInterruptions: false) { retry(2) { STEP } }",
        "parallel(one: { STEP }, two: { echo 'at once' })", "parallel(failFast: true, one: { retry(2) { STEP } }, two: { echo 'at once' })");

    private static String around(String block, String step) {
        return "node { " + block.replace("STEP", step) + "\n echo 'went on' }";
    }

    /** Runs the script and presses the button once the request is held up. */
    private static Build aborted(Build build, String script, Detour detour) throws InterruptedException {
        Thread thread = new Thread(null, () -> run(build, script), "build", 16 << 20);
        thread.start();
        assertTrue(detour.met.await(30, TimeUnit.SECONDS), build::text);
        build.abort();
        thread.join();
        return ended(build);
    }

    /** What holds after every interruption. */
    private static Build ended(Build build) {
        assertEquals("ABORTED", build.result, build::text);
        assertFalse(build.log.contains("went on"), build::text);
        assertEquals(1, build.count("sh"), build::text);
        assertEquals(0, build.count("error"), build::text);
        assertEquals(List.of(), files(Path.of(build.workspace + "@tmp")), build::text);
        assertEquals(List.of(), ProcessHandle.allProcesses().filter(process -> inWorkspace(process, build)).toList());
        return build;
    }

    /** Whether a process was started for this build, or lies or works in its folders: one that was given another environment counts too. */
    private static boolean inWorkspace(ProcessHandle process, Build build) {
        Path proc = Path.of("/proc/" + process.pid());
        try {
            String environment = "\0" + Files.readString(proc.resolve("environ"), StandardCharsets.ISO_8859_1);
            boolean works = false;
            for (String link : List.of("cwd", "exe")) {
                works |= Files.readSymbolicLink(proc.resolve(link)).toString().startsWith(build.workspace.toString());
            }
            return works || environment.contains("\0WORKSPACE=" + build.workspace + "\0");
        } catch (IOException | UncheckedIOException gone) {
            return false;
        }
    }

    @ParameterizedTest
    @EnumSource
    void an_abort_ends_a_promotion_whatever_stands_around_it_and_its_record_is_kept(Controller.Library trust) throws Exception {
        open.push("acme/aborted", LABELS, "2026.34.103");
        for (Build.Killing way : Build.Killing.values()) {
            // In the variable and, as it is too long for one, in a file.
            for (String more : List.of("", ", returnError: true", ", requireLabel: [big: params.BIG]", ", requireLabel: [big: params.BIG], returnError: true")) {
                for (String block : AROUND) {
                    try (Detour detour = new Detour(open, Detour.Fate.HELD, "PUT .*/manifests/stop")) {
                        Build build = build(trust);
                        build.killing = way;
                        build.params.put("BIG", BIG);
                        String step = "promoteImage(image: '" + detour.host + "/acme/aborted:2026.34.103', to: 'half', move: 'stop'" + more + ")";
                        aborted(build, around(block, step), detour);
                        assertEquals(1, build.archive.size(), build::text);
                        String record = build.archive.values().iterator().next();
                        assertTrue(record.contains("\"planned\"") && record.lines().count() == 1, record);
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_time_out_ends_a_promotion_whatever_stands_around_it(Controller.Library trust) throws Exception {
        open.push("acme/late", LABELS, "2026.34.103");
        try (Detour detour = new Detour(open, Detour.Fate.HELD, ".*")) {
            for (Build.Killing way : Build.Killing.values()) {
                for (String block : AROUND) {
                    Build build = build(trust);
                    build.killing = way;
                    String step = "promoteImage(image: '" + detour.host + "/acme/late:2026.34.103', to: 'half', returnError: " + (way == Build.Killing.AGENT) + ")";
                    ended(run(build, around("timeout(time: 1, unit: 'SECONDS') { " + block + " }", step)));
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void an_abort_ends_every_other_step_too(Controller.Library trust) throws Exception {
        Map<String, String> steps = Map.of("readImageLabel", "image: 'HOST/acme/held:1.0.0', label: 'a'", "readImageLabels", "image: 'HOST/acme/held:1.0.0'",
            "inspectImage", "image: 'HOST/acme/held:1.0.0'", "diffImages", "from: 'HOST/acme/held:1.0.0', to: 'HOST/acme/held:1.0.1'", "findImageTag", "repository: 'HOST/acme/held', build: 1",
            "nextImageVersion", "repository: 'HOST/acme/held', build: 1", "imageHistory", "repository: 'HOST/acme/held'",
            "tagwright", "command: 'tags', args: [repository: 'HOST/acme/held']");
        for (Map.Entry<String, String> step : steps.entrySet()) {
            for (Build.Killing way : Build.Killing.values()) {
                try (Detour detour = new Detour(open, Detour.Fate.HELD, ".*")) {
                    Build build = build(trust);
                    build.killing = way;
                    aborted(build, around("retry(2) { STEP }", step.getKey() + "(" + step.getValue().replace("HOST", detour.host) + ", returnError: true)"), detour);
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_branch_that_fails_ends_a_promotion_in_the_other(Controller.Library trust) throws Exception {
        open.push("acme/beside", Map.of(), "2026.34.103");
        try (Detour detour = new Detour(open, Detour.Fate.HELD, "PUT .*/manifests/stop")) {
            Build build = build(trust);
            String step = "promoteImage(image: '" + detour.host + "/acme/beside:2026.34.103', to: 'half', move: 'stop', returnError: true)";
            String script = "node { parallel(failFast: true, one: { retry(2) { " + step + " }\n echo 'went on' }, two: { sh 'until [ -e ../met ]; do sleep 0.05; done; exit 7' }) }";
            Thread thread = new Thread(null, () -> run(build, script), "build", 16 << 20);
            thread.start();
            assertTrue(detour.met.await(30, TimeUnit.SECONDS), build::text);
            Files.createFile(build.workspace.resolveSibling("met"));
            thread.join();
            assertEquals("FAILURE", build.result, build::text);
            assertTrue(build.text().contains("script returned exit code 7"), build::text);
            assertFalse(build.log.contains("went on"), build::text);
            assertEquals(2, build.count("sh"), build::text);
            assertEquals(1, build.archive.size(), build::text);
        }
    }
}

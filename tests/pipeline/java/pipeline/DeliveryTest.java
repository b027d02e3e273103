package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** How the program reaches an agent that does not have it. */
class DeliveryTest extends Fixture {
    private static final String KEPT = "tagwright-0.1.0-" + (System.getProperty("os.arch").equals("aarch64") ? "aarch64" : "x86_64");
    private String step;

    @BeforeEach
    void push() throws Exception {
        open.push("acme/delivery", Map.of("a", "b"), "1.0.0");
        step = "readImageLabel(image: '" + open.host + "/acme/delivery:1.0.0', label: 'a')";
    }

    /** A copy of the library that a test may spoil. */
    private Path copy(String name) throws IOException {
        Path target = folder.resolve(name);
        try (Stream<Path> files = Files.walk(LIBRARY)) {
            for (Path file : files.collect(Collectors.toList())) {
                Path to = target.resolve(LIBRARY.relativize(file).toString());
                if (Files.isDirectory(file)) {
                    Files.createDirectories(to);
                } else {
                    Files.copy(file, to);
                }
            }
        }
        return target;
    }

    private Path packed(Path library) throws IOException {
        try (Stream<Path> files = Files.walk(library.resolve("resources/tagwright/bin"))) {
            return files.filter(Files::isRegularFile).findFirst().orElseThrow();
        }
    }

    private Build bareBuild(Path library, Controller.Library trust) {
        Build build = build(library, trust);
        bare(build);
        return build;
    }

    @ParameterizedTest
    @EnumSource
    void the_first_call_takes_three_more_steps_and_the_next_none(Controller.Library trust) throws Exception {
        Build build = bareBuild(LIBRARY, trust);
        assertEquals("b", succeeded(run(build, "node { " + step + " }")).returned);
        assertEquals(Map.of("node", 1, "libraryResource", 3, "withEnv", 1, "sh", 2, "writeFile", 1), build.counts);
        assertEquals(List.of("job@tmp/" + KEPT), files(folder.resolve("workspace")));
        assertTrue(build.largestSave < 100_000, "the state that was saved has " + build.largestSave + " bytes: the program is in it");
        build = bareBuild(LIBRARY, trust);
        assertEquals("b", succeeded(run(build, "node { " + step + " }")).returned);
        assertEquals(Map.of("node", 1, "libraryResource", 2, "withEnv", 1, "sh", 1), build.counts);
    }

    @ParameterizedTest
    @EnumSource
    void a_large_request_survives_the_delivery(Controller.Library trust) throws Exception {
        open.push("acme/delivery", LABELS, "2.0.0");
        Build build = bareBuild(LIBRARY, trust);
        build.params.put("BIG", BIG);
        succeeded(run(build, "node { promoteImage(image: '" + open.host + "/acme/delivery:2.0.0', to: 'big', archiveRecord: false, requireLabel: [big: params.BIG]) }"));
        assertEquals(List.of("job@tmp/" + KEPT), files(folder.resolve("workspace")));
    }

    @ParameterizedTest
    @EnumSource
    void builds_that_install_at_once_all_succeed(Controller.Library trust) throws Exception {
        List<Build> builds = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        CountDownLatch ready = new CountDownLatch(1);
        for (int i = 0; i < 4; i++) {
            Build build = bareBuild(LIBRARY, trust);
            build.agent.put("TAGWRIGHT_CACHE", folder.resolve("cache").toString());
            builds.add(build);
            Thread thread = new Thread(null, () -> {
                try {
                    ready.await();
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
                build.controller.run(build, "node { " + step + " }");
            }, "build", 16 << 20);
            thread.start();
            threads.add(thread);
        }
        ready.countDown();
        for (Thread thread : threads) {
            thread.join();
        }
        for (Build build : builds) {
            assertEquals("b", succeeded(build).returned, build::text);
        }
        assertEquals(List.of(KEPT), files(folder.resolve("cache")));
        assertEquals(List.of(), files(folder.resolve("workspace")));
    }

    @ParameterizedTest
    @EnumSource
    void what_an_earlier_try_left_half_written_is_replaced(Controller.Library trust) throws Exception {
        Path kept = program(folder.resolve("workspace/job@tmp/" + KEPT), "#!/bin/sh\necho broken\n");
        Files.writeString(folder.resolve("workspace/job@tmp/.tagwright-old.gz"), "half");
        Build build = bareBuild(LIBRARY, trust);
        assertEquals("b", succeeded(run(build, "node { " + step + " }")).returned);
        assertEquals(2, build.count("sh"), build::text);
        assertTrue(Files.size(kept) > 100_000);
    }

    @ParameterizedTest
    @EnumSource
    void a_place_that_is_full_or_closed_is_followed_by_the_next(Controller.Library trust) throws Exception {
        Files.writeString(folder.resolve("file"), "not a folder");
        Build build = bareBuild(LIBRARY, trust);
        build.agent.put("TAGWRIGHT_CACHE", folder + "/file/cache");
        build.agent.remove("HOME");
        succeeded(run(build, "node { " + step + " }"));
        assertEquals(List.of("job@tmp/" + KEPT), files(folder.resolve("workspace")));

        // A gzip that fails as on a full disk, but only in that place.
        program(folder.resolve("full/gzip"), "#!/bin/sh\ncase $(readlink /proc/$$/fd/1) in */job@tmp/*) echo 'gzip: stdout: No space left on device' >&2; exit 1;; esac\nexec /bin/gzip \"$@\"\n");
        Files.delete(folder.resolve("workspace/job@tmp/" + KEPT));
        build = bareBuild(LIBRARY, trust);
        build.agent.put("PATH", folder + "/full:" + build.agent.get("PATH"));
        succeeded(run(build, "node { " + step + " }"));
        assertEquals(List.of(), files(folder.resolve("workspace")));
        assertTrue(Files.isExecutable(folder.resolve("tagwright-" + Files.getAttribute(folder, "unix:uid") + "/" + KEPT)));
    }

    @ParameterizedTest
    @EnumSource
    void where_no_place_is_left_each_is_named_with_its_reason(Controller.Library trust) throws Exception {
        program(folder.resolve("full/gzip"), "#!/bin/sh\n[ -c /proc/self/fd/1 ] && exec /bin/gzip \"$@\"\necho 'gzip: stdout: No space left on device' >&2; exit 1\n");
        Build build = bareBuild(LIBRARY, trust);
        build.agent.put("PATH", folder + "/full:" + build.agent.get("PATH"));
        failed(run(build, "node { " + step + " }"));
        assertTrue(build.text().contains("ERROR: error[helper-missing]: the program could be put nowhere on this agent: `" + folder
            + "/workspace/job@tmp`: gzip: stdout: No space left on device; "), build::text);
        assertEquals(List.of(), files(folder.resolve("workspace")));

        build = bareBuild(LIBRARY, trust);
        build.writeFails = new IOException("No space left on device");
        failed(run(build, "node { " + step + " }"));
        assertTrue(build.text().contains("ERROR: error[helper-missing]: the program cannot be written to `"), build::text);
        assertTrue(build.text().contains("No space left on device"), build::text);

        build = build(trust);
        build.writeFails = new IOException("No space left on device");
        build.params.put("BIG", BIG);
        failed(run(build, "node { promoteImage(image: 'localhost:1/a', to: 'b', requireLabel: [big: params.BIG]) }"));
        assertTrue(build.text().contains("ERROR: error[helper-missing]: the request cannot be written to `"), build::text);
        assertFalse(build.text().contains("\tat "), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void a_damaged_copy_is_never_run(Controller.Library trust) throws Exception {
        Path library = copy("spoiled");
        Path packed = packed(library);
        byte[] whole = Files.readAllBytes(packed);
        for (byte[] spoiled : List.of(java.util.Arrays.copyOf(whole, whole.length / 2), "not gzip".getBytes(), new byte[0])) {
            Files.write(packed, spoiled);
            Build build = failed(run(bareBuild(library, trust), "node { " + step + " }"));
            assertTrue(build.text().contains("ERROR: error[helper-damaged]: the program that this library carries for "), build::text);
            assertEquals(List.of(), files(folder.resolve("workspace")));
        }
        Path json = library.resolve("resources/tagwright/release.json");
        Files.write(packed, whole);
        Files.writeString(json, text(json).replaceFirst("\"sha256\": \"....", "\"sha256\": \"0000"));
        Build build = failed(run(bareBuild(library, trust), "node { " + step + " }"));
        assertTrue(build.text().contains("another sha256 than release.json names"), build::text);
        assertEquals(List.of(), files(folder.resolve("workspace")));
    }

    @ParameterizedTest
    @EnumSource
    void another_version_on_the_path_is_passed_over(Controller.Library trust) throws Exception {
        program(folder.resolve("old/tagwright"), "#!/bin/sh\n[ \"$1\" = --version ] && echo 'tagwright 0.0.9 (abc)' || echo never\n");
        Build build = build(LIBRARY, trust);
        build.agent.put("PATH", folder + "/old:/usr/bin:/bin");
        assertEquals("b", succeeded(run(build, "node { " + step + " }")).returned);
        assertEquals(2, build.count("sh"));
    }

    @ParameterizedTest
    @EnumSource
    void an_agent_of_another_kind_is_told_what_to_put_where(Controller.Library trust) throws Exception {
        for (String system : List.of("Darwin arm64", "Linux riscv64", "MINGW64_NT-10.0 x86_64", "Linux armv7l")) {
            program(folder.resolve("other/uname"), "#!/bin/sh\necho " + system + "\n");
            Build build = build(LIBRARY, trust);
            build.agent.put("PATH", folder + "/other:/usr/bin:/bin");
            failed(run(build, "node { " + step + " }"));
            assertTrue(build.text().contains("ERROR: error[helper-missing]: this library carries no program for `" + system
                + "`\n  hint: install tagwright 0.1.0 on the `PATH` of the agent, or name it with `helper:` or `TAGWRIGHT_BIN`"), build::text);
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_library_without_programs_works_where_the_agent_has_one_and_says_so_elsewhere(Controller.Library trust) throws Exception {
        for (Path library : List.of(ROOT, slim(), emptied())) {
            assertEquals("b", succeeded(run(build(library, trust), "node { " + step + " }")).returned);
            program(folder.resolve("old/tagwright"), "#!/bin/sh\necho 'tagwright 0.0.9 (abc)'\n");
            Build build = bareBuild(library, trust);
            failed(run(build, "node { " + step + " }"));
            assertTrue(build.text().contains("ERROR: error[helper-missing]: tagwright 0.1.0 is not on "), build::text);
            assertTrue(build.text().contains("install tagwright 0.1.0 on the `PATH` of the agent"), build::text);
        }
        Build build = build(ROOT, trust);
        build.agent.put("PATH", folder + "/old:/usr/bin:/bin");
        failed(run(build, "node { " + step + " }"));
        assertTrue(build.text().contains("`" + folder + "/old/tagwright` is 0.0.9"), build::text);
    }

    /** As `make release` tags it for agents that have the program: no sums, no programs. */
    private Path slim() throws IOException {
        Path library = copy("slim");
        Files.writeString(library.resolve("resources/tagwright/release.json"), "{\"version\": \"0.1.0\", \"commit\": \"x\", \"targets\": {}}");
        return library;
    }

    /** Sums, and the program that they are of is not there. */
    private Path emptied() throws IOException {
        Path library = copy("emptied");
        Files.delete(packed(library));
        return library;
    }

    @ParameterizedTest
    @EnumSource
    void a_container_that_does_not_see_the_workspace_is_named(Controller.Library trust) throws Exception {
        // The agent writes to one place, the shell of the container sees another.
        Build build = bareBuild(LIBRARY, trust);
        build.hidden = true;
        failed(run(build, "node { " + step + " }"));
        assertTrue(build.text().contains("ERROR: error[helper-missing]: the program was written to `"), build::text);
        assertFalse(build.text().contains("\tat "), build::text);
        assertEquals(2, build.count("sh"));
    }

    @ParameterizedTest
    @EnumSource
    void the_program_is_written_into_the_steps_own_folder_where_the_launcher_asks_for_it_there(Controller.Library trust) throws Exception {
        String target = packed(LIBRARY).getParent().getFileName().toString();
        String helper = program(folder.resolve("odd/tagwright"), "#!/bin/sh\nfor parcel in .tagwright-*.gz; do [ ! -f \"$parcel\" ] || { rm \"$parcel\"; "
            + "echo '{\"schema\":1,\"ok\":true,\"command\":\"inspect\",\"result\":{\"digest\":\"arrived\"},\"warnings\":[]}'; exit; }; done\n"
            + "printf '\\nlauncher: deliver " + target + "\\nhere\\n\\n'\n").toString();
        Build build = build(trust);
        assertEquals("arrived", succeeded(run(build, "node { inspectImage(image: 'localhost:1/a', helper: '" + helper + "').digest }")).returned);
        assertEquals(2, build.count("sh"), build::text);
        assertEquals(List.of(), files(folder.resolve("workspace")));
    }
}

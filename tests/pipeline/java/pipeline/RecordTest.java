package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import groovy.json.JsonSlurper;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The record that a promotion leaves, whatever becomes of the promotion. */
class RecordTest extends Fixture {
    /** The states that a record has gone through. */
    private static List<String> states(String record) {
        return record.lines().map(line -> (String) ((Map<?, ?>) new JsonSlurper().parseText(line)).get("state")).collect(Collectors.toList());
    }

    /** The one record that this build has archived: it stands in the workspace as well, under the name that it should have. */
    private String only(Build build, String repository, String digest) {
        assertEquals(1, build.archive.size(), build::text);
        String name = build.archive.keySet().iterator().next();
        String expected = "tagwright/" + repository.replace(':', '_') + "/" + digest.substring(7, 19) + "-\\d{8}T\\d{6}\\.\\d{3}Z\\.jsonl";
        assertTrue(name.matches(expected), name);
        assertEquals(text(build.workspace.resolve(name)), build.archive.get(name));
        return build.archive.get(name);
    }

    private static void silent(Build build) {
        assertEquals(Map.of(), build.archive);
        assertEquals(0, build.count("archiveArtifacts"), build::text);
        assertFalse(build.text().contains("rchiv"), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void a_promotion_that_is_done_is_archived_with_one_step_more(Controller.Library trust) throws Exception {
        String repository = open.host + "/acme/record-" + trust.name().toLowerCase();
        String digest = open.push(repository.substring(open.host.length() + 1), Map.of("of", "103"), "2026.34.103");
        Build build = succeeded(run(trust, "node { promoteImage(repository: '" + repository + "', build: 103) }"));
        assertEquals(List.of("planned", "done"), states(only(build, repository, digest)));
        assertEquals(build.archive.keySet(), Map.of(files(build.workspace).get(0), "").keySet());
        assertEquals(Map.of("node", 1, "libraryResource", 2, "withEnv", 1, "sh", 1, "archiveArtifacts", 1), build.counts);
        assertEquals(List.of(), files(Path.of(build.workspace + "@tmp")));
    }

    @ParameterizedTest
    @EnumSource
    void a_promotion_that_fails_half_way_is_archived(Controller.Library trust) throws Exception {
        String digest = open.push("acme/record-half", Map.of("of", "103"), "2026.34.103");
        try (Detour detour = new Detour(open, Detour.Fate.REFUSED, "PUT .*/manifests/stop")) {
            String repository = detour.host + "/acme/record-half";
            Build build = failed(run(trust, "node { promoteImage(image: '" + repository + ":2026.34.103', to: 'half', move: 'stop', registry: '" + detour.host + "') }"));
            assertTrue(build.text().contains("error[denied]: "), build::text);
            String record = only(build, repository, digest);
            assertEquals("planned", states(record).get(0));
            assertEquals(1, build.count("sh"));
        }
    }

    @ParameterizedTest
    @EnumSource
    void an_aborted_promotion_is_archived_as_it_was_planned(Controller.Library trust) throws Exception {
        String digest = open.push("acme/record-abort", Map.of("of", "103"), "2026.34.103");
        try (Detour detour = new Detour(open, Detour.Fate.HELD, "PUT .*/manifests/stop")) {
            String repository = detour.host + "/acme/record-abort";
            Build build = run(trust, "node { timeout(time: 2, unit: 'SECONDS') { promoteImage(image: '" + repository + ":2026.34.103', to: 'half', move: 'stop') } }");
            assertEquals("ABORTED", build.result, build::text);
            assertEquals(0, detour.met.getCount());
            assertEquals(List.of("planned"), states(only(build, repository, digest)));
            assertEquals(Map.of("node", 1, "timeout", 1, "libraryResource", 2, "withEnv", 1, "sh", 1, "fileExists", 1, "archiveArtifacts", 1), build.counts);
        }
    }

    @ParameterizedTest
    @EnumSource
    void what_was_refused_or_aborted_before_it_was_planned_archives_nothing_and_says_nothing(Controller.Library trust) throws Exception {
        open.push("acme/record-none", Map.of("of", "102"), "2026.34.102", "taken");
        open.push("acme/record-none", Map.of("of", "103"), "2026.34.103");
        String image = "image: '" + open.host + "/acme/record-none:2026.34.103'";
        Build build = failed(run(trust, "node { promoteImage(" + image + ", to: 'taken') }"));
        assertTrue(build.text().contains("error[tag-conflict]: "), build::text);
        silent(build);
        silent(failed(run(trust, "node { promoteImage(" + image + ", biuld: 1) }")));
        silent(failed(run(trust, "node { promoteImage(" + image + ", to: 'x', credentialsId: 'nope') }")));
        silent(failed(run(trust, "promoteImage(" + image + ", to: 'x')")));
        try (ServerSocket server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            build = run(trust, "node { timeout(time: 1, unit: 'SECONDS') { promoteImage(image: 'localhost:" + server.getLocalPort() + "/acme/a:1.0.0', to: 'x') } }");
            assertEquals("ABORTED", build.result, build::text);
            silent(build);
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_dry_run_and_archiveRecord_false_leave_no_record(Controller.Library trust) throws Exception {
        open.push("acme/record-off", Map.of("of", "103"), "2026.34.103");
        String step = "promoteImage(image: '" + open.host + "/acme/record-off:2026.34.103', to: '" + trust.name().toLowerCase() + "', ";
        Build build = succeeded(run(trust, "node { " + step + "dryRun: true) }"));
        silent(build);
        assertEquals(List.of(), files(build.workspace));
        build = succeeded(run(trust, "node { " + step + "archiveRecord: false) }"));
        silent(build);
        assertEquals(List.of(), files(build.workspace));
        build = succeeded(run(trust, "node { " + step + "archiveRecord: false, record: 'mine.jsonl') }"));
        silent(build);
        assertEquals(List.of("mine.jsonl"), files(build.workspace));
    }

    @ParameterizedTest
    @EnumSource
    void a_record_that_the_caller_names_is_written_and_archived_there(Controller.Library trust) throws Exception {
        open.push("acme/record-named", Map.of("of", "103"), "2026.34.103");
        String[][] table = {
            {"promotion.jsonl", "promotion.jsonl", "promotion.jsonl"},
            {"./records/a b, c.jsonl", "records/a b, c.jsonl", "records/a b, c.jsonl"},
            {"records/{digest}/{repository}.jsonl", null, null},
            {folder + "/elsewhere/promotion.jsonl", null, "promotion.jsonl"},
            {folder + "/elsewhere/{repository}/{digest}.jsonl", null, null},
            {"../beside.jsonl", "../beside.jsonl", "beside.jsonl"},
        };
        // A folder that no placeholder stands for is the caller's business.
        Files.createDirectories(folder.resolve("workspace/job/records"));
        Files.createDirectories(folder.resolve("elsewhere"));
        for (String[] row : table) {
            Build build = succeeded(run(trust, "node { promoteImage(image: '" + open.host + "/acme/record-named:2026.34.103', move: 'x', record: '" + row[0] + "') }"));
            assertEquals(1, build.archive.size(), build::text);
            if (row[1] != null) {
                assertTrue(Files.exists(build.workspace.resolve(row[1])), row[1]);
            }
            if (row[2] != null) {
                assertEquals(row[2], build.archive.keySet().iterator().next());
            }
            assertEquals(List.of("planned", "done"), states(build.archive.values().iterator().next()));
        }
        for (String wrong : List.of("''", "null", "params.NOPE")) {
            Build build = failed(run(trust, "node { promoteImage(image: '" + open.host + "/acme/record-named:2026.34.103', to: 'x', record: " + wrong + ") }"));
            assertTrue(build.text().contains("error[missing-value]: `record`"), build::text);
            assertEquals(0, build.count("archiveArtifacts"));
        }
    }

    @ParameterizedTest
    @EnumSource
    void trouble_with_archiving_is_told_and_no_failure(Controller.Library trust) throws Exception {
        String digest = open.push("acme/record-full", Map.of("of", "103"), "2026.34.103");
        String step = "promoteImage(image: '" + open.host + "/acme/record-full:2026.34.103', to: '" + trust.name().toLowerCase() + "')";
        Build build = succeeded(run(trust, "node { " + step + " }", b -> b.archiveFails = new IOException("No space left on device")));
        assertTrue(build.log.contains("tagwright: the record of this promotion is not among the artifacts of the build: No space left on device"), build::text);
        assertEquals(digest, ((Map<?, ?>) build.returned).get("digest"));
        assertFalse(build.text().contains("\tat "), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void promotions_at_once_in_one_workspace_each_archive_their_own(Controller.Library trust) throws Exception {
        List<Build> builds = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            open.push("acme/record-at-once-" + i, Map.of("of", "" + i), "1.0." + i);
            String script = "node { promoteImage(image: '" + open.host + "/acme/record-at-once-" + i + ":1.0." + i + "', to: 'x') }";
            Build build = build(trust);
            builds.add(build);
            threads.add(new Thread(null, () -> build.controller.run(build, script), "build", 16 << 20));
        }
        for (Thread thread : threads) {
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        for (int i = 0; i < 4; i++) {
            String name = "/acme/record-at-once-" + i + "/";
            assertEquals(List.of(), succeeded(builds.get(i)).rejected);
            assertTrue(builds.get(i).archive.keySet().stream().anyMatch(file -> file.contains(name)), builds.get(i)::text);
        }
        assertEquals(4, files(builds.get(0).workspace).size());
    }

    @ParameterizedTest
    @EnumSource
    void records_of_earlier_builds_in_the_workspace_are_left_alone(Controller.Library trust) throws Exception {
        String digest = open.push("acme/record-again", Map.of("of", "103"), "2026.34.103");
        String repository = open.host + "/acme/record-again";
        String step = "promoteImage(image: '" + repository + ":2026.34.103', move: 'x'";
        Build first = succeeded(run(trust, "node { " + step + ") }"));
        Build second = succeeded(run(trust, "node { " + step + ") }"));
        only(first, repository, digest);
        only(second, repository, digest);
        assertFalse(second.archive.containsKey(first.archive.keySet().iterator().next()));
        assertEquals(2, files(second.workspace).size());
        silent(failed(run(trust, "node { " + step + ", credentialsId: 'nope') }")));
        silent(failed(run(trust, "node { " + step + ", helper: '/nowhere/tagwright') }")));
        silent(failed(run(trust, "node { " + step.replace("103", "104") + ") }")));
    }

    @ParameterizedTest
    @EnumSource
    void a_program_that_is_killed_leaves_its_record_too(Controller.Library trust) throws Exception {
        String digest = open.push("acme/record-killed", Map.of("of", "103"), "2026.34.103");
        // Ends the program from outside as soon as it has written what it plans to do.
        program(folder.resolve("killing/tagwright"), "#!/bin/sh\n'" + PROGRAM + "' \"$@\" & program=$!\n"
            + "while kill -0 $program; do [ -z \"$(find tagwright -name '*.jsonl' -size +0)\" ] || break; sleep 0.05; done\nkill -9 $program $$\n");
        try (Detour detour = new Detour(open, Detour.Fate.HELD, "PUT .*/manifests/stop")) {
            String repository = detour.host + "/acme/record-killed";
            Build build = failed(run(trust, "node { promoteImage(image: '" + repository + ":2026.34.103', to: 'stop', helper: '" + folder + "/killing/tagwright') }"));
            assertTrue(build.text().contains("was ended by signal 9 before it answered"), build::text);
            assertEquals(List.of("planned"), states(only(build, repository, digest)));
        }
    }

    @ParameterizedTest
    @EnumSource
    void inside_of_dir_the_record_lies_there_and_keeps_its_name(Controller.Library trust) throws Exception {
        open.push("acme/record-dir", Map.of("of", "103"), "2026.34.103");
        Build build = succeeded(run(trust, "node { dir('deep/er') { promoteImage(image: '" + open.host + "/acme/record-dir:2026.34.103', to: 'x') } }"));
        String name = build.archive.keySet().iterator().next();
        assertTrue(name.startsWith("tagwright/localhost_"), name);
        assertTrue(Files.exists(build.workspace.resolve("deep/er/" + name)));
    }

    @ParameterizedTest
    @EnumSource
    void rollbackPromotion_takes_the_record_of_a_result_and_puts_the_tags_back(Controller.Library trust) throws Exception {
        String repository = "acme/back-" + trust.name().toLowerCase();
        String before = open.push(repository, Map.of("of", "102"), "2026.34.102", "latest");
        open.push(repository, Map.of("of", "103"), "2026.34.103");
        Build build = succeeded(run(trust, """
            node {
              def promoted = promoteImage(repository: '%s', build: 103)
              def pretended = rollbackPromotion(record: promoted.record, dryRun: true)
              def back = rollbackPromotion(record: promoted.record)
              return [pretended, back]
            }""".formatted(open.host + "/" + repository)));
        assertEquals(before, open.digestOf(repository, "latest"));
        List<?> both = (List<?>) build.returned;
        for (Object one : both) {
            Map<?, ?> result = (Map<?, ?>) one;
            List<?> actions = ((List<?>) result.get("tags")).stream().map(tag -> ((Map<?, ?>) tag).get("action")).collect(Collectors.toList());
            assertTrue(actions.contains("moved") && actions.contains("left"), actions.toString());
        }
    }

    @ParameterizedTest
    @EnumSource
    void rollbackPromotion_puts_back_what_an_abort_left_half_done(Controller.Library trust) throws Exception {
        String repository = "acme/undo-" + trust.name().toLowerCase();
        String before = open.push(repository, Map.of("of", "102"), "2026.34.102", "first");
        open.push(repository, Map.of("of", "103"), "2026.34.103");
        try (Detour detour = new Detour(open, Detour.Fate.REFUSED, "PUT .*/manifests/second")) {
            Build build = failed(run(trust, """
                node {
                  def step = [image: '%s:2026.34.103', move: ['first', 'second'], record: 'promotion.jsonl']
                  try {
                    promoteImage(step)
                  } catch (failure) {
                    rollbackPromotion(record: 'promotion.jsonl')
                    throw failure
                  }
                }""".formatted(detour.host + "/" + repository)));
            assertTrue(build.text().contains("ERROR: error[denied]: "), build::text);
        }
        assertEquals(before, open.digestOf(repository, "first"));
        assertNull(open.digestOf(repository, "second"));
    }

    @ParameterizedTest
    @EnumSource
    void imageHistory_lists_what_was_recorded_beside_the_image(Controller.Library trust) throws Exception {
        String repository = "acme/history-" + trust.name().toLowerCase();
        open.push(repository, Map.of("of", "103"), "2026.34.103");
        String name = open.host + "/" + repository;
        Build build = succeeded(run(trust, "node { promoteImage(repository: '" + name + "', build: 103, attachRecord: true)\n"
            + "def all = imageHistory(repository: '" + name + "')\n sh 'true'\n return all }"));
        List<?> records = (List<?>) build.returned;
        assertEquals(1, records.size(), build::text);
        assertTrue(records.get(0).toString().contains("2026.34.103-rc"), records::toString);
        assertEquals(List.of(), succeeded(run(trust, "node { imageHistory(repository: '" + open.host + "/acme/record-none') }")).returned);
    }
}

package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What each step returns, and what it takes. */
class StepsTest extends Fixture {
    @ParameterizedTest
    @EnumSource
    void readImageLabel_returns_every_value_unchanged(Controller.Library trust) throws Exception {
        open.push("acme/labels", LABELS, "1.0.0");
        for (Map.Entry<String, String> label : LABELS.entrySet()) {
            Build build = succeeded(run(trust, "node { def v = readImageLabel(image: '" + open.host + "/acme/labels:1.0.0', label: '"
                + label.getKey() + "'); sh 'true'; return v }"));
            assertEquals(label.getValue(), build.returned);
        }
    }

    @ParameterizedTest
    @EnumSource
    void readImageLabels_returns_plain_values_that_survive_a_restart(Controller.Library trust) throws Exception {
        open.push("acme/labels", LABELS, "1.0.0");
        String image = "image: '" + open.host + "/acme/labels:1.0.0'";
        Build build = succeeded(run(trust, "node { def r = readImageLabels(" + image + "); sh 'true'; return r }"));
        Map<?, ?> result = assertInstanceOf(LinkedHashMap.class, build.returned);
        assertEquals(new TreeMap<>(LABELS), new TreeMap<>(result));
        assertTrue(build.saves >= 2, "saved " + build.saves + " times");
        build = succeeded(run(trust, "node { def r = readImageLabels(" + image + ", label: 'number', allPlatforms: true); sh 'true'; return r }"));
        assertEquals(Map.of("linux/amd64", Map.of("number", "007")), build.returned);
    }

    @ParameterizedTest
    @EnumSource
    void a_missing_label_fails_or_is_the_default(Controller.Library trust) throws Exception {
        open.push("acme/labels", LABELS, "1.0.0");
        String image = "image: '" + open.host + "/acme/labels:1.0.0'";
        assertEquals("", succeeded(run(trust, "node { readImageLabel(" + image + ", label: 'nope', default: '') }")).returned);
        Build build = failed(run(trust, "node { readImageLabel(" + image + ", label: 'nope') }"));
        assertTrue(build.text().contains("ERROR: error[label-missing]: "), build::text);
        assertEquals(1, build.text().split("error\\[label-missing\\]", -1).length - 1, build::text);
        assertFalse(build.text().contains("\tat "), build::text);
        build = failed(run(trust, "node { readImageLabel(" + image + ") }"));
        assertTrue(build.text().contains("error[missing-value]: `label`"), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void inspectImage_tells_digest_and_version(Controller.Library trust) throws Exception {
        String digest = open.push("acme/inspect", LABELS, "2026.34.103", "latest");
        Map<?, ?> result = (Map<?, ?>) succeeded(run(trust, "node { inspectImage(image: '" + open.host + "/acme/inspect') }")).returned;
        assertEquals(digest, result.get("digest"));
        assertEquals(open.host + "/acme/inspect:latest", result.get("reference"));
        assertInstanceOf(Number.class, result.get("size"));
    }

    @ParameterizedTest
    @EnumSource
    void diffImages_tells_what_changes_as_plain_values(Controller.Library trust) throws Exception {
        open.push("acme/diff", Map.of("git_revision", "41d0aa7", "gone", "1", "same", "x"), "2026.34.102", "latest");
        String digest = open.push("acme/diff", Map.of("git_revision", "9d02c7f", "come", "2", "same", "x"), "2026.34.103");
        String image = open.host + "/acme/diff";
        Map<?, ?> result = (Map<?, ?>) succeeded(run(trust, "node { def d = diffImages(from: '" + image + "', to: '" + image + ":2026.34.103'); sh 'true'; return d }")).returned;
        assertEquals(Map.of("added", Map.of("come", "2"), "removed", Map.of("gone", "1"), "changed", Map.of("git_revision", Map.of("from", "41d0aa7", "to", "9d02c7f"))),
            result.get("labels"));
        assertEquals(List.of("2026.34.102", "2026.34.103"), List.of(((Map<?, ?>) result.get("from")).get("version"), ((Map<?, ?>) result.get("to")).get("version")));
        assertEquals(digest, ((Map<?, ?>) result.get("to")).get("digest"));
        assertEquals(Map.of("shared", 1, "new", 0, "bytes", 0), result.get("layers"));
        Build build = failed(run(trust, "node { diffImages(from: '" + image + "') }"));
        assertTrue(build.text().contains("error[missing-value]: "), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void findImageTag_finds_the_tag_of_a_build(Controller.Library trust) throws Exception {
        open.push("acme/find", Map.of("n", "1"), "2026.34.102");
        open.push("acme/find", Map.of("n", "2"), "2026.34.103", "latest");
        String repository = "repository: '" + open.host + "/acme/find'";
        assertEquals("2026.34.103", succeeded(run(trust, "node { findImageTag(" + repository + ", build: 103) }")).returned);
        assertEquals("2026.34.103", succeeded(run(trust, "node { findImageTag(" + repository + ", build: env.BUILD_NUMBER) }")).returned);
        Build build = failed(run(trust, "node { findImageTag(" + repository + ", build: '104') }"));
        assertTrue(build.text().contains("error[no-tag-for-build]: "), build::text);
        build = failed(run(trust, "node { findImageTag(" + repository + ", build: params.NOPE) }"));
        assertTrue(build.text().contains("error[missing-value]: `build`"), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void nextImageVersion_goes_by_the_start_of_the_build(Controller.Library trust) throws Exception {
        assertEquals("2026.35.103", succeeded(run(trust, "node { nextImageVersion(build: env.BUILD_NUMBER) }")).returned);
        assertEquals("2025.1.103", succeeded(run(trust, "node { nextImageVersion(build: 103, at: '2024-12-30') }")).returned);
        open.push("acme/next", Map.of(), "2026.35.103");
        Build build = failed(run(trust, "node { nextImageVersion(build: 103, repository: '" + open.host + "/acme/next') }"));
        assertTrue(build.text().contains("error[version-not-increasing]: "), build::text);
        assertTrue(failed(run(trust, "node { nextImageVersion(build: 1, at: null) }")).text().contains("error[missing-value]: `at`"));
    }

    @ParameterizedTest
    @EnumSource
    void promoteImage_gives_a_digest_its_tags_and_is_content_the_second_time(Controller.Library trust) throws Exception {
        String repository = "acme/promote-" + trust.name().toLowerCase();
        String digest = open.push(repository, Map.of("of", "103"), "2026.34.103");
        open.push(repository, Map.of("of", "102"), "2026.34.102", "latest");
        String script = "node { promoteImage(repository: '" + open.host + "/" + repository + "', build: '103') }";
        Map<?, ?> result = (Map<?, ?>) succeeded(run(trust, script)).returned;
        assertEquals(digest, result.get("digest"));
        assertEquals("2026.34.103", result.get("version"));
        assertEquals(digest, open.digestOf(repository, "2026.34.103-rc"));
        assertEquals(digest, open.digestOf(repository, "latest"));
        result = (Map<?, ?>) succeeded(run(trust, script)).returned;
        for (Object tag : (List<?>) result.get("tags")) {
            assertEquals("unchanged", ((Map<?, ?>) tag).get("action"));
        }
    }

    @ParameterizedTest
    @EnumSource
    void promoteImage_takes_lists_arrays_maps_and_interpolated_strings(Controller.Library trust) throws Exception {
        String repository = "acme/kinds-" + trust.name().toLowerCase();
        String digest = open.push(repository, Map.of("git_revision", "41d0aa7"), "2026.34.103");
        Build build = succeeded(run(trust, """
            node {
              def image = '%s'
              promoteImage(image: "${image}:2026.34.103", to: params.TAGS, move: ["stable-${1 + 1}"], requireLabel: [git_revision: '41d0aa7'])
            }""".formatted(open.host + "/" + repository), b -> b.params.put("TAGS", new String[] {"a-{version}", "b-{tag}"})));
        for (String tag : List.of("a-2026.34.103", "b-2026.34.103", "stable-2")) {
            assertEquals(digest, open.digestOf(repository, tag), build::text);
        }
        build = failed(run(trust, "node { promoteImage(image: '" + open.host + "/" + repository + ":2026.34.103', to: 'c', requireLabel: [git_revision: 'other']) }"));
        assertTrue(build.text().contains("error[label-mismatch]: "), build::text);
        assertNull(open.digestOf(repository, "c"));
        succeeded(run(trust, "node { promoteImage(image: '" + open.host + "/" + repository + ":2026.34.103', to: 'd', dryRun: true) }"));
        assertNull(open.digestOf(repository, "d"));
    }

    @ParameterizedTest
    @EnumSource
    void the_bridge_runs_any_command_of_the_program(Controller.Library trust) throws Exception {
        open.push("acme/bridge", Map.of(), "2026.34.1", "2026.34.2");
        Map<?, ?> result = (Map<?, ?>) succeeded(run(trust, "node { tagwright(command: 'tags', args: [repository: '" + open.host + "/acme/bridge', limit: 1]) }")).returned;
        assertEquals(1, ((List<?>) result.get("tags")).size());
        assertEquals("2026.34.2", ((Map<?, ?>) ((List<?>) result.get("tags")).get(0)).get("tag"));
    }

    @ParameterizedTest
    @EnumSource
    void the_doctor_tells_its_checks_and_fails_no_build(Controller.Library trust) throws Exception {
        Build build = succeeded(run(trust, "node { def d = tagwright(command: 'doctor', args: [repository: '" + guarded.host + "/acme/doctor', action: 'push']); sh 'true'; return d }"));
        Map<?, ?> failed = (Map<?, ?>) ((List<?>) ((Map<?, ?>) build.returned).get("checks")).stream().filter(check -> "fail".equals(((Map<?, ?>) check).get("state"))).findFirst().orElseThrow();
        assertEquals("credential", failed.get("name"), build::text);
        assertInstanceOf(String.class, failed.get("hint"));
    }

    @ParameterizedTest
    @EnumSource
    void a_call_costs_one_sh_and_four_steps_and_one_more_with_a_credential(Controller.Library trust) throws Exception {
        guarded.push("acme/steps", Map.of("a", "b"), "1.0.0");
        open.push("acme/steps", Map.of("a", "b"), "1.0.0");
        Build build = succeeded(run(trust, "node { readImageLabel(image: '" + open.host + "/acme/steps:1.0.0', label: 'a') }"));
        assertEquals(Map.of("node", 1, "libraryResource", 2, "withEnv", 1, "sh", 1), build.counts);
        build = succeeded(run(trust, "node { readImageLabel(image: '" + guarded.host + "/acme/steps:1.0.0', label: 'a', credentialsId: 'hub', registry: '" + guarded.host + "') }"));
        assertEquals(Map.of("node", 1, "libraryResource", 2, "withEnv", 1, "withCredentials", 1, "sh", 1), build.counts);
    }

    @ParameterizedTest
    @EnumSource
    void a_large_request_goes_by_a_file_that_is_gone_afterwards(Controller.Library trust) throws Exception {
        open.push("acme/large", LABELS, "1.0.0");
        Build build = succeeded(run(trust, "node { promoteImage(image: '" + open.host + "/acme/large:1.0.0', to: 'large', archiveRecord: false, requireLabel: [big: params.BIG]) }",
            b -> b.params.put("BIG", BIG)));
        assertEquals(1, build.count("writeFile"), build::text);
        assertEquals(1, build.count("sh"), build::text);
        assertEquals(List.of(), files(folder.resolve("workspace")));
        assertTrue(Files.isDirectory(folder.resolve("workspace/job@tmp")));
        Build other = failed(run(trust, "node { promoteImage(image: '" + open.host + "/acme/large:1.0.0', to: 'x', requireLabel: [big: params.BIG + params.BIG + params.BIG]) }",
            b -> b.params.put("BIG", BIG)));
        assertTrue(other.text().contains("error[label-mismatch]: "), () -> other.text().substring(0, Math.min(2000, other.text().length())));
    }

    @ParameterizedTest
    @EnumSource
    void a_step_works_in_another_folder_and_on_an_old_controller(Controller.Library trust) throws Exception {
        open.push("acme/folders", LABELS, "1.0.0");
        String step = "promoteImage(image: '" + open.host + "/acme/folders:1.0.0', to: 'folders', archiveRecord: false, requireLabel: [big: params.BIG])";
        succeeded(run(trust, "node { dir('a/b') { " + step + " } }", b -> b.params.put("BIG", BIG)));
        succeeded(run(trust, "node { withEnv(['WORKSPACE_TMP=']) { " + step + " } }", b -> {
            bare(b);
            b.params.put("BIG", BIG);
        }));
        assertEquals(List.of(), files(folder.resolve("workspace")));
    }
}

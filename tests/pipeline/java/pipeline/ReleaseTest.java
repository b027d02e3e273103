package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import groovy.json.JsonSlurper;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Several images into several real registries as one release: from a closed one into an open one and another closed one. */
class ReleaseTest extends TwoSides {
    private static final List<String> NAMES = List.of("one", "two", "three");
    private String prefix;
    private List<String> digests;

    /** Three images in staging, with older ones where they are to go. */
    private void images(Controller.Library trust, String story) throws Exception {
        prefix = "acme/" + story + "-" + trust.name().toLowerCase() + "-";
        digests = new ArrayList<>();
        for (String name : NAMES) {
            digests.add(guarded.push(prefix + name, Map.of("of", "103", "name", name), "2026.34.103"));
            for (Registry target : List.of(open, production)) {
                target.push(prefix + name, Map.of("of", "102", "name", name), "2026.34.102", "latest");
            }
        }
    }

    /** The step with the targets as the pipeline's own variable, so that a rollback takes them too. */
    private String script(String more, String after) {
        return """
            node {
              def images = []
              def targets = []
              for (name in ['one', 'two', 'three']) {
                def into = ["%2$s/%4$s${name}", [repository: "%3$s/%4$s${name}", credentialsId: 'production', registry: '%3$s']]
                images << [image: "%1$s/%4$s${name}:2026.34.103", into: into]
                for (target in into) { targets << target }
              }
              def step = [images: images, to: '{version}', move: 'latest', credentialsId: 'hub', registry: '%1$s']
              def released = promoteImages(step%5$s)
              sh 'true'
              %6$s
              return released
            }""".formatted(guarded.host, open.host, production.host, prefix, more, after);
    }

    private void latest(List<String> expected) throws Exception {
        for (int i = 0; i < NAMES.size(); i++) {
            for (Registry target : List.of(open, production)) {
                assertEquals(expected.get(i), target.digestOf(prefix + NAMES.get(i), "latest"));
            }
        }
    }

    private List<String> before() throws Exception {
        List<String> all = new ArrayList<>();
        for (String name : NAMES) {
            all.add(open.digestOf(prefix + name, "2026.34.102"));
        }
        return all;
    }

    @ParameterizedTest
    @EnumSource
    void a_release_gives_all_images_their_tags_everywhere_and_rollbackPromotion_takes_it_back(Controller.Library trust) throws Exception {
        images(trust, "release");
        Build build = succeeded(run(trust, script("", "")));
        latest(digests);
        Map<?, ?> result = (Map<?, ?>) build.returned;
        assertEquals(NAMES.size(), ((List<?>) result.get("images")).size());
        Map<?, ?> first = (Map<?, ?>) ((List<?>) result.get("images")).get(0);
        assertEquals(List.of("2026.34.103", digests.get(0)), List.of(first.get("version"), first.get("digest")));
        assertEquals(List.of(open.host + "/" + prefix + "one", production.host + "/" + prefix + "one"),
            ((List<?>) first.get("targets")).stream().map(target -> ((Map<?, ?>) target).get("repository")).toList());
        assertTrue(build.saves > 1, "saved " + build.saves + " times");
        assertEquals(Map.of("node", 1, "libraryResource", 2, "withEnv", 1, "withCredentials", 1, "sh", 2, "archiveArtifacts", 1), build.counts);
        assertEquals(1, build.archive.size(), build.archive::toString);
        String name = build.archive.keySet().iterator().next();
        assertTrue(name.matches("tagwright/release/[0-9a-f]{12}-\\d{8}T\\d{6}\\.\\d{3}Z\\.jsonl"), name);
        assertEquals(List.of(name), List.copyOf(build.fingerprints));

        // What is there already is not written again.
        Build again = succeeded(run(trust, script("", "")));
        assertFalse(again.returned.toString().contains("action=moved"), again.returned::toString);

        for (String record : List.of("released.record", "'" + name + "'")) {
            images(trust, "release");
            run(trust, script(" + [record: '" + name + "']", "rollbackPromotion(record: " + record + ", into: targets)"));
            latest(before());
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_release_is_refused_as_a_whole_where_its_last_image_conflicts(Controller.Library trust) throws Exception {
        images(trust, "refused");
        production.push(prefix + "three", Map.of("of", "another"), "2026.34.103");
        Build build = failed(run(trust, script("", "")));
        assertTrue(build.text().contains("ERROR: error[tag-conflict]: ") && build.text().contains("nothing was written"), build::text);
        latest(before());
        assertNull(open.digestOf(prefix + "one", "2026.34.103"));
        assertEquals(0, build.count("archiveArtifacts"), build::text);
        Build pretended = succeeded(run(trust, script(" + [dryRun: true, images: [images[0], images[1]]]", "")));
        assertEquals(true, ((Map<?, ?>) pretended.returned).get("dryRun"));
        assertEquals(0, pretended.count("archiveArtifacts"), pretended::text);
        latest(before());
    }

    @ParameterizedTest
    @EnumSource
    void an_aborted_release_leaves_its_record_and_is_finished_by_another_run(Controller.Library trust) throws Exception {
        images(trust, "aborted");
        try (Detour detour = new Detour(open, Detour.Fate.HELD, "PUT .*-three/manifests/latest")) {
            String script = script("", "").replace(open.host, detour.host);
            Build build = build(trust);
            Thread thread = new Thread(null, () -> run(build, script), "build", 16 << 20);
            thread.start();
            assertTrue(detour.met.await(30, TimeUnit.SECONDS), build::text);
            build.abort();
            thread.join();
            assertEquals("ABORTED", build.result, build::text);
            assertEquals(1, build.archive.size(), build::text);
            String record = build.archive.values().iterator().next();
            Map<?, ?> line = (Map<?, ?>) new JsonSlurper().parseText(record.lines().findFirst().orElseThrow());
            assertEquals("planned", line.get("state"));
            assertEquals(2 * NAMES.size(), ((List<?>) line.get("promotions")).size());
        }
        succeeded(run(trust, script("", "")));
        latest(digests);
    }

    @ParameterizedTest
    @EnumSource
    void a_parameter_that_names_an_image_or_a_repository_gets_no_password(Controller.Library trust) throws Exception {
        images(trust, "strange");
        try (Stranger stranger = new Stranger()) {
            String one = "image: '" + open.host + "/" + prefix + "one:2026.34.102', to: 'x'";
            String[] table = {
                "[image: params.HOST + '/acme/a:1', to: 'x']",
                "[" + one + ", into: params.HOST + '/acme/a']",
                "[" + one + ", into: [[repository: params.HOST + '/acme/a', credentialsId: 'production']]]",
                "[" + one + ", into: [[repository: params.HOST + '/acme/a', credentialsId: 'production', registry: '" + production.host + "']]]",
            };
            for (String row : table) {
                Build build = failed(run(trust, "node { promoteImages(images: [" + row + "], retries: 0, credentialsId: 'hub', registry: '" + guarded.host + "', intoCredentialsId: 'production', intoRegistry: '" + production.host + "') }",
                    b -> b.params.put("HOST", stranger.host)));
                assertTrue(build.text().contains("ERROR: error["), build::text);
                assertEquals(0, build.archive.size());
            }
            assertEquals(List.of(), stranger.authorizations());
        }
    }

    @ParameterizedTest
    @EnumSource
    void what_is_wrong_with_a_list_is_named(Controller.Library trust) {
        String[][] table = {
            {"", "error[missing-value]: "},
            {"images: null", "error[missing-value]: `images` is null"},
            {"images: []", "error[missing-value]: `images` is an empty list"},
            {"images: ['a:1']", "`images[0]`"},
            {"images: [[image: 'localhost:1/a:1', to: ['x', '']]]", "error[missing-value]: `images[0]`: `to[1]` is blank"},
            {"images: [[image: 'localhost:1/a:1'], [image: params.NOPE]]", "error[missing-value]: `images[1]`: `image` is null"},
            {"images: [[image: 'localhost:1/a:1', mvoe: 'x']]", "error[unknown-key]: "},
            {"images: [[image: 'localhost:1/a:1', credentialsId: 'hub']]", "`credentialsId`"},
            {"images: [[image: 'localhost:1/a:1', lock: true]]", "`lock`"},
            {"images: [[image: 'localhost:1/a:1', build: { 1 }]]", "error[key-wrong-type]: `images[0].build` is a "},
            {"images: [[image: 'localhost:1/a:1']], archiveRecord: 'no'", "error[key-wrong-type]: `archiveRecord` is a String where a Boolean belongs"},
            {"images: [[image: 'localhost:1/a:1']], record: ''", "error[missing-value]: `record` is blank"},
            {"image: [[image: 'localhost:1/a:1']]", "error["},
        };
        for (String[] row : table) {
            Build build = failed(run(trust, "node { promoteImages(" + row[0] + ") }"));
            assertTrue(build.text().contains("ERROR: error[") && build.text().contains(row[1]), build::text);
            assertEquals(0, build.count("archiveArtifacts"), build::text);
            assertFalse(build.text().contains("\tat "), build::text);
        }
    }
}

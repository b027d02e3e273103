package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a person reads who opens the log of a build. */
class LogTest extends Fixture {
    @ParameterizedTest
    @EnumSource
    void a_call_tells_its_command_its_warnings_and_what_came_of_it_in_as_few_lines_as_it_can(Controller.Library trust) throws Exception {
        String repository = open.host + "/acme/log-" + trust.name().toLowerCase();
        String path = repository.substring(open.host.length() + 1);
        String digest = open.push(path, Map.of("of", "103"), "2026.34.103");
        open.push(path, Map.of("of", "nothing"), "latest");
        Build build = succeeded(run(trust, "node { promoteImage(repository: '" + repository + "', build: 103, record: 'r.jsonl'); readImageLabel(image: '"
            + repository + "', label: 'of') }"));
        assertEquals(List.of(
            "[Pipeline] node",
            "[Pipeline] {",
            "[Pipeline] libraryResource",
            "[Pipeline] withEnv",
            "[Pipeline] {",
            "[Pipeline] libraryResource",
            "[Pipeline] sh (tagwright promote)",
            "tagwright promote " + repository + " --build=103 --record=r.jsonl",
            "warning[previous-unknown]: no version tag looked at is what `" + repository + ":latest` held, so it was moved without knowing from where",
            "promoted " + repository + ":2026.34.103 (" + digest.substring(0, 19) + ") to 2026.34.103-rc (created), latest (moved)",
            "[Pipeline] }",
            "[Pipeline] // withEnv",
            "[Pipeline] archiveArtifacts",
            "Archiving artifacts",
            "Recording fingerprints",
            "[Pipeline] withEnv",
            "[Pipeline] {",
            "[Pipeline] sh (tagwright labels)",
            "tagwright labels " + repository + " --label=of",
            "`of` of `" + repository + ":latest` is `103`",
            "[Pipeline] }",
            "[Pipeline] // withEnv",
            "[Pipeline] }",
            "[Pipeline] // node"), build.log);
        assertEquals(List.of("r.jsonl"), List.copyOf(build.fingerprints));
    }

    @ParameterizedTest
    @EnumSource
    void a_build_asks_for_what_every_call_needs_once_and_again_after_a_restart(Controller.Library trust) throws Exception {
        String image = "image: '" + open.host + "/acme/once:1.0.0'";
        open.push("acme/once", Map.of("a", "b"), "1.0.0");
        String script = "node { inspectImage(" + image + "); parallel(x: { readImageLabels(" + image + ") }, y: { readImageLabel(" + image + ", label: 'a') }) }";
        Build build = succeeded(run(trust, script));
        assertEquals(2, build.count("libraryResource"), build::text);
        build = succeeded(run(trust, script, b -> b.restarts = true));
        assertTrue(build.count("libraryResource") > 2, build::text);
    }

    @ParameterizedTest
    @EnumSource
    void quiet_leaves_nothing_of_the_program_in_the_log_and_an_odd_command_no_title(Controller.Library trust) throws Exception {
        open.push("acme/quiet", Map.of("a", "b"), "1.0.0");
        Build build = succeeded(run(trust, "node { inspectImage(image: '" + open.host + "/acme/quiet:1.0.0', quiet: true) }"));
        assertTrue(build.log.stream().allMatch(line -> line.startsWith("[Pipeline] ")), build::text);
        build = failed(run(trust, "node { tagwright(command: 'a\\nb') }"));
        assertTrue(build.log.contains("[Pipeline] sh (tagwright)"), build::text);
    }
}

package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Jenkinsfile.example from its first line to its last, on an agent that does not have the program. */
class ExampleTest extends TwoSides {
    private String git(Path at, String... words) throws Exception {
        String[] command = new String[words.length + 7];
        System.arraycopy(new String[] {"git", "-C", at.toString(), "-c", "user.name=test", "-c", "user.email=test@example.org"}, 0, command, 0, 7);
        System.arraycopy(words, 0, command, 7, words.length);
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).trim();
        assertEquals(0, process.waitFor(), said);
        return said;
    }

    private Path source;
    private String revision;
    private String repository;
    private String digest;

    /** A source with a commit that an image was built from, and the image of build 103 in staging. */
    private Build example(Controller.Library trust, String check) throws Exception {
        source = Files.createDirectories(folder.resolve("source"));
        git(source, "init", "-q", ".");
        git(source, "commit", "-q", "--allow-empty", "-m", "what the image was built from");
        revision = git(source, "rev-parse", "HEAD");
        git(source, "commit", "-q", "--allow-empty", "-m", "what came later");

        repository = "acme/example-" + trust.name().toLowerCase() + "-" + check.length();
        guarded.push(repository, Map.of("of", "1102"), "2026.34.1103");
        digest = guarded.push(repository, Map.of("of", "103"), "2026.34.103");
        open.push(repository, Map.of("git_revision", revision), "2026.34.103");

        Build build = build(trust);
        bare(build);
        build.credentials.put("staging", new Build.Credential(false, Registry.USER, Registry.PASSWORD));
        build.credentials.put("docker-hub", build.credentials.get("production"));
        build.params.put("REPOSITORY", guarded.host + "/" + repository);
        build.params.put("BUILD", "103");
        build.params.put("PRODUCTION", production.host + "/" + repository);
        build.params.put("IMAGE", open.host + "/" + repository + ":2026.34.103");
        build.params.put("SOURCE", source.toString());
        program(build.workspace.resolve("smoke-test"), "#!/bin/sh\n" + check + "\n");
        return build;
    }

    @ParameterizedTest
    @EnumSource
    void the_example_promotes_and_releases_a_build_and_tags_its_source(Controller.Library trust) throws Exception {
        Build build = succeeded(run(example(trust, "true"), text(ROOT.resolve("Jenkinsfile.example"))));

        for (String tag : List.of("2026.34.103-rc", "latest")) {
            assertEquals(digest, guarded.digestOf(repository, tag));
        }
        for (String tag : List.of("2026.34.103", "latest")) {
            assertEquals(digest, production.digestOf(repository, tag));
        }
        assertEquals(revision, git(source, "rev-parse", "2026.34.103"));
        assertTrue(build.log.contains("2026.34.103 is " + digest), build::text);
        assertTrue(build.description.contains(" into " + production.host + "/" + repository + " to 2026.34.103 (created), latest (created)"), build.description);
        assertTrue(build.text().contains("2026.34.103 by https://jenkins.example/job/serviceone/103/"), build::text);
        assertEquals(2, build.archive.size(), build.archive::toString);
        assertEquals(List.of("tagwright/" + production.host + "/" + repository), build.locked);
        assertFalse(build.text().contains("\tat "), build::text);
        // One for each of the six calls, one more to bring the program, and the example's own two.
        assertEquals(9, build.count("sh"));
        assertEquals(1, build.count("writeFile"));
    }

    @ParameterizedTest
    @EnumSource
    void the_example_takes_a_release_back_that_does_not_pass(Controller.Library trust) throws Exception {
        Build build = example(trust, "echo broken >&2; exit 1");
        String before = production.push(repository, Map.of("of", "102"), "2026.34.102", "latest");
        failed(run(build, text(ROOT.resolve("Jenkinsfile.example"))));
        assertTrue(build.text().contains("ERROR: script returned exit code 1"), build::text);
        assertEquals(before, production.digestOf(repository, "latest"));
        assertEquals(digest, production.digestOf(repository, "2026.34.103"));
    }
}

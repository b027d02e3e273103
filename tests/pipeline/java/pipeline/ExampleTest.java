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

    /** The example as it is shipped, with the registries of these tests in place of those that it names. */
    private static String script() {
        String text = text(ROOT.resolve("Jenkinsfile.example"));
        String[][] registries = {{"staging", "staging.example", guarded.host}, {"production", "docker.io", production.host},
            {"ecr", "123456789012.dkr.ecr.eu-west-1.amazonaws.com", open.host}};
        for (String[] registry : registries) {
            String line = "def " + registry[0] + " = '" + registry[1] + "'\n";
            assertTrue(text.contains(line), line);
            text = text.replace(line, line.replace(registry[1], registry[2]));
        }
        return text;
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
        guarded.push(repository + "-companion", Map.of("of", "companion"), "2026.34.103");
        open.push(repository, Map.of("git_revision", revision), "2026.34.103");

        Build build = build(trust);
        bare(build);
        build.credentials.put("staging", new Build.Credential(false, Registry.USER, Registry.PASSWORD));
        build.credentials.put("docker-hub", build.credentials.get("production"));
        build.params.put("REPOSITORY", guarded.host + "/" + repository);
        build.params.put("BUILD", "103");
        build.params.put("PRODUCTION", production.host + "/" + repository);
        build.params.put("COMPANION", repository + "-companion");
        build.params.put("IMAGE", repository + ":2026.34.103");
        build.params.put("SOURCE", source.toString());
        program(build.workspace.resolve("smoke-test"), "#!/bin/sh\n" + check + "\n");
        return build;
    }

    @ParameterizedTest
    @EnumSource
    void the_example_promotes_and_releases_a_build_and_tags_its_source(Controller.Library trust) throws Exception {
        Build build = succeeded(run(example(trust, "true"), script()));

        for (String tag : List.of("2026.34.103-rc", "latest")) {
            assertEquals(digest, guarded.digestOf(repository, tag));
        }
        for (String tag : List.of("2026.34.103", "latest")) {
            assertEquals(digest, production.digestOf(repository, tag));
        }
        assertEquals(digest, production.digestOf(repository, "stable"));
        assertEquals(guarded.digestOf(repository + "-companion", "2026.34.103"), production.digestOf(repository + "-companion", "stable"));
        assertEquals(revision, git(source, "rev-parse", "2026.34.103"));
        assertTrue(build.log.contains("2026.34.103 is " + digest), build::text);
        assertTrue(build.description.matches("[\\w .,:;/()-]+"), build.description);
        assertTrue(build.description.contains(" into " + production.host + "/" + repository + " to 2026.34.103 (created), latest (created)"), build.description);
        assertTrue(build.text().contains("2026.34.103 by https://jenkins.example/job/serviceone/103/"), build::text);
        // Records of both promotions and of the release, and the six files of the board.
        assertEquals(9, build.archive.size(), build.archive::toString);
        assertTrue(build.archive.toString().contains("tagwright/board/"), build.archive::toString);
        String lock = "tagwright/" + production.host + "/" + repository;
        assertEquals(List.of(lock, lock, lock + "-companion"), build.locked);
        assertFalse(build.text().contains("\tat "), build::text);
        // One for each of the eight calls, one more to bring the program, and the example's own two.
        assertEquals(11, build.count("sh"));
        assertEquals(1, build.count("writeFile"));
    }

    @ParameterizedTest
    @EnumSource
    void the_example_takes_a_release_back_that_does_not_pass(Controller.Library trust) throws Exception {
        Build build = example(trust, "echo broken >&2; exit 1");
        String before = production.push(repository, Map.of("of", "102"), "2026.34.102", "latest");
        failed(run(build, script()));
        assertTrue(build.text().contains("ERROR: script returned exit code 1"), build::text);
        assertEquals(before, production.digestOf(repository, "latest"));
        assertTrue(build.description.startsWith("rolled " + production.host + "/" + repository + " back: "), build.description);
        assertEquals(digest, production.digestOf(repository, "2026.34.103"));
    }

    @ParameterizedTest
    @EnumSource
    void the_example_sends_nothing_to_a_registry_that_a_parameter_names(Controller.Library trust) throws Exception {
        for (String parameter : List.of("REPOSITORY", "PRODUCTION", "IMAGE")) {
            try (Stranger stranger = new Stranger()) {
                Build build = example(trust, "exec true");
                build.params.put(parameter, stranger.host + "/" + build.params.get(parameter).toString().replaceFirst("^localhost:\\d+/", ""));
                failed(run(build, script()));
                String code = parameter.equals("IMAGE") ? "error[reference-invalid]: " : "error[credential-host-mismatch]: ";
                assertTrue(build.text().contains("ERROR: " + code), build::text);
                assertEquals(0, stranger.connections(), build::text);
            }
        }
    }
}

package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Jenkinsfile.example from its first line to its last, on an agent that does not have the program. */
class ExampleTest extends Fixture {
    private String git(Path at, String... words) throws Exception {
        String[] command = new String[words.length + 7];
        System.arraycopy(new String[] {"git", "-C", at.toString(), "-c", "user.name=test", "-c", "user.email=test@example.org"}, 0, command, 0, 7);
        System.arraycopy(words, 0, command, 7, words.length);
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).trim();
        assertEquals(0, process.waitFor(), said);
        return said;
    }

    @ParameterizedTest
    @EnumSource
    void the_example_promotes_a_build_and_tags_its_source(Controller.Library trust) throws Exception {
        Path source = Files.createDirectories(folder.resolve("source"));
        git(source, "init", "-q", ".");
        git(source, "commit", "-q", "--allow-empty", "-m", "what the image was built from");
        String revision = git(source, "rev-parse", "HEAD");
        git(source, "commit", "-q", "--allow-empty", "-m", "what came later");

        String repository = "acme/example-" + trust.name().toLowerCase();
        guarded.push(repository, Map.of("of", "1102"), "2026.34.1103");
        String digest = guarded.push(repository, Map.of("of", "103"), "2026.34.103");
        open.push(repository, Map.of("git_revision", revision), "2026.34.103");

        Build build = build(trust);
        bare(build);
        build.credentials.put("docker-hub", new Build.Credential(false, Registry.USER, Registry.PASSWORD));
        build.params.put("REPOSITORY", guarded.host + "/" + repository);
        build.params.put("BUILD", "103");
        build.params.put("IMAGE", open.host + "/" + repository + ":2026.34.103");
        build.params.put("SOURCE", source.toString());
        succeeded(run(build, text(ROOT.resolve("Jenkinsfile.example"))));

        assertEquals(digest, guarded.digestOf(repository, "2026.34.103-rc"));
        assertEquals(digest, guarded.digestOf(repository, "latest"));
        assertEquals(revision, git(source, "rev-parse", "2026.34.103"));
        assertTrue(build.log.contains("2026.34.103 is " + digest), build::text);
        assertTrue(build.description.contains("2026.34.103-rc"), build.description);
        assertFalse(build.text().contains("\tat "), build::text);
        // One for each of the four calls, one more to bring the program, and the example's own.
        assertEquals(6, build.count("sh"));
        assertEquals(1, build.count("writeFile"));
    }
}

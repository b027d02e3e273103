package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The board of a build: what it returns, and the page that it leaves. */
class BoardTest extends Fixture {
    @ParameterizedTest
    @EnumSource
    void releaseBoard_tells_what_is_where_and_archives_its_page(Controller.Library trust) throws Exception {
        open.push("acme/board", Map.of("of", "102"), "2026.34.102", "latest");
        open.push("acme/board", Map.of("of", "103"), "2026.34.103");
        String step = "releaseBoard(repositories: ['" + open.host + "/acme/board']";
        Build build = succeeded(run(trust, "node { def b = " + step + "); sh 'true'; return b }"));
        Map<?, ?> one = (Map<?, ?>) ((List<?>) ((Map<?, ?>) build.returned).get("repositories")).get(0);
        assertEquals("2026.34.103", one.get("newest"));
        Map<?, ?> tag = (Map<?, ?>) ((List<?>) one.get("tags")).get(0);
        assertEquals(List.of("latest", "2026.34.102", 1), List.of(tag.get("tag"), tag.get("version"), tag.get("behind")));
        assertTrue(build.archive.get("tagwright/board/index.html").contains("2026.34.102"), build::text);
        assertTrue(build.archive.containsKey("tagwright/board/board.css"));
        assertEquals(build.archive.keySet().size(), files(build.workspace).size());
        assertEquals(0, build.fingerprints.size());
        assertEquals(Map.of("node", 1, "libraryResource", 2, "withEnv", 1, "sh", 2, "archiveArtifacts", 1), build.counts);
        // Once more in the same workspace, and as it is called without an agent's answer.
        succeeded(run(trust, "node { " + step + ") }"));
        build = succeeded(run(trust, "node { dir('deep/er') { " + step + ") } }"));
        assertTrue(build.archive.containsKey("tagwright/board/index.html"), build::text);
        assertTrue(Files.exists(build.workspace.resolve("deep/er/tagwright/board/index.html")));
    }

    @ParameterizedTest
    @EnumSource
    void the_page_goes_where_the_caller_says_and_is_archived_from_there(Controller.Library trust) throws Exception {
        open.push("acme/boards", Map.of("of", "103"), "2026.34.103", "latest");
        String step = "releaseBoard(repositories: '" + open.host + "/acme/boards', html: 'HTML'";
        Files.createDirectories(folder.resolve("elsewhere"));
        String[][] table = {{"out", "out/index.html"}, {"./a b, c", "a b, c/index.html"}, {folder + "/elsewhere/board", "index.html"}};
        for (String[] row : table) {
            Build build = succeeded(run(trust, "node { " + step.replace("HTML", row[0]) + ") }"));
            assertTrue(build.archive.containsKey(row[1]), () -> build.archive.keySet() + build.text());
        }
        Build build = succeeded(run(trust, "node { " + step.replace("HTML", "kept") + ", archive: false) }"));
        assertEquals(0, build.count("archiveArtifacts"));
        assertTrue(Files.exists(build.workspace.resolve("kept/index.html")));
    }

    @ParameterizedTest
    @EnumSource
    void what_went_wrong_archives_nothing(Controller.Library trust) throws Exception {
        open.push("acme/boarding", Map.of("of", "103"), "2026.34.103", "latest");
        String repository = "'" + open.host + "/acme/boarding'";
        String[][] table = {
            {"repositories: []", "error[missing-value]: "},
            {"repositories: null", "error[missing-value]: `repositories`"},
            {"repositories: ['']", "error[missing-value]: `repositories[0]` is blank"},
            {"repositories: [a: 1]", "`repositories`"},
            {"repositories: " + repository + ", html: ''", "error[missing-value]: `html` is blank"},
            {"repositories: " + repository + ", html: null", "error[missing-value]: `html` is null"},
            {"repositories: " + repository + ", archive: 'no'", "error[key-wrong-type]: `archive` is a String where a Boolean belongs"},
            {"repositories: " + repository + ", archive: null", "error[key-wrong-type]: `archive` is null where a Boolean belongs"},
            {"repositories: " + repository + ", archiveRecord: true", "error[unknown-key]: `board` has no key `archiveRecord`"},
            {"repositories: " + repository + ", credentialsId: 'nope'", "error[credential-missing]: "},
            {"repositories: '" + open.host + "/acme/nowhere'", "error[repository-unknown]: "},
        };
        for (String[] row : table) {
            Build build = failed(run(trust, "node { releaseBoard(" + row[0] + ") }"));
            assertTrue(build.text().contains(row[1]), build::text);
            assertEquals(Map.of(), build.archive);
            assertEquals(0, build.count("archiveArtifacts"), build::text);
        }
        Map<?, ?> result = (Map<?, ?>) succeeded(run(trust, "node { releaseBoard(repositories: '" + open.host + "/acme/nowhere', returnError: true) }")).returned;
        assertEquals("repository-unknown", result.get("code"));
        Build build = succeeded(run(trust, "node { releaseBoard(repositories: " + repository + ") }", b -> b.archiveFails = new IOException("No space left on device")));
        assertTrue(build.log.contains("tagwright: the page of the board is not among the artifacts of the build: No space left on device"), build::text);
        assertFalse(build.text().contains("\tat "), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void a_repository_that_a_parameter_names_gets_no_password(Controller.Library trust) throws Exception {
        guarded.push("acme/board", Map.of("of", "103"), "2026.34.103", "latest");
        try (Stranger stranger = new Stranger()) {
            Build build = failed(run(trust, "node { releaseBoard(repositories: [params.REPOSITORY], credentialsId: 'hub', registry: '" + guarded.host + "') }",
                b -> b.params.put("REPOSITORY", stranger.host + "/acme/board")));
            assertTrue(build.text().contains("ERROR: error[credential-host-mismatch]: "), build::text);
            assertEquals(0, stranger.connections());
        }
        succeeded(run(trust, "node { releaseBoard(repositories: ['" + guarded.host + "/acme/board'], credentialsId: 'hub', registry: '" + guarded.host + "') }"));
    }
}

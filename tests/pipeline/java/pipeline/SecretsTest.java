package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Credentials reach the program and nothing else. That no log and no shell line holds one is checked after every run. */
class SecretsTest extends Fixture {
    @ParameterizedTest
    @EnumSource
    void credentialsId_opens_a_registry_that_is_closed_without(Controller.Library trust) throws Exception {
        String digest = guarded.push("acme/closed", Map.of("a", "b"), "2026.34.103");
        String image = "image: '" + guarded.host + "/acme/closed:2026.34.103'";
        Build build = failed(run(trust, "node { readImageLabel(" + image + ", label: 'a') }"));
        assertTrue(build.text().contains("error[credential-missing]: "), build::text);
        assertEquals("b", succeeded(run(trust, "node { readImageLabel(" + image + ", label: 'a', credentialsId: 'hub', registry: '" + guarded.host + "', verbose: true) }")).returned);
        succeeded(run(trust, "node { promoteImage(" + image + ", to: 'with-credential', credentialsId: 'hub', registry: '" + guarded.host + "') }"));
        assertEquals(digest, guarded.digestOf("acme/closed", "with-credential"));
    }

    @ParameterizedTest
    @EnumSource
    void a_credential_goes_only_to_the_registry_it_is_for(Controller.Library trust) throws Exception {
        try (Stranger stranger = new Stranger()) {
            String[][] table = {
                {"readImageLabel(image: 'HOST/acme/a:1', label: 'a', credentialsId: 'hub'", ", registry: 'staging.example'"},
                {"findImageTag(repository: 'HOST/acme/a', build: 1, credentialsId: 'hub'", ", registry: 'localhost'"},
                {"promoteImage(image: 'localhost:1/acme/a:1', into: 'HOST/acme/a', intoCredentialsId: 'hub'", ", intoRegistry: 'staging.example'"},
                {"promoteImage(image: 'HOST/acme/a:1', into: 'acme/a', credentialsId: 'hub'", ", registry: 'localhost:1'"},
                {"tagwright(command: 'tags', args: [repository: 'acme/a', hubApi: 'http://HOST'], credentialsId: 'hub'", ", registry: 'docker.io'"},
            };
            for (String[] row : table) {
                // Docker Hub where nothing is named, whatever the agent says.
                for (String more : List.of("", row[1])) {
                    Build build = failed(run(trust, "node { " + row[0].replace("HOST", stranger.host) + more + ") }", b -> {
                        b.agent.put("REGISTRY_HOST", stranger.host);
                        b.agent.put("INTO_REGISTRY_HOST", stranger.host);
                    }));
                    assertTrue(build.text().contains("ERROR: error[credential-host-mismatch]: "), build::text);
                    assertTrue(build.text().contains("redentialsId: 'hub'`"), build::text);
                    assertFalse(build.text().contains("REGISTRY_HOST"), build::text);
                }
            }
            assertEquals(0, stranger.connections());
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_record_in_a_file_decides_nothing_about_a_credential(Controller.Library trust) throws Exception {
        open.push("acme/planned", Map.of(), "1.0.0");
        try (Stranger stranger = new Stranger()) {
            String script = "node { promoteImage(image: '" + open.host + "/acme/planned:1.0.0', move: 'x', record: 'r.jsonl')\n"
                + "sh(script: 'sed s/" + open.host + "/" + stranger.host + "/g r.jsonl >s.jsonl')\n rollbackPromotion(record: 's.jsonl', credentialsId: 'hub'";
            Build build = failed(run(trust, script + ") }"));
            assertTrue(build.text().contains("ERROR: error[missing-value]: a record that is a path needs `registry` beside `credentialsId`\n  hint: write `registry: 'docker.io'`"), build::text);
            build = failed(run(trust, script + ", registry: '" + open.host + "') }"));
            assertTrue(build.text().contains("ERROR: error[credential-host-mismatch]: "), build::text);
            assertEquals(0, stranger.connections());
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_wrong_password_is_refused_and_not_repeated_in_words(Controller.Library trust) throws Exception {
        guarded.push("acme/closed", Map.of("a", "b"), "1.0.0");
        Build build = failed(run(trust, "node { readImageLabel(image: '" + guarded.host + "/acme/closed:1.0.0', label: 'a', credentialsId: 'wrong', registry: '" + guarded.host + "') }",
            b -> b.credentials.put("wrong", new Build.Credential(false, "somebody", "aws-marked-secret"))));
        assertTrue(build.text().contains("error[unauthenticated]: "), build::text);
        assertTrue(build.text().contains("\n  credential: `credentialsId: 'wrong'`\n"), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void a_failure_leaves_through_the_scope_of_its_credential_so_that_a_secret_username_is_masked(Controller.Library trust) throws Exception {
        String digest = guarded.push("acme/masked", Map.of(), "2026.34.103");
        try (Detour detour = new Detour(guarded, Detour.Fate.REFUSED, "PUT .*")) {
            String step = "promoteImage(image: '" + detour.host + "/acme/masked:2026.34.103', to: 'x', credentialsId: 'hub', registry: '" + detour.host + "'";
            Build build = failed(run(trust, "node { " + step + ") }"));
            assertTrue(build.text().contains("as `" + Registry.USER + "`"), build::text);
            build = failed(run(trust, "node { " + step + ") }", b -> b.usernamesAreSecret = true));
            assertTrue(build.text().contains("error[denied]: ") && build.text().contains("as `****`"), build::text);
            assertTrue(build.text().contains("\n  credential: `credentialsId: 'hub'`\n"), build::text);
            assertFalse(build.text().contains(Registry.USER), build::text);
            assertEquals(1, build.archive.size(), build::text);
            assertTrue(guarded.digestOf("acme/masked", "2026.34.103").equals(digest));
        }
    }

    @ParameterizedTest
    @EnumSource
    void every_variable_of_a_credential_is_there_and_inherited_ones_are_not(Controller.Library trust) throws Exception {
        // In place of the program: writes down what it is given.
        program(folder.resolve("spy"), "#!/bin/sh\nenv | grep -E '^(INTO_)?(AWS|REGISTRY)_' | sort >'" + folder + "/seen'\nprintf '%s' \"$TAGWRIGHT_REQUEST\" >'" + folder
            + "/asked'\necho '{\"schema\":1,\"ok\":true,\"command\":\"promote\",\"result\":{\"record\":null},\"warnings\":[]}'\n");
        succeeded(run(trust, """
            node {
              promoteImage(repository: 'acme/a', build: '1', helper: '%s/spy', archiveRecord: false, credentialsId: 'hub', intoCredentialsId: 'other', intoRegistry: 'production.example',
                aws: [credentialsId: 'keys', role: 'arn:aws:iam::123456789012:role/reader'], intoAws: [credentialsId: 'plugin', profile: 'writer'])
            }""".formatted(folder), build -> {
                build.credentials.put("keys", new Build.Credential(false, "AKIAEXAMPLE", "aws-marked-secret"));
                build.credentials.put("other", new Build.Credential(false, "somebody", Registry.RELEASER.password()));
                build.credentials.put("plugin", new Build.Credential(true, "AKIAOTHER", "aws-marked-secret"));
                build.agent.put("REGISTRY_HOST", "inherited.example");
                build.agent.put("INTO_REGISTRY_HOST", "inherited.example");
                build.agent.put("AWS_SESSION_TOKEN", "inherited");
                build.agent.put("AWS_PROFILE", "inherited");
                build.agent.put("AWS_WEB_IDENTITY_TOKEN_FILE", "/inherited");
                build.agent.put("INTO_AWS_SESSION_TOKEN", "inherited");
            }));
        assertEquals("AWS_ACCESS_KEY_ID=AKIAEXAMPLE\nAWS_SECRET_ACCESS_KEY=aws-marked-secret\n"
            + "INTO_AWS_ACCESS_KEY_ID=AKIAOTHER\nINTO_AWS_SECRET_ACCESS_KEY=aws-marked-secret\n"
            + "INTO_REGISTRY_HOST=production.example\nINTO_REGISTRY_PASSWORD=" + Registry.RELEASER.password() + "\nINTO_REGISTRY_USERNAME=somebody\n"
            + "REGISTRY_HOST=docker.io\nREGISTRY_PASSWORD=" + Registry.PASSWORD + "\nREGISTRY_USERNAME=ci-promoter\n", text(folder.resolve("seen")));
        assertEquals("{\"command\":\"promote\",\"args\":{\"repository\":\"acme/a\",\"build\":\"1\","
            + "\"awsRole\":\"arn:aws:iam::123456789012:role/reader\",\"intoAwsProfile\":\"writer\"}}", text(folder.resolve("asked")));
    }

    @ParameterizedTest
    @EnumSource
    void keys_for_one_side_leave_the_other_side_as_it_was(Controller.Library trust) throws Exception {
        program(folder.resolve("spy"), "#!/bin/sh\nenv | grep -E '^(INTO_)?AWS_' | sort >'" + folder
            + "/seen'\necho '{\"schema\":1,\"ok\":true,\"command\":\"promote\",\"result\":{\"record\":null},\"warnings\":[]}'\n");
        String own = "AWS_ACCESS_KEY_ID=AKIAFOUND\nAWS_SECRET_ACCESS_KEY=found\nAWS_SESSION_TOKEN=found\n";
        for (String id : new String[] {"keys", "plugin"}) {
            succeeded(run(trust, "node { promoteImage(repository: 'acme/a', build: '1', into: 'acme/b', helper: '" + folder + "/spy', intoAws: [credentialsId: '" + id + "', externalId: 'x', role: 'r']) }", build -> {
                build.credentials.put("keys", new Build.Credential(false, "AKIAEXAMPLE", "aws-marked-secret"));
                build.credentials.put("plugin", new Build.Credential(true, "AKIAEXAMPLE", "aws-marked-secret"));
                build.agent.putAll(Map.of("AWS_ACCESS_KEY_ID", "AKIAFOUND", "AWS_SECRET_ACCESS_KEY", "found", "AWS_SESSION_TOKEN", "found", "INTO_AWS_SESSION_TOKEN", "inherited"));
            }));
            assertEquals(own + "INTO_AWS_ACCESS_KEY_ID=AKIAEXAMPLE\nINTO_AWS_SECRET_ACCESS_KEY=aws-marked-secret\n", text(folder.resolve("seen")));
        }
    }

    @ParameterizedTest
    @EnumSource
    void nothing_is_bound_where_no_credential_is_named(Controller.Library trust) throws Exception {
        program(folder.resolve("spy"), "#!/bin/sh\nprintf '%s' \"${REGISTRY_PASSWORD-none}\" >'" + folder
            + "/seen'\necho '{\"schema\":1,\"ok\":true,\"command\":\"promote\",\"result\":{\"record\":null},\"warnings\":[]}'\n");
        Build build = succeeded(run(trust, "node { promoteImage(repository: 'acme/a', build: '1', helper: '" + folder + "/spy') }"));
        assertEquals("none", text(folder.resolve("seen")));
        assertEquals(0, build.count("withCredentials"));
        assertNull(build.environment().get("REGISTRY_PASSWORD"));
        Files.delete(folder.resolve("seen"));
    }
}

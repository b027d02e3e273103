package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Promotion from one registry into another, each with an account of its own, and the locks around it. */
class AcrossTest extends TwoSides {
    @ParameterizedTest
    @EnumSource
    void an_image_goes_from_one_registry_to_another_with_a_credential_for_each(Controller.Library trust) throws Exception {
        String repository = "acme/across-" + trust.name().toLowerCase();
        String digest = guarded.push(repository, Map.of("of", "103"), "2026.34.103");
        String step = "promoteImage(repository: '" + guarded.host + "/" + repository + "', build: 103, into: '" + production.host + "/" + repository
            + "', credentialsId: 'hub', registry: '" + guarded.host + "'";
        assertTrue(failed(run(trust, "node { " + step + ") }")).text().contains("error[credential-missing]: "));
        assertTrue(failed(run(trust, "node { " + step + ", intoCredentialsId: 'hub') }")).text().contains("error[credential-host-mismatch]: "));
        step += ", intoRegistry: '" + production.host + "'";
        Build refused = failed(run(trust, "node { " + step + ", intoCredentialsId: 'wrong') }", b -> b.credentials.put("wrong", b.credentials.get("hub"))));
        assertTrue(refused.text().contains("error[unauthenticated]: ") && refused.text().contains("\n  credential: `intoCredentialsId: 'wrong'`\n"), refused::text);
        assertFalse(refused.text().contains("`credentialsId: "), refused::text);
        assertNull(production.digestOf(repository, "latest"));

        Build build = succeeded(run(trust, "node { def promoted = " + step + ", intoCredentialsId: 'production')\n currentBuild.description = promoted.summary\n return promoted }"));
        for (String tag : List.of("2026.34.103", "2026.34.103-rc", "latest")) {
            assertEquals(digest, production.digestOf(repository, tag), tag);
        }
        assertNull(guarded.digestOf(repository, "latest"));
        Map<?, ?> result = (Map<?, ?>) build.returned;
        assertEquals(2, ((Map<?, ?>) result.get("copied")).get("blobs"), result::toString);
        assertEquals(production.host + "/" + repository, result.get("repository"));
        assertEquals(result.get("summary"), build.description);
        // One binding for both, one program, one record.
        assertEquals(Map.of("node", 1, "libraryResource", 2, "withEnv", 1, "withCredentials", 1, "sh", 1, "archiveArtifacts", 1), build.counts);
        assertTrue(build.archive.keySet().iterator().next().startsWith("tagwright/" + production.host.replace(':', '_') + "/" + repository + "/"));
    }

    @ParameterizedTest
    @EnumSource
    void an_image_goes_into_several_registries_with_a_credential_for_each_and_back(Controller.Library trust) throws Exception {
        String repository = "acme/targets-" + trust.name().toLowerCase();
        String digest = guarded.push(repository, Map.of("of", "103"), "2026.34.103");
        String before = production.push(repository, Map.of("of", "102"), "2026.34.102", "latest");
        String step = "promoteImage(repository: '" + guarded.host + "/" + repository + "', build: 103, move: 'latest', credentialsId: 'hub', registry: '" + guarded.host + "', into: ['" + open.host + "/" + repository
            + "', [repository: '" + production.host + "/" + repository + "', credentialsId: 'CREDENTIAL', registry: '" + production.host + "']])";
        Build refused = failed(run(trust, "node { " + step.replace("CREDENTIAL", "wrong") + " }", b -> b.credentials.put("wrong", b.credentials.get("hub"))));
        assertTrue(refused.text().contains("error[unauthenticated]: ") && refused.text().contains("\n  credential: `into[1].credentialsId: 'wrong'`\n"), refused::text);
        assertNull(open.digestOf(repository, "latest"));

        Build build = succeeded(run(trust, "node { def p = " + step.replace("CREDENTIAL", "production") + "; sh 'true'; return p }"));
        assertEquals(digest, open.digestOf(repository, "latest"));
        assertEquals(digest, production.digestOf(repository, "latest"));
        List<?> targets = (List<?>) ((Map<?, ?>) build.returned).get("targets");
        assertEquals(List.of(open.host + "/" + repository, production.host + "/" + repository), targets.stream().map(target -> ((Map<?, ?>) target).get("repository")).toList());
        assertEquals(Map.of("node", 1, "libraryResource", 2, "withEnv", 1, "withCredentials", 1, "sh", 2, "archiveArtifacts", 1), build.counts);
        assertEquals(1, build.archive.size(), build.archive::toString);

        try (Stranger stranger = new Stranger()) {
            for (String parameter : List.of("repository: params.REPOSITORY", "repository: params.REPOSITORY, registry: '" + production.host + "'")) {
                Build other = failed(run(trust, "node { promoteImage(image: '" + open.host + "/" + repository + ":latest', to: 'x', into: [[" + parameter + ", credentialsId: 'production']]) }",
                    b -> b.params.put("REPOSITORY", stranger.host + "/acme/a")));
                assertTrue(other.text().contains("ERROR: error[credential-host-mismatch]: `into[0].registry` pins the credential to "), other::text);
                assertTrue(other.text().contains("\n  credential: `into[0].credentialsId: 'production'`\n"), other::text);
            }
            assertEquals(0, stranger.connections());
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_credential_of_one_side_is_not_shown_to_the_other(Controller.Library trust) throws Exception {
        guarded.push("acme/sides", Map.of("of", "103"), "2026.34.103");
        Build build = failed(run(trust, "node { promoteImage(image: '" + guarded.host + "/acme/sides:2026.34.103', into: '" + production.host
            + "/acme/sides', intoCredentialsId: 'production', intoRegistry: '" + production.host + "') }"));
        assertTrue(build.text().contains("error[credential-missing]: ") && build.text().contains(guarded.host), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void rollbackPromotion_knows_the_registry_of_its_record(Controller.Library trust) throws Exception {
        String repository = "acme/across-back-" + trust.name().toLowerCase();
        guarded.push(repository, Map.of("of", "103"), "2026.34.103");
        String before = production.push(repository, Map.of("of", "102"), "2026.34.102", "latest");
        succeeded(run(trust, """
            node {
              def promoted = promoteImage(repository: '%s', build: 103, into: '%s', credentialsId: 'hub', registry: '%s', intoCredentialsId: 'production', intoRegistry: '%s')
              rollbackPromotion(record: promoted.record, credentialsId: 'production', registry: '%4$s')
            }""".formatted(guarded.host + "/" + repository, production.host + "/" + repository, guarded.host, production.host)));
        assertEquals(before, production.digestOf(repository, "latest"));
    }

    @ParameterizedTest
    @EnumSource
    void lock_true_takes_the_lock_of_the_repository_that_is_written_however_it_is_spelt(Controller.Library trust) {
        String digest = "@sha256:" + "0".repeat(64);
        String[][] table = {
            {"repository: 'acme/app', build: 1", "tagwright/docker.io/acme/app"},
            {"repository: 'docker.io/acme/app', build: 1", "tagwright/docker.io/acme/app"},
            {"image: 'index.docker.io/acme/app:1'", "tagwright/docker.io/acme/app"},
            {"image: 'nginx:1'", "tagwright/docker.io/library/nginx"},
            {"image: 'localhost:1/app:1" + digest + "'", "tagwright/localhost:1/app"},
            {"image: \"localhost/app${digest}\"", "tagwright/localhost/app"},
            {"repository: 'acme/app', into: 'localhost:1/acme/app', build: 1", "tagwright/localhost:1/acme/app"},
        };
        program(folder.resolve("spy"), "#!/bin/sh\necho '{\"schema\":1,\"ok\":true,\"command\":\"promote\",\"result\":{\"record\":null},\"warnings\":[]}'\n");
        for (String[] row : table) {
            Build build = succeeded(run(trust, "node { def digest = '" + digest + "'; promoteImage(" + row[0] + ", lock: true, helper: '" + folder + "/spy') }"));
            assertEquals(List.of(row[1]), build.locked);
            assertEquals(Map.of("node", 1, "lock", 1, "libraryResource", 2, "withEnv", 1, "sh", 1), build.counts);
        }
        assertEquals(List.of("deploy-7"), succeeded(run(trust, "node { promoteImage(image: 'a:1', lock: \"deploy-${3 + 4}\", helper: '" + folder + "/spy') }")).locked);
        assertEquals(List.of(), succeeded(run(trust, "node { promoteImage(image: 'a:1', lock: false, helper: '" + folder + "/spy') }")).locked);
    }

    @ParameterizedTest
    @EnumSource
    void without_the_plugin_lock_is_an_error_before_anything_runs(Controller.Library trust) throws Exception {
        Build build = failed(run(trust, "node { promoteImage(image: 'localhost:1/a:1', lock: true) }", b -> b.lockPlugin = false));
        assertTrue(build.text().contains("ERROR: error[lock-unavailable]: this controller has no step `lock`\n  hint: install the plugin Lockable Resources, or leave `lock` out"), build::text);
        assertFalse(build.text().contains("\tat "), build::text);
        assertEquals(Map.of("node", 1, "error", 1), build.counts);
        Map<?, ?> result = (Map<?, ?>) succeeded(run(trust, "node { promoteImage(image: 'localhost:1/a:1', lock: 'x', returnError: true) }", b -> b.lockPlugin = false)).returned;
        assertEquals("lock-unavailable", result.get("code"));
        assertNull(result.get("exit"));
    }

    @ParameterizedTest
    @EnumSource
    void a_build_that_waits_for_a_lock_does_nothing_meanwhile(Controller.Library trust) throws Exception {
        open.push("acme/locked", Map.of("of", "103"), "2026.34.103");
        String promotion = "promoteImage(image: '" + open.host + "/acme/locked:2026.34.103', to: '" + trust.name().toLowerCase() + "', lock: 'held')";
        Build other = build(trust);
        try (Detour detour = new Detour(open, Detour.Fate.HELD, "PUT .*")) {
            String held = promotion.replace(open.host, detour.host);
            Thread thread = new Thread(null, () -> other.controller.run(other, "node { timeout(time: 6, unit: 'SECONDS') { " + held + " } }"), "build", 16 << 20);
            thread.start();
            assertTrue(detour.met.await(5, java.util.concurrent.TimeUnit.SECONDS), other::text);
            Build build = run(trust, "node { timeout(time: 1, unit: 'SECONDS') { " + promotion + " } }");
            assertEquals("ABORTED", build.result, build::text);
            assertEquals(Map.of("node", 1, "timeout", 1, "lock", 1), build.counts);
            thread.join();
        }
        assertEquals("ABORTED", other.result, other::text);
        // The lock is free again, although its holder was aborted.
        succeeded(run(trust, "node { " + promotion + " }"));
    }

    @ParameterizedTest
    @EnumSource
    void keys_of_the_steps_are_checked_before_anything_runs(Controller.Library trust) {
        String[][] table = {
            {"lock: null", "error[missing-value]: `lock` is null"},
            {"lock: ''", "error[missing-value]: `lock` is blank"},
            {"lock: 7", "error[key-wrong-type]: `lock` is a number where a String belongs"},
            {"lock: ['a']", "error[key-wrong-type]: `lock` is a List where a String belongs"},
            {"archiveRecord: 'no'", "error[key-wrong-type]: `archiveRecord` is a String where a Boolean belongs"},
            {"archiveRecord: null", "error[key-wrong-type]: `archiveRecord` is null where a Boolean belongs"},
            {"intoCredentialsId: ''", "error[missing-value]: `intoCredentialsId` is blank"},
            {"intoCredentialsId: params.NOPE", "error[missing-value]: `intoCredentialsId` is null"},
            {"intoRegistry: ''", "error[missing-value]: `intoRegistry` is blank"},
            {"intoRegistry: ['a']", "error[key-wrong-type]: `intoRegistry` is a List where a String belongs"},
            {"intoAws: 'keys'", "error[key-wrong-type]: `intoAws` is a String where a Map belongs"},
            {"intoAws: [rol: 'x']", "error[unknown-key]: `intoAws` has no key `rol`"},
            {"into: ''", "error[missing-value]: `into` is blank"},
            {"into: [a: 1]", "`into`"},
            {"locks: true", "error[unknown-key]: `promote` has no key `locks`"},
        };
        for (String[] row : table) {
            Build build = failed(run(trust, "node { promoteImage(image: 'localhost:1/a:1', to: 'x', " + row[0] + ") }"));
            assertTrue(build.text().contains(row[1]), build::text);
            assertEquals(0, build.count("lock"));
            assertEquals(0, build.count("archiveArtifacts"));
        }
        assertTrue(failed(run(trust, "node { tagwright(command: 'promote', args: [image: 'a:1', lock: true]) }")).text().contains("error[unknown-key]: "));
    }
}

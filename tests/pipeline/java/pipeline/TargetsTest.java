package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import groovy.json.JsonSlurper;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Several targets, each with a credential of its own: what the program is asked, and what it is given to ask with. */
class TargetsTest extends TwoSides {
    private static final String ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

    @Override
    Build build(Controller.Library trust) {
        Build build = super.build(trust);
        build.credentials.put("keys", new Build.Credential(false, "AKIAEXAMPLE", "aws-marked-secret"));
        build.credentials.put("plugin", new Build.Credential(true, "AKIAOTHER", "aws-marked-secret"));
        return build;
    }

    /** In place of the program: writes down what it is given. */
    private String spy() {
        program(folder.resolve("spy"), "#!/bin/sh\nenv | grep -E '^(INTO_([0-9]+_)?)?(AWS|REGISTRY)_' | sort >'" + folder + "/seen'\nprintf '%s' \"$TAGWRIGHT_REQUEST\" >'" + folder
            + "/asked'\necho '{\"schema\":1,\"ok\":true,\"command\":\"promote\",\"result\":{\"record\":null},\"warnings\":[]}'\n");
        return "helper: '" + folder + "/spy'";
    }

    /** What the program was asked: its arguments, but for the record. */
    private Map<?, ?> asked() {
        Map<?, ?> args = (Map<?, ?>) ((Map<?, ?>) new JsonSlurper().parseText(text(folder.resolve("asked")))).get("args");
        args.remove("record");
        return args;
    }

    private static String pair(String prefix, String host, String user, String password) {
        return prefix + "REGISTRY_HOST=" + host + "\n" + prefix + "REGISTRY_PASSWORD=" + password + "\n" + prefix + "REGISTRY_USERNAME=" + user + "\n";
    }

    @ParameterizedTest
    @EnumSource
    void each_target_of_promoteImage_has_the_variables_of_its_place(Controller.Library trust) {
        String role = "arn:aws:iam::123456789012:role/writer";
        Build build = succeeded(run(trust, """
            node {
              promoteImage(image: 'staging.example/acme/a:1', %s, credentialsId: 'hub', registry: 'staging.example', into: [
                'other.example/acme/a',
                [repository: "acme/${'a'}", credentialsId: 'production'],
                [repository: 'mirror.example/acme/a', credentialsId: 'production', registry: 'mirror.example'],
                [repository: '%s/acme/a', aws: [credentialsId: 'plugin', role: '%s']],
                [repository: 'public.ecr.aws/acme/a', aws: [credentialsId: 'keys']],
                [repository: 'plain.example/acme/a']])
            }""".formatted(spy(), ECR, role), b -> {
                b.agent.put("INTO_2_REGISTRY_HOST", "inherited.example");
                b.agent.put("INTO_4_AWS_SESSION_TOKEN", "inherited");
                b.agent.put("AWS_SESSION_TOKEN", "own");
            }));
        assertEquals("AWS_SESSION_TOKEN=own\n" + pair("INTO_2_", "docker.io", "ci-releaser", Registry.RELEASER.password())
            + pair("INTO_3_", "mirror.example", "ci-releaser", Registry.RELEASER.password())
            + "INTO_4_AWS_ACCESS_KEY_ID=AKIAOTHER\nINTO_4_AWS_SECRET_ACCESS_KEY=aws-marked-secret\nINTO_4_REGISTRY_HOST=" + ECR + "\n"
            + "INTO_5_AWS_ACCESS_KEY_ID=AKIAEXAMPLE\nINTO_5_AWS_SECRET_ACCESS_KEY=aws-marked-secret\nINTO_5_REGISTRY_HOST=public.ecr.aws\n"
            + pair("", "staging.example", "ci-promoter", Registry.PASSWORD), text(folder.resolve("seen")));
        assertEquals(Map.of("image", "staging.example/acme/a:1", "awsRoleFor", List.of(ECR + "=" + role),
            "into", List.of("other.example/acme/a", "acme/a", "mirror.example/acme/a", ECR + "/acme/a", "public.ecr.aws/acme/a", "plain.example/acme/a")), asked());
        // One binding for all passwords, and as many as the kind of a key pair takes to find out.
        assertEquals(4, build.count("withCredentials"), build::text);
        assertEquals(1, build.count("sh"));
    }

    @ParameterizedTest
    @EnumSource
    void promoteImages_binds_each_credential_once_for_its_registry_however_often_it_is_named(Controller.Library trust) {
        Build build = succeeded(run(trust, """
            node {
              def into = { String name -> [
                [repository: "acme/${name}", credentialsId: 'production'],
                [repository: "%s/acme/${name}", aws: [credentialsId: 'keys', role: 'r']],
                [repository: "staging.example/released/${name}", credentialsId: 'hub', registry: 'staging.example']] }
              promoteImages(%s, credentialsId: 'hub', registry: 'staging.example', to: '{version}', images: [
                [image: 'staging.example/acme/one:1', into: into('one')],
                [image: 'staging.example/acme/two:1', into: into('two'), to: 'x'],
                [image: 'staging.example/acme/three:1']], into: ['acme/mirror', [repository: 'acme/other', credentialsId: 'production']])
            }""".formatted(ECR, spy())));
        assertEquals(pair("INTO_1_", "docker.io", "ci-releaser", Registry.RELEASER.password())
            + "INTO_2_AWS_ACCESS_KEY_ID=AKIAEXAMPLE\nINTO_2_AWS_SECRET_ACCESS_KEY=aws-marked-secret\nINTO_2_REGISTRY_HOST=" + ECR + "\n"
            + pair("", "staging.example", "ci-promoter", Registry.PASSWORD), text(folder.resolve("seen")));
        assertEquals(Map.of("to", "{version}", "awsRoleFor", List.of(ECR + "=r"), "into", List.of("acme/mirror", "acme/other"), "images", List.of(
            Map.of("image", "staging.example/acme/one:1", "into", List.of("acme/one", ECR + "/acme/one", "staging.example/released/one")),
            Map.of("image", "staging.example/acme/two:1", "into", List.of("acme/two", ECR + "/acme/two", "staging.example/released/two"), "to", "x"),
            Map.of("image", "staging.example/acme/three:1"))), asked());
        assertTrue(text(folder.resolve("asked")).startsWith("{\"command\":\"release\",\"args\":{"));
        assertEquals(2, build.count("withCredentials"), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void roles_of_targets_join_those_that_the_caller_names(Controller.Library trust) {
        String into = "into: [[repository: '" + ECR + "/a', aws: [role: 'r']], [repository: '" + ECR + "/b', aws: [role: 'r']]]";
        for (String more : List.of("", ", awsRoleFor: 'other=s'", ", awsRoleFor: ['other=s']")) {
            Build build = succeeded(run(trust, "node { promoteImage(image: 'a:1', " + into + more + ", " + spy() + ") }"));
            assertEquals(more.isEmpty() ? List.of(ECR + "=r") : List.of("other=s", ECR + "=r"), asked().get("awsRoleFor"));
            assertEquals("", text(folder.resolve("seen")));
            assertEquals(0, build.count("withCredentials"));
        }
    }

    @ParameterizedTest
    @EnumSource
    void what_is_wrong_with_a_target_is_named_before_anything_runs(Controller.Library trust) {
        String[][] table = {
            {"[:]", "error[missing-value]: `PATH` names no repository"},
            {"[credentialsId: 'hub']", "error[missing-value]: `PATH` names no repository"},
            {"[repository: null]", "error[missing-value]: `PATH.repository` is null"},
            {"[repository: '']", "error[missing-value]: `PATH.repository` is blank"},
            {"[repository: ['acme/a']]", "error[key-wrong-type]: `PATH.repository` is a List where a String belongs\n  hint: write `repository: '…'`"},
            {"[repository: 'acme/a', credentialsId: '']", "error[missing-value]: `PATH.credentialsId` is blank"},
            {"[repository: 'acme/a', credentialsId: params.NOPE]", "error[missing-value]: `PATH.credentialsId` is null"},
            {"[repository: 'acme/a', registry: null]", "error[missing-value]: `PATH.registry` is null"},
            {"[repository: 'acme/a', registry: 7]", "error[key-wrong-type]: `PATH.registry` is a number where a String belongs"},
            {"[repository: 'acme/a', aws: 'keys']", "error[key-wrong-type]: `PATH.aws` is a String where a Map belongs\n  hint: write `aws: [credentialsId: 'ID']`"},
            {"[repository: 'acme/a', aws: [rol: 'x']]", "error[unknown-key]: `PATH.aws` has no key `rol`\n  hint: write `credentialsId` or `role`"},
            {"[repository: 'acme/a', aws: [role: '']]", "error[missing-value]: `PATH.aws.role` is blank"},
            {"[repository: 'acme/a', credentialId: 'hub']", "error[unknown-key]: `PATH` has no key `credentialId`\n  hint: write `repository`, `credentialsId`, `registry` or `aws`"},
            {"[repository: 'acme/a', to: 'x']", "error[unknown-key]: `PATH` has no key `to`"},
            {"[repository: { 1 }]", "error[key-wrong-type]: `PATH.repository` is a "},
        };
        for (String[] row : table) {
            for (String[] step : new String[][] {{"promoteImage(image: 'a:1', into: ['acme/x', ROW])", "into[1]"}, {"promoteImages(images: [[image: 'a:1'], [image: 'b:1', into: [ROW]]])", "images[1].into[0]"},
                {"promoteImages(images: [[image: 'a:1']], into: [ROW], lock: true)", "into[0]"}}) {
                Build build = failed(run(trust, "node { " + step[0].replace("ROW", row[0]) + " }"));
                assertTrue(build.text().contains(row[1].replace("PATH", step[1])), build::text);
                assertEquals(Map.of("node", 1, "error", 1), build.counts);
            }
        }
        Build build = failed(run(trust, "node { promoteImages(images: [[image: 'a:1', into: [[repository: 'acme/a', credentialsId: 'hub']]], [image: 'b:1', into: ['x/y', [repository: 'acme/b', credentialsId: 'production']]]]) }"));
        assertTrue(build.text().contains("error[request-invalid]: `images[1].into[1]` and `images[0].into[0]` give the registry `docker.io` two credentials\n  hint: give each registry one credential"), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void a_credential_of_a_target_that_is_not_there_is_named(Controller.Library trust) {
        for (String target : List.of("credentialsId: 'nope'", "aws: [credentialsId: 'nope']")) {
            Build build = failed(run(trust, "node { promoteImage(image: 'localhost:1/a:1', into: [[repository: 'acme/b', " + target + "]]) }"));
            assertTrue(build.text().contains("error[credential-missing]: Jenkins did not hand out a credential; it said: \"Could not find credentials entry with ID 'nope'\""), build::text);
            assertEquals(0, build.count("sh"));
        }
    }

    @ParameterizedTest
    @EnumSource
    void what_looks_like_shell_in_a_target_never_reaches_one(Controller.Library trust) {
        for (String evil : List.of("x; touch MARK", "$(touch MARK)", "`touch MARK`", "a' || touch MARK '", "a\\ntouch MARK\\nINTO_2_REGISTRY_HOST=x", "=x")) {
            String literal = "\"" + evil.replace("$", "\\$").replace("MARK", folder + "/mark") + "\"";
            for (String key : List.of("registry: EVIL, repository: 'acme/a'", "repository: EVIL", "repository: 'acme/a', aws: [role: EVIL, credentialsId: 'keys']")) {
                succeeded(run(trust, "node { promoteImage(image: 'a:1', " + spy() + ", into: [[credentialsId: 'production', " + key.replace("EVIL", literal) + "]]) }"));
            }
        }
        assertFalse(Files.exists(folder.resolve("mark")));
    }

    @ParameterizedTest
    @EnumSource
    void the_secrets_of_all_targets_are_masked_where_the_step_fails(Controller.Library trust) {
        program(folder.resolve("leaky"), """
            #!/bin/sh
            printf '{"schema":1,"ok":false,"command":"promote","error":{"code":"denied","message":"docker.io refused %s %s %s","hint":"set INTO_1_REGISTRY_HOST","text":"error[denied]: docker.io refused %s %s %s\\\\n  hint: set INTO_1_REGISTRY_HOST"},"warnings":[]}' \\
              "$INTO_1_REGISTRY_USERNAME" "$INTO_2_REGISTRY_USERNAME" "$INTO_3_AWS_ACCESS_KEY_ID" "$INTO_1_REGISTRY_USERNAME" "$INTO_2_REGISTRY_USERNAME" "$INTO_3_AWS_ACCESS_KEY_ID"
            """);
        String into = "into: [[repository: 'acme/a', credentialsId: 'production'], [repository: 'b.example/a', credentialsId: 'hub', registry: 'b.example'], [repository: '" + ECR + "/a', aws: [credentialsId: 'keys']]]";
        for (String step : List.of("promoteImage(image: 'a:1', " + into, "promoteImages(images: [[image: 'a:1', " + into + "]]")) {
            Build build = failed(run(trust, "node { " + step + ", helper: '" + folder + "/leaky') }", b -> b.usernamesAreSecret = true));
            String path = step.contains("images") ? "images[0].into[0]" : "into[0]";
            assertTrue(build.text().contains("error[denied]: docker.io refused **** **** ****\n  credential: `" + path + ".credentialsId: 'production'`\n  hint: set " + path + ".registry"), build::text);
            for (String user : List.of(Registry.USER, Registry.RELEASER.user(), "AKIAEXAMPLE")) {
                assertFalse(build.text().contains(user), build::text);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void lock_true_takes_the_locks_of_all_targets_in_one_step(Controller.Library trust) {
        String[][] table = {
            {"promoteImage(image: 'a:1', into: ['acme/app', 'localhost:1/acme/app', [repository: 'docker.io/acme/app']]", "docker.io/acme/app", "localhost:1/acme/app"},
            {"promoteImages(images: [[image: 'acme/one:1'], [repository: 'acme/two', build: 1], [image: 'acme/one:2', to: 'x']]", "docker.io/acme/one", "docker.io/acme/two"},
            {"promoteImages(images: [[image: 'acme/one:1', into: 'b.example/one'], [image: 'acme/two:1'], [image: 'acme/three:1', into: ['c.example/three', [repository: 'b.example/one']]]], into: 'd.example/x'",
                "b.example/one", "d.example/x", "c.example/three"},
        };
        for (String[] row : table) {
            Build build = succeeded(run(trust, "node { " + row[0] + ", lock: true, " + spy() + ") }"));
            assertEquals(java.util.Arrays.stream(row).skip(1).map(name -> "tagwright/" + name).toList(), build.locked);
            assertEquals(1, build.count("lock"));
        }
        assertEquals(List.of("train"), succeeded(run(trust, "node { promoteImages(images: [[image: 'a:1'], [image: 'b:1']], lock: 'train', " + spy() + ") }")).locked);
        for (String odd : List.of("'a'", "['a']", "[]", "[[image: 7]]", "[null]")) {
            assertEquals(List.of(), succeeded(run(trust, "node { promoteImages(images: " + odd + ", lock: true, " + spy() + ") }")).locked);
        }
        Build build = failed(run(trust, "node { promoteImages(images: [[image: 'a:1'], [image: 'b:1']], lock: true) }", b -> b.lockPlugin = false));
        assertTrue(build.text().contains("error[lock-unavailable]: this controller has no step `lock`"), build::text);
        assertEquals(0, build.count("sh"));
    }

    @ParameterizedTest
    @EnumSource
    void a_single_promotion_waits_for_a_release_into_its_repository(Controller.Library trust) throws Exception {
        open.push("acme/train", Map.of("of", "103"), "2026.34.103");
        program(folder.resolve("slow"), "#!/bin/sh\n: >'" + folder + "/began'\nuntil [ -e '" + folder + "/end' ]; do sleep 0.05; done\n"
            + "echo '{\"schema\":1,\"ok\":true,\"command\":\"release\",\"result\":{\"record\":null},\"warnings\":[]}'\n");
        String name = trust.name().toLowerCase();
        Build release = build(trust);
        Thread thread = new Thread(null, () -> run(release, "node { promoteImages(images: [[image: 'acme/other-" + name + ":1'], [image: '" + open.host + "/acme/train:2026.34.103']], lock: true, helper: '"
            + folder + "/slow') }"), "build", 16 << 20);
        thread.start();
        while (!Files.exists(folder.resolve("began"))) {
            assertTrue(thread.isAlive(), release::text);
            Thread.onSpinWait();
        }
        String step = "promoteImage(image: '" + open.host + "/acme/train:2026.34.103', to: '" + name + "', lock: true)";
        Build single = run(trust, "node { timeout(time: 1, unit: 'SECONDS') { " + step + " } }");
        assertEquals("ABORTED", single.result, single::text);
        assertEquals(0, single.count("sh"), single::text);
        Files.createFile(folder.resolve("end"));
        thread.join();
        succeeded(release);
        succeeded(run(trust, "node { " + step + " }"));
    }
}

package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a pipeline author meets when something is wrong. */
class FailureTest extends Fixture {
    /** The whole log of a failure says this, once, and shows no line of the library. */
    private static void says(Build build, String text) {
        assertEquals("FAILURE", build.result, build::text);
        assertEquals(2, (build.text() + " ").split(java.util.regex.Pattern.quote(text), -1).length, () -> "`" + text + "` is not there once:\n" + build.text());
        assertFalse(build.text().contains("\tat "), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void returnError_gives_the_parts_of_the_error(Controller.Library trust) throws Exception {
        open.push("acme/parts", Map.of("a", "b", "c", "d"), "1.0.0");
        String image = "image: '" + open.host + "/acme/parts:1.0.0'";
        Map<?, ?> result = (Map<?, ?>) succeeded(run(trust, "node { readImageLabel(" + image + ", label: 'x', returnError: true) }")).returned;
        assertEquals(false, result.get("ok"));
        assertEquals("label-missing", result.get("code"));
        assertEquals(3, result.get("exit"));
        assertEquals(List.of("a", "c"), ((Map<?, ?>) result.get("details")).get("labels"));
        assertTrue(result.get("text").toString().startsWith("error[label-missing]: " + result.get("message")), result.toString());
        assertTrue(result.containsKey("hint"), result.toString());
        result = (Map<?, ?>) succeeded(run(trust, "node { readImageLabel(" + image + ", label: 'a', returnError: true) }")).returned;
        assertEquals(true, result.get("ok"));
        assertEquals("b", result.get("value"));
        result = (Map<?, ?>) succeeded(run(trust, "node { readImageLabels(" + image + ", returnError: true) }")).returned;
        assertEquals(Map.of("a", "b", "c", "d"), result.get("value"));
        says(run(trust, "node { readImageLabel(" + image + ", label: 'a', returnError: 'yes') }"), "error[key-wrong-type]: `returnError` is a String where a Boolean belongs");
    }

    @ParameterizedTest
    @EnumSource
    void try_catchError_and_retry_behave_as_users_expect(Controller.Library trust) throws Exception {
        open.push("acme/try", Map.of(), "1.0.0");
        String step = "readImageLabel(image: '" + open.host + "/acme/try:1.0.0', label: 'x')";
        Build build = succeeded(run(trust, "node { try { " + step + " } catch (e) { return e.message } }"));
        assertTrue(build.returned.toString().startsWith("error[label-missing]: "), build.returned.toString());
        build = run(trust, "node { catchError(buildResult: 'UNSTABLE') { " + step + " }\n echo 'went on' }");
        assertEquals("UNSTABLE", build.result, build::text);
        assertTrue(build.log.contains("went on"), build::text);
        build = failed(run(trust, "node { retry(3) { " + step + " } }"));
        assertEquals(3, build.count("sh"), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void a_time_out_ends_the_program_and_the_build_and_is_no_result(Controller.Library trust) throws Exception {
        try (ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            String step = "readImageLabel(image: 'localhost:" + silent.getLocalPort() + "/acme/slow:1', label: 'x', returnError: true)";
            Build build = run(trust, "node { catchError(catchInterruptions: false) { timeout(time: 2, unit: 'SECONDS') { " + step + " } }\n echo 'went on' }");
            assertEquals("ABORTED", build.result, build::text);
            assertFalse(build.log.contains("went on"), build::text);
            assertEquals(0, ProcessHandle.current().descendants().filter(p -> p.info().commandLine().orElse("").contains("tagwright call")).count());
        }
    }

    @ParameterizedTest
    @EnumSource
    void outside_of_a_node_the_step_says_so(Controller.Library trust) {
        says(run(trust, "promoteImage(repository: 'acme/a', build: '1')"), "error[node-missing]: the step runs outside of `node`");
        Map<?, ?> result = (Map<?, ?>) succeeded(run(trust, "return findImageTag(repository: 'acme/a', build: '1', returnError: true)")).returned;
        assertEquals("node-missing", result.get("code"));
        assertNull(result.get("exit"));
    }

    @ParameterizedTest
    @EnumSource
    void keys_that_are_missing_misspelt_or_of_the_wrong_kind_are_named(Controller.Library trust) {
        String[][] table = {
            {"promoteImage()", "error[missing-value]: "},
            {"promoteImage(repository: 'localhost:1/a', biuld: '1')", "error[unknown-key]: `promote` has no key `biuld`\n  hint: write `build`"},
            {"promoteImage(repository: 'localhost:1/a', build: '1', credentialId: 'hub')", "hint: write `credentialsId`"},
            {"promoteImage(repository: 'localhost:1/a', build: '1', retrunError: true)", "hint: write `returnError`"},
            {"promoteImage(repository: ['a'], build: '1')", "`repository`"},
            {"promoteImage(repository: [a: 1], build: '1')", "`repository`"},
            {"promoteImage(repository: 'localhost:1/a', build: '')", "error[missing-value]: `build` is blank"},
            {"promoteImage(repository: 'localhost:1/a', build: '1', credentialsId: '')", "error[missing-value]: `credentialsId` is blank"},
            {"promoteImage(repository: 'localhost:1/a', build: '1', credentialsId: params.NOPE)", "error[missing-value]: `credentialsId` is null"},
            {"promoteImage(repository: 'localhost:1/a', build: '1', registry: [host: 'x'])", "error[key-wrong-type]: `registry` is a Map where a String belongs"},
            {"promoteImage(repository: 'localhost:1/a', build: '1', aws: 'id')", "error[key-wrong-type]: `aws` is a String where a Map belongs"},
            {"promoteImage(repository: 'localhost:1/a', build: '1', aws: [rolle: 'x'])", "error[unknown-key]: `aws` has no key `rolle`"},
            {"promoteImage(repository: 'localhost:1/a', build: '1', aws: [profile: 1])", "error[key-wrong-type]: `aws.profile` is a number where a String belongs"},
            {"promoteImage(repository: 'localhost:1/a', build: { 1 })", "error[key-wrong-type]: `build` is a "},
            {"promoteImage(repository: 'localhost:1/a', build: '1', to: ['x', { 1 }])", "error[key-wrong-type]: `to[1]` is a "},
            {"tagwright(args: [image: 'a'])", "error[missing-value]: "},
            {"tagwright(command: 'promot', args: [:])", "`promote`"},
            {"tagwright(command: 'labels', arg: [:])", "error[unknown-key]: "},
            {"readImageLabel(image: 'localhost:1/a', label: ['a', 'b'], timeout: 1, retries: 0)", "error["},
        };
        for (String[] row : table) {
            says(run(trust, "node { " + row[0] + " }"), row[1]);
        }
    }

    @ParameterizedTest
    @EnumSource
    void arguments_by_place_end_in_an_error_that_names_them_whatever_the_step(Controller.Library trust) throws Exception {
        // Every file in vars is a step, and each has to have the overload.
        for (String step : build(trust).controller.libraryVariables) {
            for (String args : List.of("'acme/app:1'", "'acme/app:1', 'git_revision'", "null", "null, null", "'acme/app:1', label: 'x'", "['a', 'b']", "'a', 'b', 'c', 'd'", "7", "\"${1 + 1}\"", "{ 1 }")) {
                Build build = run(trust, "node { " + step + "(" + args + ") }");
                says(build, "error[request-invalid]: `" + step + "` takes its arguments by name\n  hint: write `" + step + "(");
                assertEquals(0, build.count("sh"), build::text);
            }
        }
        says(run(trust, "findImageTag 'acme/app'"), "error[request-invalid]: `findImageTag` takes its arguments by name");
    }

    @ParameterizedTest
    @EnumSource
    void an_answer_that_would_cost_the_controller_too_much_is_refused_before_it_is_parsed(Controller.Library trust) throws Exception {
        String head = "{\"schema\":1,\"ok\":true,\"command\":\"inspect\",\"warnings\":[],\"result\":";
        String keys = java.util.stream.IntStream.range(0, 1001).mapToObj(i -> "\"k" + i + "\":{}").collect(java.util.stream.Collectors.joining(","));
        String[][] table = {
            {"\"" + "x".repeat(4 << 20) + "\"", "more than 4 MiB"},
            {"123456789012345678901", "a number of more than 20 digits"},
            {"{\"a\":-1234567890.12345678901}", "a number of more than 20 digits"},
            {"1e999999999", "a number of more than 20 digits"},
            {"[\"\\\\\",123456789012345678901,\"\\\"\"]", "a number of more than 20 digits"},
            {"{" + keys + "}", "an object of more than 1000 keys"},
            {"[".repeat(40) + "]".repeat(40), "lists and objects more than 32 deep"},
        };
        program(folder.resolve("big"), "#!/bin/sh\ncat '" + folder + "/answer'\n");
        String step = "node { inspectImage(image: 'localhost:1/a', helper: '" + folder + "/big') }";
        for (String[] row : table) {
            Files.writeString(folder.resolve("answer"), head + row[0] + "}\n");
            says(run(trust, step), "error[size-exceeded]: the program answered more than Jenkins can carry: " + row[1] + "\n  hint: ask for less");
        }
        // As much as there may be, with what only looks like too much inside of texts.
        String[] well = {"[12345678901234567890,\"123456789012345678901\",\"\\\"[[[[{123456789012345678901e999\"]", "{" + keys.replace(",\"k1000\":{}", "") + "}",
            "[".repeat(30) + "]".repeat(30), "[\"" + "\\ud83d\\ude80".repeat(100_000) + "\",\"" + "x".repeat(2 << 20) + "\"]"};
        for (String text : well) {
            Files.writeString(folder.resolve("answer"), head + text + "}\n");
            assertFalse(succeeded(run(trust, step.replace("inspectImage(", "tagwright(command: 'inspect', args: [").replace(", helper", "], helper"))).returned == null);
        }
    }

    @ParameterizedTest
    @EnumSource
    void what_a_registry_says_reaches_no_log_raw(Controller.Library trust) throws Exception {
        open.push("acme/said", Map.of(), "1.0.0");
        try (Detour detour = new Detour(open, Detour.Fate.REFUSED, "(GET|HEAD|PUT) .*/manifests/.*")) {
            detour.words = "x\u001b[8mha:AAAA\u001b[0m\r\u202e\u009b\u007f\u2066 <script>alert(1)</script>\nERROR: y";
            for (String step : List.of("promoteImage(image: 'HOST/acme/said:1.0.0', to: 'x'", "inspectImage(image: 'HOST/acme/said:1.0.0'")) {
                Build build = failed(run(trust, "node { " + step.replace("HOST", detour.host) + ") }"));
                assertTrue(build.text().contains("[8mha:AAAA"), build::text);
                assertFalse(build.text().replace("\n", "").matches("(?s).*[\\p{Cc}\\p{Cf}].*"), build::text);
                assertFalse(build.log.toString().contains("\nERROR: y"), build::text);
                Map<?, ?> result = (Map<?, ?>) succeeded(run(trust, "node { " + step.replace("HOST", detour.host) + ", returnError: true) }")).returned;
                String text = result.get("text").toString();
                assertFalse(text.replace("\n", "").matches("(?s).*[\\p{Cc}\\p{Cf}].*"), text);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void what_an_agent_says_reaches_no_log_raw(Controller.Library trust) throws Exception {
        program(folder.resolve("odd/tagwright"), "#!/bin/sh\nprintf 'x\\033[8mha:AAAA\\033[0m\\342\\200\\256\\302\\233\\177x'\n");
        Build build = run(trust, "node { inspectImage(image: 'localhost:1/a', helper: '" + folder + "/odd/tagwright') }");
        says(build, "error[helper-damaged]: the program answered what is not its JSON: \"x?[8mha:AAAA?[0m???x\"");
        assertFalse(build.text().replace("\n", "").matches("(?s).*[\\p{Cc}\\p{Cf}].*"), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void a_credential_that_is_not_there_is_named(Controller.Library trust) {
        says(run(trust, "node { promoteImage(repository: 'localhost:1/a', build: '1', credentialsId: 'hubb') }"),
            "error[credential-missing]: Jenkins did not hand out a credential; it said: \"Could not find credentials entry with ID 'hubb'\"");
        Map<?, ?> result = (Map<?, ?>) succeeded(run(trust, "node { inspectImage(image: 'localhost:1/a', aws: [credentialsId: 'keys'], returnError: true) }")).returned;
        assertEquals("credential-missing", result.get("code"));
        // Of a kind that neither a key pair is nor, on this controller, anything else.
        says(run(trust, "node { promoteImage(repository: 'localhost:1/a', build: '1', aws: [credentialsId: 'odd']) }", build -> {
            build.credentials.put("odd", new Build.Credential(true, "x", "y"));
            build.awsPlugin = false;
        }), "error[credential-missing]: Jenkins did not hand out a credential; it said: \"Credentials 'odd' is of type ");
    }

    @ParameterizedTest
    @EnumSource
    void what_looks_like_shell_never_reaches_one(Controller.Library trust) {
        for (String evil : List.of("x; touch MARK", "$(touch MARK)", "`touch MARK`", "-rf", "a\\ntouch MARK\\n", "a' || touch MARK '", "a\\u0000b", "@/etc/passwd", "../../etc/passwd")) {
            String literal = "\"" + evil.replace("$", "\\$").replace("MARK", folder + "/mark") + "\"";
            Build build = run(trust, "node { inspectImage(image: " + literal + ", timeout: 2, retries: 0) }");
            assertEquals("FAILURE", build.result, build::text);
            assertTrue(build.text().contains("ERROR: error[reference-invalid]: "), build::text);
            assertTrue(run(trust, "node { tagwright(command: " + literal + ", args: [:]) }").text().contains("ERROR: error[unknown-command]: "));
            says(run(trust, "node { inspectImage(image: 'localhost:1/a', helper: " + literal + ") }"), evil.contains("u0000") ? "error[request-invalid]: `helper` holds a NUL" : "error[helper-");
        }
        assertFalse(Files.exists(folder.resolve("mark")));
    }

    @ParameterizedTest
    @EnumSource
    void a_program_that_is_not_what_it_should_be_is_told_from_one_that_is(Controller.Library trust) {
        String[][] table = {
            {"echo hello", "error[helper-damaged]: the program answered what is not its JSON: \"hello\""},
            {"true", "error[helper-damaged]: the program answered nothing"},
            {"echo '{\"schema\":2,\"ok\":true,\"command\":\"inspect\",\"result\":{},\"warnings\":[]}'", "error[helper-damaged]: the program on the agent speaks schema 2, this library reads schema 1"},
            {"echo '{\"schema\":1,\"ok\":true}'", "error[helper-damaged]: the answer of the program lacks its result"},
            {"echo '{\"schema\":1,\"ok\":false,\"error\":{}}'", "error[helper-damaged]: the answer of the program lacks its error"},
            {"printf '{\"schema\":1'", "error[helper-damaged]: the program answered what is not its JSON: \"{\"schema\":1\""},
            {"printf '{'; head -c 3000000 /dev/zero | tr '\\0' '['", "error[helper-damaged]: the program answered what is not its JSON: \"{[[["},
            {"echo '[1]'", "error[helper-damaged]: the program answered what is not its JSON: \"[1]\""},
            {"printf '{\"schema\":1'; kill -9 $$", "was ended by signal 9 before it answered"},
            {"printf '\nlauncher: deliver ../../../vars\n\n\n'", "error[helper-damaged]: the agent asks for a program for `../../../vars`, which this library does not carry"},
            {"exit 42", "ended with status 42, which tagwright never does"},
        };
        for (String[] row : table) {
            program(folder.resolve("odd/tagwright"), "#!/bin/sh\n" + row[0] + "\n");
            says(run(trust, "node { inspectImage(image: 'localhost:1/a', helper: '" + folder + "/odd/tagwright') }"), row[1]);
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_helper_that_is_not_there_or_cannot_run_is_named(Controller.Library trust) throws Exception {
        says(run(trust, "node { inspectImage(image: 'localhost:1/a', helper: '/nowhere/tagwright') }"), "error[helper-missing]: there is no program `/nowhere/tagwright` on this agent");
        says(run(trust, "node { inspectImage(image: 'localhost:1/a') }", build -> build.agent.put("TAGWRIGHT_BIN", "no-such-program")),
            "error[helper-missing]: there is no program `no-such-program` on this agent");
        Files.writeString(folder.resolve("plain"), "not a program");
        says(run(trust, "node { inspectImage(image: 'localhost:1/a', helper: '" + folder + "/plain') }"), "error[helper-damaged]: `" + folder + "/plain` cannot be executed on this agent");
        open.push("acme/named", Map.of(), "1.0.0");
        Build build = run(trust, "node { inspectImage(image: '" + open.host + "/acme/named:1.0.0', helper: '" + PROGRAM + "') }", Fixture::bare);
        assertEquals(1, succeeded(build).count("sh"));
    }

    @ParameterizedTest
    @EnumSource
    void an_agent_without_a_shell_is_told_from_a_lost_one(Controller.Library trust) {
        says(run(trust, "node { inspectImage(image: 'localhost:1/a') }", build -> build.shellFails = new IOException(
            "Cannot run program \"sh\" (in directory \"C:\\agent\\workspace\\job\"): CreateProcess error=2, The system cannot find the file specified")), "error[helper-missing]: this agent has no `sh`, which the step needs");
        says(run(trust, "node { inspectImage(image: 'localhost:1/a') }", build -> build.shellFails = new hudson.AbortException("script returned exit code 126")),
            "error[helper-missing]: this agent has no `sh`, which the step needs; it said: \"script returned exit code 126\"");
        Build lost = run(trust, "node { inspectImage(image: 'localhost:1/a', returnError: true) }", build -> build.shellFails = new IOException("channel is gone"));
        assertEquals("channel is gone", lost.failure.getMessage(), lost::text);
    }
}

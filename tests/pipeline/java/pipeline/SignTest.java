package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Records that are signed by a key from the credentials of the controller, and keys that are given as text. */
class SignTest extends Fixture {
    private static final String KEY = text(ROOT.resolve("tests/fixtures/keys/p256.key"));
    private static final String PUBLIC = text(ROOT.resolve("tests/fixtures/keys/p256.pub"));
    /** A line in the middle of the key: nothing but the key has it. */
    private static final String INNER = KEY.lines().toList().get(1);

    private static final Consumer<Build> KEYS = build -> {
        build.keyFiles.put("as-file", KEY);
        build.keyTexts.put("as-text", KEY);
        build.keyTexts.put("public", PUBLIC);
        build.params.put("PUBLIC", PUBLIC);
    };

    private Build signed(Controller.Library trust, String script) throws Exception {
        Build build = run(trust, "node { " + script + " }", KEYS);
        assertFalse(build.text().contains(INNER), build::text);
        assertFalse(build.shellLines.toString().contains(INNER));
        assertFalse(build.environment().containsKey("TAGWRIGHT_SIGN_KEY"));
        // Neither the record nor anything else that is left in the workspace holds it.
        try (Stream<Path> files = Files.walk(build.workspace)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                assertFalse(Files.readString(file).contains(INNER), file::toString);
            }
        }
        return build;
    }

    @ParameterizedTest
    @EnumSource
    void a_key_of_the_controller_signs_the_record_whether_it_is_a_file_or_a_text(Controller.Library trust) throws Exception {
        for (String id : List.of("as-file", "as-text")) {
            String repository = open.host + "/acme/signed-" + id + "-" + trust.name().toLowerCase();
            open.push(repository.substring(open.host.length() + 1), Map.of("a", id), "1.0.0");
            String history = "imageHistory(repository: '" + repository + "', verifyKey: params.PUBLIC)";
            Build build = succeeded(signed(trust, "promoteImage(image: '" + repository + ":1.0.0', move: 'latest', attachRecord: true, signRecord: '" + id + "')\n return " + history));
            assertEquals(true, ((Map<?, ?>) ((List<?>) build.returned).get(0)).get("verified"), build::text);
            assertTrue(build.text().contains("--sign-record=env:TAGWRIGHT_SIGN_KEY"), build::text);
            assertFalse(build.text().contains("warning[key-open]"), build::text);
            Build board = succeeded(signed(trust, "return releaseBoard(repositories: '" + repository + "', verifyKey: [params.PUBLIC])"));
            Map<?, ?> one = (Map<?, ?>) ((List<?>) ((Map<?, ?>) board.returned).get("repositories")).get(0);
            assertEquals(true, ((Map<?, ?>) ((List<?>) one.get("tags")).get(0)).get("verified"), board::text);
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_release_is_signed_by_the_key_beside_its_images(Controller.Library trust) throws Exception {
        String repository = open.host + "/acme/released-" + trust.name().toLowerCase();
        open.push(repository.substring(open.host.length() + 1), Map.of("a", "b"), "1.0.0");
        Build build = succeeded(signed(trust, "promoteImages(images: [[image: '" + repository + ":1.0.0', to: 'stable']], attachRecord: true, signRecord: 'as-file')\n"
            + " writeFile(file: 'key.pub', text: params.PUBLIC)\n return imageHistory(repository: '" + repository + "', verifyKey: 'key.pub')"));
        assertEquals(true, ((Map<?, ?>) ((List<?>) build.returned).get(0)).get("verified"), build::text);
        build = failed(signed(trust, "promoteImages(images: [[image: '" + repository + ":1.0.0', to: 'x', attachRecord: true, signRecord: 'as-file']])"));
        assertTrue(build.text().contains("  hint: write `signRecord` beside `images`"), build::text);
    }

    @ParameterizedTest
    @EnumSource
    void only_what_a_public_key_has_signed_is_promoted_whether_it_is_given_as_text_or_file(Controller.Library trust) throws Exception {
        byte[] der = Base64.getMimeDecoder().decode(KEY.lines().filter(line -> !line.startsWith("-")).collect(Collectors.joining("\n")));
        PrivateKey key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
        String repository = "acme/required-" + trust.name().toLowerCase();
        open.sign(repository, open.push(repository, Map.of("is", "signed"), "1.0.0"), key);
        open.push(repository, Map.of("is", "unsigned"), "2.0.0");
        String step = "promoteImage(image: '" + open.host + "/" + repository + ":%s', to: '%s', requireSignature: %s)";
        Build build = succeeded(signed(trust, step.formatted("1.0.0", "text", "params.PUBLIC")));
        assertEquals(open.digestOf(repository, "1.0.0"), open.digestOf(repository, "text"), build::text);
        succeeded(signed(trust, "writeFile(file: 'keys/cosign.pub', text: params.PUBLIC)\n " + step.formatted("1.0.0", "file", "['keys/cosign.pub']")));
        Build refused = failed(signed(trust, step.formatted("2.0.0", "unsigned", "params.PUBLIC")));
        assertTrue(refused.text().contains("ERROR: error[signature-missing]: "), refused::text);
        assertEquals(null, open.digestOf(repository, "unsigned"));
        Build release = failed(signed(trust, "promoteImages(images: [[image: '" + open.host + "/" + repository + ":1.0.0', to: 'r1'], [image: '" + open.host + "/" + repository
            + ":2.0.0', to: 'r2']], requireSignature: params.PUBLIC)"));
        assertTrue(release.text().contains("error[signature-missing]: "), release::text);
        assertEquals(null, open.digestOf(repository, "r1"));
        // A record is a signed statement, so that a later stage can ask for the promotion before it.
        String asked = ", requireAttestation: 'urn:tagwright:promotion:v1'";
        String production = step.formatted("1.0.0", "production", "params.PUBLIC" + asked);
        assertTrue(failed(signed(trust, production)).text().contains("error[attestation-missing]: "));
        succeeded(signed(trust, step.formatted("1.0.0", "staging", "params.PUBLIC, attachRecord: true, signRecord: 'as-file'") + "\n " + production));
        assertEquals(open.digestOf(repository, "1.0.0"), open.digestOf(repository, "production"));
    }

    @ParameterizedTest
    @EnumSource
    void the_key_reaches_the_program_and_no_request(Controller.Library trust) throws Exception {
        program(folder.resolve("spy"), "#!/bin/sh\nprintf '%s\\n' \"$@\" >'" + folder + "/words'\nprintf '%s' \"$TAGWRIGHT_SIGN_KEY\" >'" + folder + "/key'\n[ ! -f \"$TAGWRIGHT_SIGN_KEY\" ] || cat \"$TAGWRIGHT_SIGN_KEY\" >'"
            + folder + "/key'\nprintf '%s' \"$TAGWRIGHT_REQUEST\" >'" + folder + "/asked'\necho '{\"schema\":1,\"ok\":true,\"command\":\"promote\",\"result\":{\"record\":null},\"warnings\":[]}'\n");
        for (String id : List.of("as-file", "as-text")) {
            succeeded(signed(trust, "promoteImage(repository: 'acme/a', build: '1', helper: '" + folder + "/spy', archiveRecord: false, attachRecord: true, signRecord: '" + id + "')"));
            assertEquals(KEY, text(folder.resolve("key")));
            assertEquals("call\n", text(folder.resolve("words")));
            assertEquals("{\"command\":\"promote\",\"args\":{\"repository\":\"acme/a\",\"build\":\"1\",\"attachRecord\":true,\"signRecord\":\"env:TAGWRIGHT_SIGN_KEY\"}}",
                text(folder.resolve("asked")));
        }
    }

    @ParameterizedTest
    @EnumSource
    void a_credential_that_is_no_key_is_told_before_anything_is_written(Controller.Library trust) throws Exception {
        String repository = open.host + "/acme/unsigned-" + trust.name().toLowerCase();
        open.push(repository.substring(open.host.length() + 1), Map.of("a", "b"), "1.0.0");
        String[][] table = {
            {"attachRecord: true, signRecord: 'nobody'", "error[credential-missing]: Jenkins did not hand out a credential; it said: \"Could not find credentials entry with ID 'nobody'\""},
            {"attachRecord: true, signRecord: 'nobody'", "of the kind \"Secret file\" or \"Secret text\""},
            {"attachRecord: true, signRecord: 'hub'", "of the kind \"Secret file\" or \"Secret text\""},
            {"attachRecord: true, signRecord: 'public'", "error[config-malformed]: the variable `TAGWRIGHT_SIGN_KEY` of `--sign-record` holds a public key"},
            {"signRecord: 'as-text'", "error[request-invalid]: `signRecord` signs a record in the registry, and none is kept"},
            {"attachRecord: true, signRecord: params.NOPE", "error[missing-value]: `signRecord` is null"},
            {"attachRecord: true, signRecord: true", "error[key-wrong-type]: `signRecord` is a Boolean where a String belongs"},
        };
        for (String[] row : table) {
            Build build = failed(signed(trust, "promoteImage(image: '" + repository + ":1.0.0', to: 'x', " + row[0] + ")"));
            assertTrue(build.text().contains(row[1]), build::text);
            assertEquals(null, open.digestOf(repository.substring(open.host.length() + 1), "x"));
        }
    }
}

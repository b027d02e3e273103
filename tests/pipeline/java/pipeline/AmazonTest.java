package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Images of Amazon ECR, with the keys that a step is given and with those that it finds. */
class AmazonTest extends Fixture {
    private static final String IMAGE = "image: '" + Amazon.REGISTRY + "/acme/serviceone:2026.34.103'";
    private Amazon amazon;

    @BeforeEach
    void start() throws Exception {
        amazon = new Amazon(Map.of("AKIAGIVEN", "aws-marked-secret/given", "AKIAFOUND", "aws-marked-secret+found"), Map.of("git_revision", "41d0aa7"));
    }

    @AfterEach
    void stop() {
        amazon.close();
    }

    /** An agent that has keys of its own, as `withAWS` would leave them, and a credential store with others. */
    private Consumer<Build> agent(boolean withKeys) {
        return build -> {
            build.agent.put("AWS_ENDPOINT_URL_ECR", amazon.url);
            build.agent.put("AWS_ENDPOINT_URL_STS", amazon.url);
            build.agent.put("AWS_EC2_METADATA_DISABLED", "true");
            if (withKeys) {
                build.agent.put("AWS_ACCESS_KEY_ID", "AKIAFOUND");
                build.agent.put("AWS_SECRET_ACCESS_KEY", "aws-marked-secret+found");
            }
            build.credentials.put("keys", new Build.Credential(false, "AKIAGIVEN", "aws-marked-secret/given"));
            build.credentials.put("plugin", new Build.Credential(true, "AKIAGIVEN", "aws-marked-secret/given"));
            build.credentials.put("wrong", new Build.Credential(false, "AKIAGIVEN", "aws-marked-secret/other"));
        };
    }

    private Object label(Controller.Library trust, String more, boolean withKeys) {
        return succeeded(run(trust, "node { readImageLabel(" + IMAGE + ", label: 'git_revision'" + more + ") }", agent(withKeys))).returned;
    }

    @ParameterizedTest
    @EnumSource
    void readImageLabel_reads_from_ecr_with_what_the_agent_has(Controller.Library trust) {
        assertEquals("41d0aa7", label(trust, "", true));
        assertEquals(List.of("AKIAFOUND BatchGetImage", "AKIAFOUND GetDownloadUrlForLayer", "- blob"), amazon.calls);
    }

    @ParameterizedTest
    @EnumSource
    void aws_names_other_keys_of_either_kind(Controller.Library trust) {
        for (String id : List.of("keys", "plugin")) {
            for (boolean withKeys : new boolean[] {false, true}) {
                amazon.calls.clear();
                assertEquals("41d0aa7", label(trust, ", aws: [credentialsId: '" + id + "']", withKeys));
                assertEquals(List.of("AKIAGIVEN BatchGetImage", "AKIAGIVEN GetDownloadUrlForLayer", "- blob"), amazon.calls);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void keys_that_are_named_are_not_mixed_with_a_session_that_is_inherited(Controller.Library trust) {
        Build build = succeeded(run(trust, "node { withEnv(['AWS_SESSION_TOKEN=inherited', 'AWS_PROFILE=inherited']) { readImageLabel(" + IMAGE
            + ", label: 'git_revision', aws: [credentialsId: 'keys']) } }", agent(true)));
        assertEquals("41d0aa7", build.returned);
    }

    @ParameterizedTest
    @EnumSource
    void aws_assumes_a_role_first(Controller.Library trust) {
        assertEquals("41d0aa7", label(trust, ", aws: [credentialsId: 'keys', role: 'arn:aws:iam::123456789012:role/reader', externalId: 'x']", true));
        assertEquals(List.of("AKIAGIVEN AssumeRole", "ASIALENT BatchGetImage", "ASIALENT GetDownloadUrlForLayer", "- blob"), amazon.calls);
    }

    @ParameterizedTest
    @EnumSource
    void auth_tells_who_the_keys_belong_to(Controller.Library trust) {
        Build build = succeeded(run(trust, "node { tagwright(command: 'auth', args: [repository: '" + Amazon.REGISTRY + "/acme/serviceone'], aws: [credentialsId: 'keys']) }", agent(true)));
        assertEquals("arn:aws:iam::123456789012:user/AKIAGIVEN", ((Map<?, ?>) build.returned).get("identity"));
        assertTrue(amazon.calls.contains("AKIAGIVEN GetCallerIdentity"), amazon.calls::toString);
    }

    @ParameterizedTest
    @EnumSource
    void what_is_wrong_with_keys_or_image_is_told_apart(Controller.Library trust) {
        String[][] table = {
            {IMAGE + ", label: 'git_revision', aws: [credentialsId: 'wrong']", "error[unauthenticated]: "},
            {IMAGE + ", label: 'git_revision', aws: [credentialsId: 'wrong']", "\n  credential: `aws.credentialsId: 'wrong'`\n"},
            {IMAGE + ", label: 'nope', aws: [credentialsId: 'keys']", "error[label-missing]: "},
            {IMAGE.replace(".103", ".104") + ", label: 'git_revision', aws: [credentialsId: 'keys']", "error[tag-unknown]: "},
            {IMAGE + ", label: 'git_revision', aws: [credentialsId: 'nope']", "error[credential-missing]: Jenkins did not hand out a credential"},
        };
        for (String[] row : table) {
            Build build = failed(run(trust, "node { readImageLabel(" + row[0] + ") }", agent(true)));
            assertTrue(build.text().contains(row[1]), build::text);
        }
    }
}

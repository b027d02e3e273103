package pipeline;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;

/** What the tests share that promote from one registry into another: a third registry, with an account of its own. */
abstract class TwoSides extends Fixture {
    static Registry production;

    @BeforeAll
    static void startProduction() throws Exception {
        production = new Registry(servers.resolve("production"), Registry.RELEASER);
    }

    @AfterAll
    static void stopProduction() throws Exception {
        production.close();
    }

    @Override
    Build build(Controller.Library trust) {
        Build build = super.build(trust);
        build.credentials.put("production", new Build.Credential(false, Registry.RELEASER.user(), Registry.RELEASER.password()));
        return build;
    }
}

package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** That the interpreter of these tests would notice what a controller rejects; without this, their silence would prove nothing. */
class SandboxTest {
    @TempDir
    Path folder;

    private Build run(String library, String script, Controller.Library trust) throws Exception {
        Files.createDirectories(folder.resolve("library/vars"));
        Files.writeString(folder.resolve("library/vars/thing.groovy"), library);
        Build build = new Build(new Controller(folder.resolve("library"), trust), folder.resolve("workspace"), 0);
        build.agent.put("PATH", "/usr/bin:/bin");
        return build.controller.run(build, script);
    }

    @Test
    void a_signature_that_is_not_on_the_list_is_rejected_in_cps_code_and_outside_of_it() throws Exception {
        for (String call : List.of("new File('/etc/passwd').text", "'id'.execute()", "System.getenv('HOME')", "[1, 2].max()", "'x'.class.forName('java.lang.Runtime')",
            "new groovy.json.JsonSlurperClassic()", "currentBuild.getClass().protectionDomain", "throw new Exception('x')", "'a'.bytes.encodeBase64()")) {
            for (String library : List.of("def call() { " + call + " }", "@NonCPS def call() { " + call + " }")) {
                Build build = run(library, "thing()", Controller.Library.UNTRUSTED);
                assertEquals("FAILURE", build.result, () -> library + "\n" + build.text());
                assertFalse(build.rejected.isEmpty(), () -> library + "\n" + build.text());
            }
        }
        assertFalse(run("def call() { 1 }", "System.getenv('HOME')", Controller.Library.TRUSTED).rejected.isEmpty());
        assertTrue(run("def call() { System.getenv('HOME') }", "thing()", Controller.Library.TRUSTED).rejected.isEmpty());
    }

    @Test
    void a_value_that_cannot_be_saved_fails_the_build() throws Exception {
        Build build = run("def call() { def o = new groovy.json.JsonSlurper().parseText('{\"a\":1}'); sh 'true'; return o.a }", "node { thing() }", Controller.Library.UNTRUSTED);
        assertEquals("FAILURE", build.result, build::text);
        assertTrue(build.failure.toString().contains("NotSerializableException"), build.failure::toString);
    }

    @Test
    void the_program_goes_on_from_what_was_saved() throws Exception {
        Build build = run("def call(Map m) { sh 'true'; m.n = 2; sh 'true'; return m }", "def m = [n: 1]; def r = 0; node { r = thing(m) }; return m.n + r.n", Controller.Library.UNTRUSTED);
        assertEquals(4, build.returned, build::text);
        assertEquals(2, build.saves);
    }

    @Test
    void a_step_called_where_it_cannot_suspend_is_noticed() throws Exception {
        Build build = run("@NonCPS def call() { sh 'true'; return 1 }", "node { def r = thing(); return r == 1 ? 'not noticed' : r }", Controller.Library.UNTRUSTED);
        assertNotEquals("not noticed", build.returned, build::text);
    }
}

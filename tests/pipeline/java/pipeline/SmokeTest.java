package pipeline;
import org.junit.jupiter.api.*;
import java.nio.file.*;
class SmokeTest {
  @Test void smoke() throws Exception {
    for (var trust : Controller.Library.values()) {
    Controller c = new Controller(Path.of("/work/wt-steps"), trust);
    Build b = new Build(c, Files.createTempDirectory("ws"), System.currentTimeMillis());
    b.agent.put("PATH", "/tmp/steps-scratch/standin:/usr/bin:/bin");
    b.credentials.put("hub", new Build.Credential(false, "ci-user", "s3cret"));
    c.run(b, Files.readString(Path.of("/tmp/steps-scratch/js/a.groovy")));
    System.out.println(b.text()); System.out.println(b.rejected + " " + b.counts+ " " + b.saves);
    if (b.failure != null) b.failure.printStackTrace(System.out);
    System.out.println(Controller.USED);
    }
  }
}

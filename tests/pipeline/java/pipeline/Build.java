package pipeline;

import hudson.AbortException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/** One build: its agent, its log, its credentials, and the blocks it stands in. None of it is saved with the program. */
public final class Build {
    private static final ThreadLocal<Build> CURRENT = new ThreadLocal<>();
    /** The resources that any build has ever locked; all builds of a controller share them. */
    private static final Map<String, Semaphore> RESOURCES = new ConcurrentHashMap<>();

    /** What a credential store holds under an id: `username:password`, or an AWS key pair of the AWS plugin's kind. */
    record Credential(boolean ofAwsPlugin, String first, String second) {}

    /** What a block adds for its body. */
    private static final class Frame {
        String step;
        boolean node;
        Path dir;
        final Map<String, String> variables = new LinkedHashMap<>();
        long deadline = Long.MAX_VALUE;
        Semaphore held;
    }

    final Controller controller;
    final Path workspace;
    final Map<String, String> agent = new TreeMap<>();
    final Map<String, Object> params = new LinkedHashMap<>();
    final Map<String, Credential> credentials = new LinkedHashMap<>();
    final long started;
    /** What a `sh` of this build meets before it runs; null for an agent that is well. */
    IOException shellFails;
    /** What a `writeFile` of this build meets. */
    IOException writeFails;
    /** Whether `writeFile` writes where the shell does not look, as with a container that does not mount the workspace. */
    boolean hidden;
    /** What an `archiveArtifacts` of this build meets. */
    IOException archiveFails;
    /** Whether the controller has the plugin that binds AWS credentials. */
    boolean awsPlugin = true;
    /** Whether it has the one that brings `lock`. */
    boolean lockPlugin = true;

    /** Every line that a browser would show, before any masking. */
    final List<String> log = Collections.synchronizedList(new ArrayList<>());
    final Map<String, Integer> counts = new TreeMap<>();
    /** The text of each `sh`. */
    final List<String> shellLines = new ArrayList<>();
    final List<String> rejected = new ArrayList<>();
    /** The artifacts, by name. */
    final Map<String, String> archive = new TreeMap<>();
    /** The names of the locks that were taken, in order. */
    final List<String> locked = new ArrayList<>();
    int saves;
    int largestSave;
    String result = "SUCCESS";
    String description;
    Throwable failure;
    Object returned;
    private final Deque<Frame> frames = new ArrayDeque<>();

    Build(Controller controller, Path workspace, long started) {
        this.controller = controller;
        this.workspace = workspace;
        this.started = started;
    }

    static Build current() {
        return CURRENT.get();
    }

    static void enter(Build build) {
        CURRENT.set(build);
    }

    void say(String line) {
        log.add(line);
    }

    /** The log as one text. */
    String text() {
        return String.join("\n", log);
    }

    int count(String step) {
        return counts.getOrDefault(step, 0);
    }

    int steps() {
        return counts.values().stream().mapToInt(i -> i).sum();
    }

    // What Blocks.groovy calls.

    public static void open(String step, Map<String, Object> args) throws IOException, InterruptedException {
        current().push(step, args);
    }

    public static void close() {
        Frame frame = current().frames.pop();
        if (frame.held != null) {
            frame.held.release();
        }
    }

    public static boolean interrupted(Throwable failure) {
        return failure instanceof Interrupted;
    }

    /** As a controller prints a failure: a message, or a whole stack trace where it is not an abort. */
    public static void say(Throwable failure) {
        Build build = current();
        if (failure instanceof AbortException) {
            build.say("ERROR: " + failure.getMessage());
            return;
        }
        build.say(failure.toString());
        for (StackTraceElement at : failure.getStackTrace()) {
            if (String.valueOf(at.getFileName()).endsWith(".groovy")) {
                build.say("\tat " + at);
            }
        }
    }

    public static void worsen(Object result) {
        current().result = result.toString();
    }

    private void push(String step, Map<String, Object> args) throws IOException, InterruptedException {
        Frame frame = new Frame();
        frame.step = step;
        switch (step) {
            case "node":
                frame.node = true;
                frame.dir = workspace;
                Files.createDirectories(workspace);
                frame.variables.put("WORKSPACE", workspace.toString());
                frame.variables.put("WORKSPACE_TMP", workspace + "@tmp");
                frame.variables.put("NODE_NAME", "agent-1");
                break;
            case "dir":
                frame.dir = dir().resolve((String) args.get("path"));
                Files.createDirectories(frame.dir);
                break;
            case "withEnv":
                for (Object pair : (List<?>) args.get("overrides")) {
                    int at = pair.toString().indexOf('=');
                    frame.variables.put(pair.toString().substring(0, at), pair.toString().substring(at + 1));
                }
                break;
            case "withCredentials":
                for (Object binding : (List<?>) args.get("bindings")) {
                    bind(frame, (Map<?, ?>) binding);
                }
                break;
            case "lock":
                String resource = (String) args.get("resource");
                Semaphore free = RESOURCES.computeIfAbsent(resource, name -> new Semaphore(1));
                if (!free.tryAcquire(Math.max(0, millisLeft()), TimeUnit.MILLISECONDS)) {
                    throw new Interrupted("Timeout has been exceeded");
                }
                frame.held = free;
                locked.add(resource);
                break;
            case "timeout":
                int seconds = ((Number) args.get("time")).intValue() * ("SECONDS".equals(args.get("unit")) ? 1 : 60);
                frame.deadline = System.currentTimeMillis() + seconds * 1000L;
                break;
            default:
        }
        frames.push(frame);
    }

    private void bind(Frame frame, Map<?, ?> binding) throws IOException {
        boolean ofAwsPlugin = "AmazonWebServicesCredentialsBinding".equals(binding.get("$class"));
        if (ofAwsPlugin && !awsPlugin) {
            throw new UnsupportedOperationException("no known implementation of MultiBinding is named AmazonWebServicesCredentialsBinding");
        }
        String id = (String) binding.get("credentialsId");
        Credential credential = credentials.get(id);
        if (credential == null) {
            throw new AbortException("Could not find credentials entry with ID '" + id + "'");
        }
        if (credential.ofAwsPlugin != ofAwsPlugin) {
            throw new AbortException("Credentials '" + id + "' is of type 'AWS Credentials' where "
                + "'com.cloudbees.plugins.credentials.common.StandardUsernamePasswordCredentials' was expected");
        }
        frame.variables.put((String) binding.get(ofAwsPlugin ? "accessKeyVariable" : "usernameVariable"), credential.first);
        frame.variables.put((String) binding.get(ofAwsPlugin ? "secretKeyVariable" : "passwordVariable"), credential.second);
    }

    boolean onAgent() {
        return frames.stream().anyMatch(frame -> frame.node);
    }

    Path dir() {
        return frames.stream().filter(frame -> frame.dir != null).findFirst().orElseThrow().dir;
    }

    long millisLeft() {
        long deadline = frames.stream().mapToLong(frame -> frame.deadline).min().orElse(Long.MAX_VALUE);
        return deadline == Long.MAX_VALUE ? Integer.MAX_VALUE : deadline - System.currentTimeMillis();
    }

    /** The environment a `sh` would see here; an empty value takes the variable away, as on a controller. */
    Map<String, String> environment() {
        Map<String, String> all = new TreeMap<>();
        if (onAgent()) {
            all.putAll(agent);
        }
        all.put("BUILD_NUMBER", "103");
        all.put("JOB_NAME", "serviceone");
        all.put("BUILD_URL", "https://jenkins.example/job/serviceone/103/");
        params.forEach((key, value) -> all.put(key, String.valueOf(value)));
        List<Frame> outermostFirst = new ArrayList<>(frames);
        Collections.reverse(outermostFirst);
        for (Frame frame : outermostFirst) {
            frame.variables.forEach((key, value) -> {
                if (value.isEmpty()) {
                    all.remove(key);
                } else {
                    all.put(key, value);
                }
            });
        }
        return all;
    }
}

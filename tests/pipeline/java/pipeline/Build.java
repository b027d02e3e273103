package pipeline;

import hudson.AbortException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** One build: its agent, its log, its credentials, and the blocks it stands in. None of it is saved with the program. */
public final class Build {
    private static final ThreadLocal<Build> CURRENT = new ThreadLocal<>();
    private static final ThreadLocal<Head> HEAD = new ThreadLocal<>();
    /** The resources that any build has ever locked; all builds of a controller share them. */
    private static final Map<String, Semaphore> RESOURCES = new ConcurrentHashMap<>();

    /** Who ends the processes of a step: the agent itself, a child before its parent, or `kill` in a container, all of them at once. */
    enum Killing { AGENT, CONTAINER }

    /** What a credential store holds under an id: `username:password`, or an AWS key pair of the AWS plugin's kind. */
    record Credential(boolean ofAwsPlugin, String first, String second) {}

    /** What a failure becomes on its way out of `withCredentials`, where its message holds a secret. */
    static final class Masked extends Exception {
        private static final long serialVersionUID = 1;

        Masked(String message) {
            super(message);
        }
    }

    /** What a block adds for its body. */
    private static final class Frame {
        String step;
        boolean node;
        Path dir;
        final Map<String, String> variables = new LinkedHashMap<>();
        long deadline = Long.MAX_VALUE;
        final List<Semaphore> held = new ArrayList<>();
        final Set<String> secrets = new HashSet<>();
    }

    /** Where the program has got to, one for each branch: the blocks around it, and what stops the step that it waits for. */
    private static final class Head {
        final Deque<Frame> frames;
        final Set<Frame> expired = ConcurrentHashMap.newKeySet();
        volatile CompletableFuture<Object> stop;

        Head(Deque<Frame> frames) {
            this.frames = frames;
        }
    }

    final Controller controller;
    final Path workspace;
    final Map<String, String> agent = new TreeMap<>();
    final Map<String, Object> params = new LinkedHashMap<>();
    final Map<String, Credential> credentials = new LinkedHashMap<>();
    /** Credentials of the kinds "Secret file" and "Secret text", with what they hold. */
    final Map<String, String> keyFiles = new LinkedHashMap<>();
    final Map<String, String> keyTexts = new LinkedHashMap<>();
    final long started;
    /** What a `sh` of this build meets before it runs; null for an agent that is well. */
    IOException shellFails;
    /** What a `writeFile` of this build meets. */
    IOException writeFails;
    Killing killing = Killing.AGENT;
    /** Whether `writeFile` writes where the shell does not look, as with a container that does not mount the workspace. */
    boolean hidden;
    /** What an `archiveArtifacts` of this build meets. */
    IOException archiveFails;
    /** Whether the controller has the plugin that binds AWS credentials. */
    boolean awsPlugin = true;
    /** Whether usernames are "treated as secret", as a credential may ask for. */
    boolean usernamesAreSecret;
    /** Whether it has the one that brings `lock`. */
    boolean lockPlugin = true;

    /** Every line that a browser would show, before any masking. */
    final List<String> log = Collections.synchronizedList(new ArrayList<>());
    final Map<String, Integer> counts = new ConcurrentSkipListMap<>();
    /** The text of each `sh`. */
    final List<String> shellLines = Collections.synchronizedList(new ArrayList<>());
    final List<String> rejected = Collections.synchronizedList(new ArrayList<>());
    /** The artifacts, by name. */
    final Map<String, String> archive = new ConcurrentSkipListMap<>();
    /** The names of the artifacts that the controller knows again wherever they turn up. */
    final Set<String> fingerprints = new TreeSet<>();
    /** Whether the controller is started anew between any two steps for good, and does not only read the program back. */
    boolean restarts;
    /** The names of the locks that were taken, in order. */
    final List<String> locked = new ArrayList<>();
    int saves;
    int largestSave;
    String result = "SUCCESS";
    String description;
    Throwable failure;
    Object returned;
    private final Set<Head> heads = ConcurrentHashMap.newKeySet();

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
        HEAD.set(build == null ? null : build.head(new ArrayDeque<>()));
    }

    /** A branch as a thread of its own, in the blocks of this one. */
    Thread branch(Runnable body) {
        Deque<Frame> around = new ArrayDeque<>(HEAD.get().frames);
        return new Thread(null, () -> {
            CURRENT.set(this);
            HEAD.set(head(around));
            body.run();
        }, "branch", 16 << 20);
    }

    private Head head(Deque<Frame> frames) {
        Head head = new Head(frames);
        heads.add(head);
        return head;
    }

    /** As somebody who presses the button: every step that runs now is stopped, and none that comes later. */
    void abort() {
        heads.stream().map(head -> head.stop).filter(Objects::nonNull).forEach(stop -> stop.complete(null));
    }

    /** From here on an abort reaches the step of this thread. */
    static void stoppable() {
        HEAD.get().stop = new CompletableFuture<>();
    }

    /** Waits until the process has ended; where it is to be stopped before that, tells why. */
    Interrupted stopped(Process process) throws InterruptedException, ExecutionException {
        Head head = HEAD.get();
        try {
            CompletableFuture.anyOf(process.onExit(), head.stop).get(Math.max(0, millisLeft()), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            long now = System.currentTimeMillis();
            head.frames.stream().filter(frame -> frame.deadline <= now).forEach(head.expired::add);
            say("Cancelling nested steps due to timeout");
            return new Interrupted("Timeout has been exceeded");
        } finally {
            head.stop = null;
        }
        return process.isAlive() ? new Interrupted("Aborted by somebody") : null;
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
        Frame frame = HEAD.get().frames.pop();
        current().say("[Pipeline] }");
        current().say("[Pipeline] // " + frame.step);
        synchronized (RESOURCES) {
            frame.held.forEach(Semaphore::release);
            RESOURCES.notifyAll();
        }
    }

    /** What leaves the innermost block: a failure from inside of `withCredentials` loses the secrets that are bound there. */
    public static Throwable masked(Throwable failure) {
        String message = String.valueOf(failure.getMessage());
        String clean = message;
        for (String secret : HEAD.get().frames.peek().secrets) {
            clean = clean.replace(secret, "****");
        }
        return clean.equals(message) ? failure : new Masked(clean);
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
                List<String> names = new ArrayList<>(List.of((String) args.get("resource")));
                for (Object more : (List<?>) args.getOrDefault("extra", List.of())) {
                    names.add((String) ((Map<?, ?>) more).get("resource"));
                }
                take(frame, names);
                break;
            case "timeout":
                int seconds = ((Number) args.get("time")).intValue() * ("SECONDS".equals(args.get("unit")) ? 1 : 60);
                frame.deadline = System.currentTimeMillis() + seconds * 1000L;
                break;
            default:
        }
        HEAD.get().frames.push(frame);
        say("[Pipeline] {");
    }

    /** As the plugin does: all of them at once, or none while one is taken. */
    private void take(Frame frame, List<String> names) throws InterruptedException {
        synchronized (RESOURCES) {
            List<Semaphore> all = names.stream().map(name -> RESOURCES.computeIfAbsent(name, missing -> new Semaphore(1))).toList();
            while (all.stream().anyMatch(one -> one.availablePermits() == 0)) {
                long left = millisLeft();
                if (left <= 0) {
                    throw new Interrupted("Timeout has been exceeded");
                }
                RESOURCES.wait(left);
            }
            for (Semaphore one : all) {
                if (!one.tryAcquire()) {
                    throw new IllegalStateException("a lock is asked for twice: " + names);
                }
            }
            frame.held.addAll(all);
        }
        locked.addAll(names);
    }

    private void bind(Frame frame, Map<?, ?> binding) throws IOException {
        boolean ofAwsPlugin = "AmazonWebServicesCredentialsBinding".equals(binding.get("$class"));
        if (ofAwsPlugin && !awsPlugin) {
            throw new UnsupportedOperationException("no known implementation of MultiBinding is named AmazonWebServicesCredentialsBinding");
        }
        String id = (String) binding.get("credentialsId");
        Credential credential = credentials.get(id);
        String kind = keyFiles.containsKey(id) ? "file" : keyTexts.containsKey(id) ? "string" : null;
        Object wanted = binding.get("$symbol");
        if (kind != null && kind.equals(wanted)) {
            bindKey(frame, id, (String) binding.get("variable"));
            return;
        }
        if (kind != null || credential != null && ("file".equals(wanted) || "string".equals(wanted))) {
            throw new AbortException("Credentials '" + id + "' is of type '" + (kind == null ? "Username with password" : kind.equals("file") ? "Secret file" : "Secret text")
                + "' where another one was expected");
        }
        if (credential == null) {
            throw new AbortException("Could not find credentials entry with ID '" + id + "'");
        }
        if (credential.ofAwsPlugin != ofAwsPlugin) {
            throw new AbortException("Credentials '" + id + "' is of type 'AWS Credentials' where "
                + "'com.cloudbees.plugins.credentials.common.StandardUsernamePasswordCredentials' was expected");
        }
        frame.variables.put((String) binding.get(ofAwsPlugin ? "accessKeyVariable" : "usernameVariable"), credential.first);
        frame.variables.put((String) binding.get(ofAwsPlugin ? "secretKeyVariable" : "passwordVariable"), credential.second);
        frame.secrets.add(credential.second);
        if (usernamesAreSecret) {
            frame.secrets.add(credential.first);
        }
    }

    /** As the plugins do: a file is one that only its owner may read, and where it lies is masked too. */
    private void bindKey(Frame frame, String id, String variable) throws IOException {
        String value = keyTexts.get(id);
        if (value == null) {
            Path file = Files.createDirectories(Path.of(workspace + "@tmp/secretFiles/" + java.util.UUID.randomUUID())).resolve("promotion.key");
            Files.writeString(file, keyFiles.get(id));
            Files.setPosixFilePermissions(file, java.nio.file.attribute.PosixFilePermissions.fromString("r--------"));
            value = file.toString();
        }
        frame.variables.put(variable, value);
        frame.secrets.add(value);
    }

    private static Deque<Frame> frames() {
        return HEAD.get() == null ? new ArrayDeque<>() : HEAD.get().frames;
    }

    boolean onAgent() {
        return frames().stream().anyMatch(frame -> frame.node);
    }

    Path dir() {
        return frames().stream().filter(frame -> frame.dir != null).findFirst().orElseThrow().dir;
    }

    long millisLeft() {
        Head head = HEAD.get();
        long deadline = head.frames.stream().filter(frame -> !head.expired.contains(frame)).mapToLong(frame -> frame.deadline).min().orElse(Long.MAX_VALUE);
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
        List<Frame> outermostFirst = new ArrayList<>(frames());
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

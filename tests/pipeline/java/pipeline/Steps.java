package pipeline;

import com.cloudbees.groovy.cps.Continuable;
import groovy.lang.Closure;
import groovy.lang.GString;
import hudson.AbortException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.codehaus.groovy.runtime.InvokerHelper;
import org.codehaus.groovy.runtime.InvokerInvocationException;

/** The steps of the stock Pipeline suite that the library and its example use, with the checks that a controller makes. */
final class Steps {
    /** The variable by which an agent knows the processes of a step. */
    static final String COOKIE = "JENKINS_SERVER_COOKIE";

    /** A step that suspends the program until it has been carried out. */
    record Request(String name, Map<String, Object> args) {}

    /** Name of a step, its parameters, the one that may stand alone first; `*` needs a node, `&` suspends, `{` has a body, `~` takes any name. */
    private static final Map<String, List<String>> KNOWN = Map.ofEntries(
        known("echo", "message"), known("error", "message"), known("libraryResource", "resource encoding"),
        known("sh*&", "script returnStdout returnStatus encoding label"),
        known("writeFile*&", "file text encoding"), known("fileExists*&", "file"),
        known("archiveArtifacts*&", "artifacts allowEmptyArchive fingerprint"), known("lock{", "resource extra"),
        known("node{", "label"), known("stage{", "name"), known("dir*{", "path"), known("withEnv{", "overrides"),
        known("withCredentials{", "bindings"), known("timeout{", "time unit"), known("retry{", "count"),
        known("parallel&~", "failFast"),
        known("catchError{", "buildResult stageResult message catchInterruptions"),
        known("usernamePassword=", "credentialsId usernameVariable passwordVariable"),
        known("file=", "credentialsId variable"), known("string=", "credentialsId variable"));

    private Steps() {}

    private static Map.Entry<String, List<String>> known(String step, String parameters) {
        String name = step.replaceAll("[*&{=~]", "");
        List<String> row = new ArrayList<>(List.of(step.substring(name.length())));
        row.addAll(List.of(parameters.split(" ")));
        return Map.entry(name, row);
    }

    static Object call(String name, Object[] given) {
        List<String> row = KNOWN.get(name);
        if (row == null || name.equals("lock") && !Build.current().lockPlugin) {
            throw new NoSuchMethodError("No such DSL method '" + name + "' found among steps " + KNOWN.keySet());
        }
        String kind = row.get(0);
        List<Object> rest = new ArrayList<>(List.of(given));
        Closure<?> body = null;
        if (kind.contains("{") && !rest.isEmpty() && rest.get(rest.size() - 1) instanceof Closure<?> closure) {
            body = closure;
            rest.remove(rest.size() - 1);
        }
        Map<String, Object> args = named(name, row, rest);
        if (kind.contains("=")) {
            args.put("$symbol", name);
            return args;
        }
        Build build = Build.current();
        build.counts.merge(name, 1, Integer::sum);
        build.say("[Pipeline] " + name + (args.get("label") instanceof String label && name.equals("sh") ? " (" + label + ")" : ""));
        if (kind.contains("*") && !build.onAgent()) {
            throw new IllegalStateException("Required context class hudson.FilePath is missing");
        }
        if (body != null) {
            return block(name, args, body);
        }
        if (kind.contains("&")) {
            Continuable.suspend(name, new Request(name, args));
            throw new AssertionError("a suspended program does not come back here");
        }
        return unchecked(() -> run(new Request(name, args)));
    }

    private static Object block(String name, Map<String, Object> args, Closure<?> body) {
        Object blocks = Build.current().controller.blocks;
        boolean special = name.equals("retry") || name.equals("catchError");
        try {
            return InvokerHelper.invokeMethod(blocks, special ? name : "within",
                special ? new Object[] {args, body} : new Object[] {name, args, body});
        } catch (InvokerInvocationException e) {
            throw Steps.<RuntimeException>sneaky(e.getCause());
        }
    }

    private static Map<String, Object> named(String name, List<String> row, List<Object> given) {
        Map<String, Object> args = new LinkedHashMap<>();
        if (given.size() == 1 && !(given.get(0) instanceof Map)) {
            args.put(row.get(1), flat(given.get(0)));
        } else if (given.size() == 1) {
            ((Map<?, ?>) given.get(0)).forEach((key, value) -> args.put(key.toString(), flat(value)));
        } else if (!given.isEmpty()) {
            throw new IllegalArgumentException("Expected named arguments but got " + given);
        }
        for (String key : args.keySet()) {
            if (!row.subList(1, row.size()).contains(key) && !row.get(0).contains("~")) {
                throw new IllegalArgumentException("`" + name + "` has no parameter `" + key + "`");
            }
        }
        return args;
    }

    private static Object flat(Object value) {
        if (value instanceof GString) {
            return value.toString();
        }
        if (value instanceof List<?> list) {
            List<Object> copy = new ArrayList<>();
            list.forEach(item -> copy.add(flat(item)));
            return copy;
        }
        return value;
    }

    static Object run(Request step) throws Exception {
        Build build = Build.current();
        Map<String, Object> args = step.args;
        switch (step.name) {
            case "echo":
                build.say(String.valueOf(args.get("message")));
                return null;
            case "error":
                throw new AbortException(String.valueOf(args.get("message")));
            case "parallel":
                return build.controller.branches(build, args);
            case "libraryResource":
                return resource((String) args.get("resource"), (String) args.get("encoding"));
            case "fileExists":
                return Files.exists(build.dir().resolve((String) args.get("file")));
            case "archiveArtifacts":
                archive(build, args);
                return null;
            case "writeFile":
                if (build.writeFails != null) {
                    throw build.writeFails;
                }
                Path file = build.dir().resolve(args.get("file") + (build.hidden ? ".elsewhere" : ""));
                Files.createDirectories(file.getParent());
                String text = (String) args.get("text");
                Files.write(file, "Base64".equals(args.get("encoding")) ? Base64.getDecoder().decode(text) : text.getBytes(StandardCharsets.UTF_8));
                return null;
            default:
                return sh(args);
        }
    }

    private static String resource(String name, String encoding) throws IOException {
        Path file = Build.current().controller.library.resolve("resources").resolve(name);
        if (!Files.exists(file)) {
            throw new AbortException("No such library resource " + name + " could be found.");
        }
        byte[] bytes = Files.readAllBytes(file);
        return "Base64".equals(encoding) ? Base64.getEncoder().encodeToString(bytes) : new String(bytes, StandardCharsets.UTF_8);
    }

    /** As a controller does: what the pattern finds below the folder is kept under its name there, what it does not find is told. */
    private static void archive(Build build, Map<String, Object> args) throws IOException {
        build.say("Archiving artifacts");
        if (Boolean.TRUE.equals(args.get("fingerprint"))) {
            build.say("Recording fingerprints");
        }
        if (build.archiveFails != null) {
            throw build.archiveFails;
        }
        String pattern = (String) args.get("artifacts");
        // Two stars are any number of folders, none of them too.
        Map<String, String> meanings = Map.of("**/", "(?:.*/)?", "**", ".*", "*", "[^/]*", "?", "[^/]");
        String expression = Pattern.compile("\\*\\*/?|[*?]|[^*?]+").matcher(pattern)
            .replaceAll(part -> Matcher.quoteReplacement(meanings.getOrDefault(part.group(), Pattern.quote(part.group()))));
        boolean found = false;
        for (String file : Fixture.files(build.dir())) {
            if (file.matches(expression)) {
                build.archive.put(file, Files.readString(build.dir().resolve(file)));
                if (Boolean.TRUE.equals(args.get("fingerprint"))) {
                    build.fingerprints.add(file);
                }
                found = true;
            }
        }
        if (!found && Boolean.TRUE.equals(args.get("allowEmptyArchive"))) {
            build.say("No artifacts found that match the file pattern \"" + pattern + "\". Configuration error?");
        } else if (!found) {
            throw new AbortException("No artifacts found that match the file pattern \"" + pattern + "\". Configuration error?");
        }
    }

    /**
     * As an agent does: the text goes into a file beside the workspace, and its first line says what runs it.
     *
     * And as a controller does: what ends with 0 has succeeded, also after a time-out or an abort. Any other status is
     * the failure, or the interruption where there was one.
     */
    private static Object sh(Map<String, Object> args) throws Exception {
        Build build = Build.current();
        String text = (String) args.get("script");
        build.shellLines.add(text);
        if (build.shellFails != null) {
            throw build.shellFails;
        }
        String cookie = "durable-" + UUID.randomUUID();
        Path control = Path.of(build.workspace + "@tmp", cookie);
        Files.createDirectories(control);
        Path script = control.resolve("script.sh");
        boolean wantsOutput = Boolean.TRUE.equals(args.get("returnStdout"));
        boolean wantsStatus = Boolean.TRUE.equals(args.get("returnStatus"));
        ProcessBuilder builder = new ProcessBuilder().directory(build.dir().toFile()).redirectErrorStream(!wantsOutput);
        builder.redirectInput(ProcessBuilder.Redirect.from(new java.io.File("/dev/null")));
        builder.environment().clear();
        builder.environment().putAll(build.environment());
        builder.environment().put(COOKIE, cookie);
        try {
            Build.stoppable();
            Process process = started(builder, script, text);
            Thread errors = wantsOutput ? lines(process.getErrorStream(), build) : null;
            ByteArrayOutputStream output = new ByteArrayOutputStream();
            Thread reader = wantsOutput ? bytes(process.getInputStream(), output) : lines(process.getInputStream(), build);
            Interrupted interruption = build.stopped(process);
            if (interruption != null) {
                build.say("Sending interrupt signal to process");
                kill(build.killing, cookie);
            }
            int status = process.waitFor();
            reader.join();
            if (errors != null) {
                errors.join();
            }
            if (status == 0 || wantsStatus && interruption == null) {
                return wantsStatus ? (Object) status : wantsOutput ? output.toString(StandardCharsets.UTF_8) : null;
            }
            if (wantsOutput) {
                output.toString(StandardCharsets.UTF_8).lines().forEach(build::say);
            }
            if (interruption != null) {
                build.say("script returned exit code " + status);
                throw interruption;
            }
            throw new AbortException("script returned exit code " + status);
        } finally {
            Files.deleteIfExists(script);
            Files.delete(control);
        }
    }

    /** The processes of a step, by the variable that tells them from all others, in the order in which they began. */
    static List<ProcessHandle> processes(String cookie) {
        byte[] wanted = (COOKIE + "=" + cookie).getBytes(StandardCharsets.UTF_8);
        return ProcessHandle.allProcesses().filter(process -> {
            try {
                String environment = Files.readString(Path.of("/proc/" + process.pid() + "/environ"), StandardCharsets.ISO_8859_1);
                return ("\0" + environment).contains("\0" + new String(wanted, StandardCharsets.ISO_8859_1));
            } catch (IOException gone) {
                return false;
            }
        }).sorted().toList();
    }

    private static void kill(Build.Killing way, String cookie) throws InterruptedException {
        List<ProcessHandle> all = new ArrayList<>(processes(cookie));
        if (way == Build.Killing.CONTAINER) {
            all.forEach(ProcessHandle::destroy);
            return;
        }
        // A child began after its parent.
        Collections.reverse(all);
        for (ProcessHandle process : all) {
            process.destroy();
            // As an agent looks, soon and then less often; `onExit` takes 300 ms for a process that is no child of this one.
            for (long wait = 10; process.isAlive() && wait < 5_000; wait *= 2) {
                TimeUnit.MILLISECONDS.sleep(wait);
            }
            process.destroyForcibly();
        }
    }

    /** One at a time: a process that another build starts in between would keep the script open for writing, and it could not run. */
    private static synchronized Process started(ProcessBuilder builder, Path script, String text) throws IOException {
        Files.writeString(script, text);
        boolean itself = text.startsWith("#!") && script.toFile().setExecutable(true);
        return builder.command(itself ? List.of(script.toString()) : List.of("/bin/sh", "-xe", script.toString())).start();
    }

    private static Thread lines(InputStream in, Build build) {
        return started(() -> new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().forEach(build::say));
    }

    private static Thread bytes(InputStream in, ByteArrayOutputStream out) {
        return started(() -> in.transferTo(out));
    }

    private interface Task {
        void run() throws IOException;
    }

    private static Thread started(Task task) {
        Thread thread = new Thread(() -> {
            try {
                task.run();
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        });
        thread.start();
        return thread;
    }

    private static Object unchecked(java.util.concurrent.Callable<Object> task) {
        try {
            return task.call();
        } catch (Exception e) {
            throw Steps.<RuntimeException>sneaky(e);
        }
    }

    @SuppressWarnings("unchecked")
    static <T extends Throwable> T sneaky(Throwable thrown) throws T {
        throw (T) thrown;
    }
}

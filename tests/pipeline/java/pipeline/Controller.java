package pipeline;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.CpsTransformer;
import com.cloudbees.groovy.cps.Env;
import com.cloudbees.groovy.cps.Envs;
import com.cloudbees.groovy.cps.NonCPS;
import com.cloudbees.groovy.cps.Outcome;
import com.cloudbees.groovy.cps.TransformerConfiguration;
import com.cloudbees.groovy.cps.sandbox.SandboxInvoker;
import groovy.lang.Closure;
import groovy.lang.GroovyClassLoader;
import groovy.lang.Script;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.codehaus.groovy.control.CompilerConfiguration;
import org.codehaus.groovy.control.customizers.ImportCustomizer;
import org.jboss.marshalling.AbstractClassResolver;
import org.jboss.marshalling.Marshaller;
import org.jboss.marshalling.Marshalling;
import org.jboss.marshalling.MarshallingConfiguration;
import org.jboss.marshalling.Unmarshaller;
import org.jboss.marshalling.river.RiverMarshallerFactory;

/**
 * Runs scripts with one library the way a controller does: continuation-passing, checked, saved before every step.
 *
 * More than that: after every save the program is read back and goes on from what was read, as after a restart, so a
 * value that does not survive one cannot go unnoticed.
 */
final class Controller {
    /** How much a controller trusts the library; the pipeline itself is always in the sandbox. */
    enum Library { TRUSTED, UNTRUSTED }

    /** The signatures that any run of this process has needed; written down at its end, for a list that holds no other. */
    private static final Set<String> USED = Collections.synchronizedSet(new TreeSet<>());

    static {
        Path file = Fixture.ROOT.resolve("target/pipeline/used-signatures/" + ProcessHandle.current().pid());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                Files.createDirectories(file.getParent());
                Files.write(file, USED);
            } catch (IOException e) {
                System.err.println("cannot write " + file + ": " + e);
            }
        }));
    }

    final Path library;
    final Set<String> libraryVariables;
    final Object blocks;
    private final GroovyClassLoader trusted;
    private final GroovyClassLoader loader;
    private final Library trust;

    Controller(Path library, Library trust) throws Exception {
        this.library = library;
        this.trust = trust;
        // Above the others, so that a saved program finds the class of its blocks again.
        GroovyClassLoader own = new GroovyClassLoader(Controller.class.getClassLoader(), configuration(false));
        try (var in = Controller.class.getResourceAsStream("/Blocks.groovy")) {
            blocks = own.parseClass(new String(in.readAllBytes(), StandardCharsets.UTF_8), "Blocks.groovy").getDeclaredConstructor().newInstance();
        }
        trusted = new GroovyClassLoader(own, configuration(false));
        loader = new GroovyClassLoader(trusted, configuration(true));
        (trust == Library.TRUSTED ? trusted : loader).addURL(library.resolve("vars").toUri().toURL());
        try (Stream<Path> files = Files.list(library.resolve("vars"))) {
            libraryVariables = files.map(file -> file.getFileName().toString()).filter(name -> name.endsWith(".groovy"))
                .map(name -> name.replace(".groovy", "")).collect(Collectors.toCollection(TreeSet::new));
        }
    }

    private static CompilerConfiguration configuration(boolean sandboxed) {
        CompilerConfiguration configuration = new CompilerConfiguration();
        ImportCustomizer imports = new ImportCustomizer();
        imports.addStarImports(NonCPS.class.getPackage().getName());
        configuration.addCompilationCustomizers(imports);
        CpsTransformer transformer = sandboxed ? new SandboxedCps() : new CpsTransformer();
        transformer.setConfiguration(new TransformerConfiguration());
        configuration.addCompilationCustomizers(transformer);
        configuration.setScriptBaseClass(PipelineScript.class.getName());
        return configuration;
    }

    /** Whether the class came out of a script, the library's included. */
    boolean compiled(Class<?> type) {
        for (ClassLoader at = type.getClassLoader(); at != null; at = at.getParent()) {
            if (at == loader || at == trusted) {
                return true;
            }
        }
        return false;
    }

    Object libraryVariable(String name) {
        try {
            return loader.loadClass(name).getDeclaredConstructor().newInstance();
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Runs a script to its end; how it went is in the build. */
    Build run(Build build, String text) {
        Build.enter(build);
        Thread.currentThread().setContextClassLoader(loader);
        Sandbox sandbox = new Sandbox(this, USED);
        sandbox.register();
        try {
            forget();
            // A controller gives the annotation a meaning of its own before Groovy sees it.
            Class<?> type = loader.parseClass(text.replaceAll("(?m)^@Library\\([^)]*\\)\\s*_\\s*$", ""), "WorkflowScript" + System.nanoTime() + ".groovy");
            Script script = (Script) type.getDeclaredConstructor().newInstance();
            Env env = Envs.empty(new SandboxInvoker());
            Outcome end = drive(build, new Continuable(script, env));
            build.returned = end.getNormal();
            build.failure = end.getAbnormal();
        } catch (Throwable e) {
            build.failure = e;
        } finally {
            sandbox.unregister();
            Build.enter(null);
        }
        if (build.failure != null) {
            build.result = build.failure instanceof Interrupted ? "ABORTED" : "FAILURE";
            Build.enter(build);
            Build.say(build.failure);
            Build.enter(null);
        }
        return build;
    }

    /** Runs each branch to its end; the first one to fail is what fails, and with `failFast` it stops what runs in the others. */
    Map<String, Object> branches(Build build, Map<String, Object> args) throws Exception {
        Map<String, Object> results = Collections.synchronizedMap(new LinkedHashMap<>());
        Queue<Throwable> failures = new ConcurrentLinkedQueue<>();
        List<Thread> threads = new ArrayList<>();
        args.forEach((name, body) -> {
            if (body instanceof Closure<?>) {
                threads.add(build.branch(() -> {
                    try {
                        results.put(name, branch(build, body));
                    } catch (Throwable failure) {
                        failures.add(failure);
                        if (Boolean.TRUE.equals(args.get("failFast"))) {
                            build.abort();
                        }
                    }
                }));
            }
        });
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        if (!failures.isEmpty()) {
            throw Steps.<RuntimeException>sneaky(failures.peek());
        }
        return new LinkedHashMap<>(results);
    }

    private Object branch(Build build, Object body) throws Throwable {
        Thread.currentThread().setContextClassLoader(loader);
        Sandbox sandbox = new Sandbox(this, USED);
        sandbox.register();
        try {
            Script script = (Script) trusted.parseClass("body.call()", "Branch" + System.nanoTime() + ".groovy").getDeclaredConstructor().newInstance();
            script.getBinding().setVariable("body", body);
            Outcome end = drive(build, new Continuable(script, Envs.empty(new SandboxInvoker())));
            if (end.getAbnormal() != null) {
                throw end.getAbnormal();
            }
            return end.getNormal();
        } finally {
            sandbox.unregister();
        }
    }

    private Outcome drive(Build build, Continuable program) throws Exception {
        Outcome next = new Outcome(null, null);
        Continuable at = program;
        while (true) {
            Outcome out = at.run0(next);
            if (!at.isResumable()) {
                return out;
            }
            Steps.Request step = (Steps.Request) out.getNormal();
            at = restarted(build, at);
            try {
                next = new Outcome(Steps.run(step), null);
            } catch (Exception e) {
                next = new Outcome(null, e);
            }
        }
    }

    /** Empties what the classes of the library keep: each build has classes of its own, and so has what is left after a restart. */
    private void forget() throws ReflectiveOperationException {
        for (String variable : libraryVariables) {
            for (Field field : loader.loadClass(variable).getDeclaredFields()) {
                if (Modifier.isStatic(field.getModifiers()) && field.getType() == Map.class) {
                    field.setAccessible(true);
                    ((Map<?, ?>) field.get(null)).clear();
                }
            }
        }
    }

    /** The program as it is after a restart of the controller. */
    private Continuable restarted(Build build, Continuable program) throws IOException, ReflectiveOperationException {
        if (build.restarts) {
            forget();
        }
        MarshallingConfiguration settings = new MarshallingConfiguration();
        settings.setClassResolver(new AbstractClassResolver(true) {
            @Override
            protected ClassLoader getClassLoader() {
                return loader;
            }
        });
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        RiverMarshallerFactory river = new RiverMarshallerFactory();
        try (Marshaller marshaller = river.createMarshaller(settings)) {
            marshaller.start(Marshalling.createByteOutput(bytes));
            marshaller.writeObject(program);
            marshaller.finish();
        }
        build.saves++;
        build.largestSave = Math.max(build.largestSave, bytes.size());
        try (Unmarshaller unmarshaller = river.createUnmarshaller(settings)) {
            unmarshaller.start(Marshalling.createByteInput(new ByteArrayInputStream(bytes.toByteArray())));
            Continuable read = (Continuable) unmarshaller.readObject();
            unmarshaller.finish();
            return read;
        }
    }
}

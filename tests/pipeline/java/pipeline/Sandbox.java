package pipeline;

import com.cloudbees.groovy.cps.Continuable;
import groovy.lang.Closure;
import groovy.lang.GString;
import groovy.lang.Script;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.codehaus.groovy.runtime.DateGroovyMethods;
import org.codehaus.groovy.runtime.DefaultGroovyMethods;
import org.codehaus.groovy.runtime.EncodingGroovyMethods;
import org.codehaus.groovy.runtime.GStringImpl;
import org.codehaus.groovy.runtime.IOGroovyMethods;
import org.codehaus.groovy.runtime.ProcessGroovyMethods;
import org.codehaus.groovy.runtime.ResourceGroovyMethods;
import org.codehaus.groovy.runtime.ScriptBytecodeAdapter;
import org.codehaus.groovy.runtime.StringGroovyMethods;
import org.kohsuke.groovy.sandbox.GroovyInterceptor;

/**
 * Lets a script call its own code, the steps, and the signatures in permitted-signatures.txt; anything else is rejected.
 *
 * The list is written in the words of Jenkins's script-security plugin and is shorter than what that plugin permits,
 * so what passes here needs no approval there.
 */
final class Sandbox extends GroovyInterceptor {
    /** Where Groovy keeps the methods that it adds to Java's classes, in the order in which they are asked. */
    private static final List<Class<?>> ADDED = List.of(DefaultGroovyMethods.class, StringGroovyMethods.class, EncodingGroovyMethods.class,
        IOGroovyMethods.class, ResourceGroovyMethods.class, DateGroovyMethods.class, ProcessGroovyMethods.class);
    private static final Set<String> ARITHMETIC = Set.of("plus", "minus", "multiply", "div", "compareTo", "mod", "negative", "next", "previous");

    /** The methods of a class by name: each call of a script asks for some, and Java would hand out a copy of them all. */
    private static final ClassValue<Map<String, List<Method>>> METHODS = byName(Class::getMethods);
    private static final ClassValue<Map<String, List<Method>>> DECLARED = byName(Class::getDeclaredMethods);

    private final Set<String> permitted = new HashSet<>();
    private final Set<String> used;
    private final Controller controller;

    Sandbox(Controller controller, Set<String> used) {
        this.controller = controller;
        this.used = used;
        permitted.addAll(list());
    }

    /** The lines of the list, comments left out. */
    static Set<String> list() {
        try (InputStream in = Sandbox.class.getResourceAsStream("/permitted-signatures.txt")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().map(String::trim)
                .filter(line -> !line.isEmpty() && !line.startsWith("#")).collect(Collectors.toCollection(TreeSet::new));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Override
    public Object onMethodCall(Invoker invoker, Object receiver, String name, Object... args) throws Throwable {
        if (receiver != null && !(receiver instanceof Number && args.length <= 1 && ARITHMETIC.contains(name) && Arrays.stream(args).allMatch(Number.class::isInstance))) {
            check(receiver, name, args);
        }
        return super.onMethodCall(invoker, receiver, name, args);
    }

    private void check(Object receiver, String name, Object[] args) {
        if (receiver instanceof Script && name.equals("invokeMethod") || receiver instanceof Globals.CurrentBuild) {
            return; // How compiled code asks a script for a step; what a controller marks as permitted itself.
        }
        List<Method> own = applicable(METHODS, receiver.getClass(), name, args, false);
        if (ownCode(receiver) && !own.isEmpty() && own.stream().allMatch(method -> isOwn(method.getDeclaringClass()))) {
            return;
        }
        if (receiver instanceof Closure && (name.equals("call") || name.equals("doCall"))) {
            return;
        }
        for (Method method : own) {
            if (!isOwn(method.getDeclaringClass())) {
                require(signaturesOf(receiver.getClass(), method));
                return;
            }
        }
        Object[] withReceiver = new Object[args.length + 1];
        withReceiver[0] = receiver;
        System.arraycopy(args, 0, withReceiver, 1, args.length);
        List<String> addedByGroovy = new ArrayList<>();
        for (Class<?> added : ADDED) {
            applicable(METHODS, added, name, withReceiver, true).stream().findFirst().ifPresent(method -> addedByGroovy.add("staticMethod " + text(method)));
        }
        if (!addedByGroovy.isEmpty()) {
            require(addedByGroovy);
            return;
        }
        if (receiver instanceof Script || receiver instanceof Globals.Env) {
            return; // A step or a variable of the library.
        }
        throw reject("unclassified method " + receiver.getClass().getName() + " " + name + " " + types(args));
    }

    @Override
    public Object onStaticCall(Invoker invoker, Class receiver, String name, Object... args) throws Throwable {
        boolean ours = isOwn(receiver) && !applicable(DECLARED, receiver, name, args, true).isEmpty();
        // How compiled CPS code makes a String of a GString; script-security lets it through as well.
        boolean cast = receiver == ScriptBytecodeAdapter.class && name.equals("asType");
        if (!ours && !cast) {
            List<Method> found = applicable(METHODS, receiver, name, args, true);
            if (found.isEmpty()) {
                throw reject("unclassified staticMethod " + receiver.getName() + " " + name + " " + types(args));
            }
            require(List.of("staticMethod " + text(original(found.get(0)))));
        }
        return super.onStaticCall(invoker, receiver, name, args);
    }

    @Override
    public Object onNewInstance(Invoker invoker, Class type, Object... args) throws Throwable {
        if (!isOwn(type) && type != GStringImpl.class) {
            List<String> signatures = new ArrayList<>();
            for (Constructor<?> constructor : type.getConstructors()) {
                if (fits(constructor.getParameterTypes(), args)) {
                    signatures.add("new " + (type.getName() + " " + parameters(constructor)).trim());
                }
            }
            require(signatures);
        }
        return super.onNewInstance(invoker, type, args);
    }

    @Override
    public Object onSuperCall(Invoker invoker, Class sender, Object receiver, String name, Object... args) throws Throwable {
        throw reject("super call " + name);
    }

    @Override
    public void onSuperConstructor(Invoker invoker, Class receiver, Object... args) throws Throwable {
        if (!Script.class.isAssignableFrom(receiver)) {
            throw reject("super constructor of " + receiver.getName());
        }
    }

    @Override
    public Object onGetProperty(Invoker invoker, Object receiver, String name) throws Throwable {
        if (receiver instanceof Class<?> type) {
            requireField(type, name);
        } else if (receiver instanceof Map) {
            require(List.of("method java.util.Map get java.lang.Object"));
        } else if (receiver != null && !ownCode(receiver) && !(receiver instanceof Globals.CurrentBuild) && !(receiver instanceof Closure) && !(receiver instanceof Globals.Env)) {
            String tail = name.substring(0, 1).toUpperCase(java.util.Locale.ROOT) + name.substring(1);
            List<Method> getters = new ArrayList<>(applicable(METHODS, receiver.getClass(), "get" + tail, new Object[0], false));
            getters.addAll(applicable(METHODS, receiver.getClass(), "is" + tail, new Object[0], false));
            if (getters.isEmpty()) {
                throw reject("unclassified field " + receiver.getClass().getName() + " " + name);
            }
            require(signaturesOf(receiver.getClass(), getters.get(0)));
        }
        return super.onGetProperty(invoker, receiver, name);
    }

    private void requireField(Class<?> type, String name) {
        if (!isOwn(type)) {
            require(Arrays.stream(type.getFields()).filter(field -> field.getName().equals(name))
                .map(field -> "staticField " + field.getDeclaringClass().getName() + " " + name).toList());
        }
    }

    @Override
    public Object onSetProperty(Invoker invoker, Object receiver, String name, Object value) throws Throwable {
        if (receiver instanceof Map) {
            require(List.of("method java.util.Map put java.lang.Object java.lang.Object"));
        } else if (!ownCode(receiver) && !(receiver instanceof Globals.CurrentBuild)) {
            throw reject("set property " + receiver.getClass().getName() + " " + name);
        }
        return super.onSetProperty(invoker, receiver, name, value);
    }

    @Override
    public Object onGetAttribute(Invoker invoker, Object receiver, String name) throws Throwable {
        throw reject("attribute " + name);
    }

    @Override
    public Object onSetAttribute(Invoker invoker, Object receiver, String name, Object value) throws Throwable {
        throw reject("attribute " + name);
    }

    @Override
    public Object onGetArray(Invoker invoker, Object receiver, Object index) throws Throwable {
        check(receiver, "getAt", new Object[] {index});
        return super.onGetArray(invoker, receiver, index);
    }

    @Override
    public Object onSetArray(Invoker invoker, Object receiver, Object index, Object value) throws Throwable {
        check(receiver, "putAt", new Object[] {index, value});
        return super.onSetArray(invoker, receiver, index, value);
    }

    private boolean ownCode(Object receiver) {
        return isOwn(receiver.getClass());
    }

    private boolean isOwn(Class<?> type) {
        return controller.compiled(type);
    }

    private void require(List<String> signatures) {
        for (String signature : signatures) {
            if (permitted.contains(signature)) {
                used.add(signature);
                return;
            }
        }
        throw reject(signatures.isEmpty() ? "nothing that fits" : signatures.get(0));
    }

    private SecurityException reject(String signature) {
        Build.current().rejected.add(signature);
        return new SecurityException("Scripts not permitted to use " + signature);
    }

    /** The method as each class and interface above declares it, the way the list may name it. */
    private static List<String> signaturesOf(Class<?> type, Method method) {
        Set<String> all = new LinkedHashSet<>();
        if (method.getName().equals("compareTo")) {
            all.add("method java.lang.Comparable compareTo java.lang.Object");
        }
        for (Class<?> above : above(type, new LinkedHashSet<>())) {
            for (Method declared : DECLARED.get(above).getOrDefault(method.getName(), List.of())) {
                if (Arrays.equals(declared.getParameterTypes(), method.getParameterTypes())) {
                    all.add((Modifier.isStatic(declared.getModifiers()) ? "staticMethod " : "method ") + text(declared));
                }
            }
        }
        return new ArrayList<>(all);
    }

    private static Set<Class<?>> above(Class<?> type, Set<Class<?>> all) {
        if (type != null && all.add(type)) {
            above(type.getSuperclass(), all);
            for (Class<?> implemented : type.getInterfaces()) {
                above(implemented, all);
            }
        }
        return all;
    }

    /** `CpsDefaultGroovyMethods.$each__…` does the work of `DefaultGroovyMethods.each`, and that is what a list names. */
    private static Method original(Method method) {
        if (!Continuable.categories.contains(method.getDeclaringClass())) {
            return method;
        }
        String name = method.getName().startsWith("$") ? method.getName().substring(1).replaceFirst("__.*$", "") : method.getName();
        try {
            Class<?> type = Class.forName("org.codehaus.groovy.runtime." + method.getDeclaringClass().getSimpleName().substring("Cps".length()));
            return type.getMethod(name, method.getParameterTypes());
        } catch (ReflectiveOperationException e) {
            return method;
        }
    }

    private static ClassValue<Map<String, List<Method>>> byName(Function<Class<?>, Method[]> methods) {
        return new ClassValue<>() {
            @Override
            protected Map<String, List<Method>> computeValue(Class<?> type) {
                return Arrays.stream(methods.apply(type)).collect(Collectors.groupingBy(Method::getName));
            }
        };
    }

    /** Methods that take these arguments, the closest first. */
    private static List<Method> applicable(ClassValue<Map<String, List<Method>>> methods, Class<?> type, String name, Object[] args, boolean ofClass) {
        List<Method> found = new ArrayList<>();
        for (Method method : methods.get(type).getOrDefault(name, List.of())) {
            if ((!ofClass || Modifier.isStatic(method.getModifiers())) && fits(method.getParameterTypes(), args)
                && Modifier.isPublic(method.getModifiers()) | ofClass) {
                found.add(method);
            }
        }
        found.sort((a, b) -> closer(a, b) ? -1 : closer(b, a) ? 1 : a.toString().compareTo(b.toString()));
        return found;
    }

    private static boolean closer(Method a, Method b) {
        Class<?>[] of = a.getParameterTypes();
        Class<?>[] than = b.getParameterTypes();
        boolean all = of.length == than.length;
        for (int i = 0; all && i < of.length; i++) {
            all = than[i].isAssignableFrom(of[i]);
        }
        return all && !Arrays.equals(of, than);
    }

    private static boolean fits(Class<?>[] parameters, Object[] args) {
        if (parameters.length != args.length) {
            return false;
        }
        for (int i = 0; i < args.length; i++) {
            Class<?> type = boxed(parameters[i]);
            boolean text = type == String.class && args[i] instanceof GString;
            if (args[i] != null && !type.isInstance(args[i]) && !text) {
                return false;
            }
        }
        return true;
    }

    private static Class<?> boxed(Class<?> type) {
        return type == int.class ? Integer.class : type == long.class ? Long.class : type == boolean.class ? Boolean.class
            : type == char.class ? Character.class : type;
    }

    private static String text(Method method) {
        return (method.getDeclaringClass().getName() + " " + method.getName() + " " + parameters(method)).trim();
    }

    private static String parameters(Executable executable) {
        return Arrays.stream(executable.getParameterTypes()).map(Class::getCanonicalName).collect(Collectors.joining(" "));
    }

    private static String types(Object[] args) {
        return Arrays.stream(args).map(arg -> arg == null ? "null" : arg.getClass().getName()).collect(Collectors.joining(" "));
    }
}

package pipeline;

import com.cloudbees.groovy.cps.SerializableScript;
import groovy.lang.MissingPropertyException;
import org.codehaus.groovy.runtime.InvokerHelper;
import org.codehaus.groovy.runtime.InvokerInvocationException;

/** The base class of a Jenkinsfile and of every file in vars: a name is a variable, else a global, else a step. */
public abstract class PipelineScript extends SerializableScript {
    private static final long serialVersionUID = 1;

    @Override
    public final Object invokeMethod(String name, Object args) {
        Object global = global(name);
        if (global == null) {
            return Steps.call(name, (Object[]) args);
        }
        if (InvokerHelper.getMetaClass(global).respondsTo(global, "call", (Object[]) args).isEmpty()) {
            // What a controller puts on the page where an administrator approves of signatures.
            Build.current().rejected.add("method groovy.lang.GroovyObject invokeMethod java.lang.String java.lang.Object");
        }
        try {
            return InvokerHelper.getMetaClass(global).invokeMethod(global, "call", args);
        } catch (Exception e) {
            throw new InvokerInvocationException(e);
        }
    }

    @Override
    public Object getProperty(String name) {
        try {
            return super.getProperty(name);
        } catch (MissingPropertyException missing) {
            Object global = global(name);
            Object value = global == null ? Build.current().environment().get(name) : global;
            if (value == null) {
                throw missing;
            }
            return value;
        }
    }

    /** As on a controller, each script has an instance of its own of each variable of the library. */
    private Object global(String name) {
        Build build = Build.current();
        switch (name) {
            case "env":
                return Globals.ENV;
            case "params":
                return build.params;
            case "currentBuild":
                return Globals.CURRENT_BUILD;
            default:
        }
        if (!build.controller.libraryVariables.contains(name)) {
            return null;
        }
        if (!getBinding().hasVariable(name)) {
            getBinding().setVariable(name, build.controller.libraryVariable(name));
        }
        return getBinding().getVariable(name);
    }
}

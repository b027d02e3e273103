package pipeline;

import groovy.lang.GroovyObjectSupport;
import java.io.Serializable;

/** The global variables, of which only the name is saved with a program. */
final class Globals {
    static final Env ENV = new Env();
    static final CurrentBuild CURRENT_BUILD = new CurrentBuild();

    private Globals() {}

    /** `env`. */
    public static final class Env extends GroovyObjectSupport implements Serializable {
        private static final long serialVersionUID = 1;

        @Override
        public Object getProperty(String name) {
            return Build.current().environment().get(name);
        }

        private Object readResolve() {
            return ENV;
        }
    }

    /** `currentBuild`, as much of it as a program may read. */
    public static final class CurrentBuild implements Serializable {
        private static final long serialVersionUID = 1;

        public long getStartTimeInMillis() {
            return Build.current().started;
        }

        public String getCurrentResult() {
            return Build.current().result;
        }

        public void setDescription(String text) {
            Build.current().description = text;
        }

        private Object readResolve() {
            return CURRENT_BUILD;
        }
    }
}

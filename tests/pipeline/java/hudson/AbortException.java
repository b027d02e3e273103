package hudson;

/** Stands in for the controller's class of this name: a failure that is told by its message alone. */
public class AbortException extends java.io.IOException {
    private static final long serialVersionUID = 1;

    public AbortException(String message) {
        super(message);
    }
}

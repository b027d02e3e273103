package pipeline;

/** What a time-out or an abort throws into the program; like the controller's, it is no IOException. */
public class Interrupted extends InterruptedException {
    private static final long serialVersionUID = 1;

    Interrupted(String message) {
        super(message);
    }
}

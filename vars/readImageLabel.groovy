/** Reads one label of an image, without pulling it. See readImageLabel.txt. */
Object call(Map args = [:]) {
    // The program reads all labels where none is named; here one must be.
    return tagwright.only('value', command: 'labels', args: [label: null] + args)
}

/** Arguments by place: an error that shows how to name them. */
Object call(Object place, Object[] more = null) {
    return tagwright.byPlace('readImageLabel', "image: 'acme/serviceone:latest', label: 'git_revision'")
}

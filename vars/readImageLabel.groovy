/** Reads one label of an image, without pulling it. See readImageLabel.txt. */
Object call(Map args = [:]) {
    // The program reads all labels where none is named; here one must be.
    return tagwright.only('value', command: 'labels', args: [label: null] + args)
}

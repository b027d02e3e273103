/** Reads all labels of an image, without pulling it. See readImageLabels.txt. */
Map call(Map args = [:]) {
    return tagwright(command: 'labels', args: args)
}

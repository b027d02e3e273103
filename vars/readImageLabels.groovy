/** Reads all labels of an image, without pulling it. See readImageLabels.txt. */
Map call(Map args = [:]) {
    return tagwright.only('labels', command: 'labels', args: args)
}

/** Arguments by place: an error that shows how to name them. */
Object call(Object place, Object[] more = null) {
    return tagwright.byPlace('readImageLabels', "image: 'acme/serviceone:latest'")
}

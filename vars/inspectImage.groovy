/** Tells what a tag is: its digest, version, other names and platforms. See inspectImage.txt. */
Map call(Map args = [:]) {
    return tagwright(command: 'inspect', args: args)
}

/** Arguments by place: an error that shows how to name them. */
Object call(Object place, Object[] more = null) {
    return tagwright.byPlace('inspectImage', "image: 'acme/serviceone:latest'")
}

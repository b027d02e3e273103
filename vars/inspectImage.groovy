/** Tells what a tag is: its digest, version, other names and platforms. See inspectImage.txt. */
Map call(Map args = [:]) {
    return tagwright(command: 'inspect', args: args)
}

/** Finds the tag whose version has a given build number. See findImageTag.txt. */
Object call(Map args = [:]) {
    return tagwright.only('tag', command: 'find-tag', args: args)
}

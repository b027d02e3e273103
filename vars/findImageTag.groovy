/** Finds the tag whose version has a given build number. See findImageTag.txt. */
Object call(Map args = [:]) {
    return tagwright.only('tag', command: 'find-tag', args: (args ?: [:]) + [noDigest: true])
}

/** Arguments by place: an error that shows how to name them. */
Object call(Object place, Object[] more = null) {
    return tagwright.byPlace('findImageTag', "repository: 'acme/serviceone', build: 103")
}

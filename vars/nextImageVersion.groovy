/** Makes the next version from the week of the build and its number. See nextImageVersion.txt. */
Object call(Map args = [:]) {
    // By the start of the build and not by the clock, so that two calls in one build agree.
    String millis = '' + currentBuild.startTimeInMillis
    return tagwright.only('version', command: 'next-version', args: [at: '@' + millis.substring(0, millis.length() - 3)] + args)
}

/** Arguments by place: an error that shows how to name them. */
Object call(Object place, Object[] more = null) {
    return tagwright.byPlace('nextImageVersion', "build: 103, repository: 'acme/serviceone'")
}

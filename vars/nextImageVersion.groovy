/** Makes the next version from the week of the build and its number. See nextImageVersion.txt. */
Object call(Map args = [:]) {
    // By the start of the build and not by the clock, so that two calls in one build agree.
    String millis = '' + currentBuild.startTimeInMillis
    return tagwright.only('version', command: 'next-version', args: [at: '@' + millis.substring(0, millis.length() - 3)] + args)
}

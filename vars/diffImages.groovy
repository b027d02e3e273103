/** Tells what changes from one image to another, without pulling either. See diffImages.txt. */
Map call(Map args = [:]) {
    return tagwright(command: 'diff', args: args)
}

/** Arguments by place: an error that shows how to name them. */
Object call(Object place, Object[] more = null) {
    return tagwright.byPlace('diffImages', "from: 'acme/serviceone:latest', to: 'acme/serviceone:2026.34.103'")
}

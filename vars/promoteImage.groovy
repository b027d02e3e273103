/** Gives an existing image more tags, where it is or in other repositories, without pulling it. See promoteImage.txt. */
Map call(Map args = [:]) {
    return tagwright.recorded(command: 'promote', args: args)
}

/** Arguments by place: an error that shows how to name them. */
Object call(Object place, Object[] more = null) {
    return tagwright.byPlace('promoteImage', "repository: 'acme/serviceone', build: 103")
}

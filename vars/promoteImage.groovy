/** Gives an existing image more tags inside its registry, without pulling it. See promoteImage.txt. */
Map call(Map args = [:]) {
    return tagwright(command: 'promote', args: args)
}

/** Puts every tag that a promotion moved back to where it was. See rollbackPromotion.txt. */
Map call(Map args = [:]) {
    return tagwright(command: 'rollback', args: args)
}

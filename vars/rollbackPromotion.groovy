/** Puts every tag that a promotion moved back to where it was. See rollbackPromotion.txt. */
Map call(Map args = [:]) {
    return tagwright(command: 'rollback', args: args)
}

/** Arguments by place: an error that shows how to name them. */
Object call(Object place, Object[] more = null) {
    return tagwright.byPlace('rollbackPromotion', "record: promoted.record")
}

/** Lists the promotions that are recorded beside an image in its registry. See imageHistory.txt. */
Object call(Map args = [:]) {
    return tagwright.only('records', command: 'history', args: args)
}

/** Arguments by place: an error that shows how to name them. */
Object call(Object place, Object[] more = null) {
    return tagwright.byPlace('imageHistory', "repository: 'acme/serviceone'")
}

/** Lists the promotions that are recorded beside an image in its registry. See imageHistory.txt. */
Object call(Map args = [:]) {
    return tagwright.only('records', command: 'history', args: args)
}

/** Tells what is on the moving tags of repositories, and archives a page that shows it. See releaseBoard.txt. */
Map call(Map args = [:]) {
    Map request = tagwright.prepared([command: 'board', args: [html: 'tagwright/board'] + args], ['archive'])
    Object board = tagwright.answered(request)
    if (request.answer.ok && !(request.own.archive == false)) {
        tagwright.archived('the page of the board', tagwright.artifact('' + request.body.args.html + '/**'), true)
    }
    return board
}

/** Arguments by place: an error that shows how to name them. */
Object call(Object place, Object[] more = null) {
    return tagwright.byPlace('releaseBoard', "repositories: ['acme/serviceone', 'acme/servicetwo']")
}

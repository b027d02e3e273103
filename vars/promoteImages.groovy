/** Promotes several images as one: all are planned, and refused, before the first is written. See promoteImages.txt. */
Map call(Map args = [:]) {
    return tagwright.recorded(command: 'release', args: args)
}

/** Arguments by place: an error that shows how to name them. */
Object call(Object place, Object[] more = null) {
    return tagwright.byPlace('promoteImages', "images: [[image: 'acme/serviceone:2026.34.103'], [image: 'acme/servicetwo:2026.34.57']]")
}

// The steps that have a body. A body may suspend the program anywhere, so these too are CPS code; they are trusted.
package pipeline

class Blocks implements Serializable {
  def within(String step, Map args, Closure body) {
    Build.open(step, args)
    try {
      return body()
    } catch (Throwable failure) {
      throw Build.masked(failure)
    } finally {
      Build.close()
    }
  }

  def retry(Map args, Closure body) {
    int tries = 0
    while (true) {
      tries++
      try {
        return within('retry', args, body)
      } catch (Throwable failure) {
        if (tries >= args.count || Build.interrupted(failure)) { throw failure }
        Build.say(failure)
      }
    }
  }

  def catchError(Map args, Closure body) {
    try {
      within('catchError', args, body)
    } catch (Throwable failure) {
      if (Build.interrupted(failure) && args.catchInterruptions == false) { throw failure }
      Build.say(failure)
      Build.worsen(args.buildResult ?: 'FAILURE')
    }
    return null
  }
}

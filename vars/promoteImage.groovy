import com.cloudbees.groovy.cps.NonCPS

/** Gives an existing image more tags, where it is or in another repository, without pulling it. See promoteImage.txt. */
Map call(Map args = [:]) {
    Map request = tagwright.prepared([command: 'promote', args: args], ['lock', 'archiveRecord'])
    Map record = recordOf(request)
    String name = lockOf(request)
    boolean began = false
    Object result = null
    try {
        if (name) {
            lock(resource: name) {
                began = true
                result = tagwright.answered(request)
            }
        } else {
            began = true
            result = tagwright.answered(request)
        }
    } catch (NoSuchMethodError withoutPlugin) {
        if (began) {
            throw withoutPlugin
        }
        request.problem = tagwright.problem('lock-unavailable', 'this controller has no step `lock`', 'install the plugin Lockable Resources, or leave `lock` out')
        result = tagwright.answered(request)
    } finally {
        if (began && record) {
            archive(record, written(request.answer))
        }
    }
    return result
}

/** Arguments by place: an error that shows how to name them. */
Object call(Object place, Object[] more = null) {
    return tagwright.byPlace('promoteImage', "repository: 'acme/serviceone', build: 103")
}

/** Hands the record to the controller. Trouble with that is told and changes nothing: what was promoted stays promoted. */
private void archive(Map record, Boolean written) {
    try {
        if (written == false || written == null && !fileExists(record.probe)) {
            return
        }
        if (record.folder) {
            dir(record.folder) {
                archiveArtifacts(artifacts: record.pattern, allowEmptyArchive: true, fingerprint: true)
            }
        } else {
            archiveArtifacts(artifacts: record.pattern, allowEmptyArchive: true, fingerprint: true)
        }
    } catch (IOException | RuntimeException trouble) {
        echo('tagwright: the record of this promotion is not among the artifacts of the build: ' + trouble.message)
    }
}

/** Whether the program wrote the record, which a dry run only shows; null where it did not come to tell, as after an abort. */
@NonCPS
private static Boolean written(Map answer) {
    if (answer == null || answer.error?.code == 'helper-damaged') {
        return null
    }
    Map told = answer.ok ? answer.result : answer.error
    return told.record != null && told.dryRun != true
}

/** Where the record goes, which is given to the program, and how to archive it; null where there is none to archive. */
@NonCPS
private static Map recordOf(Map request) {
    Map args = request.body.args
    if (request.problem || request.own.archiveRecord == false) {
        return null
    }
    if (!args.containsKey('record') && args.dryRun != true) {
        // The program fills in what only it knows. The moment keeps this record apart from every other one in the workspace.
        args.put('record', 'tagwright/{repository}/{digest}-' + new Date().format("yyyyMMdd'T'HHmmss.SSS'Z'", TimeZone.getTimeZone('UTC')) + '.jsonl')
    }
    if (!(args.record instanceof String) || args.record.trim().isEmpty()) {
        return null
    }
    String file = args.record.startsWith('./') ? args.record.substring(2) : args.record
    int open = file.indexOf('{')
    int name = (open < 0 ? file : file.substring(0, open)).lastIndexOf('/') + 1
    // A pattern reaches down from where the step runs, and nowhere else.
    boolean outside = file.startsWith('/') || file.startsWith('../') || file.contains('/../')
    String pattern = outside ? file.substring(name) : file
    return [folder: outside ? file.substring(0, name) : null, probe: open < 0 ? file : file.substring(0, name) ?: '.',
        pattern: pattern.replace('{repository}', '**/*').replace('{digest}', '*').replace(',', '?')]
}

/** The lock of `lock: true` is named after the repository that the tags go to, written whole, so that every spelling means the same. */
@NonCPS
private static String lockOf(Map request) {
    Object wanted = request.own.lock
    if (request.problem || wanted != true) {
        return request.problem || wanted == false ? null : wanted
    }
    Map args = request.body.args
    Object target = args.into ?: args.repository ?: args.image ?: args.reference
    if (!(target instanceof String)) {
        return null
    }
    String repository = target.contains('@') ? target.substring(0, target.indexOf('@')) : target
    if (repository.lastIndexOf(':') > repository.lastIndexOf('/')) {
        repository = repository.substring(0, repository.lastIndexOf(':'))
    }
    int slash = repository.indexOf('/')
    String first = slash < 0 ? '' : repository.substring(0, slash)
    boolean hub = !first.contains('.') && !first.contains(':') && first != 'localhost'
    String path = hub ? repository : repository.substring(slash + 1)
    String registry = hub || first in ['index.docker.io', 'registry-1.docker.io'] ? 'docker.io' : first
    return 'tagwright/' + registry + '/' + (registry == 'docker.io' && !path.contains('/') ? 'library/' : '') + path
}

import com.cloudbees.groovy.cps.NonCPS
import groovy.json.JsonException
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import groovy.transform.Field

/** The texts that every call needs, by name. A controller loads the classes of a library anew for each build. */
@Field private static final Map KEPT = [:]

/** Runs one command of the tagwright program on the agent and returns its result. See tagwright.txt. */
Object call(Map args = [:]) {
    return answered(prepared(args, []))
}

/** Arguments by place: an error that shows how to name them. */
Object call(Object place, Object[] more = null) {
    return byPlace('tagwright', "command: 'tags', args: [repository: 'acme/serviceone']")
}

/** The same for every step. Without it a controller asks its administrator to approve such a call. */
Object byPlace(String step, String example) {
    error(problem('request-invalid', '`' + step + '` takes its arguments by name', 'write `' + step + '(' + example + ')`').error.text)
}

/** What the steps call that return one value of the result: `tagwright.only('tag', command: 'find-tag', args: args)`. */
Object only(Map args, String key) {
    return answered(prepared(args, []), key)
}

// A step that does more than run a command calls these two, with whatever it does in between.

/** The caller's map, checked: `own` has the keys of the steps, those in `further` among them, `body` what the program is asked. */
Map prepared(Map given, List further) {
    Map request = read(given, further)
    // Outside of a node this is null; the first step that needs an agent would fail with words about Java classes.
    if (!request.problem && !env.WORKSPACE) {
        request.problem = problem('node-missing', 'the step runs outside of `node`', 'put it inside `node { }`, or give the Declarative stage an `agent`')
    }
    return request
}

/** What the step returns; or fails the step with the text of the error, once. The envelope is left in `request.answer`. */
Object answered(Map request, String key = null) {
    return request.problem ? settled(request, request.problem, key) : runBound(request, key)
}

private Object settled(Map request, Map envelope, String key) {
    Map answer = picked(envelope, key)
    request.answer = answer
    if (request.own.returnError == true) {
        return outcome(answer)
    }
    if (!answer.ok) {
        error(printable(answer.error.text))
    }
    return answer.result
}

/** Binds the credentials by their names, around everything that runs on the agent, and around the failure: Jenkins masks what comes out of there. */
private Object runBound(Map request, String key) {
    List passwords = []
    if (request.own.credentialsId) {
        passwords << usernamePassword(credentialsId: request.own.credentialsId, usernameVariable: 'REGISTRY_USERNAME', passwordVariable: 'REGISTRY_PASSWORD')
    }
    if (request.own.intoCredentialsId) {
        passwords << usernamePassword(credentialsId: request.own.intoCredentialsId, usernameVariable: 'INTO_REGISTRY_USERNAME', passwordVariable: 'INTO_REGISTRY_PASSWORD')
    }
    Map release = parse(resource('tagwright/release.json'))
    // Beside the workspace, where the agent writes and its containers read; old controllers leave the variable out.
    String name = (env.WORKSPACE_TMP ?: env.WORKSPACE + '@tmp') + '/tagwright-' + UUID.randomUUID()
    String json = JsonOutput.toJson(request.body)
    boolean byFile = json.length() > 8192
    return withEnv(environment(request, release, byFile ? '@' + name + '.json' : json, name + '.gz')) {
        boolean bound = false
        try {
            return withPasswords(passwords) {
                withAwsKeys('', request.own.aws) {
                    withAwsKeys('INTO_', request.own.intoAws) {
                        bound = true
                        settled(request, named(runWritten(byFile ? json : null, name, release, title(request)), request.own), key)
                    }
                }
            }
        } catch (IOException refused) {
            if (bound) {
                throw refused
            }
            return settled(request, problem('credential-missing', 'Jenkins did not hand out a credential; it said: "' + refused.message + '"',
                'name a credential that this job may use, of the kind "Username with password"'), key)
        }
    }
}

/** A text of the library, asked for once in a build: each time is a line in its log. */
private String resource(String name) {
    return kept(name) ?: keep(name, libraryResource(name))
}

@NonCPS
private static String kept(String name) {
    return KEPT.get(name)
}

@NonCPS
private static String keep(String name, String text) {
    KEPT.put(name, text)
    return text
}

/** What stands beside `sh` in the build's log. */
@NonCPS
private static String title(Map request) {
    Object command = request.body.command
    return command instanceof String && command.matches('[a-z-]{1,40}') ? 'tagwright ' + command : 'tagwright'
}

private Object withPasswords(List bindings, Closure body) {
    return bindings ? withCredentials(bindings) { body() } : body()
}

/** The kind of a credential is known only by asking for it: first as a key pair, then as the AWS plugin's own kind. */
private Object withAwsKeys(String side, Map aws, Closure body) {
    if (!aws?.credentialsId) {
        return body()
    }
    String key = side + 'AWS_ACCESS_KEY_ID'
    String secret = side + 'AWS_SECRET_ACCESS_KEY'
    boolean bound = false
    String said = null
    try {
        return withCredentials([usernamePassword(credentialsId: aws.credentialsId, usernameVariable: key, passwordVariable: secret)]) {
            bound = true
            body()
        }
    } catch (IOException refused) {
        if (bound || !refused.message.contains('is of type')) {
            throw refused
        }
        said = refused.message
    }
    try {
        return withCredentials([[$class: 'AmazonWebServicesCredentialsBinding', credentialsId: aws.credentialsId, accessKeyVariable: key, secretKeyVariable: secret]]) {
            bound = true
            body()
        }
    } catch (IllegalArgumentException | UnsupportedOperationException withoutPlugin) {
        if (bound) {
            throw withoutPlugin
        }
        error(said)
    }
}

/** Writes the request first, where it is too long for a variable. */
private Map runWritten(String json, String name, Map release, String title) {
    if (json) {
        try {
            writeFile(file: name + '.json', text: json, encoding: 'UTF-8')
        } catch (IOException unable) {
            return unwritten('the request', name + '.json', unable)
        }
    }
    return runOnAgent(release, name + '.gz', title)
}

/** One `sh`; only where that asks for the program, two steps that bring it and the same `sh` again. */
private Map runOnAgent(Map release, String parcel, String title) {
    String launcher = resource('tagwright/launch.sh')
    try {
        String reply = sh(script: launcher, returnStdout: true, encoding: 'UTF-8', label: title)
        String target = wanted(reply)
        if (target == null) {
            return envelope(reply)
        }
        if (!release.targets?.containsKey(target)) {
            return problem('helper-damaged', 'the agent asks for a program for `' + target.take(100) + '`, which this library does not carry',
                'correct `helper:` or `TAGWRIGHT_BIN`, or leave both out to use the program that the library brings')
        }
        // A container's user may be unable to remove what the agent writes beside the workspace.
        if (launcherSaid(reply)[1] == 'here') {
            parcel = '.' + parcel.substring(parcel.lastIndexOf('/') + 1)
        }
        Map missing = deliver(release, target, parcel)
        if (missing) {
            return missing
        }
        reply = sh(script: launcher, returnStdout: true, encoding: 'UTF-8', label: title)
        if (wanted(reply)) {
            return problem('helper-missing', 'the program was written to `' + parcel + '`, and the place where the step runs does not see it',
                'mount the workspace of the agent into the container at the same path, or put tagwright ' + release.version + ' on the `PATH` there')
        }
        return envelope(reply)
    } catch (IOException unable) {
        String said = told(unable)
        // The launcher ends with 0, but after a signal. One that nobody sends to end a step tells of the agent.
        int signal = signalIn(said)
        if (signal) {
            return problem('helper-damaged', 'the program was ended by signal ' + signal + ' before it answered',
                'look for an out-of-memory kill on the agent (signal 9), then run the step again; what was done before is done')
        }
        // What `sh` throws where there is no shell to start: Windows agents, and images without one.
        if (said.contains('Cannot run program') && said.contains('error=2,') || said.contains('exit code 126') || said.contains('exit code 127')) {
            return problem('helper-missing', 'this agent has no `sh`, which the step needs; it said: "' + unable.message + '"',
                'run the step on a Linux agent, or in a container image that has `sh`')
        }
        throw unable
    }
}

/** Writes the library's copy of the program to the agent, still packed. Returns what went wrong, or null. */
private Map deliver(Map release, String target, String parcel) {
    String resource = 'tagwright/bin/' + target + '/tagwright.gz'
    try {
        // Not kept in a variable, nor handed to a method: it would be saved with the state of the build.
        writeFile(file: parcel, text: libraryResource(resource: resource, encoding: 'Base64'), encoding: 'Base64')
    } catch (IOException unable) {
        if (!told(unable).contains('No such library resource')) {
            return unwritten('the program', parcel, unable)
        }
        return problem('helper-missing', 'tagwright ' + release.version + ' is not on this agent, and this library lacks `' + resource + '`',
            'install tagwright ' + release.version + ' on the `PATH` of the agent, or load `tagwright@v' + release.version + '` in place of its `-slim` form')
    }
    return null
}

private Map unwritten(String what, String file, IOException unable) {
    String said = told(unable)
    // A lost agent stays what it is, so that `retry(conditions: [agent()])` still knows it.
    if (said.contains('ChannelClosedException') || said.contains('RequestAbortedException')) {
        throw unable
    }
    return problem('helper-missing', what + ' cannot be written to `' + file + '`: ' + unable.message,
        'free space on the agent, and let the build write beside its workspace')
}

/** The variables that the program and its launcher read. All secrets come from withCredentials instead. */
@NonCPS
private static List environment(Map request, Map release, String json, String parcel) {
    String carried = release.version
    for (target in release.targets) {
        carried += ' ' + target.key + '=' + target.value.sha256
    }
    List variables = ['TAGWRIGHT_REQUEST=' + json, 'TAGWRIGHT_RELEASE=' + carried, 'TAGWRIGHT_PARCEL=' + parcel]
    if (request.own.helper) {
        variables << 'TAGWRIGHT_BIN=' + request.own.helper
    }
    // A credential goes to the one registry that is named for it, or to Docker Hub, whatever the agent or a parameter of the job says.
    for (side in ['', 'INTO_']) {
        String host = side ? request.own.intoRegistry : request.own.registry
        if (host || (side ? request.own.intoCredentialsId : request.own.credentialsId)) {
            variables << side + 'REGISTRY_HOST=' + (host ?: 'docker.io')
        }
    }
    // Keys of one account with a session, a profile or a role of another one would be nobody's identity.
    for (side in ['', 'INTO_']) {
        Map aws = side ? request.own.intoAws : request.own.aws
        if (aws?.credentialsId) {
            for (variable in ['SESSION_TOKEN', 'PROFILE', 'DEFAULT_PROFILE', 'WEB_IDENTITY_TOKEN_FILE', 'ROLE_ARN', 'ROLE_SESSION_NAME']) {
                variables << side + 'AWS_' + variable + '='
            }
        }
    }
    return variables
}

/** Takes the bridge's own keys out, checks them, and leaves the rest for the program to judge. */
@NonCPS
private static Map read(Map given, List further) {
    List wrong = []
    Map top = plain(given, '', wrong)
    Map own = [:]
    Map body = [:]
    Map inner = top.args instanceof Map ? top.args : [:]
    for (entry in inner) {
        if (isOwn(entry.key) || entry.key in further) {
            own.put(entry.key, entry.value)
        }
    }
    for (entry in top) {
        if (isOwn(entry.key)) {
            own.put(entry.key, entry.value)
        } else {
            body.put(entry.key, entry.value)
        }
    }
    if (top.args instanceof Map) {
        Map left = [:]
        for (entry in inner) {
            if (!own.containsKey(entry.key)) {
                left.put(entry.key, entry.value)
            }
        }
        body.put('args', left)
    }
    for (side in ['aws', 'intoAws']) {
        if (own.get(side) instanceof Map) {
            awsFlags(side, own.get(side), body)
        }
    }
    return [own: own, body: body, problem: wrong ? wrong[0] : misused(own) ?: unnamed(own, body)]
}

@NonCPS
private static boolean isOwn(String key) {
    return key in ['credentialsId', 'registry', 'aws', 'intoCredentialsId', 'intoRegistry', 'intoAws', 'helper', 'returnError']
}

/** What stands in `aws:` beside the credential is a flag of the program: `role` is `awsRole`, and `intoAwsRole` for the other side. */
@NonCPS
private static void awsFlags(String side, Map aws, Map body) {
    Map args = body.args instanceof Map ? body.args : [:]
    for (entry in aws) {
        if (entry.key in ['role', 'externalId', 'profile']) {
            args.put(side + entry.key.substring(0, 1).toUpperCase() + entry.key.substring(1), entry.value)
        }
    }
    body.put('args', args)
}

/** A file does not decide where a credential goes, and neither is it asked to agree with Docker Hub by silence. */
@NonCPS
private static Map unnamed(Map own, Map body) {
    boolean byFile = body.command == 'rollback' && body.args instanceof Map && body.args.record instanceof String
    return byFile && own.credentialsId && !own.registry ? problem('missing-value', 'a record that is a path needs `registry` beside `credentialsId`',
        "write `registry: 'docker.io'`, or the registry whose tags are put back") : null
}

/** The first of the bridge's own keys that holds what it cannot take, as an envelope, or null. */
@NonCPS
private static Map misused(Map own) {
    for (entry in own) {
        String key = entry.key
        Object value = entry.value
        if (key in ['returnError', 'archiveRecord'] || key == 'lock' && value instanceof Boolean) {
            if (!(value instanceof Boolean)) {
                return wrongType(key, value, 'Boolean', key + ': true')
            }
        } else if (key in ['aws', 'intoAws']) {
            if (!(value instanceof Map)) {
                return wrongType(key, value, 'Map', key + ": [credentialsId: 'ID']")
            }
            for (part in value) {
                String path = key + '.' + part.key
                if (!(part.key in ['credentialsId', 'role', 'externalId', 'profile'])) {
                    return problem('unknown-key', '`' + key + '` has no key `' + part.key + '`', 'write `credentialsId`, `role`, `externalId` or `profile`')
                }
                Map trouble = text(path, part.value)
                if (trouble) {
                    return trouble
                }
            }
        } else {
            Map trouble = text(key, value)
            if (trouble) {
                return trouble
            }
        }
    }
    return null
}

@NonCPS
private static Map text(String path, Object value) {
    if (value == null || value instanceof String && value.trim().isEmpty()) {
        return problem('missing-value', '`' + path + '` is ' + (value == null ? 'null' : 'blank'), 'give it a value, or leave the key out')
    }
    // No environment variable can hold it, and no name has it.
    if (value instanceof String && value.contains('\u0000')) {
        return problem('request-invalid', '`' + path + '` holds a NUL character', 'give it a value without one')
    }
    return value instanceof String ? null : wrongType(path, value, 'String', path.substring(path.indexOf('.') + 1) + ": '…'")
}

@NonCPS
private static Map wrongType(String path, Object value, String wanted, String example) {
    return problem('key-wrong-type', '`' + path + '` is ' + described(value) + ' where a ' + wanted + ' belongs', 'write `' + example + '`')
}

@NonCPS
private static String described(Object value) {
    return value == null ? 'null' : value instanceof Map ? 'a Map' : value instanceof List ? 'a List' : value instanceof String ? 'a String'
        : value instanceof Boolean ? 'a Boolean' : value instanceof Number ? 'a number' : 'a ' + value.getClass().getName()
}

/** A copy in plain maps, lists, strings, numbers and Booleans; what is none of these is named in `wrong`. */
@NonCPS
private static Object plain(Object value, String path, List wrong) {
    if (value instanceof Map) {
        Map copy = [:]
        for (entry in value) {
            String key = entry.key + ''
            copy.put(key, plain(entry.value, path ? path + '.' + key : key, wrong))
        }
        return copy
    }
    if (value instanceof Collection || value instanceof Object[]) {
        List copy = []
        for (item in value) {
            copy.add(plain(item, path + '[' + copy.size() + ']', wrong))
        }
        return copy
    }
    if (value instanceof CharSequence) {
        return value.toString()
    }
    if (value != null && !(value instanceof Number) && !(value instanceof Boolean)) {
        String key = path.startsWith('args.') ? path.substring('args.'.length()) : path
        wrong.add(problem('key-wrong-type', '`' + key + '` is ' + described(value),
            'give a String, a number, a Boolean, a List or a Map'))
        return null
    }
    return value
}

/** The target whose program the launcher asks for, or null. */
@NonCPS
private static String wanted(String reply) {
    List lines = launcherSaid(reply)
    return lines && lines[0].startsWith('deliver ') ? lines[0].substring('deliver '.length()) : null
}

/** The signal, none that ends a step, for which an exit status in the words of `sh` stands, or 0. */
@NonCPS
private static int signalIn(String said) {
    for (int signal = 4; signal <= 64; signal++) {
        if (signal != 15 && said.contains('exit code ' + (128 + signal))) {
            return signal
        }
    }
    return 0
}

/** The launcher's lines at the end of stdout. The program's answer is one line of JSON, so it cannot look like them. */
@NonCPS
private static List launcherSaid(String reply) {
    int at = ('\n' + reply).lastIndexOf('\nlauncher: ')
    return at < 0 ? [] : reply.substring(at + 'launcher: '.length()).readLines()
}

/** Stdout of the launcher as an envelope that can be trusted to have a result or an error with a text. */
@NonCPS
private static Map envelope(String reply) {
    List lines = launcherSaid(reply)
    if (lines) {
        return problem(lines[0], lines[1], lines[2])
    }
    String weight = tooMuch(reply)
    if (weight && weight != 'no JSON') {
        return problem('size-exceeded', 'the program answered more than Jenkins can carry: ' + weight, 'ask for less, such as with `limit`, `match` or `label`')
    }
    Object read = weight ? null : parse(reply)
    if (!(read instanceof Map) || !(read.schema instanceof Integer)) {
        String heard = reply.trim()
        return problem('helper-damaged', heard ? 'the program answered what is not its JSON: "' + heard.take(200) + '"' : 'the program answered nothing',
            'remove it from the agent, or name the right one with `helper:`')
    }
    if (read.schema != 1) {
        return problem('helper-damaged', 'the program on the agent speaks schema ' + read.schema + ', this library reads schema 1',
            read.schema > 1 ? 'load a newer release of the library' : 'update the program on the agent, or leave `helper:` and `TAGWRIGHT_BIN` out')
    }
    boolean whole = read.ok == true ? read.containsKey('result') : read.error instanceof Map && read.error.text
    return whole ? read : problem('helper-damaged', 'the answer of the program lacks its ' + (read.ok == true ? 'result' : 'error'), 'name the right program with `helper:`')
}

/**
 * What keeps the controller from parsing this, or null. Its parser looks at all keys of an object for each of them, and
 * goes one call deeper with each bracket; big numbers are work for whoever counts with them.
 */
@NonCPS
private static String tooMuch(String reply) {
    if (reply.length() > 4194304) {
        return 'more than 4 MiB'
    }
    if (!reply.startsWith('{')) {
        return 'no JSON'
    }
    String bare = reply.replace('\\\\', '').replace('\\"', '').replaceAll('"[^"]*+"', '')
    if (bare.matches('(?s).*(?:[0-9]{21}|[.0-9]{22}|[eE][-+]?[0-9]{3}).*')) {
        return 'a number of more than 20 digits'
    }
    // Brackets and the colons of keys are left; the innermost go first.
    String frame = bare.replaceAll('[^\\[\\]{}:]++', '')
    for (int depth = 0; depth < 32; depth++) {
        if (frame.matches('(?s).*\\{:{1001}.*')) {
            return 'an object of more than 1000 keys'
        }
        String rest = frame.replaceAll('\\{:*+\\}|\\[\\]', '')
        if (rest.length() == frame.length()) {
            return rest ? 'no JSON' : null
        }
        frame = rest
    }
    return frame ? 'lists and objects more than 32 deep' : null
}

/** Plain maps and lists, for the parser's own cannot be saved with a build; null where the text is not JSON. */
@NonCPS
private static Object parse(String text) {
    if (text == null || text.trim().isEmpty()) {
        return null
    }
    try {
        return plain(new JsonSlurper().parseText(text), '', [])
    } catch (JsonException notJson) {
        return null
    }
}

/** A failure that the bridge finds by itself, in the form of the program's own. */
@NonCPS
static Map problem(String code, String message, String hint) {
    Map known = ['missing-value': 2, 'unknown-key': 2, 'request-invalid': 2, 'credential-missing': 4, 'size-exceeded': 7]
    return [ok: false, error: [code: code, message: printable(message), hint: hint ?: null, exit: known.get(code), details: [:],
        text: 'error[' + code + ']: ' + message + (hint ? '\n  hint: ' + hint : '')]]
}

/** What comes from an agent, whose program may be another one, moves no cursor and does not turn the direction of a line. */
@NonCPS
private static String printable(String text) {
    return text.replaceAll('[\\p{Cc}\\p{Cf}\\u2028\\u2029&&[^\n]]', '?')
}

/** An error about a credential tells which one that was, in the words of a step: the program knows neither. */
@NonCPS
private static Map named(Map answer, Map own) {
    if (answer.ok || !(answer.error.code in ['credential-missing', 'credential-host-mismatch', 'unauthenticated', 'token-expired', 'denied'])) {
        return answer
    }
    String all = ''
    String meant = ''
    for (side in [[key: 'credentialsId', id: own.credentialsId, at: own.registry ?: 'docker.io'], [key: 'intoCredentialsId', id: own.intoCredentialsId, at: own.intoRegistry ?: 'docker.io'],
        [key: 'aws.credentialsId', id: own.aws?.credentialsId, at: '.amazonaws.com'], [key: 'intoAws.credentialsId', id: own.intoAws?.credentialsId, at: '.amazonaws.com']]) {
        String line = side.id ? '\n  credential: `' + side.key + ": '" + side.id + "'`" : ''
        all += line
        meant += answer.error.message.contains(side.at) ? line : ''
    }
    if (!all) {
        return answer
    }
    Map told = [:]
    for (part in ['message', 'hint', 'text']) {
        told.put(part, answer.error.get(part)?.replace('INTO_REGISTRY_HOST', 'intoRegistry')?.replace('REGISTRY_HOST', 'registry'))
    }
    int end = told.text.contains('\n') ? told.text.indexOf('\n') : told.text.length()
    told.text = told.text.substring(0, end) + (meant ?: all) + told.text.substring(end)
    return answer + [error: answer.error + told]
}

/** The envelope with one value of the result in place of the result; labels of several platforms are a Map of each. */
@NonCPS
private static Map picked(Map answer, String key) {
    if (!answer.ok || key == null) {
        return answer
    }
    if (!answer.result.containsKey(key)) {
        return problem('request-invalid', 'what was asked for has no single `' + key + '`',
            'read the whole result with `tagwright(command: \'' + answer.command + '\', args: […])`')
    }
    Object value = answer.result.get(key)
    if (key == 'labels' && answer.result.platforms) {
        value = [:]
        for (one in answer.result.platforms) {
            value.put(one.platform, one.labels)
        }
    }
    return answer + [result: value]
}

/** What a step returns with `returnError: true`. */
@NonCPS
private static Map outcome(Map answer) {
    if (answer.ok) {
        return [ok: true, value: answer.result, warnings: answer.warnings ?: []]
    }
    Map e = answer.error
    return [ok: false, code: e.code, message: e.message, hint: e.hint, exit: e.exit, text: printable(e.text), details: e.details ?: [:]]
}

/** The classes and messages of an exception and its causes, for the few that are told apart by them. */
@NonCPS
private static String told(Throwable thrown) {
    String all = ''
    Throwable at = thrown
    while (at != null && all.length() < 10000) {
        all += at.getClass().getName() + ': ' + at.message + '\n'
        at = at.cause
    }
    return all
}

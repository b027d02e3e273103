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

/** What a command of those that write does: holds the locks that `lock` asks for, and hands the record to the controller whatever becomes of it. */
Object recorded(Map given) {
    Map request = prepared(given, ['lock', 'archiveRecord'])
    Map record = recordOf(request)
    Map locks = locksOf(request)
    boolean began = false
    Object result = null
    try {
        if (locks) {
            lock(locks) {
                began = true
                result = answered(request)
            }
        } else {
            began = true
            result = answered(request)
        }
    } catch (NoSuchMethodError withoutPlugin) {
        if (began) {
            throw withoutPlugin
        }
        request.problem = problem('lock-unavailable', 'this controller has no step `lock`', 'install the plugin Lockable Resources, or leave `lock` out')
        result = answered(request)
    } finally {
        if (began && record) {
            archived('the record of this promotion', record, written(request.answer))
        }
    }
    return result
}

/** Archives a file, where it is known or found that it was written. Trouble with that is told and changes nothing: what was promoted stays promoted. */
void archived(String what, Map file, Boolean written) {
    try {
        if (written == false || written == null && !fileExists(file.probe)) {
            return
        }
        if (file.folder) {
            dir(file.folder) {
                archiveArtifacts(artifacts: file.pattern, allowEmptyArchive: true, fingerprint: file.fingerprint)
            }
        } else {
            archiveArtifacts(artifacts: file.pattern, allowEmptyArchive: true, fingerprint: file.fingerprint)
        }
    } catch (IOException | RuntimeException trouble) {
        echo('tagwright: ' + what + ' is not among the artifacts of the build: ' + trouble.message)
    }
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
    for (side in request.sides) {
        if (side.credentialsId) {
            passwords << usernamePassword(credentialsId: side.credentialsId, usernameVariable: side.prefix + 'REGISTRY_USERNAME', passwordVariable: side.prefix + 'REGISTRY_PASSWORD')
        }
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
                withSigningKey(request.own.signRecord) {
                    withAwsKeys(request.sides, 0) {
                        bound = true
                        settled(request, named(runWritten(byFile ? json : null, name, release, title(request)), request.sides), key)
                    }
                }
            }
        } catch (IOException refused) {
            if (bound) {
                throw refused
            }
            return settled(request, problem('credential-missing', 'Jenkins did not hand out a credential; it said: "' + refused.message + '"',
                'name a credential that this job may use, of the kind ' + kindOf(request, refused.message)), key)
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

/** What the credential has to be that was refused with these words. */
@NonCPS
private static String kindOf(Map request, String said) {
    String key = request.own.signRecord
    return key && said.contains("'" + key + "'") ? '"Secret file" or "Secret text"' : '"Username with password"'
}

/** Puts the key into a variable that the program takes from there: its file, or itself. Which of the two is known only by asking. */
private Object withSigningKey(String credentialsId, Closure body) {
    if (!credentialsId) {
        return body()
    }
    boolean bound = false
    try {
        return withCredentials([file(credentialsId: credentialsId, variable: 'TAGWRIGHT_SIGN_KEY')]) {
            bound = true
            body()
        }
    } catch (IOException refused) {
        if (bound || !refused.message.contains('is of type')) {
            throw refused
        }
    }
    return withCredentials([string(credentialsId: credentialsId, variable: 'TAGWRIGHT_SIGN_KEY')]) { body() }
}

/** Those of this side and all after it, one around the other. */
private Object withAwsKeys(List sides, int at, Closure body) {
    return at == sides.size() ? body() : withAwsKeys(sides[at].prefix, sides[at].aws) { withAwsKeys(sides, at + 1, body) }
}

/** The kind of a credential is known only by asking for it: first as a key pair, then as the AWS plugin's own kind. */
private Object withAwsKeys(String prefix, Map aws, Closure body) {
    if (!aws?.credentialsId) {
        return body()
    }
    String key = prefix + 'AWS_ACCESS_KEY_ID'
    String secret = prefix + 'AWS_SECRET_ACCESS_KEY'
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
    for (side in request.sides) {
        if (side.host) {
            variables << side.prefix + 'REGISTRY_HOST=' + side.host
        }
        // Keys of one account with a session, a profile or a role of another one would be nobody's identity.
        if (side.aws?.credentialsId) {
            for (variable in ['SESSION_TOKEN', 'PROFILE', 'DEFAULT_PROFILE', 'WEB_IDENTITY_TOKEN_FILE', 'ROLE_ARN', 'ROLE_SESSION_NAME']) {
                variables << side.prefix + 'AWS_' + variable + '='
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
        List taken = []
        for (entry in own) {
            taken << entry.key
        }
        body.put('args', without(inner, taken))
    }
    if (own.containsKey('signRecord') && body.args instanceof Map) {
        body.args.put('signRecord', 'env:TAGWRIGHT_SIGN_KEY')
    }
    for (side in ['aws', 'intoAws']) {
        if (own.get(side) instanceof Map) {
            awsFlags(side, own.get(side), body)
        }
    }
    Map problem = wrong ? wrong[0] : misused(own) ?: unnamed(own, body)
    List sides = problem ? [] : [sideOf('', 'credentialsId', 'registry', 'aws', own), sideOf('INTO_', 'intoCredentialsId', 'intoRegistry', 'intoAws', own)]
    return [own: own, body: body, sides: sides, problem: problem ?: targets(body, sides)]
}

/** What is bound to the variables that begin with this, and by which keys the caller gave it. */
@NonCPS
private static Map sideOf(String prefix, String credentialsId, String registry, String aws, Map given) {
    // A credential goes to the one registry that is named for it, or to Docker Hub, whatever the agent or a parameter of the job says.
    return [prefix: prefix, names: [credentialsId: credentialsId, registry: registry, aws: aws], credentialsId: given.get(credentialsId), aws: given.get(aws),
        host: given.get(registry) ?: (given.get(credentialsId) ? 'docker.io' : null)]
}

/**
 * Puts the repository in the place of each Map in `into` and adds the credentials that it names to `sides`. Returns what is wrong, or null.
 *
 * The program knows those of target n of `promote` by the number n. Where several images or a record name the targets, a
 * number stands for a registry, and a pair goes to none but the one that its `…_HOST` names.
 */
@NonCPS
private static Map targets(Map body, List sides) {
    if (!(body.args instanceof Map) || !(body.command in ['promote', 'release', 'rollback'])) {
        return null
    }
    Map args = body.args
    List holders = [[path: 'into', of: args]]
    List images = args.images instanceof List ? args.images : []
    for (int i = 0; i < images.size(); i++) {
        if (images[i] instanceof Map) {
            holders << [path: 'images[' + i + '].into', of: images[i]]
        }
    }
    for (holder in holders) {
        if (holder.of.into instanceof List) {
            List repositories = []
            for (target in holder.of.into) {
                String path = holder.path + '[' + repositories.size() + ']'
                if (target instanceof Map) {
                    Map wrong = targetMisused(path, target) ?: bindTarget(path, target, args, sides, body.command == 'promote' ? repositories.size() + 1 : 0)
                    if (wrong) {
                        return wrong
                    }
                }
                repositories << (target instanceof Map ? target.repository : target)
            }
            holder.of.put('into', repositories)
        }
    }
    if (body.command == 'rollback' && args.into instanceof List) {
        // A record names its repositories itself.
        body.put('args', without(args, ['into']))
    }
    return null
}

@NonCPS
private static Map without(Map all, Collection keys) {
    Map left = [:]
    for (entry in all) {
        if (!(entry.key in keys)) {
            left.put(entry.key, entry.value)
        }
    }
    return left
}

@NonCPS
private static Map targetMisused(String path, Map target) {
    if (!target.containsKey('repository')) {
        return problem('missing-value', '`' + path + '` names no repository', "write `repository: 'acme/serviceone'` in it")
    }
    for (entry in target) {
        if (!(entry.key in ['repository', 'credentialsId', 'registry', 'aws'])) {
            return problem('unknown-key', '`' + path + '` has no key `' + entry.key + '`', 'write `repository`, `credentialsId`, `registry` or `aws`')
        }
        String key = path + '.' + entry.key
        Map wrong = entry.key == 'aws' ? awsMisused(key, entry.value, ['credentialsId', 'role'], 'write `credentialsId` or `role`') : text(key, entry.value)
        if (wrong) {
            return wrong
        }
    }
    return null
}

/** Adds what a target of `into` is to be reached with; `place` is its number, or 0 where registries are counted. */
@NonCPS
private static Map bindTarget(String path, Map target, Map args, List sides, int place) {
    String registry = target.registry ?: spelt(target.repository)[0]
    if (target.aws?.role) {
        List roles = !args.containsKey('awsRoleFor') ? [] : args.awsRoleFor instanceof List ? args.awsRoleFor : [args.awsRoleFor]
        String role = registry + '=' + target.aws.role
        if (!(role in roles)) {
            roles << role
        }
        args.put('awsRoleFor', roles)
    }
    Map side = sideOf('INTO_' + (place ?: sides.size() - 1) + '_', 'credentialsId', 'registry', 'aws', target)
    side.names = [credentialsId: path + '.credentialsId', registry: path + '.registry', aws: path + '.aws']
    if (side.aws?.credentialsId && !side.host) {
        side.host = registry
    }
    if (!side.credentialsId && !side.aws?.credentialsId) {
        return null
    }
    for (int i = 0; i < sides.size() && !place; i++) {
        if (sides[i].host == side.host) {
            boolean same = sides[i].credentialsId == side.credentialsId && sides[i].aws?.credentialsId == side.aws?.credentialsId
            if (same || i > 1) {
                return same ? null : problem('request-invalid', '`' + path + '` and `' + sides[i].names.registry.replace('.registry', '') + '` give the registry `' + side.host + '` two credentials',
                    'give each registry one credential')
            }
        }
    }
    sides << side
    return null
}

@NonCPS
private static boolean isOwn(String key) {
    return key in ['credentialsId', 'registry', 'aws', 'intoCredentialsId', 'intoRegistry', 'intoAws', 'signRecord', 'helper', 'returnError']
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
        if (key in ['returnError', 'archiveRecord', 'archive'] || key == 'lock' && value instanceof Boolean) {
            if (!(value instanceof Boolean)) {
                return wrongType(key, value, 'Boolean', key + ': true')
            }
        } else if (key in ['aws', 'intoAws']) {
            Map trouble = awsMisused(key, value, ['credentialsId', 'role', 'externalId', 'profile'], 'write `credentialsId`, `role`, `externalId` or `profile`')
            if (trouble) {
                return trouble
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
private static Map awsMisused(String path, Object aws, List known, String hint) {
    if (!(aws instanceof Map)) {
        return wrongType(path, aws, 'Map', path.substring(path.lastIndexOf('.') + 1) + ": [credentialsId: 'ID']")
    }
    for (part in aws) {
        Map trouble = part.key in known ? text(path + '.' + part.key, part.value) : problem('unknown-key', '`' + path + '` has no key `' + part.key + '`', hint)
        if (trouble) {
            return trouble
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
    return value instanceof String ? null : wrongType(path, value, 'String', path.substring(path.lastIndexOf('.') + 1) + ": '…'")
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
private static Map named(Map answer, List sides) {
    if (answer.ok || !(answer.error.code in ['credential-missing', 'credential-host-mismatch', 'unauthenticated', 'token-expired', 'denied'])) {
        return answer
    }
    String all = ''
    String meant = ''
    for (side in sides) {
        for (given in [[key: side.names.credentialsId, id: side.credentialsId], [key: side.names.aws + '.credentialsId', id: side.aws?.credentialsId]]) {
            String line = given.id ? '\n  credential: `' + given.key + ": '" + given.id + "'`" : ''
            all += line
            meant += answer.error.message.contains(side.host ?: '.amazonaws.com') ? line : ''
        }
    }
    if (!all) {
        return answer
    }
    Map told = [:]
    for (part in ['message', 'hint', 'text']) {
        String words = answer.error.get(part)
        // The first name is part of all others.
        for (int i = sides.size() - 1; i >= 0 && words; i--) {
            words = words.replace(sides[i].prefix + 'REGISTRY_HOST', sides[i].names.registry)
        }
        told.put(part, words)
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
    return args.record instanceof String && !args.record.trim().isEmpty() ? artifact(args.record) + [fingerprint: true] : null
}

/** How to archive a file or a pattern of files, and what tells that there is one. */
@NonCPS
static Map artifact(String path) {
    String file = path.startsWith('./') ? path.substring(2) : path
    int open = file.indexOf('{')
    int name = (open < 0 ? file : file.substring(0, open)).lastIndexOf('/') + 1
    // A pattern reaches down from where the step runs, and nowhere else.
    boolean outside = file.startsWith('/') || file.startsWith('../') || file.contains('/../')
    String pattern = outside ? file.substring(name) : file
    return [folder: outside ? file.substring(0, name) : null, probe: open < 0 ? file : file.substring(0, name) ?: '.', fingerprint: false,
        pattern: pattern.replace('{repository}', '**/*').replace('{digest}', '*').replace(',', '?')]
}

/** What `lock` is called with, or null. One step takes several locks all at once or none, so that no two builds wait for each other's. */
@NonCPS
private static Map locksOf(Map request) {
    Object wanted = request.own.lock
    if (request.problem || wanted == null || wanted == false) {
        return null
    }
    List names = wanted == true ? repositoryLocks(request.body.args) : [wanted]
    Map locks = null
    List extra = []
    for (name in names) {
        if (locks) {
            extra << [resource: name]
        }
        locks = locks ?: [resource: name]
    }
    return extra ? locks + [extra: extra] : locks
}

/**
 * The locks of `lock: true`, named after the repositories that tags go to, written whole, so that every spelling means the
 * same. A release takes those of all its targets: a single promotion into any of them waits for it, and it for that one.
 */
@NonCPS
private static List repositoryLocks(Map args) {
    List names = []
    List images = args.images instanceof List ? args.images : [args]
    for (image in images) {
        // A key beside `images` holds for each.
        Map one = image instanceof Map ? args + image : args
        Object into = one.into ?: one.repository ?: one.image ?: one.reference
        List targets = into instanceof List ? into : [into]
        for (target in targets) {
            List parts = target instanceof String ? spelt(target) : null
            String name = parts ? 'tagwright/' + parts[0] + '/' + parts[1] : null
            if (name && !(name in names)) {
                names << name
            }
        }
    }
    return names
}

/** The registry of an image and its repository there, as the program writes them. */
@NonCPS
private static List spelt(String image) {
    String repository = image.contains('@') ? image.substring(0, image.indexOf('@')) : image
    if (repository.lastIndexOf(':') > repository.lastIndexOf('/')) {
        repository = repository.substring(0, repository.lastIndexOf(':'))
    }
    int slash = repository.indexOf('/')
    String first = slash < 0 ? '' : repository.substring(0, slash)
    boolean hub = !first.contains('.') && !first.contains(':') && first != 'localhost'
    String path = hub ? repository : repository.substring(slash + 1)
    String registry = hub || first in ['index.docker.io', 'registry-1.docker.io'] ? 'docker.io' : first
    return [registry, (registry == 'docker.io' && !path.contains('/') ? 'library/' : '') + path]
}

//! The table of commands and flags, from which parser, help, documents, schemas and suggestions come.
//!
//! A new command is a row here and a function in [`crate::cli::build`]; a new flag is a row here and the line that
//! reads it. What a value means is not known here.

/// What a JSON request holds under the key of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    /// Nothing: the flag is for the command line alone.
    Never,
    /// A text.
    Text,
    /// A whole number, or its digits as a text.
    Integer,
    /// A whole number, its digits as a text, or one of the words that the flag knows.
    IntegerOrWord,
    /// A number, or its digits as a text.
    Number,
    /// `true` or `false`.
    Switch,
    /// A text, or a list of texts.
    Texts,
    /// A map of texts, or what [`Json::Texts`] takes.
    Pairs,
    /// A map, which is a document of its own, or a text.
    Document,
    /// A text, or a list of texts and of maps that hold a `repository`.
    Targets,
}

/// One flag, or one meaning of a flag that means something else for another command.
#[derive(Debug)]
pub struct Flag {
    /// The name without the dashes.
    pub long: &'static str,
    /// The letter that means the same.
    pub short: Option<char>,
    /// The name of the value in capitals; `None` for a switch.
    pub value: Option<&'static str>,
    /// Whether it may stand several times, each with a value of its own.
    pub repeats: bool,
    /// Whether the value may be blank.
    pub blank: bool,
    /// The commands that take it; empty for every command but `call`.
    pub on: &'static [&'static str],
    /// Its form in a JSON request.
    pub json: Json,
    /// The words that a value can be, where they are few.
    pub choices: &'static [&'static str],
    /// What it does, in one line.
    pub help: &'static str,
    /// What else there is to know, in full sentences.
    pub more: &'static str,
}

/// A flag without a value.
const fn switch(long: &'static str) -> Flag {
    let (json, on, choices) = (Json::Switch, &[], &[]);
    Flag { long, short: None, value: None, repeats: false, blank: false, on, json, choices, help: "", more: "" }
}

/// A flag with one value.
const fn one(long: &'static str, value: &'static str) -> Flag {
    Flag { value: Some(value), json: Json::Text, ..switch(long) }
}

/// A flag that may be repeated, each with a value of its own.
const fn many(long: &'static str, value: &'static str) -> Flag {
    Flag { repeats: true, json: Json::Texts, ..one(long, value) }
}

impl Flag {
    const fn on(self, on: &'static [&'static str]) -> Self {
        Self { on, ..self }
    }

    const fn json(self, json: Json) -> Self {
        Self { json, ..self }
    }

    const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    const fn choices(self, choices: &'static [&'static str]) -> Self {
        Self { choices, ..self }
    }

    const fn may_be_blank(self) -> Self {
        Self { blank: true, ..self }
    }

    const fn help(self, help: &'static str, more: &'static str) -> Self {
        Self { help, more, ..self }
    }

    /// Whether every command but `call` takes it.
    pub fn is_common(&self) -> bool {
        self.on.is_empty()
    }

    /// Its key in a JSON request: the name in camelCase.
    pub fn key(&self) -> String {
        let mut parts = self.long.split('-');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |key, part| key + &part[..1].to_ascii_uppercase() + &part[1..])
    }

    /// As it is typed: `--to TAG`, `--dry-run`.
    pub fn spelled(&self) -> String {
        match self.value {
            Some(value) => format!("--{} {value}", self.long),
            None => format!("--{}", self.long),
        }
    }
}

/// What a positional argument of a command is.
#[derive(Debug)]
pub struct Object {
    /// Its name in capitals.
    pub value: &'static str,
    /// Whether the command can do without.
    pub optional: bool,
    /// Its keys in a JSON request, which mean the same.
    pub keys: &'static [&'static str],
    /// What it is, in full sentences.
    pub more: &'static str,
    /// The one that follows it, where the command takes two.
    pub then: Option<&'static Object>,
    /// Whether further ones of its kind may follow it.
    pub repeats: bool,
}

/// One command.
#[derive(Debug)]
pub struct Command {
    /// The name as it is typed.
    pub name: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// What else there is to know: paragraphs of full sentences.
    pub more: &'static [&'static str],
    /// The positional argument.
    pub object: Object,
    /// The flags it cannot do without.
    pub needs: &'static [&'static str],
    /// What to do instead of giving another positional argument.
    pub second: &'static str,
    /// What each example does, and its words.
    pub examples: &'static [(&'static str, &'static str)],
}

impl Command {
    /// Its positional arguments, in their order.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        std::iter::once(&self.object).chain(self.object.then)
    }

    /// The flags of this command alone, in the order of the table.
    pub fn own_flags(&self) -> impl Iterator<Item = &'static Flag> {
        let name = self.name;
        FLAGS.iter().filter(move |flag| flag.on.contains(&name))
    }

    /// Every flag it takes: its own, then the common ones.
    pub fn flags(&self) -> impl Iterator<Item = &'static Flag> {
        let common = self.name != CALL;
        // A request comes with the credential of its environment.
        let fits_call = |flag: &&Flag| flag.json == Json::Never && flag.value.is_none() && flag.long != PASSWORD_STDIN;
        self.own_flags().chain(common_flags().filter(move |flag| common || fits_call(flag)))
    }

    /// The flag of that name, without dashes.
    pub fn flag(&self, long: &str) -> Option<&'static Flag> {
        self.flags().find(|flag| flag.long == long)
    }
}

/// The flags that every command takes.
pub fn common_flags() -> impl Iterator<Item = &'static Flag> {
    FLAGS.iter().filter(|flag| flag.is_common())
}

/// The command of that name.
pub fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// The command whose arguments come as JSON.
pub const CALL: &str = "call";

/// The command whose arguments are a list of promotions.
pub const RELEASE: &str = "release";

/// The flag that takes standard input for a password.
pub const PASSWORD_STDIN: &str = "password-stdin";

/// An argument that the command cannot do without.
const fn needed(value: &'static str, keys: &'static [&'static str], more: &'static str) -> Object {
    Object { value, optional: false, keys, more, then: None, repeats: false }
}

/// An argument that the command can do without.
const fn optional(value: &'static str, keys: &'static [&'static str], more: &'static str) -> Object {
    Object { value, optional: true, keys, more, then: None, repeats: false }
}

const IMAGE: Object =
    needed("REFERENCE", &["reference", "image"], "The image. `latest` is read where it names neither tag nor digest.");

const OTHER_IMAGE: Object = needed("REFERENCE", &["to"], "The image that is to come.");

/// Every command, in the order of the help.
// A table, one text a line, which the formatter would take apart.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command {
        name: "labels", help: "read the labels of an image without pulling it",
        more: &[
            "Reads the labels of an image from its config blob. No layer is fetched, and the digests of the manifest and of the config blob are checked.",
            "Where the reference names several platforms, all of them must agree on the labels that are asked for, or `--platform` must choose one.",
        ],
        object: IMAGE,
        needs: &[], second: "one image is read at a time; a label is asked for with `--label KEY`",
        examples: &[
            ("All labels of an image, as JSON", "labels acme/app:2026.34.103"),
            ("One label as plain text", "labels acme/app:2026.34.103 \\\n--label org.opencontainers.image.revision --print value"),
        ],
    },
    Command {
        name: "inspect", help: "tell what a reference is: digest, version, other tags, platforms",
        more: &[
            "Tells what a tag points at now: its digest and media type, the version it is, the other tags that have the same digest, its platforms, when it was built, and its size. Of a chart, a signature or whatever else is no image it tells the type.",
            "Since when the tag is that, and by whom, tell Docker Hub, Amazon ECR (of the image, where `ecr:DescribeImages` is allowed), and the records that `promote --attach-record` keeps. What points at it, such as signatures and SBOMs, is told by type, where that takes no right of its own.",
        ],
        object: IMAGE,
        needs: &[], second: "one reference is read at a time",
        examples: &[
            ("What is `latest` right now", "inspect acme/app"),
            ("Its digest as plain text", "inspect acme/app:latest --print digest"),
            ("The config blob of an image, as it is", "inspect acme/app:2026.34.103 --config"),
        ],
    },
    Command {
        name: "find-tag", help: "find the one tag whose version has a given build number",
        more: &[
            "Reads all tags of a repository and finds the one whose version ends with the build number: build 103 finds `2026.34.103`, never `2026.34.1103`.",
            "A version and its `-rc` tag are one version: the plain tag is the answer where both are there with one digest. Several versions of one build are refused as `build-ambiguous` and listed, unless `--newest` is given.",
        ],
        object: needed("REPOSITORY", &["repository"], "The repository to look in, without a tag."),
        needs: &["build"], second: "the build number is given with `--build N`",
        examples: &[
            ("The tag of build 103 as plain text", "find-tag acme/app --build 103 --print tag"),
            ("On a branch that counts its own builds", "find-tag acme/app --build 7 --tag-format 'feature-x-{version}'"),
        ],
    },
    Command {
        name: "tags", help: "list the tags of a repository, versions newest first",
        more: &["Lists every tag, however many pages the registry makes of them: versions first, newest first and compared as integers, then the rest by name. Tags that are derived from a digest, such as those of signatures, are left out."],
        object: needed("REPOSITORY", &["repository"], "The repository to list, without a tag."),
        needs: &[], second: "one repository is listed at a time; names are chosen with `--match GLOB`",
        examples: &[
            ("The five newest versions of week 34", "tags acme/app --match '2026.34.*' --limit 5"),
            ("What was pushed last", "tags acme/app --sort updated --limit 1"),
            ("What came in the last week, without candidates", "tags acme/app --updated-since 7d --exclude '*-rc'"),
        ],
    },
    Command {
        name: "next-version", help: "make the next version: ISO year, ISO week, build number",
        more: &[
            "Makes `<ISO week-year>.<ISO week>.<build>` in UTC, for example `2026.34.103`. The year is the one that the week belongs to: 2027-01-01 lies in week 53 of 2026.",
            "With a repository the version must not exist there and must be higher than every version that does, or the command ends with `version-not-increasing`.",
        ],
        object: optional("REPOSITORY", &["repository"], "The repository whose versions are compared. Nothing is asked of a registry without it."),
        needs: &["build"], second: "the build number is given with `--build N`",
        examples: &[
            ("The next version, from the build number alone", "next-version --build 103 --print version"),
            ("One more than the highest in the repository", "next-version acme/app --build auto"),
        ],
    },
    Command {
        name: "promote", help: "give an existing image more tags, here or in another repository",
        more: &[
            "Gives the digest behind a reference more tags by sending the registry the very bytes it holds, so nothing is pulled and the digest stays the same. Every tag is looked at before anything is written, and read back afterwards.",
            "`--to` creates tags that must not move: one that has another digest already is `tag-conflict`. `--move` points tags that may move, but never from a newer version back to an older one; `--move-if-newer` leaves such a tag where it is. Promotions at the same time see each other by their `--to` tags, and the warning `overlapped` says what to promote again. Without any of them, `--to {version}-rc --move latest` is meant. With `--into` the image is copied first, with everything that belongs to it. Running the same promotion again changes nothing.",
        ],
        object: needed("REFERENCE|REPOSITORY", &["reference", "image", "repository"], "The image to promote, with its tag or digest; with `--build` the repository alone. No tag is implied."),
        needs: &[], second: "further tags are given with `--to TAG` or `--move TAG`",
        examples: &[
            ("The usual two tags for build 103", "promote acme/app --build 103"),
            ("Other tags, without writing them yet", "promote acme/app:2026.34.103 --to 2026.34.103-rc --move stable --dry-run"),
            ("Into another registry, with what is missing there", "promote staging.example/app --build 103 --into prod.example/app"),
            ("A patch of an old line, with its floating tags", "promote acme/app:2.3.5 \\\n--move '{major}.{minor}' --move-if-newer '{major}' --move-if-newer latest"),
            ("Only what was built from this commit", "promote acme/app --build 103 \\\n--require-label org.opencontainers.image.revision=\"$GIT_COMMIT\""),
        ],
    },
    Command {
        name: "release", help: "promote several images as one, all planned before any is written",
        more: &[
            "Runs a list of promotions as one: every image and every tag is looked at, and what must not be is refused, before anything is written. Then content comes everywhere, then the tags of `--to`, then those of `--move`. Running the same release again finishes what one that was stopped left undone.",
            "The list is a JSON array of objects, or one object a line, with the keys that `promote` has in a request of `call`: `{\"image\": \"acme/app:1.2.3\", \"to\": [\"stable\"]}`. Each flag of `promote` holds for every promotion that does not have its key. In a request the list is `images`, and the flags are keys beside it.",
            "Whoever writes the list decides about no credential: a pair of variables goes to the registry that its own `REGISTRY_HOST`, `INTO_REGISTRY_HOST` or `INTO_1_REGISTRY_HOST` names.",
        ],
        object: needed("FILE|-", &["images"], "The file that holds the list, of at most 1,000 promotions; `-` reads standard input."),
        needs: &[], second: "one list is one release; its promotions are its lines",
        examples: &[
            ("What would be done, all of it", "release images.json --dry-run"),
            ("Every image of a list into another registry", "release images.json --into prod.example/team/app --record release.jsonl"),
        ],
    },
    Command {
        name: "rollback", help: "put the tags that a promotion moved back to what they held",
        more: &[
            "Reads the record of a promotion and puts every tag that it moved back to what the tag pointed at before, in the repository that the record names. Of several promotions in one file the image that was promoted last is taken back, to what the tags held before the first of its promotions. A record that only tells what was planned is enough.",
            "The images that the tags go back to must still be there, or nothing is written. A tag that the promotion created is left, for nothing is deleted, and so is one that it never wrote. A tag that somebody moved since is refused as `tag-conflict`, unless `--force` is given.",
        ],
        object: optional("REPOSITORY", &["repository"], "The repository that the record has to be about; what begins with `/`, `./` or `../` is the file of `--record`. A file alone decides about no credential: without a repository, `REGISTRY_USERNAME` and `REGISTRY_PASSWORD` are for the registry that `REGISTRY_HOST` names. Where the promotion was one with `--into`, `INTO_REGISTRY_USERNAME` and `INTO_REGISTRY_PASSWORD` are taken, unless `REGISTRY_HOST` names the registry."),
        needs: &["record"], second: "a record is about one repository, and is given with `--record FILE`",
        examples: &[
            ("Everything that a promotion moved", "rollback acme/app --record promotion.jsonl"),
            ("One tag of it, without writing yet", "rollback acme/app --record promotion.jsonl --tag latest --dry-run"),
        ],
    },
    Command {
        name: "history", help: "list the promotions that the registry itself has records of",
        more: &[
            "Reads the records that `promote --attach-record` keeps in the registry beside the images: who promoted what and when, which tags it got and what they held before. The records of images that have lost their tags are found through those that came after.",
            "On a terminal they are a table, newest first; the result holds every record whole.",
        ],
        object: needed("REPOSITORY[:TAG]", &["repository", "reference", "image"], "The repository to look in; with a tag, only promotions of that tag."),
        needs: &[], second: "one repository is read at a time",
        examples: &[
            ("Every promotion there is a record of", "history acme/app"),
            ("Who moved `latest` last", "history acme/app:latest --limit 1"),
        ],
    },
    Command {
        name: "board", help: "tell what is on each moving tag, since when, from where, by whom",
        more: &[
            "Tells of each repository which version its moving tags hold, since when, from which build, by whom, how many versions behind the newest that is, and what changed since the one before, from tag lists, the times in them, and the records that `promote --attach-record` keeps. Nothing is written to a registry.",
            "Moving tags are `latest`, tags that longer versions begin with, such as `2` and `2.4`, and names without a version, a number or a commit in them; the first 20 of a repository. A tag that is named is told whatever it is.",
            "`REGISTRY_USERNAME` and `REGISTRY_PASSWORD` are for the registry that `REGISTRY_HOST` names, or for the one that all repositories are in.",
        ],
        object: Object { repeats: true, ..needed("REPOSITORY[:TAG]", &["repositories"], "A repository, or one tag of it. May be repeated, up to 100 repositories.") },
        needs: &[], second: "",
        examples: &[
            ("What is where", "board acme/app acme/web"),
            ("As a page", "board acme/app prod.example/app:stable --html board"),
        ],
    },
    Command {
        name: "diff", help: "tell what changes from one image to another",
        more: &[
            "Compares two images, of one repository or of two, also in different registries: version, digest, age and size, labels, platforms, and how much of the second one is to be pulled where the first one is there. Nothing is written, and no layer is fetched.",
            "Labels are those on which all platforms of an image agree; where they do not, a warning names them, and `--platform` compares one. The layers of several platforms are counted together. A version is that of the tag, else of the version tag with the same digest.",
            "`REGISTRY_USERNAME` and `REGISTRY_PASSWORD` are for the registry that `REGISTRY_HOST` names, or for the one that both images are in.",
        ],
        object: Object { then: Some(&OTHER_IMAGE), ..needed("REFERENCE", &["from"], "The image that is there. `latest` is read where one of the two names neither tag nor digest.") },
        needs: &[], second: "two images are compared at a time",
        examples: &[
            ("What the next promotion brings", "diff acme/app:latest acme/app:2026.34.103"),
            ("How much of it one platform has to pull", "diff acme/app:2026.34.102 acme/app:2026.34.103 \\\n--platform linux/amd64 --print layers.bytes"),
        ],
    },
    Command {
        name: "auth", help: "tell which credential answers, from where, and what it may do",
        more: &["Asks the registry for a token and reports which place the credential came from, what each place said, and which actions were granted. The credential and the token are never printed."],
        object: needed("REPOSITORY|REGISTRY", &["repository"], "A repository, such as `acme/app`, or a registry alone, such as `docker.io` or `localhost:5000`."),
        needs: &[], second: "one repository or registry is asked at a time; a right is named with `--action`",
        examples: &[("Whether this agent may push", "auth acme/app --action pull --action push")],
    },
    Command {
        name: "rate-limit", help: "tell how much may still be read of a registry",
        more: &["Tells how many manifests a registry still lets one read, in which time, and for which address or account it counts. Asking does not count. A registry that tells of no limit may have one all the same."],
        object: optional("REPOSITORY", &["repository"], "A repository of the registry that is meant; Docker Hub's own for this question if not given. A credential counts by account in place of address."),
        needs: &[], second: "one registry is asked at a time",
        examples: &[("What Docker Hub has left for this machine", "rate-limit"), ("As a number", "rate-limit acme/app --print remaining")],
    },
    Command {
        name: "doctor", help: "tell what would keep a promotion from working here",
        more: &[
            "Goes the way of every request and tells of each step: proxy, name, connection, TLS, what answers, clock, credential, rights, tags, what points at an image, limits, and on Amazon ECR whether `latest` may be moved. What needs a step that has failed is skipped. Nothing is written, so the right to push is known only where a token tells.",
            "The result is there whatever fails, and the exit status is that of the first failure. Nothing is repeated unless `--retries` says so.",
        ],
        object: optional("REPOSITORY|REGISTRY", &["repository"], "A repository, such as `acme/app`, or a registry alone, such as `localhost:5000`. Without one, Docker Hub."),
        needs: &[], second: "one repository or registry is looked at a time; a right is named with `--action`",
        examples: &[("Whether a promotion would work here", "doctor acme/app --action push")],
    },
    Command {
        name: CALL, help: "run a request that is written as JSON",
        more: &[
            "Runs `{\"command\": \"...\", \"args\": {...}}` and prints that command's result in ASCII. The request is taken from the environment variable `TAGWRIGHT_REQUEST`, or from the file that it names as `@PATH`, or with `-` from standard input. On stderr stand the command line that does the same, warnings and the closing sentence, or nothing with `quiet`.",
            "Each key is a flag in camelCase: `dryRun` is `--dry-run`. The positional argument is `reference` (`image` means the same) or `repository`. A list repeats the flag, `true` is the bare flag, `false` leaves it away, a number is its digits. `null`, a blank text and an empty list are refused, so that a variable that is not set never switches anything off.",
        ],
        object: optional("-", &[], "Reads the request from standard input."),
        needs: &[], second: "the whole request is one JSON document",
        examples: &[("A request that stands in a file", "call - < request.json")],
    },
];

const VERSIONED: &[&str] = &["find-tag", "tags", "next-version", "promote", RELEASE];
const PROMOTING: &[&str] = &["promote", RELEASE];

// As above.
/// Every flag: those of single commands first, then those that every command takes.
#[rustfmt::skip]
pub static FLAGS: &[Flag] = &[
    many("label", "KEY").on(&["labels"]).help(
        "report this label and no other",
        "Reports this label and no other; may be repeated. With exactly one the result holds its text as `value`. A label that is not there is `label-missing`, with the list of those that are."),
    one("platform", "PLATFORM").on(&["labels", "diff"]).help(
        "read this platform, as in linux/arm64",
        "Reads this platform of an image that has several, written as os/architecture or os/architecture/variant, for example `linux/amd64` or `linux/arm/v7`."),
    switch("all-platforms").on(&["labels"]).help(
        "report every platform on its own",
        "Reports the labels of every platform on its own, and whether they are `consistent`, instead of refusing when they differ."),
    switch("annotations").on(&["labels"]).help(
        "take annotations where a label is not there",
        "Takes the annotation of the manifest, and then that of the index, where the image has no label of that name. The result says in `sources` where each value came from: `label`, `manifest`, `index`, or `default`."),
    one("wait", "SECONDS").on(&["labels", "inspect", "find-tag", "promote", RELEASE]).json(Json::Number).help(
        "wait so long for an image that is not there yet",
        "Asks again for at most this many seconds while the registry says that the image is not there: after 1 s, 2 s, 4 s and so on, up to 30 s. A refusal, an error of the registry's or no answer ends the command as without it. `--timeout` is as much longer. Nothing has been written while a promotion waits, and it waits for its source alone."),
    switch("raw").on(&["inspect"]).json(Json::Never).help(
        "print the manifest or index, byte for byte",
        "Prints the bytes of the manifest or index in place of what it is, once they have their digest: no line end is added. On a terminal they are printed only where it would show them all as they are."),
    switch("config").on(&["inspect"]).json(Json::Never).help(
        "print the config blob, byte for byte",
        "Prints the bytes of the config blob of one image or artifact, as `--raw` does those of the manifest. Of several platforms one is named by its digest."),
    one("default", "VALUE").on(&["labels"]).may_be_blank().help(
        "answer this for a label that is not there",
        "Answers this value for a label that is not there, instead of ending with `label-missing`. It may be blank."),
    one("build", "N").on(&["find-tag"]).json(Json::Integer).help(
        "the build number to look for",
        "The number of the build whose tag is wanted. It is compared as an integer with the last of exactly three parts of a version."),
    one("build", "N|auto").on(&["next-version"]).json(Json::IntegerOrWord).choices(&["auto"]).help(
        "the build number, or one more than the highest",
        "The number that becomes the last part of the version. `auto` takes one more than the build of the highest version in the repository, or 1 where there is none."),
    one("build", "N").on(PROMOTING).json(Json::Integer).help(
        "promote the image of this build",
        "Finds the tag of this build in the repository, as `find-tag` does, and promotes it."),
    switch("newest").on(&["find-tag", "promote", RELEASE]).help(
        "take the newest of several versions of one build",
        "Takes the newest where several versions have that build number, instead of refusing with `build-ambiguous`."),
    switch("no-digest").on(&["find-tag"]).help(
        "do not ask for the digest",
        "Leaves the digest null where the list has none, which spares a request. `--print tag` alone does not ask either."),
    many("match", "GLOB").on(&["tags"]).help(
        "list only names that match; *, ? and [a-z] work",
        "Lists only tags whose whole name matches. `*` stands for any text, `?` for one character, `[a-z]` for one of several. May be repeated: a name that matches one of them is listed."),
    many("exclude", "GLOB").on(&["tags"]).help(
        "leave out names that match",
        "Leaves out tags whose whole name matches, in the form of `--match`. May be repeated."),
    one("updated-since", "TIME|AGE").on(&["tags"]).help(
        "list only what was updated since, as in 7d or 12h",
        "Lists only tags that were updated from this moment on: RFC 3339 (`2026-08-21T09:30:00Z`), a date (`2026-08-21`), or how long ago in hours, days or weeks (`12h`, `7d`, `2w`). Docker Hub's web API and Amazon ECR's tell when; where the list does not, the command ends with `request-invalid`."),
    one("sort", "ORDER").on(&["tags"]).choices(&["version", "name", "updated"]).help(
        "version (the default), name, or updated",
        "The order of the list: `version` puts versions first, newest first, then the rest by name; `name` is alphabetic; `updated` puts the latest push first, where the service tells it."),
    one("limit", "N").on(&["tags"]).json(Json::Integer).help(
        "list at most this many tags",
        "Lists at most this many tags. All of them are read all the same, so that the order is right."),
    one("limit", "N").on(&["history"]).json(Json::Integer).help(
        "list at most this many promotions, 100 otherwise",
        "Lists at most this many promotions, the newest; 100 of them where it is left out. More than 1000 records are not read."),
    one("limit", "N").on(&["board"]).json(Json::Integer).help(
        "tell of at most this many tags a repository",
        "Tells of at most this many tags of a repository where none is named; 20 where it is left out."),
    one("html", "DIR").on(&["board"]).help(
        "write a page into this folder",
        "Writes the board as a page into this folder, which is made: `index.html`, `board.css`, and a timeline of each repository. The page needs no script and nothing from elsewhere. Only files of an earlier board are written over."),
    one("at", "TIME").on(&["next-version"]).help(
        "the moment that decides the week, instead of now",
        "The moment that decides year and week, instead of now: RFC 3339 (`2026-08-21T09:30:00Z`), a date (`2026-08-21`), or seconds since 1970 (`@1787304600`)."),
    one("on-conflict", "ACTION").on(&["next-version"]).choices(&["fail", "bump"]).help(
        "fail (the default) or bump when it is not the highest",
        "What to do when the version exists or would not be the highest: `fail` ends with `version-not-increasing`; `bump` keeps the week, or the week of the highest version if that is later, and takes the next free build number."),
    many("to", "TAG").on(PROMOTING).help(
        "create this tag, which must not move",
        "Creates this tag, which must not move: if it has the same digest already it is left alone, with another it is `tag-conflict`. `{version}` stands for the version of the image, with the `v` that its tag begins with, `{major}` and `{minor}` for its first and second part, without, `{tag}` for the tag it was found by. May be repeated."),
    many("move", "TAG").on(PROMOTING).help(
        "create this tag, or move it here",
        "Creates this tag or points it at the image, unless it belongs to a newer version now. Takes placeholders as `--to` does, so that `--move '{major}.{minor}'` keeps the tag of a line. May be repeated."),
    many("move-if-newer", "TAG").on(PROMOTING).help(
        "as --move, but leave it at a newer version",
        "Does what `--move` does, but a tag that belongs to a newer version now is `kept` there, in place of a refusal. May be repeated."),
    many("into", "REPOSITORY").on(PROMOTING).json(Json::Targets).help(
        "copy into this repository and tag there",
        "Copies the image into this repository, of the same registry or another one, and gives it its tags there; guards, conflicts and undoing are about that repository then. What is there already is not sent again, and the tags come last. Without `--to`, `--move` and `--move-if-newer`, `--to {tag} --to {version}-rc --move latest` is meant. Its credential is looked for as the other one's, in `INTO_REGISTRY_USERNAME`, `INTO_REGISTRY_PASSWORD` and `INTO_REGISTRY_HOST` first. May be repeated."),
    switch("no-referrers").on(PROMOTING).help(
        "leave signatures and other referrers behind",
        "Leaves behind what points at the image: signatures, attestations, SBOMs. The result tells how many there are."),
    one("jobs", "N").on(PROMOTING).json(Json::Integer).help(
        "copy so many blobs at once, 4 if not given",
        "How many blobs are copied at once, from 1 to 16; 4 if not given. Each takes about half a megabyte of memory."),
    one("into-aws-role", "ARN").on(PROMOTING).help(
        "assume this role for the registry of --into",
        "Assumes this role for the registry of `--into`, as `--aws-role` does for the other one."),
    one("into-aws-external-id", "ID").on(PROMOTING).help(
        "the external id that this role asks for",
        "The external id that the owner of the role in `--into-aws-role` asks for."),
    one("into-aws-profile", "NAME").on(PROMOTING).help(
        "take this profile for the registry of --into",
        "Takes the AWS credential of this profile for the registry of `--into`."),
    one("expect-digest", "DIGEST").on(PROMOTING).help(
        "promote only if the image has this digest",
        "Refuses with `digest-unexpected` unless the reference has this digest, so that a tag that moved since is noticed."),
    many("require-label", "KEY=VALUE").on(PROMOTING).json(Json::Pairs).help(
        "promote only if the image has this label",
        "Refuses with `label-mismatch` unless every platform of the image has this label with this value; `KEY` alone has to be there and not to be blank. May be repeated. In JSON it is a map, or a list of labels."),
    many("require-signature", "PEM").on(PROMOTING).help(
        "promote only what this public key has signed",
        "Refuses with `signature-missing` unless this very digest is signed by the public key in this file, or in the variable `env:NAME`; of several keys in it, by one. With `--into` the signatures are checked again at the target, before its tags are written. May be repeated, and each has to hold."),
    one("require-signature-of", "WHAT").on(PROMOTING).choices(&["index", "all"]).help(
        "index (the default) or all images of it too",
        "What of an index has to be signed: the `index` itself, which names its images by their digests, or `all`, it and each of its images."),
    many("require-attestation", "TYPE").on(PROMOTING).help(
        "promote only with an attestation of this type",
        "Refuses with `attestation-missing` unless a key of `--require-signature` has signed a statement of this predicate type about this very digest. May be repeated."),
    switch("allow-downgrade").on(PROMOTING).help(
        "let --move go from a newer version to an older one",
        "Lets a tag of `--move` go from a newer version to an older one, which is `downgrade-refused` otherwise."),
    switch("dry-run").on(&["promote", RELEASE, "rollback"]).help(
        "look and decide, write nothing",
        "Looks, decides and reports as the real run would, with the same exit status, and writes nothing, no record either. Rights to read are enough."),
    one("record", "FILE").on(PROMOTING).help(
        "add a record of the promotion to this file",
        "Adds lines of JSON to this file: one with what is planned and what the tags hold now, on the disk before anything is written, and one with what was done. `rollback REPOSITORY --record FILE` puts the tags back from it. `{repository}` and `{digest}` stand for the repository of the tags and for twelve digits of what is promoted; folders for such a name are made. A file that cannot be written to ends the promotion before it begins."),
    switch("attach-record").on(PROMOTING).help(
        "keep a record in the registry, beside the image",
        "Keeps the record of the promotion in the registry, as an artifact that points at the image, for `history` to read. That it cannot be kept there is the warning `record-unattached`, for the tags are where they belong by then."),
    one("sign-record", "KEY").on(PROMOTING).help(
        "sign the attached record by this private key",
        "Signs the record of `--attach-record` by this private key, as an attestation that cosign and admission controllers check: a file with a key in PKCS #8 PEM, or `env:NAME` for a variable that holds the key or the name of its file. A key that cannot sign ends the promotion before it begins."),
    many("verify-key", "PEM").on(&["history", "board"]).help(
        "tell which records this public key signed",
        "Tells of each record whether this public key `verified` it: a file in PEM, or `env:NAME` for a variable that holds the key. May be repeated: one of the keys is enough."),
    one("record", "FILE|-").on(&["rollback"]).json(Json::Document).help(
        "the record to go by, or - for standard input",
        "The record of the promotion: the file that `promote --record` wrote, or `-` to read standard input, where the output of `promote` will do as well. In JSON it may be the record itself, a map."),
    many("tag", "TAG").on(&["rollback"]).help(
        "put back this tag and no other",
        "Puts back this tag and no other of the record. May be repeated."),
    switch("force").on(&["rollback"]).help(
        "put back tags too that somebody moved since",
        "Puts a tag back that somebody moved or deleted since the promotion, which is `tag-conflict` otherwise."),
    one("tag-format", "FORMAT").on(VERSIONED).help(
        "count only tags of this form, such as x-{version}",
        "Counts only tags of this form as versions, for example `feature-x-{version}`, so that branches with counters of their own do not mix."),
    many("action", "ACTION").on(&["auth", "doctor"]).choices(&["pull", "push"]).help(
        "pull (the default) or push",
        "The right that is asked for: `pull` or `push`. May be repeated."),
    one("timeout", "SECONDS").json(Json::Number).help(
        "end the whole command after this time; default 60",
        "Ends the whole command after this many seconds, waiting and repeating included; 60 if not given. Fractions are fine."),
    one("retries", "N").json(Json::Integer).help(
        "repeat a failed request so often; default 3",
        "How often a request is repeated after a failure that may pass: no connection, a broken one, a service that is busy or asks to wait; 3 if not given, 0 for never."),
    one("min-remaining", "N").json(Json::Integer).help(
        "stop before a registry's limit has fewer left",
        "Ends with `rate-limited` before less than so much is left of what a registry lets one read, as it says itself; one that tells of no limit is read as without it, one that is too busy to tell is not read. What is left is asked first, which does not count. What was written by then is told as with every failure."),
    one("ca-file", "PEM").help(
        "trust the certificates in this file too",
        "Trusts the certificates in this PEM file too, beside the built-in roots, those of the system and those of `SSL_CERT_FILE`."),
    switch("https").help(
        "speak HTTPS to registries on loopback too",
        "Speaks HTTPS to registries on `localhost` and other loopback addresses, which are spoken to in plain HTTP otherwise."),
    many("plain-http", "HOST").help(
        "speak plain HTTP to this host",
        "Speaks plain HTTP to this host, or to this host and port, for example `registry.internal:5000`. A credential sent there can be read on the way. May be repeated."),
    many("resolve", "HOST:PORT:ADDR").help(
        "connect to this address for that host",
        "Connects to this IP address where that host and port are meant, instead of asking the name service; certificates are still checked against the host. IPv6 addresses stand in brackets. May be repeated."),
    one("hub-api", "URL").help(
        "another address of Docker Hub's web API",
        "The address of Docker Hub's web API, where it is reached under another than the public one, for example through a mirror. It is https, or http on a loopback address or a host of `--plain-http`."),
    one("via", "SOURCE").choices(&["hub-api", "registry", "ecr-api"]).help(
        "ask hub-api, registry or ecr-api only",
        "Which API is asked. `hub-api` is Docker Hub's web API, for lists of tags. `ecr-api` is the API of Amazon ECR, for everything that is read and written there. `registry` is the registry's own API. If not given, Docker Hub is asked for lists through its web API first and through its registry where that fails, and Amazon ECR through its API where an AWS credential is found."),
    one("credentials-from", "SOURCE").choices(&["env", "aws", "docker-config", "anonymous"]).help(
        "only env, aws, docker-config or anonymous",
        "The one place a credential may come from: `env` is `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`, `aws` everything that AWS tools look at, `docker-config` the files of Docker and podman with their helpers, `anonymous` none at all. If not given, they are asked in this order, and AWS for registries of Amazon ECR alone."),
    one("username", "NAME").json(Json::Never).help(
        "the user whose password --password-stdin reads",
        "The user whose password is read by `--password-stdin`. The two stand in for `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`, whether these are set or not, for the registry of the command's argument."),
    switch(PASSWORD_STDIN).json(Json::Never).help(
        "read the password of --username from stdin",
        "Reads the password of `--username` from standard input: one line, whose end is taken off."),
    one("aws-role", "ARN").help(
        "assume this role for Amazon ECR",
        "Assumes this role with the AWS credential that is found, for example one of the account that owns the registry."),
    many("aws-role-for", "HOST=ARN").help(
        "assume this role for that registry of Amazon's",
        "Assumes this role for this registry, in the place of any other role, with the credential that is found for it. May be repeated, once for each registry."),
    one("aws-external-id", "ID").help(
        "the external id that the role asks for",
        "The external id that the owner of the role in `--aws-role` asks for."),
    one("aws-profile", "NAME").help(
        "take the AWS credential of this profile",
        "Takes the AWS credential of this profile of `~/.aws/config` and `~/.aws/credentials`, and of nothing else."),
    many("ecr", "HOST=ECRHOST").help(
        "this host is Amazon ECR under another name",
        "Says that a registry is one of Amazon ECR under another name, such as that of a proxy or of a private zone, for example `images.internal=123456789012.dkr.ecr.eu-west-1.amazonaws.com`. May be repeated."),
    switch("verbose").short('v').help(
        "one line per exchange on stderr",
        "Writes one line per exchange on stderr: method, address, status, time, attempt. Secrets are left out."),
    switch("quiet").help(
        "nothing but errors on stderr, values alone on a terminal",
        "Writes nothing but errors on stderr: no warnings and no closing sentence. On a terminal stdout holds the values that a script would want, such as the names of the tags, one a line."),
    switch("json").json(Json::Never).help(
        "JSON on a terminal too",
        "Prints the JSON document on a terminal too, indented."),
    switch("text").json(Json::Never).help(
        "text for people in a pipe too",
        "Prints the text for people in a pipe or a file too. It is no contract: programs read the JSON."),
    many("print", "PATH").json(Json::Never).help(
        "print one value of the result, as in tags.0.tag",
        "Prints one value of the result instead of the whole document; dots lead deeper, as in `source.digest`, and `*` goes through a list, as in `tags.*.tag`, one value a line. May be repeated. A text is printed as it is, anything else as JSON. A value that is null ends with status 3, in a list it is passed over. On failure stdout stays empty."),
    switch("help").short('h').json(Json::Never).help(
        "this help; -h for the short one",
        "Prints the long help, `-h` the short one."),
    switch("version").short('V').json(Json::Never).help(
        "the version",
        "Prints the version."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn rows_are_whole_and_unique() {
        for command in COMMANDS {
            let mut seen = HashSet::new();
            for flag in command.flags() {
                assert!(seen.insert(flag.long), "`{}` has `--{}` twice", command.name, flag.long);
                assert!(!command.object.keys.contains(&flag.key().as_str()), "`{}` is a key twice", flag.long);
            }
            for needed in command.needs {
                assert!(command.flag(needed).is_some(), "`{}` has no `--{needed}`", command.name);
            }
            assert!(command.help.len() < 80 && !command.examples.is_empty(), "{}", command.name);
        }
        let mut letters = HashSet::new();
        for flag in FLAGS {
            assert!(flag.help.len() < 80, "`--{}`: {} columns", flag.long, flag.help.len());
            assert!(flag.more.ends_with('.') && !flag.help.ends_with('.'), "`--{}`", flag.long);
            assert!(flag.short.is_none_or(|letter| letters.insert(letter)), "`--{}`", flag.long);
            assert!(flag.on.iter().all(|name| command(name).is_some()), "`--{}`", flag.long);
            let lists = matches!(flag.json, Json::Texts | Json::Pairs | Json::Targets);
            assert!(flag.json == Json::Never || flag.repeats == lists, "`--{}`", flag.long);
        }
    }

    #[test]
    fn keys_are_the_flags_in_camel_case() {
        for (long, key) in
            [("to", "to"), ("dry-run", "dryRun"), ("require-label", "requireLabel"), ("hub-api", "hubApi")]
        {
            let flag = FLAGS.iter().find(|flag| flag.long == long).unwrap();
            assert_eq!(flag.key(), key);
        }
    }
}

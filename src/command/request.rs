//! What a person or a pipeline asked for, every word read and checked, nothing yet looked up.
//!
//! The `cli` layer fills these in; the command files act on them.

use crate::pure::auth::scope::Action;
use crate::pure::auth::{CredentialReach, CredentialSource};
use crate::pure::aws::{AwsIdentity, EcrHost};
use crate::pure::http::{ExchangeSettings, Resolve, Url};
use crate::pure::image::listing::Via;
use crate::pure::image::{Digest, Platform, Reference, Registry, Repository, Tag};
use crate::pure::promote::{Promotion, Record, RequiredLabel, TagKind, Template};
use crate::pure::text::Glob;
use crate::pure::version::{Build, OnConflict, Since, TagFormat};
use std::collections::HashSet;
use time::OffsetDateTime;

/// A command with its arguments, and the flags that every command takes.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The command's name as it is typed.
    pub command: &'static str,
    /// What to do.
    pub request: Request,
    /// How to do it.
    pub common: Common,
}

/// One command with its own arguments.
#[derive(Clone, Debug)]
pub enum Request {
    /// Labels of an image.
    Labels(Labels),
    /// What a reference is.
    Inspect(Inspect),
    /// The tag of a build.
    FindTag(FindTag),
    /// All tags.
    Tags(Tags),
    /// The next version.
    NextVersion(NextVersion),
    /// More tags for a digest.
    Promote(Box<Promote>),
    /// Several promotions as one.
    Release(Box<Release>),
    /// Moved tags put back.
    Rollback(Box<Rollback>),
    /// The promotions that a registry has records of.
    History(History),
    /// What is on the moving tags of repositories.
    Board(Board),
    /// What changes from one image to another.
    Diff(Diff),
    /// What may still be read of a registry.
    RateLimit(RateLimit),
    /// Which credential answers.
    Auth(Auth),
    /// What is wrong, if anything.
    Doctor(Auth),
}

impl Request {
    /// The registries that are spoken to, with the number of the `--into` that names one, 0 for any other.
    pub fn registries(&self) -> Vec<(usize, &Registry)> {
        fn own(repository: &Repository) -> Vec<(usize, &Registry)> {
            vec![(0, repository.registry())]
        }
        match self {
            Request::Labels(labels) => own(labels.reference.repository()),
            Request::Inspect(inspect) => own(inspect.reference.repository()),
            Request::FindTag(find) => own(&find.repository),
            Request::Tags(tags) => own(&tags.repository),
            Request::NextVersion(next) => next.repository.as_ref().map(own).unwrap_or_default(),
            Request::Promote(_) | Request::Release(_) => {
                let sources = self.promotions().iter().map(|promote| (0, promote.source.repository().registry()));
                let targets = self.promotions().iter().flat_map(|promote| promote.into.iter().enumerate());
                sources.chain(targets.map(|(n, into)| (n + 1, into.registry()))).collect()
            }
            Request::Rollback(rollback) => {
                rollback.records().iter().map(|record| (0, record.repository.registry())).collect()
            }
            Request::History(history) => own(&history.repository),
            Request::Board(board) => board.registries().map(|registry| (0, registry)).collect(),
            Request::Diff(diff) => [&diff.from, &diff.to].map(|image| (0, image.repository().registry())).to_vec(),
            Request::RateLimit(limit) => own(&limit.repository),
            Request::Auth(auth) | Request::Doctor(auth) => vec![(0, &auth.registry)],
        }
    }

    /// What is promoted.
    pub fn promotions(&self) -> &[Promote] {
        match self {
            Request::Promote(promote) => std::slice::from_ref(promote),
            Request::Release(release) => &release.promotions,
            _ => &[],
        }
    }

    /// Whether a promotion that is taken back had brought an image to this registry from another repository.
    pub fn came(&self, registry: &Registry) -> bool {
        let Request::Rollback(rollback) = self else { return false };
        let came = |Record { repository, source, .. }: &Record| {
            let from = Reference::parse(&source.reference);
            repository.registry() == registry && from.is_ok_and(|from| from.repository() != repository)
        };
        rollback.records().iter().any(came)
    }

    /// Which registries the environment's credential is for.
    pub fn reach(&self) -> CredentialReach {
        match self {
            Request::Rollback(rollback) if rollback.registries() > 1 => CredentialReach::OneOfSeveral,
            // Whoever wrote a file that says which registry it is about decides about no credential.
            Request::Rollback(rollback)
                if rollback.repository.is_none() && !matches!(rollback.record, RecordSource::Given(_)) =>
            {
                CredentialReach::Pinned
            }
            Request::Release(_) => CredentialReach::OneOfSeveral,
            Request::Diff(diff) if diff.from.repository().registry() != diff.to.repository().registry() => {
                CredentialReach::OneOfSeveral
            }
            Request::Board(board) if board.registries().any(|one| Some(one) != board.registries().next()) => {
                CredentialReach::OneOfSeveral
            }
            _ => CredentialReach::Command,
        }
    }

    /// Whether bytes are asked for, and no document.
    pub fn prints_bytes(&self) -> bool {
        matches!(self, Request::Inspect(Inspect { part: Some(_), .. }))
    }
}

/// Arguments of `labels`.
#[derive(Clone, Debug)]
pub struct Labels {
    /// The image, `latest` filled in where no tag was named.
    pub reference: Reference,
    /// The labels asked for; empty means all.
    pub keys: Vec<String>,
    /// The platform asked for.
    pub platform: Option<Platform>,
    /// Whether to report each platform apart.
    pub all_platforms: bool,
    /// Whether the annotations of the manifest, and then of the index, stand in for a label that is not there.
    pub annotations: bool,
    /// What to answer for a label that is not there; may be empty.
    pub default: Option<String>,
}

/// Arguments of `inspect`.
#[derive(Clone, Debug)]
pub struct Inspect {
    /// The image, `latest` filled in where no tag was named.
    pub reference: Reference,
    /// What is printed of it byte for byte, in place of what it is.
    pub part: Option<RawPart>,
}

/// What can be printed of an image byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawPart {
    /// The manifest or index.
    Manifest,
    /// The config blob.
    Config,
}

/// Arguments of `find-tag`.
#[derive(Clone, Debug)]
pub struct FindTag {
    /// Where to look.
    pub repository: Repository,
    /// The build number.
    pub build: u64,
    /// Take the newest of several versions.
    pub newest: bool,
    /// Whether to ask for the digest where the list has none.
    pub digest: bool,
    /// Which tags count as versions.
    pub format: TagFormat,
}

/// How `tags` orders its list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Versions newest first, then the rest by name.
    #[default]
    Version,
    /// By name.
    Name,
    /// Last updated first.
    Updated,
}

/// Arguments of `tags`.
#[derive(Clone, Debug)]
pub struct Tags {
    /// Where to look.
    pub repository: Repository,
    /// Only names that match one of these; all where there are none.
    pub matching: Vec<Glob>,
    /// No names that match one of these.
    pub exclude: Vec<Glob>,
    /// Only tags that were updated from then on.
    pub since: Option<Since>,
    /// The order.
    pub sort: Sort,
    /// At most so many.
    pub limit: Option<usize>,
    /// Which tags count as versions.
    pub format: TagFormat,
}

/// Arguments of `next-version`.
#[derive(Clone, Debug)]
pub struct NextVersion {
    /// Where existing versions are looked up, if anywhere.
    pub repository: Option<Repository>,
    /// The build number, or one more than the highest.
    pub build: Build,
    /// The moment that decides the week; now if not given.
    pub at: Option<OffsetDateTime>,
    /// What to do when the version would not be the highest.
    pub on_conflict: OnConflict,
    /// Which tags count as versions.
    pub format: TagFormat,
}

/// What `promote` starts from.
#[derive(Clone, Debug)]
pub enum PromotionSource {
    /// A tag or digest, named.
    Reference(Reference),
    /// The tag of a build, to be found.
    Build {
        /// Where to look.
        repository: Repository,
        /// The build number.
        build: u64,
        /// Take the newest of several versions.
        newest: bool,
    },
}

impl PromotionSource {
    /// The repository either way.
    pub fn repository(&self) -> &Repository {
        match self {
            PromotionSource::Reference(reference) => reference.repository(),
            PromotionSource::Build { repository, .. } => repository,
        }
    }
}

/// The signatures that a promotion asks for.
#[derive(Clone, Debug, Default)]
pub struct RequiredSignatures {
    /// Where the keys are; of each place one must have signed.
    pub keys: Vec<String>,
    /// Whether the images of an index must be signed too.
    pub all: bool,
    /// The types of statements that one of the keys must have signed.
    pub attestations: Vec<String>,
}

/// Arguments of `promote`.
#[derive(Clone, Debug)]
pub struct Promote {
    /// What gets more tags.
    pub source: PromotionSource,
    /// Tags that must not move once they are there; the defaults are filled in.
    pub to: Vec<Template>,
    /// Tags that may move; the defaults are filled in.
    pub moves: Vec<Template>,
    /// Tags that may move and stay where they hold a newer version.
    pub newer: Vec<Template>,
    /// Whether the tags are those that are meant where none is given.
    pub implied: bool,
    /// The digest that the source must have.
    pub expect_digest: Option<Digest>,
    /// Labels that every platform must have, key and value.
    pub require_labels: Vec<RequiredLabel>,
    /// Who has to have signed it.
    pub signed: RequiredSignatures,
    /// Whether a tag may go from a newer version to an older one.
    pub allow_downgrade: bool,
    /// Look and plan, write nothing.
    pub dry_run: bool,
    /// The repositories whose tags are written, where the image does not stay in its own.
    pub into: Vec<Repository>,
    /// Whether signatures and whatever else points at the image goes along to another repository.
    pub referrers: bool,
    /// How many blobs are under way at once.
    pub jobs: usize,
    /// The file that a record is added to.
    pub record: Option<String>,
    /// Whether a record is kept in the registry too.
    pub attach_record: bool,
    /// The key that signs it there: its file, or `env:` and a variable.
    pub sign_record: Option<String>,
    /// Which tags count as versions.
    pub format: TagFormat,
}

impl Promote {
    /// Every tag that is asked for, and whether it may move: `--to` first.
    pub fn templates(&self) -> impl Iterator<Item = (&Template, TagKind)> {
        let lists = [(&self.to, TagKind::Fixed), (&self.moves, TagKind::Moving), (&self.newer, TagKind::Yielding)];
        lists.into_iter().flat_map(|(templates, kind)| templates.iter().map(move |template| (template, kind)))
    }

    /// Whether any tag may move.
    pub fn moves_any(&self) -> bool {
        !self.moves.is_empty() || !self.newer.is_empty()
    }

    /// Whether a tag may be moved that could not be compared.
    pub fn is_free(&self) -> bool {
        self.allow_downgrade && self.newer.is_empty()
    }
}

/// Arguments of `release`.
#[derive(Clone, Debug)]
pub struct Release {
    /// What is promoted, in the order given; what each of them says of what follows does not count.
    pub promotions: Vec<Promote>,
    /// Look and plan, write nothing.
    pub dry_run: bool,
    /// The file that a record is added to.
    pub record: Option<String>,
    /// The key that signs records in registries.
    pub sign_record: Option<String>,
}

/// Where a record is read from.
#[derive(Clone, Debug)]
pub enum RecordSource {
    /// A file.
    File(String),
    /// Standard input.
    Stdin,
    /// The request holds it, as JSON.
    Given(String),
}

/// Arguments of `rollback`.
#[derive(Clone, Debug)]
pub struct Rollback {
    /// The repository that the record has to be about.
    pub repository: Option<Repository>,
    /// Where the record is.
    pub record: RecordSource,
    /// The tags that are put back; empty means all.
    pub tags: Vec<Tag>,
    /// Look and plan, write nothing.
    pub dry_run: bool,
    /// Put tags back that somebody moved since.
    pub force: bool,
    /// What the record says, once it was read.
    pub promotion: Option<Promotion>,
}

impl Rollback {
    /// What the record says, once it was read.
    pub fn records(&self) -> &[Record] {
        self.promotion.as_ref().map_or(&[], |promotion| &promotion.records)
    }

    /// How many registries it is about.
    fn registries(&self) -> usize {
        self.records().iter().map(|record| record.repository.registry()).collect::<HashSet<_>>().len()
    }
}

/// Arguments of `history`.
#[derive(Clone, Debug)]
pub struct History {
    /// Where to look.
    pub repository: Repository,
    /// Only promotions of this tag.
    pub tag: Option<Tag>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Where the keys lie that records are checked by.
    pub verify_keys: Vec<String>,
}

/// A repository on a board.
#[derive(Clone, Debug)]
pub struct BoardPlace {
    /// The repository.
    pub repository: Repository,
    /// The tags that are named.
    pub tags: Vec<Tag>,
    /// Whether all of its moving tags are meant.
    pub is_whole: bool,
}

/// Arguments of `board`.
#[derive(Clone, Debug)]
pub struct Board {
    /// The repositories.
    pub places: Vec<BoardPlace>,
    /// The folder that the page is written into.
    pub html: Option<String>,
    /// At most so many moving tags of a repository.
    pub limit: Option<usize>,
    /// Where the keys lie that records are checked by.
    pub verify_keys: Vec<String>,
}

impl Board {
    fn registries(&self) -> impl Iterator<Item = &Registry> {
        self.places.iter().map(|place| place.repository.registry())
    }
}

/// Arguments of `diff`.
#[derive(Clone, Debug)]
pub struct Diff {
    /// The image that is there, `latest` filled in where no tag was named.
    pub from: Reference,
    /// The image that is to come, `latest` filled in where no tag was named.
    pub to: Reference,
    /// The platform asked for.
    pub platform: Option<Platform>,
}

/// Arguments of `rate-limit`.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// A repository of the registry that is asked.
    pub repository: Repository,
}

/// Arguments of `auth` and of `doctor`.
#[derive(Clone, Debug)]
pub struct Auth {
    /// The registry.
    pub registry: Registry,
    /// The repository, where one was named.
    pub repository: Option<Repository>,
    /// What is asked for; `pull` if nothing was.
    pub actions: Vec<Action>,
}

/// Flags that every command takes.
#[derive(Clone, Debug)]
pub struct Common {
    /// What holds for every request to a server.
    pub exchange: ExchangeSettings,
    /// A PEM file with further roots.
    pub ca_file: Option<String>,
    /// Addresses that stand in for name resolution.
    pub resolve: Vec<Resolve>,
    /// The address of Docker Hub's web API, where it is not the public one.
    pub hub_api: Option<Url>,
    /// The one source of tag lists that is wanted.
    pub via: Option<Via>,
    /// The one source of credentials that is wanted.
    pub credentials_from: Option<CredentialSource>,
    /// The user whose password is on standard input.
    pub username: Option<String>,
    /// Whose AWS identity is wanted.
    pub aws: AwsIdentity,
    /// Whose AWS identity is wanted at the registry of `--into`.
    pub into_aws: AwsIdentity,
    /// Registries, each with the role that is assumed for it.
    pub aws_roles: Vec<(Registry, String)>,
    /// Registries, as host or host and port in lower case, that stand for one of Amazon's.
    pub ecr: Vec<(String, EcrHost)>,
    /// The values of the result to print, as dotted paths.
    pub print: Vec<String>,
}

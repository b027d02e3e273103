//! What a token is asked for: actions on a repository.
//!
//! Only repositories and the two actions a promotion needs are known here. Whatever else a registry
//! demands in a challenge is handed back to it as it came; see [`super::flow`].
//!
//! Grammar: the token scope documentation of the distribution project.

use std::collections::BTreeSet;
use std::fmt;

/// Something that may be done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Read.
    Pull,
    /// Write.
    Push,
}

impl Action {
    /// Reads `pull` or `push`, as they are typed and sent.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "pull" => Some(Action::Pull),
            "push" => Some(Action::Push),
            _ => None,
        }
    }

    /// As it is typed and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Pull => "pull",
            Action::Push => "push",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Actions on one repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// The path inside the registry.
    pub repository: String,
    /// What is to be done, in the order `pull,push`.
    pub actions: BTreeSet<Action>,
}

impl Scope {
    /// The given actions on a repository.
    pub fn new(repository: impl Into<String>, actions: &[Action]) -> Self {
        Self { repository: repository.into(), actions: actions.iter().copied().collect() }
    }

    /// What reading takes.
    pub fn pull(repository: impl Into<String>) -> Self {
        Self::new(repository, &[Action::Pull])
    }

    /// What writing takes: a push needs the right to read as well.
    pub fn push(repository: impl Into<String>) -> Self {
        Self::new(repository, &[Action::Pull, Action::Push])
    }

    /// Reads `repository:NAME:ACTION[,ACTION]`; `None` for other kinds of resource and other actions.
    pub fn parse(text: &str) -> Option<Self> {
        // The name may hold a colon of its own, as in `host:5000/app`, so the actions start at the last one.
        let (repository, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
        let actions = actions.split(',').map(Action::parse).collect::<Option<BTreeSet<_>>>()?;
        if repository.is_empty() { None } else { Some(Self { repository: repository.to_owned(), actions }) }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "repository:{}:", self.repository)?;
        for (i, action) in self.actions.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{action}")?;
        }
        Ok(())
    }
}

/// Scopes in the order they were added, each repository once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ScopeSet(Vec<Scope>);

impl ScopeSet {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a scope; actions on a repository that is there already join it.
    pub fn add(&mut self, scope: Scope) {
        match self.0.iter_mut().find(|known| known.repository == scope.repository) {
            Some(known) => known.actions.extend(scope.actions),
            None => self.0.push(scope),
        }
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether everything the other set asks for is in this one.
    pub fn covers(&self, other: &ScopeSet) -> bool {
        other.0.iter().all(|wanted| {
            wanted.actions.is_empty()
                || self.0.iter().any(|s| s.repository == wanted.repository && s.actions.is_superset(&wanted.actions))
        })
    }

    /// What of this set is not among the rights that were granted, as [`super::token::Token::granted`] lists them.
    ///
    /// Servers grant the intersection without a word, so this is the only way to name what is missing.
    #[must_use]
    pub fn missing(&self, granted: &[String]) -> ScopeSet {
        let mut missing = ScopeSet::new();
        for scope in &self.0 {
            let rest = scope.actions.iter().copied().filter(|action| {
                !granted.iter().any(|right| {
                    right.strip_prefix("repository:").and_then(|right| right.rsplit_once(':')).is_some_and(
                        |(name, actions)| {
                            name == scope.repository && actions.split(',').any(|a| a == "*" || a == action.as_str())
                        },
                    )
                })
            });
            let rest: BTreeSet<Action> = rest.collect();
            if !rest.is_empty() {
                missing.add(Scope { repository: scope.repository.clone(), actions: rest });
            }
        }
        missing
    }
}

impl From<Scope> for ScopeSet {
    fn from(scope: Scope) -> Self {
        Self(vec![scope])
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut set = Self::new();
        scopes.into_iter().for_each(|scope| set.add(scope));
        set
    }
}

impl fmt::Display for ScopeSet {
    /// Separated by spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, scope) in self.0.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(f, "{space}{scope}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_print_as_they_are_sent_and_read_back() {
        for (scope, text) in [
            (Scope::pull("library/app"), "repository:library/app:pull"),
            (Scope::push("a/b"), "repository:a/b:pull,push"),
            (Scope::new("a/b", &[Action::Push, Action::Pull, Action::Push]), "repository:a/b:pull,push"),
            (Scope::push("host:5000/a"), "repository:host:5000/a:pull,push"),
        ] {
            assert_eq!(scope.to_string(), text);
            assert_eq!(Scope::parse(text), Some(scope));
        }
        assert_eq!(Scope::parse("repository:a:push,pull").unwrap().to_string(), "repository:a:pull,push");
        for foreign in ["aws", "registry:catalog:*", "repository:a:pull,delete", "repository::pull", "repository:a", ""]
        {
            assert_eq!(Scope::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_set_keeps_its_order_and_joins_actions_of_one_repository() {
        let set: ScopeSet = [Scope::push("into"), Scope::pull("from"), Scope::pull("into")].into_iter().collect();
        assert_eq!(set.to_string(), "repository:into:pull,push repository:from:pull");
        assert!(set.covers(&Scope::pull("into").into()));
        assert!(set.covers(&ScopeSet::new()));
        assert!(!set.covers(&Scope::push("from").into()));
        assert!(!set.covers(&Scope::pull("other").into()));
    }

    #[test]
    fn missing_rights_are_named() {
        for (granted, missing) in [
            (&["repository:a:pull,push"][..], ""),
            (&["repository:a:*"], ""),
            (&["repository:a:pull"], "repository:a:push"),
            (&["repository:a:push", "repository:a:pull"], ""),
            (&["repository:b:pull,push", "aws"], "repository:a:pull,push"),
            (&[], "repository:a:pull,push"),
        ] {
            let granted: Vec<String> = granted.iter().map(|&text| text.to_owned()).collect();
            assert_eq!(ScopeSet::from(Scope::push("a")).missing(&granted).to_string(), missing, "{granted:?}");
        }
    }
}

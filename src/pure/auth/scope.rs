//! What a token is asked for: actions on a repository.
//!
//! Only repositories and the two actions a promotion needs are known here. Whatever else a registry
//! demands in a challenge is handed back to it as it came; see [`crate::pure::auth::flow`].
//!
//! Grammar: the token scope documentation of the distribution project.

use crate::pure::text::words::words;
use std::fmt;

words! {
    /// Something that may be done with a repository.
    Action {
        /// Read.
        Pull = "pull",
        /// Write.
        Push = "push",
    }
}

impl Action {
    /// Reads `pull` or `push`, as they are typed and sent.
    pub fn parse(text: &str) -> Option<Self> {
        [Action::Pull, Action::Push].into_iter().find(|action| action.as_str() == text)
    }
}

/// Actions on one repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// The path inside the registry.
    pub repository: String,
    /// What is to be done, in the order `pull,push`.
    pub actions: Vec<Action>,
}

impl Scope {
    /// The given actions on a repository.
    pub fn new(repository: impl Into<String>, actions: impl IntoIterator<Item = Action>) -> Self {
        let mut scope = Self { repository: repository.into(), actions: Vec::new() };
        actions.into_iter().for_each(|action| scope.add(&[action]));
        scope
    }

    /// Adds what else is to be done.
    pub fn add(&mut self, actions: &[Action]) {
        self.actions.extend(actions);
        self.actions.sort_unstable();
        self.actions.dedup();
    }

    /// What reading or writing takes.
    pub fn of(repository: impl Into<String>, action: Action) -> Self {
        match action {
            Action::Pull => Self::pull(repository),
            Action::Push => Self::push(repository),
        }
    }

    /// What reading takes.
    pub fn pull(repository: impl Into<String>) -> Self {
        Self::new(repository, [Action::Pull])
    }

    /// What writing takes: a push needs the right to read as well.
    pub fn push(repository: impl Into<String>) -> Self {
        Self::new(repository, [Action::Pull, Action::Push])
    }

    /// Reads `repository:NAME:ACTION[,ACTION]`; `None` for other kinds of resource and other actions.
    pub fn parse(text: &str) -> Option<Self> {
        // The name may hold a colon of its own, as in `host:5000/app`, so the actions start at the last one.
        let (repository, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
        let actions = actions.split(',').map(Action::parse).collect::<Option<Vec<_>>>()?;
        if repository.is_empty() { None } else { Some(Self::new(repository, actions)) }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions: Vec<&str> = self.actions.iter().map(|action| action.as_str()).collect();
        write!(f, "repository:{}:{}", self.repository, actions.join(","))
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
            Some(known) => known.add(&scope.actions),
            None => self.0.push(scope),
        }
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// The right that these amount to.
    pub fn action(&self) -> Action {
        let writes = self.0.iter().any(|scope| scope.actions.contains(&Action::Push));
        if writes { Action::Push } else { Action::Pull }
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What of this set is not among the rights that were granted, as [`crate::pure::auth::token::Token::granted`] lists them.
    #[must_use]
    pub fn missing(&self, granted: &[String]) -> ScopeSet {
        let is_granted = |repository: &str, action: Action| {
            let rights = granted.iter().filter_map(|right| right.strip_prefix("repository:")?.rsplit_once(':'));
            rights
                .filter(|(name, _)| *name == repository)
                .any(|(_, actions)| actions.split(',').any(|granted| granted == "*" || granted == action.as_str()))
        };
        let lacking = self.0.iter().map(|scope| {
            let actions = scope.actions.iter().copied().filter(|action| !is_granted(&scope.repository, *action));
            Scope::new(scope.repository.clone(), actions)
        });
        lacking.filter(|scope| !scope.actions.is_empty()).collect()
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
        f.write_str(&self.0.iter().map(Scope::to_string).collect::<Vec<_>>().join(" "))
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
            (Scope::new("a/b", [Action::Push, Action::Pull, Action::Push]), "repository:a/b:pull,push"),
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
        assert!(!set.is_empty() && ScopeSet::new().is_empty());
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
            assert_eq!(ScopeSet::from_iter([Scope::push("a")]).missing(&granted).to_string(), missing, "{granted:?}");
        }
    }
}

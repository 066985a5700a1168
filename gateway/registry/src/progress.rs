//! How far the reading and keeping of a package is, for whoever waits for it. It decides nothing.

/// What is being done with a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its folder is read, and every file hashed.
    Reading,
    /// Its files are copied into the store.
    Keeping,
    /// The copy is hashed once more.
    Checking,
}

/// Hears of a step that so many files are done, and of how many, where that is known.
pub type Tell<'a> = dyn Fn(Step, usize, Option<usize>) + 'a;

/// For those who do not want to hear it.
pub fn untold(_: Step, _: usize, _: Option<usize>) {}

//! The variables that an interpreter is started with. Only a runtime's data file can name any: there is no other way to make an
//! [`Environment`] that is not empty, and so every native program is started with an empty one.

#[cfg(test)]
use std::ffi::CStr;
use std::ffi::CString;

use crate::sys::launcher::wire::ENVIRONMENT_MAX;

/// The environment of a program at its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    variables: Vec<CString>,
}

impl Environment {
    /// No variable.
    pub(crate) const EMPTY: Self = Self {
        variables: Vec::new(),
    };

    /// The variables of a data file, each as `NAME=VALUE`; none where one of them is not like that, or where there are too many.
    pub(super) fn of_data_file(lines: &[String]) -> Option<Self> {
        let variable = |line: &String| {
            let (name, _) = line.split_once('=')?;
            CString::new(line.as_str())
                .ok()
                .filter(|_| !name.is_empty())
        };
        let variables = lines.iter().map(variable).collect::<Option<Vec<_>>>()?;
        (variables.len() <= ENVIRONMENT_MAX).then_some(Self { variables })
    }

    /// These variables and those; none where there would be too many.
    pub(super) fn and(&self, others: &Self) -> Option<Self> {
        let variables: Vec<CString> = [&self.variables[..], &others.variables].concat();
        (variables.len() <= ENVIRONMENT_MAX).then_some(Self { variables })
    }

    /// The variables as the kernel takes them.
    pub(crate) fn variables(&self) -> &[CString] {
        &self.variables
    }

    /// An environment that no data file has, for tests of those who hand one over.
    #[cfg(test)]
    pub(crate) fn of_test(variables: &[&CStr]) -> Self {
        let variables = variables.iter().map(|&variable| variable.into()).collect();
        Self { variables }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_name_and_there_are_few() {
        let of = |lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
            Environment::of_data_file(&lines)
        };
        assert_eq!(of(&[]), Some(Environment::EMPTY));
        assert_eq!(of(&["A=1"]), Some(Environment::of_test(&[c"A=1"])));
        for bad in [
            &["A"][..],
            &["=1"],
            &["A=\0"],
            &["A=1"; ENVIRONMENT_MAX + 1],
        ] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }
}

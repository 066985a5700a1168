//! The sandbox from outside: what plugins can do, what they are refused, what bounds them, and what the host must offer.

#[cfg(test)]
mod echo;
#[cfg(test)]
mod host;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod refuse;
#[cfg(test)]
mod support;

#[test]
fn again_as_an_ordinary_user() {
    support::again_as_an_ordinary_user();
}

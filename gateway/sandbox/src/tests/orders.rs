//! Orders to a launcher: the longest allowed one works, a longer one is refused in words, and a bad one ends no other call.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::time::Duration;

use super::launcher::try_run_within;
use super::races::launcher;
use super::support::{
    Link, Permit, alone, children_of, limits, made, program, run, sandbox, script, soon, text,
    wait_for, with_arguments,
};
use crate::{End, Error, Limits, Sandbox};

/// The contract's bound (section 4), written out so that a change of the constant fails here.
const ARGUMENTS: usize = 256;
const ARGUMENT_BYTES: usize = 4096;

/// Says how many arguments came, how long they are together, and what the last one ends with.
const COUNT: &str = r#"int main(int count, char **words) {
    request();
    long bytes = 0;
    for (int i = 1; i < count; i++) bytes += strlen(words[i]);
    printf("%d %ld %s\n", count - 1, bytes, words[count - 1] + strlen(words[count - 1]) - 2);
}"#;

fn arguments(count: usize, bytes: usize) -> Vec<String> {
    let word = |at: usize| format!("{:x>bytes$}", format!("{:02}", at % 100));
    (0..count).map(word).collect()
}

#[test]
fn the_longest_legal_order_is_carried_out() {
    let sandbox = sandbox();
    let folder = super::support::package(&[("main.sh", "read l; echo \"$# ${#256}\"")]);
    for link in [Link::Static, Link::Dynamic] {
        let entry = with_arguments(&program(COUNT, link), arguments(ARGUMENTS, ARGUMENT_BYTES));
        let report = run(&sandbox, &entry, folder.path(), "{}\n");
        assert_eq!(text(&report), "256 1048576 55\n", "{:?}", report.end);
    }
    let entry = with_arguments(
        &script("sh", "main.sh"),
        arguments(ARGUMENTS, ARGUMENT_BYTES),
    );
    let report = run(&sandbox, &entry, folder.path(), "{}\n");
    assert_eq!(text(&report), "256 4096\n", "{report:?}");
}

#[test]
fn an_order_beyond_the_bound_is_refused_in_words_and_ends_nobody() {
    let name = "orders::an_order_beyond_the_bound_is_refused_in_words_and_ends_nobody";
    alone(name, || {
        let sandbox = sandbox();
        let counting = program(COUNT, Link::Static);
        beside_another(&sandbox, |folder| {
            for args in [
                arguments(ARGUMENTS + 1, 2),
                arguments(600, 2),
                arguments(1, ARGUMENT_BYTES + 1),
                arguments(700, 4000),
            ] {
                let entry = with_arguments(&counting, args);
                let refused = try_run_within(&sandbox, &entry, folder, Duration::from_secs(5));
                let Err(Error::Unusable { subject, value }) = refused else {
                    panic!("{refused:?}");
                };
                assert!(
                    subject.contains("argument") && value.contains("at most"),
                    "{subject} {value}"
                );
            }
        });
    });
}

/// Memory that is used before the exec has happened is charged to the plugin's group, while the child still shares the launcher's memory. Lack of
/// memory must not end both.
#[test]
fn the_longest_order_with_the_least_memory_ends_nobody() {
    let name = "orders::the_longest_order_with_the_least_memory_ends_nobody";
    alone(name, || {
        let sandbox = sandbox();
        let counting = program(COUNT, Link::Static);
        let entry = with_arguments(&counting, arguments(ARGUMENTS, ARGUMENT_BYTES));
        beside_another(&sandbox, |folder| {
            let limits = Limits {
                memory_bytes: 1,
                ..limits()
            };
            let time = Duration::from_secs(5);
            for _ in 0..20 {
                super::support::run_within(&sandbox, &entry, folder, "{}\n", time, limits);
            }
        });
    });
}

/// Runs `attack` while another run of the same package is in flight, which must still be there afterwards.
fn beside_another(sandbox: &Sandbox<Permit>, attack: impl FnOnce(&std::path::Path)) {
    let folder = super::support::package(&[]);
    let slow = "int main(void) { request(); sleep(2); answer(\"fine\\n\"); }";
    let slow = program(slow, Link::Static);
    std::thread::scope(|scope| {
        let neighbour =
            scope.spawn(|| try_run_within(sandbox, &slow, folder.path(), Duration::from_secs(20)));
        wait_for(|| children_of(std::process::id()), |found| found.len() == 1);
        attack(folder.path());
        let neighbour = neighbour.join().unwrap();
        assert!(
            neighbour
                .as_ref()
                .is_ok_and(|report| report.end == End::Answered),
            "the neighbour's call ended with the attacker's: {neighbour:?}"
        );
    });
}

/// An order that the plan would let through if it had no bound: the launcher itself refuses it.
#[test]
fn a_launcher_answers_a_bad_order_and_serves_on() {
    let (host, launcher) = launcher();
    let null = std::fs::File::open("/dev/null").unwrap();
    let image = super::races::endless();
    let loan = host.identity().unwrap();
    let order = |arguments: &[CString], doors| {
        let order = crate::launch::order::Start {
            user: loan.as_ref().map(crate::launch::uids::Loan::id),
            cookies: [1, 2],
            descriptors: 16,
            limits: &[],
            arguments,
            environment: &crate::plan::runtimes::environment::Environment::EMPTY,
            stdio: [null.as_fd(); 3],
            program: Some(image.file()),
            birthplace: None,
            doors: vec![null.as_fd(); doors],
        };
        made(launcher.launch(&order, soon()))
    };
    let word = CString::new("plugin").unwrap();
    let good = order(std::slice::from_ref(&word), 0).unwrap();
    for (count, doors) in [(513, 0), (600, 0), (2000, 0), (1, 4), (1, 7)] {
        let refused = order(&vec![word.clone(); count], doors);
        assert!(
            matches!(refused, Err(Error::Step { step: "order", .. })),
            "{count} arguments, {doors} doors: {refused:?}"
        );
    }
    assert!(!launcher.is_gone());
    super::races::end(&launcher, &good);
    let again = order(&[word], 0).unwrap();
    super::races::end(&launcher, &again);
}

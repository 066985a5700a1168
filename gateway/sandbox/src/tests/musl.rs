//! Programs that are linked with another C library than the host's: musl, static and dynamic.

use std::process::Command;

use super::support::{PRELUDE, Permit, package, run, sandbox, seal, text};
use crate::{End, Report, Sandbox};

/// Two threads that wait for each other, memory, a file that is not there, and floating-point words.
const SOURCE: &str = r#"
static int sum; static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t come = PTHREAD_COND_INITIALIZER;
static void *other(void *ignored) { pthread_mutex_lock(&lock); sum = 42; pthread_cond_signal(&come); pthread_mutex_unlock(&lock); return 0; }
int main(int count, char **words) {
    request();
    pthread_t thread[8];
    for (int i = 0; i < 8; i++) if (pthread_create(&thread[i], 0, other, 0)) return 4;
    pthread_mutex_lock(&lock); while (!sum) pthread_cond_wait(&come, &lock); pthread_mutex_unlock(&lock);
    for (int i = 0; i < 8; i++) pthread_join(thread[i], 0);
    char *much = malloc(20 << 20); memset(much, 1, 20 << 20);
    printf("%d %d %d %.3f\n", sum, much[(20 << 20) - 1], fopen("/etc/passwd", "r") != 0, 1 / 3.0);
    return 0;
}"#;

/// Compiles it with musl and runs it; none where there is no compiler for that.
fn ran(sandbox: &Sandbox<Permit>, how: &[&str]) -> Option<Report> {
    let folder = package(&[("main.c", &format!("{PRELUDE}\n{SOURCE}"))]);
    let mut compiler = Command::new("musl-gcc");
    compiler
        .args(["-O1", "-w", "-pthread", "-o", "program"])
        .args(how);
    match compiler.arg("main.c").current_dir(folder.path()).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => {
            skip::skip(&format!("musl-gcc: {error}"));
            return None;
        }
    }
    let entry = seal(&folder.path().join("program"));
    Some(run(sandbox, &entry, folder.path(), "{}\n"))
}

#[test]
fn a_program_of_musl_runs_with_threads_static_and_dynamic() {
    let sandbox = sandbox();
    for how in [&["-static"][..], &["-static-pie"], &[]] {
        let Some(report) = ran(&sandbox, how) else {
            return;
        };
        assert_eq!(
            (&report.end, text(&report).as_str()),
            (&End::Answered, "42 1 0 0.333\n"),
            "{how:?} {report:?}"
        );
    }
}

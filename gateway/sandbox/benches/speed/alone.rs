//! S1, S2, S5 and S8: the sandbox jail, without ledger or checks, beside the bare way, its peers, and itself in a large process.

use crate::jail::{Jail, leave, plan};
use crate::kit::{Bare, Call, Contest, Echo, Plan, Target, Undisturbed, Unit, row, skipped};
use crate::peers::{Lines, PEERS, installed};
use serde_json::Value;

/// What the large process holds more than the small one: 1 GiB, every page of it touched.
const BALLAST_BYTES: usize = 1 << 30;

/// How many times fewer calls a peer makes, which takes some hundred times as long.
const SLOWER: usize = 16;

/// Measures, and leaves its rows for the table.
pub(crate) fn measure() {
    let plan = plan();
    let _undisturbed = Undisturbed::begin();
    let mut rows = Vec::new();
    for echo in [Echo::freestanding(), Echo::hosted()] {
        rows.extend(beside_bare(plan, &echo));
    }
    rows.extend(beside_peers(plan, &Echo::freestanding()));
    rows.push(in_a_large_process(plan, &Echo::freestanding()));
    leave(&rows);
}

fn beside_bare(plan: Plan, echo: &Echo) -> Vec<Value> {
    let (jail, bare) = (Jail::new(echo), Bare::new(echo));
    let contestants: [Call<'_>; 2] = [Box::new(|| jail.call()), Box::new(|| bare.call())];
    let measure = |at_once| {
        let contest = Contest::run(plan, at_once, &contestants);
        let what = format!(
            "cold start, jailed, {at_once} at once, {} plugin, against posix_spawn",
            echo.name
        );
        if at_once == 1 {
            row(
                "S2",
                &what,
                Unit::Micros,
                contest.p50(0, 1),
                Target::RatioTo(1.2),
            )
        } else {
            row(
                "S1",
                &what,
                Unit::Rate,
                contest.rate(0, 1),
                Target::RatioFrom(1.0),
            )
        }
    };
    [1, 2, 8, 32].map(measure).into()
}

fn beside_peers(plan: Plan, echo: &Echo) -> Vec<Value> {
    let jail = Jail::new(echo);
    let against = |what: &str, call: Call<'_>, target: f64| {
        let contestants: [Call<'_>; 2] = [Box::new(|| jail.call()), call];
        let contest = Contest::run(plan.with_fewer_calls(SLOWER), 2, &contestants);
        row(
            "S5",
            what,
            Unit::Rate,
            contest.rate(0, 1),
            Target::RatioFrom(target),
        )
    };
    let mut rows = Vec::new();
    for peer in &PEERS {
        let what = format!("cold start, jailed, 2 at once, against {}", peer.name);
        let bare = Bare::new(echo).behind(peer.words);
        rows.push(if !installed(peer.words[0]) {
            skipped("S5", &what, "skipped: not installed")
        } else if bare.answers() {
            against(&what, Box::new(move || bare.call()), peer.target)
        } else {
            skipped(
                "S5",
                &what,
                "skipped: it is installed, but does not run the plugin here",
            )
        });
    }
    for (what, lines, target) in [
        ("a Node worker thread for each call", Lines::node(), 120.0),
        ("an Extism instance for each call", Lines::extism(), 1.0),
    ] {
        let what = format!("cold start, jailed, 2 at once, against {what}");
        rows.push(match lines {
            Ok(lines) => against(&what, Box::new(move || lines.call()), target),
            Err(why) => skipped("S5", &what, why),
        });
    }
    rows
}

fn in_a_large_process(plan: Plan, echo: &Echo) -> Value {
    let jail = Jail::new(echo);
    let call = || jail.call();
    let small = |_: usize| plan.round(1, &call);
    let large = |_: usize| {
        // The byte is not zero, or the pages would not be touched.
        let ballast = vec![1_u8; BALLAST_BYTES];
        let figures = plan.round(1, &call);
        drop(std::hint::black_box(ballast));
        figures
    };
    small(0);
    let rounds = (0..plan.rounds()).map(|at| vec![large(at), small(at)]);
    let contest = Contest::of(rounds.collect());
    let what = "cold start, jailed, in a process with 1 GiB resident, against without";
    row(
        "S8",
        what,
        Unit::Micros,
        contest.p50(0, 1),
        Target::RatioTo(1.1),
    )
}

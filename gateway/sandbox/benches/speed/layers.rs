//! What the jail costs, layer by layer: the same program started bare, by a launcher that puts on little, and by ones that
//! put on more and more.

use gateway_sandbox::ladder::Ladder;

use crate::jail::{Jail, leave, plan};
use crate::kit::{Bare, Call, Contest, Echo, Target, Undisturbed, Unit, row};

const AT_ONCE: [usize; 3] = [1, 2, 8];

/// Measures, prints a table, and leaves its rows.
pub(crate) fn measure() {
    let _undisturbed = Undisturbed::begin();
    let echo = Echo::freestanding();
    let (bare, jail) = (Bare::new(&echo), Jail::new(&echo));
    let job = jail.job();
    let ladder = Ladder::new(&job).unwrap();
    let mut names = vec!["a bare posix_spawn"];
    let mut contestants: Vec<Call<'_>> = vec![Box::new(|| bare.call())];
    for (rung, name) in Ladder::NAMES.into_iter().enumerate() {
        let (ladder, input) = (&ladder, job.input);
        names.push(name);
        contestants.push(Box::new(move || {
            assert!(ladder.call(rung, input).unwrap().ends_with(b"\n"));
        }));
    }
    names.push("the sandbox: the same, watched and reported");
    contestants.push(Box::new(|| jail.call()));
    println!("\nlayer by layer: start, one line in, one line out, reaped; no ledger");
    println!(
        "{:>9} {:>9} {:>9} {:>9}  ",
        "p50 at 1", "/s at 1", "/s at 2", "/s at 8"
    );
    let plan = plan().with_fewer_calls(2);
    let contests = AT_ONCE.map(|at_once| Contest::run(plan, at_once, &contestants));
    for (at, name) in names.iter().enumerate() {
        let p50 = contests[0].p50(at, 0).ours;
        let [one, two, eight] = contests.each_ref().map(|contest| contest.rate(at, 0).ours);
        println!("{p50:>6.0} µs {one:>9.0} {two:>9.0} {eight:>9.0}  {name}");
    }
    let line = |(at, name): (usize, &&str)| {
        row(
            "J",
            name,
            Unit::Micros,
            contests[0].p50(at, 0),
            Target::None,
        )
    };
    leave(&names.iter().enumerate().map(line).collect::<Vec<_>>());
}

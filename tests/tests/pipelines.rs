//! Several plugins in one call, over the channel (contract, sections 6 and 12).

use std::fs;

use campaigns::answers::{crashing, prompt, slow};
use campaigns::channel::{Channel, request};
use campaigns::command::Host;
use campaigns::package::Package;
use campaigns::program::{Link, c};
use serde_json::{Value, json};

fn policy(strategy: &str, plugins: &[String], timeout_ms: u64, stop: bool) -> Value {
    json!({ "strategy": strategy, "plugin_ids": plugins, "timeout_ms": timeout_ms, "stop_on_failure": stop })
}

fn ask(channel: &mut Channel, policy: Value, text: &str) -> Value {
    channel.call(
        "invokePipeline",
        json!({ "policy": policy, "request": request(text, 20_000) }),
    )
}

fn statuses(pipeline: &Value) -> Vec<&str> {
    let steps = pipeline["steps"].as_array().unwrap();
    for (index, step) in steps.iter().enumerate() {
        assert_eq!(step["step_index"], index, "{pipeline}");
        assert_eq!(
            step["plugin_id"], step["response"]["plugin_id"],
            "{pipeline}"
        );
    }
    steps
        .iter()
        .map(|step| step["response"]["status"].as_str().unwrap())
        .collect()
}

fn kinds(host: &Host) -> Vec<String> {
    let calls = host
        .events()
        .into_iter()
        .filter(|event| event["run_id"] != "system");
    calls
        .map(|event| event["kind"].as_str().unwrap().to_owned())
        .collect()
}

/// A plugin that takes JSON, counts its member `n` up, and gives JSON.
fn counting(id: &str) -> Package {
    let body = "int main(void) { read_line(); char data[64]; char *at = strstr(line, \"\\\"n\\\":\"); \
        snprintf(data, sizeof data, \"{\\\"n\\\":%d}\", at ? atoi(at + 4) + 1 : 1); answer(data); }";
    Package::native(id, &c(body, Link::Static)).with(|manifest| {
        manifest["capabilities"] = json!(["read_json", "read_text", "write_report"]);
        let input =
            json!({ "kind": "json", "schema_ref": "any/1", "limits": { "max_bytes": 65536 } });
        manifest["io"]["inputs"].as_array_mut().unwrap().push(input);
    })
}

/// "`overall_status` is `ok` when all steps are, the failing step's status when it stopped on it, else `error`".
#[test]
fn inv_pnp_01_a_sequence_stops_at_a_failure_only_where_it_is_told_to() {
    let host = Host::new();
    let (good, bad) = (
        host.install(&prompt("p.test.good")),
        host.install(&crashing("p.test.bad")),
    );
    let mut channel = Channel::open(&host);
    let all_good = ask(
        &mut channel,
        policy("sequential", &[good.clone(), good.clone()], 20_000, true),
        "good",
    );
    assert_eq!(
        (statuses(&all_good), &all_good["overall_status"]),
        (vec!["ok", "ok"], &json!("ok"))
    );
    assert_eq!(all_good["run_id"], "run-of-the-test");
    let plugins = [good.clone(), bad.clone(), good.clone()];
    let stopped = ask(
        &mut channel,
        policy("sequential", &plugins, 20_000, true),
        "stop",
    );
    assert_eq!(
        (statuses(&stopped), &stopped["overall_status"]),
        (vec!["ok", "error"], &json!("error"))
    );
    let gone_on = ask(
        &mut channel,
        policy("sequential", &plugins, 20_000, false),
        "on",
    );
    assert_eq!(
        (statuses(&gone_on), &gone_on["overall_status"]),
        (vec!["ok", "error", "ok"], &json!("error"))
    );
    let unknown = ["p.test.unknown".to_owned(), good];
    let refused = ask(
        &mut channel,
        policy("sequential", &unknown, 20_000, true),
        "refused",
    );
    assert_eq!(
        (statuses(&refused), &refused["overall_status"]),
        (vec!["rejected"], &json!("rejected"))
    );
}

/// "`previous`: a sequential step gets the result before it"; "default `same`: every step gets the request's payload".
#[test]
fn inv_pnp_01_a_step_is_given_the_result_before_it_where_that_is_asked_for() {
    let host = Host::new();
    let (counter, bad) = (
        host.install(&counting("p.test.count")),
        host.install(&crashing("p.test.bad")),
    );
    let mut channel = Channel::open(&host);
    let plugins = vec![counter.clone(); 3];
    let last = |pipeline: &Value| {
        pipeline["steps"].as_array().unwrap().last().unwrap()["response"]["result"]["data"]["n"]
            .clone()
    };
    let same = ask(
        &mut channel,
        policy("sequential", &plugins, 20_000, true),
        "same",
    );
    assert_eq!(last(&same), 1, "{same}");
    let mut previous = policy("sequential", &plugins, 20_000, true);
    previous["input"] = json!("previous");
    let chained = ask(&mut channel, previous, "previous");
    assert_eq!(last(&chained), 3, "{chained}");
    let mut broken = policy("sequential", &[bad, counter], 20_000, false);
    broken["input"] = json!("previous");
    let broken = ask(&mut channel, broken, "broken");
    assert_eq!(statuses(&broken), ["error", "rejected"]);
    assert!(
        broken["steps"][1]["response"]["notes"]
            .as_str()
            .unwrap()
            .contains("Invalid request")
    );
}

/// A fan-out runs its plugins at the same time: all have begun before the first has ended.
#[test]
fn inv_pnp_07_a_fan_out_of_twenty_runs_at_once_and_its_events_are_all_there() {
    const PLUGINS: usize = 20;
    let host = Host::new();
    let plugins: Vec<String> = (0..PLUGINS)
        .map(|at| host.install(&slow(&format!("p.test.slow{at}"), 2_000)))
        .collect();
    let mut channel = Channel::open(&host);
    let pipeline = ask(
        &mut channel,
        policy("fan_out", &plugins, 60_000, false),
        "all",
    );
    assert_eq!(
        statuses(&pipeline),
        [["ok"; PLUGINS]].concat(),
        "{pipeline}"
    );
    assert_eq!(pipeline["overall_status"], "ok");
    let kinds = kinds(&host);
    assert_eq!(kinds[..PLUGINS], [["INVOKE"; PLUGINS]].concat());
    assert_eq!(kinds[PLUGINS..], [["RESULT"; PLUGINS]].concat());
}

/// "In a fan-out `stop_on_failure` cancels what still runs, with notes that say so (`cancelled: another step failed`), and the overall
/// status is the failing step's": also of a step that waits for its turn, and in the event.
#[test]
fn inv_pnp_07_a_fan_out_that_fails_takes_the_others_back() {
    let host = Host::new();
    let one_at_a_time = slow("p.test.slow", 50_000)
        .with(|manifest| manifest["limits"]["max_concurrency"] = json!(1));
    let slow = host.install(&one_at_a_time);
    let bad = host.install(&crashing("p.test.bad"));
    let mut channel = Channel::open(&host);
    for (failing, status) in [(bad.as_str(), "error"), ("p.test.nobody", "rejected")] {
        let plugins = [slow.clone(), failing.to_owned(), slow.clone()];
        let pipeline = ask(
            &mut channel,
            policy("fan_out", &plugins, 60_000, true),
            "stop",
        );
        assert_eq!(statuses(&pipeline), ["error", status, "error"]);
        for step in [0, 2] {
            let notes = &pipeline["steps"][step]["response"]["notes"];
            assert_eq!(notes, "cancelled: another step failed", "{pipeline}");
        }
        assert_eq!(pipeline["overall_status"], status);
        let reasons = host.events().into_iter();
        let reasons = reasons.filter(|event| event["meta"]["cause"] == "cancelled");
        for event in reasons {
            assert_eq!(event["meta"]["reason"], "cancelled: another step failed");
        }
    }
    // Without it the others go on, and a host that takes the pipeline back is not told of a step.
    let plugins = [slow, bad];
    let policy = policy("fan_out", &plugins, 60_000, false);
    let params = json!({ "policy": policy, "request": request("on", 60_000) });
    let before = kinds(&host).len();
    let id = channel.send("invokePipeline", params);
    while kinds(&host).len() < before + 3 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    channel.call("cancel", json!({ "id": id }));
    let pipeline = channel.answer(&id)["result"].take();
    let notes = &pipeline["steps"][0]["response"]["notes"];
    assert_eq!(
        notes, "cancelled: the host took the call back",
        "{pipeline}"
    );
    assert_eq!(pipeline["overall_status"], "error");
}

/// One total time bounds all steps with their retries and their waiting.
#[test]
fn inv_pnp_10_one_time_bounds_the_whole_pipeline() {
    let host = Host::new();
    fs::write(
        host.state().join("config.toml"),
        "[circuit]\nfailures = 1000\n",
    )
    .unwrap();
    let (slow, good) = (
        host.install(&slow("p.test.slow", 50_000)),
        host.install(&prompt("p.test.good")),
    );
    let mut channel = Channel::open(&host);
    let mut request = request("time", 60_000);
    request["policy"]["max_retries"] = json!(5);
    let policy = policy("sequential", &[slow, good], 400, false);
    let pipeline = channel.call(
        "invokePipeline",
        json!({ "policy": policy, "request": request }),
    );
    assert_eq!(statuses(&pipeline), ["timeout", "timeout"], "{pipeline}");
    let total = pipeline["total_duration_ms"].as_u64().unwrap();
    assert!((400..20_000).contains(&total), "{pipeline}");
    assert_eq!(
        kinds(&host),
        ["INVOKE", "ERROR", "ERROR"],
        "the second step was never started"
    );
}

/// A pipeline is cancelled as a whole.
#[test]
fn inv_pnp_07_a_cancelled_pipeline_starts_no_more_steps() {
    let host = Host::new();
    let (slow, good) = (
        host.install(&slow("p.test.slow", 50_000)),
        host.install(&prompt("p.test.good")),
    );
    let mut channel = Channel::open(&host);
    for strategy in ["sequential", "fan_out"] {
        let before = kinds(&host).len();
        let policy = policy(strategy, &[slow.clone(), good.clone()], 60_000, false);
        let id = channel.send(
            "invokePipeline",
            json!({ "policy": policy, "request": request(strategy, 60_000) }),
        );
        while kinds(&host).len() < before + if strategy == "fan_out" { 3 } else { 1 } {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        channel.call("cancel", json!({ "id": id }));
        let answer = channel.answer(&id);
        let pipeline = &answer["result"];
        let expected = if strategy == "fan_out" {
            vec!["error", "ok"]
        } else {
            vec!["error"]
        };
        assert_eq!(statuses(pipeline), expected, "{answer}");
        assert_eq!(pipeline["overall_status"], "error");
    }
}

/// A pipeline that makes no sense is refused as such.
#[test]
fn inv_pnp_10_a_pipeline_that_makes_no_sense_is_refused() {
    let host = Host::new();
    let mut channel = Channel::open(&host);
    let plugins = ["p.test.any".to_owned()];
    let mut fan_out = policy("fan_out", &plugins, 1_000, true);
    fan_out["input"] = json!("previous");
    let mut unknown = policy("sequential", &plugins, 1_000, true);
    unknown["more"] = json!(1);
    for policy in [
        policy("sequential", &[], 1_000, true),
        policy("other", &plugins, 1_000, true),
        fan_out,
        unknown,
    ] {
        let params = json!({ "policy": policy, "request": request("x", 1_000) });
        assert_eq!(
            channel.code("invokePipeline", params.clone()),
            -32_602,
            "{params}"
        );
    }
    assert_eq!(kinds(&host), Vec::<String>::new());
}

/// The command's verb gives the same, with its exit codes.
#[test]
fn inv_pnp_01_the_command_runs_pipelines() {
    let host = Host::new();
    let (good, bad) = (
        host.install(&prompt("p.test.good")),
        host.install(&crashing("p.test.bad")),
    );
    let both = format!("{good},{bad}");
    for strategy in ["sequential", "fan_out"] {
        let said = host
            .say([
                "--json",
                "pipeline",
                "--plugins",
                &good,
                "--strategy",
                strategy,
                "--text",
                "x",
            ])
            .expect(0);
        assert_eq!(said.json()["overall_status"], "ok");
        let said = host
            .say([
                "--json",
                "pipeline",
                "--plugins",
                &both,
                "--strategy",
                strategy,
                "--text",
                "x",
            ])
            .expect(1);
        assert_eq!(said.json()["overall_status"], "error");
        assert_eq!(statuses(&said.json()), ["ok", "error"]);
    }
    host.say(["pipeline", "--plugins", &good, "--text", "x"])
        .expect(2);
}

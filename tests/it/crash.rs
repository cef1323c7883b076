//! Promise 5: kill -9 anywhere loses nothing that was accepted. The real program dies at every named step and at random
//! moments under load, both ways; a ledger of what was acknowledged is held against what the far ends received.

use std::collections::BTreeSet;

use crate::support::http::Client;
use crate::support::ledger::{Balance, Blow, CHATS, Ledger, PACKET, passing};
use crate::support::program::Place;
use crate::support::{Random, asked};

/// A Web Chat message whose id and text are the same mark.
pub fn activity(mark: &str) -> String {
    serde_json::json!({
        "type": "message", "id": mark, "channelId": "webchat", "timestamp": "2026-11-24T10:00:00Z",
        "serviceUrl": "http://127.0.0.1:9/", "text": mark, "textFormat": "plain",
        "from": {"id": "customer", "name": "Ann"}, "recipient": {"id": "bot", "name": "Bot"},
        "conversation": {"id": "conversation-1"},
    })
    .to_string()
}

/// Steps of a customer's message, and how often the portal hears one whose sender tries only once.
const IN: [(&str, usize); 6] = [
    ("after insert", 0),
    ("before commit", 0),
    ("after commit", 1),
    ("before post", 1),
    ("after post", 2),
    ("after confirmation", 2),
];
/// Steps of an operator's message, and how often the channel gets it.
const OUT: [(&str, usize); 4] =
    [("after outbox insert", 0), ("before send", 1), ("after send", 2), ("after taking", 2)];
/// Steps that only tests of their own can reach.
const OTHERS: [&str; 5] = ["during migration", "accepted", "packet formed", "lane's turn", "housekeeping"];

/// `TRUNKLINE_KILLS` makes it longer, `TRUNKLINE_SEED` repeats a run.
#[test]
fn promise_5_a_hundred_kills_lose_nothing() {
    let (kills, seed) = (asked("TRUNKLINE_KILLS", 100), asked("TRUNKLINE_SEED", 20_261_124));
    println!("kills {kills}, seed {seed}");
    let mut random = Random::new(seed);
    let mut ledger = Ledger::new();
    let steps: Vec<&str> = IN.iter().chain(&OUT).map(|(step, _)| *step).collect();
    for kill in 0..kills {
        // Every other one at a named step, each in its turn; the others wherever it hits.
        let step = usize::try_from(kill / 2).unwrap() % steps.len();
        let blow = if kill % 2 == 0 { passing(steps[step], &mut random) } else { Blow::Random(1 + random.below(60)) };
        ledger.strike(&blow);
    }
    let balance = ledger.balance();
    let (incoming, outgoing) = (Balance::sums(&balance.incoming), Balance::sums(&balance.outgoing));
    let statuses = Balance::sums(&balance.statuses);
    println!(
        "{:?} acknowledged in and out, none lost; repeats in all and after the worst kill: {incoming:?} messages to the \
         portal, {outgoing:?} to the channel, {statuses:?} statuses",
        balance.acknowledged
    );
    // A portal or a channel may get one twice only where the kill fell between a post and the end of its confirmation:
    // the packet in flight of the one line, the message in flight of each chat.
    for (death, count) in &balance.incoming {
        let statuses = balance.statuses.get(death).copied().unwrap_or(0);
        assert!(count + statuses <= PACKET, "after kill {death}: {count} messages and {statuses} statuses");
    }
    assert!(outgoing.1 <= usize::try_from(CHATS).unwrap(), "more than one a chat: {:?}", balance.outgoing);
}

/// Each step alone, with one message: what is stored, and exactly where a repeat comes from.
#[test]
fn promise_5_each_step_leaves_what_it_must() {
    let ledger = Ledger::new();
    for (at, (step, times)) in (1_000..).zip(IN) {
        let server = ledger.place.serve_until(step).unwrap();
        let body = activity(&format!("step-{at}")).replace("conversation-1", "conversation-of-steps");
        let mut client = Client::connect(&server.public).unwrap();
        let acknowledged = client.post_json(&ledger.path, &body).is_ok();
        server.ended(step);
        // After the commit the answer was on its way; whether it won the race against the signal is no matter.
        assert!(times > 0 || !acknowledged, "{step}: acknowledged before it was on the disk");
        let server = ledger.place.serve();
        ledger.settle(&server);
        assert_eq!(ledger.ear.marks("step").get(&at).copied().unwrap_or(0), times, "{step}");
        // A platform that got no answer tries again; what was stored is a repeat.
        let mut client = Client::connect(&server.public).unwrap();
        assert_eq!(client.post_json(&ledger.path, &body).unwrap().status, 200);
        ledger.settle(&server);
        assert_eq!(ledger.ear.marks("step")[&at], times.max(1), "{step}");
    }
    for (step, times) in OUT {
        let server = ledger.place.serve_until(step).unwrap();
        let acknowledged = ledger.operator().write(&server.public).is_ok();
        server.ended(step);
        assert!(times > 0 || !acknowledged, "{step}: acknowledged before it was on the disk");
        let server = ledger.place.serve();
        ledger.settle(&server);
        assert_eq!(ledger.sent_last(), times, "{step}");
        if !acknowledged {
            ledger.operator().write(&server.public).unwrap();
        }
        ledger.settle(&server);
        assert_eq!(ledger.sent_last(), times.max(1), "{step}");
    }
}

/// A process that dies while it brings the schema up to date leaves the file as it was.
#[test]
fn promise_5_a_migration_that_dies_leaves_the_file_as_it_was() {
    let place = Place::new("");
    for _ in 0..3 {
        let died = place.command(&["portal", "list"]).env("CRASH_AT", "during migration").output().unwrap();
        assert_eq!(died.status.code(), None, "killed");
    }
    assert_eq!(place.json(&["portal", "list"]), serde_json::json!([]));
}

/// A step that is renamed, or added and never crashed at, shows here.
#[test]
fn every_named_step_is_crashed_at() {
    fn steps(folder: &std::path::Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                steps(&path, found);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let named = text.split("fault::point(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
                found.extend(named.map(str::to_owned));
            }
        }
    }
    let mut found = BTreeSet::new();
    steps(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let known: BTreeSet<String> =
        IN.iter().chain(&OUT).map(|(step, _)| *step).chain(OTHERS).map(str::to_owned).collect();
    assert_eq!(found, known);
}

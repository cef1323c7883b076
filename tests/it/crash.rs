//! Promise 5: kill -9 anywhere loses nothing that was accepted. The real program is killed at random moments under load;
//! a ledger of what was acknowledged is held against what the portal received.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::http::Client;
use crate::support::portal::Ear;
use crate::support::program::Place;
use crate::support::{Random, until};

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

const OFF: &str = "[bot_framework]\nauthentication = \"off\"\n[network]\nallow = [\"127.0.0.0/8\"]\n";

#[test]
fn promise_5_a_hundred_kills_lose_nothing() {
    let kills: u64 = std::env::var("TRUNKLINE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let seed = std::env::var("TRUNKLINE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_124);
    println!("kills {kills}, seed {seed}");
    let mut random = Random::new(seed);
    let ear = Ear::start();
    let place = Place::new(OFF);
    let (_, hash) = place.connect("office", &ear.url, "11111111-2222-3333-4444-555555555555");
    let path = format!("/imwebhook/?hash={hash}");
    let acknowledged: Arc<Mutex<HashSet<u64>>> = Arc::default();
    let number = Arc::new(AtomicU64::new(0));

    for _ in 0..kills {
        let server = place.serve();
        let stop = Arc::new(AtomicBool::new(false));
        let before = acknowledged.lock().unwrap().len() as u64;
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (address, path) = (server.public.clone(), path.clone());
                let (acknowledged, number, stop) = (acknowledged.clone(), number.clone(), stop.clone());
                std::thread::spawn(move || {
                    let Ok(mut client) = Client::connect(&address) else { return };
                    while !stop.load(Ordering::Relaxed) {
                        let mark = number.fetch_add(1, Ordering::Relaxed);
                        match client.post_json(&path, &activity(&format!("mark-{mark}"))) {
                            Ok(answer) if answer.status == 200 => drop(acknowledged.lock().unwrap().insert(mark)),
                            Ok(answer) => panic!("{} {}", answer.status, answer.text()),
                            Err(_) => return,
                        }
                    }
                })
            })
            .collect();
        let goal = before + 1 + random.below(60);
        until("load", Duration::from_secs(20), || acknowledged.lock().unwrap().len() as u64 >= goal);
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().unwrap();
        }
    }

    let server = place.serve();
    until("the queue to run empty", Duration::from_secs(60), || server.metric("trunkline_queued") == 0.0);
    assert_eq!(server.metric("trunkline_accounting_difference"), 0.0);
    let heard = ear.marks("mark");
    let acknowledged = acknowledged.lock().unwrap();
    let lost: Vec<_> = acknowledged.iter().filter(|mark| !heard.contains_key(mark)).collect();
    assert!(lost.is_empty(), "lost of {}: {lost:?}", acknowledged.len());
    // Every message was stored once: what was accepted is what is known by distinct ids.
    let accepted =
        server.metric("trunkline_accepted_total{connector=\"botframework.webchat\",direction=\"in\",class=\"\"}");
    assert_eq!(accepted, heard.len() as f64, "a message was queued twice, or not delivered");
    // The portal may see one twice only where a kill fell between a post and its confirmation: a packet a kill at most.
    let twice = heard.values().filter(|count| **count > 1).count();
    println!("{} acknowledged, {} heard, {twice} of them more than once", acknowledged.len(), heard.len());
    assert!(twice as u64 <= kills * 10, "{twice} repeats");
}

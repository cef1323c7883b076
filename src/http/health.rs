//! Liveness, readiness, figures.

use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::Response;
use super::limits::FrontStats;
use super::service::Service;
use crate::store::counters::{self, Direction};

/// Room on the disk below which the server says it is not ready.
const ROOM_MIN_BYTES: u64 = 64 * 1024 * 1024;
/// How long a sign of life may take.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn healthz() -> Response {
    Response::text(200, "text/plain; charset=utf-8", "ok\n")
}

/// 200, or 503 with the reasons: the database commits, the loops move, the disk has room, the sums agree. Each reason has
/// a code and a sentence.
pub(super) fn readyz(service: &Service) -> Response {
    let mut reasons: Vec<(&str, String)> = Vec::new();
    if let Err(error) = service.writer.write(PATIENCE, |_| Ok(())) {
        reasons.push(("no_commit", format!("the database does not commit: {error}")));
    }
    for name in service.silent_loops(PATIENCE) {
        reasons.push(("silent_loop", format!("the {name} does not move")));
    }
    match rustix::fs::statvfs(&service.data_dir) {
        Ok(stat) if stat.f_bavail.saturating_mul(stat.f_frsize) < ROOM_MIN_BYTES => {
            reasons.push(("disk_full", "the disk has less than 64 MiB left".to_owned()));
        }
        Ok(_) => (),
        Err(error) => reasons.push(("no_folder", format!("the data directory can't be looked at: {error}"))),
    }
    match service.readers.get().map(|db| counters::accounting(&db)) {
        Ok(Ok(sums)) if sums.difference() != 0 => {
            let words =
                format!("accepted and accounted messages differ by {}; see `trunkline doctor`", sums.difference());
            reasons.push(("accounting", words));
        }
        Ok(Ok(_)) => (),
        Ok(Err(error)) => reasons.push(("no_read", format!("the database can't be read: {error}"))),
        Err(error) => reasons.push(("no_read", format!("the database can't be read: {error}"))),
    }
    if reasons.is_empty() {
        Response::text(200, "application/json", serde_json::json!({"ready": true}).to_string())
    } else {
        let (codes, sentences): (Vec<_>, Vec<_>) = reasons.into_iter().unzip();
        let body = serde_json::json!({"ready": false, "codes": codes, "reasons": sentences});
        Response::text(503, "application/json", body.to_string()).with("retry-after", "5")
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    connector: String,
    direction: String,
    class: String,
}

/// The sums of the database and the durations of this process.
pub(super) fn metrics(service: &Service) -> Response {
    let mut registry = Registry::with_prefix("trunkline");
    let read = service
        .readers
        .get()
        .map_err(|error| error.to_string())
        .and_then(|db| collect(service, &db, &mut registry).map_err(|error| error.to_string()));
    if let Err(error) = read {
        log::error!(error = error.as_str(); "the figures can't be read");
        return super::service::unavailable("the database can't be read at the moment");
    }
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => Response::text(200, "application/openmetrics-text; version=1.0.0; charset=utf-8", text),
        Err(_) => Response::error(500, "INTERNAL", "the figures can't be written"),
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Status {
    status: u32,
}

/// The three that the sum is made of are there from the start, at 0, for every connector: a counter that appears with its
/// first count has no rate.
fn zeros(service: &Service) -> impl Iterator<Item = Labels> {
    let ids = service.factory.iter().flat_map(|connector| {
        let virtuals = connector.virtuals().iter().map(|channel| channel.id);
        std::iter::once(connector.name()).chain(virtuals)
    });
    ids.flat_map(|connector| {
        [Direction::In, Direction::Out].map(|direction| Labels {
            connector: connector.to_owned(),
            direction: direction.as_str().to_owned(),
            class: String::new(),
        })
    })
}

fn collect(service: &Service, db: &rusqlite::Connection, registry: &mut Registry) -> rusqlite::Result<()> {
    for name in ["accepted", "confirmed", "dead", "replayed", "repeated", "maybe_twice", "status_missing"] {
        let family = Family::<Labels, prometheus_client::metrics::counter::Counter>::default();
        if matches!(name, "accepted" | "confirmed" | "dead") {
            for labels in zeros(service) {
                drop(family.get_or_create(&labels));
            }
        }
        for row in counters::all(db)?.into_iter().filter(|row| row.name == name) {
            let labels = Labels { connector: row.connector, direction: row.direction, class: row.class };
            family.get_or_create(&labels).inc_by(u64::try_from(row.value).unwrap_or(0));
        }
        registry.register(name, help(name), family);
    }
    let sums = counters::accounting(db)?;
    let oldest = crate::queue::oldest(db)?.map_or(0, |at| service.clock.now().since(at).as_secs());
    let blocked: i64 = db
        .prepare_cached("select count(*) from lines where blocked_until > ?1")?
        .query_row([service.clock.now().0], |row| row.get(0))?;
    let gauges = [
        ("queued", "Messages that wait for a portal", sums.queued),
        ("outbox", "Messages that wait for a channel", sums.outbox),
        ("accounting_difference", "Accepted minus queued, confirmed and dead: not 0 is an alarm", sums.difference()),
        ("oldest_queued_seconds", "Age of the oldest queued message", i64::try_from(oldest).unwrap_or(i64::MAX)),
        ("blocked_lines", "Lines that wait after unconfirmed packets", blocked),
    ];
    for (name, text, value) in gauges {
        let gauge = Gauge::<i64>::default();
        gauge.set(value);
        registry.register(name, text, gauge);
    }
    let stats = &service.writer.stats;
    let count = |value: &std::sync::atomic::AtomicU64| ConstCounter::new(value.load(Ordering::Relaxed));
    registry.register("commits", "Commits of this process", count(&stats.commits));
    registry.register("commit_commands", "Commands in those commits", count(&stats.commands));
    registry.register("commit_failures", "Commits that failed as a whole", count(&stats.failures));
    registry.register("accept_seconds", "Webhook to answer", service.metrics.accept.clone());
    registry.register("delivery_seconds", "Commit to the portal's confirmation", service.metrics.delivery.clone());
    registry.register("commit_seconds", "Begin to end of a commit", stats.commit_seconds.clone());
    registry.register("commit_group_size", "Commands committed together", stats.group_size.clone());
    if let Some(front) = service.front.get() {
        collect_front(front, registry);
    }
    let info = prometheus_client::metrics::info::Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The program", info);
    Ok(())
}

/// What the ports turn away before a handler sees it.
fn collect_front(front: &FrontStats, registry: &mut Registry) {
    let gauge = |value: &std::sync::atomic::AtomicUsize| {
        ConstGauge::new(i64::try_from(value.load(Ordering::Relaxed)).unwrap_or(i64::MAX))
    };
    registry.register("http_connections", "Connections open now", gauge(&front.open));
    registry.register("http_waiting_bytes", "Bytes of bodies that wait for a worker", gauge(&front.waiting));
    let count = |value: &std::sync::atomic::AtomicU64| ConstCounter::new(value.load(Ordering::Relaxed));
    registry.register("http_connections_refused", "Connections above the cap", count(&front.refused));
    registry.register("http_overloaded", "Requests answered 503 because too much waited", count(&front.overloaded));
    registry.register("http_truncated", "Requests whose body ended early", count(&front.truncated));
    let family = Family::<Status, prometheus_client::metrics::counter::Counter>::default();
    for (status, count) in front.rejected() {
        family.get_or_create(&Status { status: u32::from(status) }).inc_by(count);
    }
    registry.register("http_rejected", "Requests turned away before a handler, by status", family);
}

fn help(name: &str) -> &'static str {
    match name {
        "accepted" => "Messages stored for delivery",
        "confirmed" => "Messages confirmed by a portal or taken by a channel",
        "dead" => "Messages that became dead letters",
        "replayed" => "Dead letters that came back, counted as accepted once more",
        "repeated" => "Repeats that added nothing",
        "maybe_twice" => "Messages posted again after an unclear outcome",
        _ => "Confirmations that a portal owed and did not send",
    }
}

//! What the desk knows of its lines: the texts it says by itself, hours, how conversations are handed out.

use rusqlite::{Connection, OptionalExtension, Transaction, named_params};
use serde_json::{Value as Json, json};

use super::OfficeError;
use crate::clock::UnixMillis;
use crate::desk::distribution::Mode;
use crate::desk::hours::Hours;

/// Longest text that the desk says by itself, characters.
const TEXT_MAX: usize = 2000;
/// Seconds for which a conversation may be offered to one operator.
const OFFER_SECS: std::ops::RangeInclusive<u32> = 5..=86_400;

/// How one line of the desk works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineSettings {
    /// Said when a conversation begins; empty: nothing is.
    pub welcome: String,
    /// Said once in a conversation while nobody is here; empty: nothing is.
    pub away: String,
    /// Said at the end, asks for `1` or `0`; empty: nobody asks.
    pub rating: String,
    /// How conversations are handed out.
    pub distribution: Mode,
    /// How long one operator has for taking a conversation.
    pub offer_secs: u32,
    /// When somebody is here; `None`: always.
    pub hours: Option<Hours>,
}

impl Default for LineSettings {
    fn default() -> Self {
        Self {
            welcome: String::new(),
            away: String::new(),
            rating: String::new(),
            distribution: Mode::All,
            offer_secs: 60,
            hours: None,
        }
    }
}

impl LineSettings {
    /// As they are stored and shown: `{"welcome","away","rating","distribution":"all|evenly|strictly","offer_secs",
    /// "hours"}`, hours as [`Hours::to_json`] gives them or null.
    pub fn to_json(&self) -> Json {
        json!({"welcome": self.welcome, "away": self.away, "rating": self.rating,
            "distribution": self.distribution.word(), "offer_secs": self.offer_secs,
            "hours": self.hours.as_ref().map(Hours::to_json)})
    }

    /// Reads what [`Self::to_json`] writes; what is missing has its default. An error is a sentence.
    pub fn from_json(json: &Json) -> Result<Self, String> {
        let usual = Self::default();
        let text = |name: &str, usual: String| match json.get(name) {
            None => Ok(usual),
            Some(Json::String(text)) if text.chars().count() <= TEXT_MAX => Ok(text.trim().to_owned()),
            Some(_) => Err(format!("`{name}` must be a text of at most {TEXT_MAX} characters")),
        };
        let distribution = match json.get("distribution") {
            None => usual.distribution,
            Some(word) => word.as_str().unwrap_or_default().parse().map_err(|error| format!("{error}"))?,
        };
        let offer_secs = match json.get("offer_secs") {
            None => usual.offer_secs,
            Some(secs) => secs
                .as_u64()
                .and_then(|secs| u32::try_from(secs).ok())
                .filter(|secs| OFFER_SECS.contains(secs))
                .ok_or_else(|| format!("an offer lasts {} to {} seconds", OFFER_SECS.start(), OFFER_SECS.end()))?,
        };
        let hours = match json.get("hours") {
            None | Some(Json::Null) => None,
            Some(hours) => Some(Hours::from_json(hours).map_err(|error| error.to_string())?),
        };
        Ok(Self {
            welcome: text("welcome", usual.welcome)?,
            away: text("away", usual.away)?,
            rating: text("rating", usual.rating)?,
            distribution,
            offer_secs,
            hours,
        })
    }

    /// Whether somebody should be here at that moment.
    pub fn is_open(&self, at: UnixMillis) -> bool {
        self.hours.as_ref().is_none_or(|hours| hours.is_open(at))
    }
}

/// A line of the desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its id at this portal.
    pub line: String,
    /// Name of the bot that is connected, if one is.
    pub bot: Option<String>,
    /// Since when that bot is connected elsewhere.
    pub attention_since: Option<UnixMillis>,
    /// How it works.
    pub settings: LineSettings,
}

const LINES: &str = "select line, bot, attention_since, settings from lines order by length(line), line";
const LINE: &str = "select line, bot, attention_since, settings from lines where line = :line";
const MAKE: &str = "insert into lines (line) values (:line) on conflict (line) do nothing";
const SETTINGS: &str = "update lines set settings = :settings where line = :line";
const BOT: &str = "update lines set bot = :bot, attention_since = null where line = :line";
const ATTENTION: &str = "update lines set attention_since = :at where line = :line and attention_since is null";

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Line> {
    let settings: String = row.get("settings")?;
    let settings = serde_json::from_str(&settings).ok().and_then(|json| LineSettings::from_json(&json).ok());
    Ok(Line {
        line: row.get("line")?,
        bot: row.get("bot")?,
        attention_since: row.get::<_, Option<i64>>("attention_since")?.map(UnixMillis),
        settings: settings.unwrap_or_default(),
    })
}

/// Every line that the desk has heard of.
pub(super) fn lines(db: &Connection) -> rusqlite::Result<Vec<Line>> {
    db.prepare_cached(LINES)?.query_map([], read)?.collect()
}

/// One line; one that nobody has set up works as lines do by default.
pub(super) fn line(db: &Connection, line: &str) -> rusqlite::Result<Line> {
    let found = db.prepare_cached(LINE)?.query_row(named_params! {":line": line}, read).optional()?;
    Ok(found.unwrap_or_else(|| Line {
        line: line.to_owned(),
        bot: None,
        attention_since: None,
        settings: LineSettings::default(),
    }))
}

/// Makes a line that is not there yet.
pub(super) fn make(tx: &Transaction<'_>, line: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(MAKE)?.execute(named_params! {":line": line}).map(drop)
}

/// Notes which bot is connected, and that it is connected here.
pub(super) fn set_bot(tx: &Transaction<'_>, line: &str, bot: Option<&str>) -> rusqlite::Result<()> {
    make(tx, line)?;
    tx.prepare_cached(BOT)?.execute(named_params! {":line": line, ":bot": bot}).map(drop)
}

/// Notes that the bot is connected elsewhere.
pub(super) fn set_attention(tx: &Transaction<'_>, line: &str, at: UnixMillis) -> rusqlite::Result<()> {
    make(tx, line)?;
    tx.prepare_cached(ATTENTION)?.execute(named_params! {":line": line, ":at": at.0}).map(drop)
}

/// Longest id of a line, as portals number them.
const LINE_ID_MAX: usize = 20;

/// The id of a line as a portal has them, digits; an error is a sentence.
pub(super) fn line_id(text: &str) -> Result<&str, OfficeError> {
    let text = text.trim();
    let fine = !text.is_empty() && text.len() <= LINE_ID_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
    fine.then_some(text).ok_or_else(|| OfficeError::Wrong("a line's id is a number, such as 1".to_owned()))
}

impl super::Office {
    /// Every line that the desk has heard of.
    pub fn lines(&self) -> Result<Vec<Line>, OfficeError> {
        Ok(self.store.read(lines)?)
    }

    /// One line; one that nobody has set up works as lines do by default.
    pub fn line(&self, id: &str) -> Result<Line, OfficeError> {
        let id = line_id(id)?;
        Ok(self.store.read(|db| line(db, id))?)
    }

    /// Adds a line, if it is not there yet.
    pub fn add_line(&self, id: &str) -> Result<(), OfficeError> {
        let id = line_id(id)?;
        self.store.write(|tx| Ok(make(tx, id)?))
    }

    /// From now on the line works so; conversations that wait are offered anew.
    pub fn set_line(&self, id: &str, settings: &LineSettings) -> Result<(), OfficeError> {
        let id = line_id(id)?;
        self.store.write(|tx| {
            make(tx, id)?;
            let text = settings.to_json().to_string();
            tx.prepare_cached(SETTINGS)?.execute(named_params! {":line": id, ":settings": text})?;
            super::turns::offer_anew(tx, id, self.clock.now())?;
            Ok::<_, OfficeError>(())
        })?;
        self.errands.ring();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_were_written() {
        let settings = LineSettings {
            welcome: "Hello".to_owned(),
            distribution: Mode::Strictly,
            offer_secs: 30,
            hours: Some(Hours::new(180, [Some((540, 1080)), None, None, None, None, None, None]).unwrap()),
            ..LineSettings::default()
        };
        assert_eq!(LineSettings::from_json(&settings.to_json()), Ok(settings));
        assert_eq!(LineSettings::from_json(&json!({})), Ok(LineSettings::default()));
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        for (json, words) in [
            (json!({"welcome": 5}), "`welcome` must be a text"),
            (json!({"away": "x".repeat(2001)}), "at most 2000"),
            (json!({"distribution": "random"}), "`random`"),
            (json!({"offer_secs": 4}), "5 to 86400"),
            (json!({"offer_secs": "60"}), "5 to 86400"),
            (json!({"hours": {"offset_minutes": 0}}), "`days`"),
        ] {
            let error = LineSettings::from_json(&json).unwrap_err();
            assert!(error.contains(words), "{json}: {error}");
        }
        for id in ["", " ", "x1", "1|2", "123456789012345678901"] {
            assert!(line_id(id).is_err(), "{id:?}");
        }
    }
}
